"""Comparing models over a whole folder: pooled figures of each, and the images on which they differ most."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.actions.facts import Facts
from app.controllers.compare import CompareController
from app.controllers.compare_asking import PeerAsking, Said, Wish
from app.controllers.folder_jobs import FolderJobs
from app.controllers.judge import JudgeController
from app.controllers.models import ModelsController
from app.controllers.project import ProjectController
from app.services.calls import ComputeService
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Choice, Notifier
from app.state.comparison import (
    ImageDifference,
    ModelCount,
    ModelFigures,
    PairCount,
    Peer,
    count_model,
    count_pair,
    figures_of,
    pairs_of,
    pooled_count,
)
from app.state.folder_plan import plan_comparison
from app.state.project import Project
from app.state.samples import load_sample
from app.state.wording import counted, spaced
from app.worker.messages import NORMAL
from deeplab_core.boundary.band import band_index
from deeplab_core.errors import Cancelled, image_error
from deeplab_core.learning import PackedLabels
from deeplab_core.records import PredictOptions, TrimapBand

#: Images that one model sees before the next one has its turn: where memory holds one model at a time, each is read again once
#: per block, which costs little beside its predictions.
BLOCK = 24


@dataclass(slots=True)
class FolderResult:
    """What a comparison over a folder has found so far.

    Attributes:
        peers: who took part.
        band: whose rule and reference the curves have.
        counts: pooled over all images, by place; None before the first.
        pairs: pooled differences, by places.
        rows: every image.
        judged: how many images had truth.
        milliseconds: mean time of a prediction, by place; nan before the first.
    """

    peers: tuple[Peer, ...]
    band: TrimapBand
    counts: list[ModelCount | None]
    pairs: dict[tuple[int, int], PairCount]
    rows: list[ImageDifference] = field(default_factory=list)
    judged: int = 0
    times: list[list[float]] = field(default_factory=list)

    @property
    def milliseconds(self) -> tuple[float, ...]:
        return tuple(float(np.mean(times)) if times else float("nan") for times in self.times)


@dataclass(slots=True)
class _Run:
    """A comparison in progress."""

    project: Project
    options: PredictOptions
    band: TrimapBand
    result: FolderResult
    waiting: deque[int]
    job: Job
    total: int
    block: list[int] = field(default_factory=list)
    asks: deque[tuple[int, int]] = field(default_factory=deque)  # (place, image)
    said: dict[int, dict[int, PackedLabels]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    asked: int = 0
    done: int = 0
    stopped: bool = False


class CompareFolder(QObject):
    """At most one run at a time; what it has predicted is on disk, so that the next one goes on there.

    Signals:
        changed(): figures or list grew, or another folder is open.
        failuresFound(list of (image id, why)): a person wants to see what failed.
    """

    changed = Signal()
    failuresFound = Signal(object)

    def __init__(
        self,
        compare: CompareController,
        projects: ProjectController,
        models: ModelsController,
        judge: JudgeController,
        compute: ComputeService,
        jobs: JobRegistry,
        notifier: Notifier,
        facts: Facts,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._compare, self._projects, self._models, self._judge = compare, projects, models, judge
        self._jobs, self._notifier, self._facts, self._folder_jobs = jobs, notifier, facts, folder_jobs
        self._asking = PeerAsking(compute, jobs, self)
        self._run: _Run | None = None
        self.result: FolderResult | None = None
        projects.projectChanged.connect(self._leave)
        judge.truthFound.connect(lambda _index: self._leave(None))

    def start(self) -> None:
        """Say what that takes, then compare the chosen models on every image of the folder, as one job that can be stopped."""
        project = self._projects.project
        if self._run is not None or project is None:
            return
        peers = tuple(peer for peer in self._compare.peers if peer.card is not None)
        images = [record.id for record in project.images if not record.missing]
        if len(peers) < 2 or not images:
            self._notifier.warning("Choose at least two models to compare", replace_key="compare")
            return
        self._folder_jobs.ask(plan_comparison(project, len(peers)), lambda: self._begin(project, peers, images))

    def _begin(self, project: Project, peers: tuple[Peer, ...], images: list[int]) -> None:
        if self._run is not None or project is not self._projects.project:
            return  # the question was answered late
        job = self._jobs.add(Job("Comparing models on the folder", self._stop, guards_close=True))
        self.result = FolderResult(
            peers,
            self._judge.band,
            [None] * len(peers),
            {pair: PairCount() for pair in pairs_of(len(peers))},
            times=[[] for _ in peers],
        )
        self._run = _Run(
            project, self._models.run_settings.options(), self._judge.band, self.result, deque(images), job,
            total=len(images) * len(peers),
        )  # fmt: skip
        self._facts.update(compare_running=True)
        self.changed.emit()
        self._begin_block(self._run)

    def figures(self) -> list[ModelFigures | None]:
        """Pooled figures of each model, by place."""
        result, project = self.result, self._projects.project
        if result is None or project is None:
            return []
        return [None if count is None else figures_of(count, project.catalog) for count in result.counts]

    def open_image(self, image: int) -> None:
        """Bring an image of the list into view."""
        self._projects.open_image(image)

    # -- the run ---------------------------------------------------------------------------------------------------------

    def _begin_block(self, run: _Run) -> None:
        run.block = [run.waiting.popleft() for _ in range(min(BLOCK, len(run.waiting)))]
        run.said = {image: {} for image in run.block}
        run.asks = deque((place, image) for place in range(len(run.result.peers)) for image in run.block)
        if run.block:
            self._next(run)
        else:
            self._finish(run)

    def _next(self, run: _Run) -> None:
        while run.asks and run.asks[0][1] in run.failures:
            run.asks.popleft()
            run.asked += 1
        if run.stopped or run is not self._run:
            self._finish(run)
        elif run.asks:
            place, image = run.asks.popleft()
            run.job.progress(run.asked, run.total, run.project.record(image).name)
            peer = run.result.peers[place]
            wish = Wish(run.project, image, peer, peer.options(run.options), NORMAL)
            self._asking.ask(
                wish, partial(self._take, run, place, image), partial(self._miss, run, image), partial(self._moved, run)
            )
        else:
            self._measure(run, deque(image for image in run.block if image not in run.failures))

    def _take(self, run: _Run, place: int, image: int, said: Said) -> None:
        run.said[image][place] = PackedLabels.of(said.labels)
        run.result.times[place].append(said.milliseconds)
        if said.note:
            run.notes[said.note] = None
        if said.unmatched:
            peer = run.result.peers[place].title
            one = len(said.unmatched) == 1
            classes = f"{counted(len(said.unmatched), 'class', 'classes')} of {peer}"
            run.notes[f"{classes} {'has' if one else 'have'} no partner in this project and count{'s' * one} as void."] = None
        run.asked += 1
        self._next(run)

    def _miss(self, run: _Run, image: int, error: Exception) -> None:
        if isinstance(error, Cancelled):
            run.stopped = True
        else:
            run.failures[image] = str(error)
            run.asked += 1
        self._next(run)

    def _moved(self, run: _Run, fraction: float) -> None:
        run.job.progress(run.asked, run.total, run.job.text, fraction)

    def _measure(self, run: _Run, images: deque[int]) -> None:
        """Count the images of a block, one after the other, in the background."""
        if run is not self._run or not images:
            if run is self._run:
                self._begin_block(run)
            return
        image = images.popleft()
        said, project = run.said.pop(image), run.project
        catalog, band = project.catalog, run.band

        def work() -> tuple[list[ModelCount], dict[tuple[int, int], PairCount]]:
            labels = [said[place].unpacked() for place in range(len(run.result.peers))]
            index = None
            sample = load_sample(project, image, labels="none")
            truth, whole = sample.scored, sample.truth
            if whole is not None and band.around == "truth":  # one for all models
                index = band_index(truth=whole, prediction=whole, ignore=catalog.ignore, rule=band.rule, around="truth")
            counts = [count_model(each, catalog, band, truth, index) for each in labels]
            places = pairs_of(len(labels))
            return counts, {(a, b): count_pair(labels[a], labels[b], catalog.ignore, truth) for a, b in places}

        def done(found: tuple[list[ModelCount], dict[tuple[int, int], PairCount]]) -> None:
            self._pool(run, image, *found)
            self._measure(run, images)

        def failed(error: Exception) -> None:
            run.failures[image] = str(image_error(error, project.path_of(project.record(image))))
            self._measure(run, images)

        self._jobs.run(work, done, failed)

    def _pool(self, run: _Run, image: int, counts: list[ModelCount], pairs: dict[tuple[int, int], PairCount]) -> None:
        result = run.result
        result.counts = [pooled_count(before, count) for before, count in zip(result.counts, counts, strict=True)]
        result.pairs = {pair: result.pairs[pair] + count for pair, count in pairs.items()}
        means = tuple(float("nan") if count.matrix is None else count.matrix.mean_iou("truth").value for count in counts)
        result.rows.append(ImageDifference(image, run.project.record(image).shown, pairs, means))
        result.judged += counts[0].matrix is not None
        run.done += 1
        if run is self._run:
            self.changed.emit()

    def _stop(self) -> None:
        run = self._run
        if run is not None:
            run.stopped = True
            self._asking.cancel()
            self._finish(run)

    def _leave(self, _project: Project | None) -> None:
        """Another folder, or other ground truth: nothing of the old one is shown any more."""
        if self._run is not None:
            self._run.job.cancel()
        self.result = None
        self.changed.emit()

    def _finish(self, run: _Run) -> None:
        if run is not self._run:
            return
        self._run = None
        self._facts.update(compare_running=False)
        run.job.finish(JobState.CANCELLED if run.stopped else JobState.DONE)
        parts = [f"{counted(run.done, 'image')} compared, {spaced(run.result.judged)} of them with truth"]
        if run.failures:
            parts.append(f"{spaced(len(run.failures))} failed")
        if run.stopped:
            parts.append("what was predicted is kept for the next time")
        choices: tuple[Choice, ...] = ()
        if run.failures:
            failures = list(run.failures.items())
            choices = (Choice("Show what failed", lambda: self.failuresFound.emit(failures)),)
        say = self._notifier.warning if run.failures else self._notifier.info
        title = "Comparison stopped" if run.stopped else "Comparison finished"
        text = "; ".join(parts) + ". " + " ".join(run.notes)
        say(title, text.strip(), replace_key="compare-folder", choices=choices)
        self.changed.emit()
