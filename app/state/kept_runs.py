"""Runs that a project keeps under a name: the labels of that moment, what made them, and what they scored. No Qt, no torch.

The labels are files of their own, ``.atrous/kept_runs/NUMBER/...png``, so that what is drawn or predicted later does not change
them, and so that any other command can read them. Facts and figures are a JSON value of the project. Labels of a run that is not
complete lie in ``NUMBER.part``. Only such folders are removed without being asked for: a complete one may be all that is left
after a damaged database or an older backup.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from app.state.own_files import contained
from app.state.project import Project
from deeplab_core.atomic import flush_folder, make_folder, replace_file
from deeplab_core.errors import AtrousError, ProjectError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash
from deeplab_core.reading import convert

#: Folder of the labels, below the project's directory; and the beginning of the keys of the facts.
RUNS, _KEY = "kept_runs", "kept_run."
#: Setting: the highest number that a run was given, also one that was removed or never completed.
_NEWEST = "kept_runs.newest"
#: End of the folder of a run that is not complete.
_PART = ".part"
_NUMBER = re.compile(r"[1-9][0-9]{0,14}")
#: Longest name of a run.
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """What is known of a run.

    Attributes:
        number: of the run in its project, from 1.
        name: as the user called it.
        created: Unix time in seconds.
        model: what made the labels, in words: a model, or the masks of the project.
        model_id: id of the model's card; empty for masks.
        settings: of the prediction, in words; may be empty.
        images: with labels.
        scored: of these, with ground truth.
        mean_iou, pixel_accuracy: over the classes of the ground truth, 0..1; None without ground truth.
        classes: how many classes the mean is over.
        iou: by name of the class, 0..1; classes of the ground truth only.
        truth_sha256: of the scored ground truth (:func:`~deeplab_core.metrics.truth_hash.ground_truth_hash`); empty without.
        catalog: what the ids of the labels mean (``ClassEdits.stamp``).
    """

    number: int
    name: str
    created: float
    model: str
    model_id: str = ""
    settings: str = ""
    images: int = 0
    scored: int = 0
    mean_iou: float | None = None
    pixel_accuracy: float | None = None
    classes: int = 0
    iou: dict[str, float] = field(default_factory=dict)
    truth_sha256: str = ""
    catalog: str = ""

    @property
    def date(self) -> str:
        """Local date and time: ``2026-11-30 14:05``.

        Raises:
            ValueError, OverflowError, OSError: ``created`` is no time; :meth:`KeptRuns.all` leaves such a run out.
        """
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.created))


class KeptRuns:
    """The kept runs of a project. Methods may be called from any thread."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def all(self) -> list[KeptRun]:
        """Every run, the newest first; those whose facts are damaged are left out, and stay on the disk."""
        runs = (_read(key, value) for key, value in self._project.settings(_KEY).items())
        return sorted((run for run in runs if run is not None), key=lambda run: -run.number)

    def named(self, name: str) -> KeptRun:
        """The newest run of a name, or the run of a number.

        Raises:
            ProjectError: there is none.
        """
        runs = self.all()
        found = next((run for run in runs if run.name == name), None)
        found = found or next((run for run in runs if str(run.number) == name), None)
        if found is None:
            raise ProjectError(
                message("this project keeps no run '{name}'", name=name),
                remedy=message("'atrous project runs' lists the runs that it keeps"),
                path=self._project.directory,
            )
        return found

    def folder(self, run: KeptRun) -> Path:
        """Where the labels of a run lie."""
        return self._project.directory / RUNS / str(run.number)

    def begin(self, name: str, model: str, *, model_id: str = "", settings: str = "") -> RunRecorder:
        """Begin to keep a run; it exists once :meth:`RunRecorder.finish` was called.

        What an interrupted run left behind is removed. No number is given twice, so that whoever still shows a run that was
        removed finds no labels rather than those of another run.

        Raises:
            ProjectLocked: the project is read-only.
            ProjectError: the folder of the runs is a link.
            StorageError: the folder cannot be made.
        """
        project = self._project
        project.check_writable()
        names = self._names()
        number = max(self._numbers(names), default=0) + 1
        # Before anything is removed: a link would lead to files that are not the project's.
        contained(project.directory, f"{RUNS}/{number}{_PART}/x.png", below=RUNS)
        for left in names:
            if left.endswith(_PART) and _NUMBER.fullmatch(left.removesuffix(_PART)):
                shutil.rmtree(project.directory / RUNS / left, ignore_errors=True)
        make_folder(project.directory / RUNS / f"{number}{_PART}")
        project.set_setting(_NEWEST, number)
        run = KeptRun(
            number=number, name=name.strip()[:LONGEST_NAME], created=time.time(), model=model, model_id=model_id,
            settings=settings, catalog=project.class_edits.stamp(project.catalog),
        )  # fmt: skip
        return RunRecorder(project, run)

    def labels(self, run: KeptRun, image: int) -> LabelMap | None:
        """(H, W) labels of an image in a run, in the project's ids; None where the run has none.

        Raises:
            ProjectError: the classes of the project were edited since, or the file is not in its folder.
            MaskFormatError: the file is damaged.
        """
        project = self._project
        if run.catalog != project.class_edits.stamp(project.catalog):
            raise ProjectError(
                message("the classes were edited after the run '{name}' was kept", name=run.name),
                remedy=message("Undo the edit of the classes, or keep the run again"),
                path=project.directory,
            )
        path = contained(project.directory, _file(str(run.number), project.record(image).relative_path), below=RUNS)
        return read_mask(path, project.catalog) if path.is_file() else None

    def remove(self, run: KeptRun) -> None:
        """Forget a run and delete its labels.

        Raises:
            ProjectLocked: the project is read-only.
        """
        project = self._project
        project.drop_setting(f"{_KEY}{run.number}")
        contained(project.directory, f"{RUNS}/{run.number}/x.png", below=RUNS)
        shutil.rmtree(self.folder(run), ignore_errors=True)

    def give_name(self, run: KeptRun, name: str) -> None:
        """Give a run another name."""
        self._project.set_setting(f"{_KEY}{run.number}", asdict(replace(run, name=name.strip()[:LONGEST_NAME])))

    def _names(self) -> list[str]:
        """What lies in the folder of the runs."""
        try:
            return [path.name for path in (self._project.directory / RUNS).iterdir()]
        except OSError:
            return []

    def _numbers(self, names: list[str]) -> set[int]:
        """Every number that a run has or had; also where its facts are damaged or missing."""
        keys = [key.removeprefix(_KEY) for key in self._project.settings(_KEY)]
        found = [*keys, *(name.removesuffix(_PART) for name in names), str(self._project.setting(_NEWEST))]
        return {int(text) for text in found if _NUMBER.fullmatch(text)}


class RunRecorder:
    """Takes the images of a run, one after the other, from any thread one at a time."""

    def __init__(self, project: Project, run: KeptRun) -> None:
        self._project, self._run = project, run
        self._matrix = ConfusionMatrix(project.catalog)
        self._hashes: list[tuple[str, str]] = []
        self._images = 0

    @property
    def name(self) -> str:
        """What the run will be called."""
        return self._run.name

    def add(self, image: int, labels: LabelMap, truth: LabelMap | None) -> None:
        """Keep the labels of an image.

        Args:
            image: its id.
            labels: (H, W) in the project's ids.
            truth: (H, W) ground truth as it is scored; None without one.

        Raises:
            StorageError: the file cannot be written.
            MaskFormatError: the sizes of both differ.
        """
        name = self._project.record(image).relative_path
        if truth is not None:
            self._matrix.update(truth=truth, prediction=labels)
            self._hashes.append((name, label_map_hash(truth)))
        path = contained(self._project.directory, _file(f"{self._run.number}{_PART}", name), below=RUNS)
        make_folder(path.parent)
        write_mask(path, labels, self._project.catalog)
        self._images += 1

    def finish(self) -> KeptRun:
        """The run is complete; it is kept from now on.

        Raises:
            StorageError: the folder cannot be renamed, or the facts cannot be written; then the run is not kept.
            ProjectError: a link or another thing is in the way.
        """
        run, mean = replace(self._run, images=self._images), self._matrix.mean_iou("truth")
        if self._hashes:
            names, iou = [info.name for info in self._project.catalog.classes], self._matrix.iou()
            seen = self._matrix.counts.sum(axis=1) > 0
            run = replace(
                run, scored=len(self._hashes), mean_iou=float(mean.value), pixel_accuracy=float(self._matrix.pixel_accuracy()),
                classes=mean.classes, truth_sha256=ground_truth_hash(self._hashes),
                iou={name: float(value) for name, value, there in zip(names, iou, seen, strict=True) if there},
            )  # fmt: skip
        folder = contained(self._project.directory, f"{RUNS}/{run.number}/x.png", below=RUNS).parent
        part = folder.with_name(f"{run.number}{_PART}")
        replace_file(part, folder)
        try:
            flush_folder(folder.parent)  # the facts must not reach the disk before the name does
            self._project.set_setting(f"{_KEY}{run.number}", asdict(run))
        except AtrousError:
            with contextlib.suppress(AtrousError):
                replace_file(folder, part)  # so that the next run removes it
            raise
        return run


def _read(key: str, value: Any) -> KeptRun | None:
    """The run of a setting of the project; None where it is damaged."""
    try:
        run = convert(value, KeptRun)
        run.date  # noqa: B018 -- no time at all, or one that no calendar has
    except (ValueError, OverflowError, OSError):
        return None
    return run if key == f"{_KEY}{run.number}" else None


def _file(folder: str, image: str) -> str:
    """Name of the labels of an image, below the project's directory; images that differ in their ending only stay apart."""
    return f"{RUNS}/{folder}/{image}.png"
