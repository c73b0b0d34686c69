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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from app.state.own_files import contained
from app.state.project import Project
from deeplab_core.atomic import flush_folder, make_folder, replace_file
from deeplab_core.errors import AtrousError, MessageText, ProjectError, message
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
        edits: numbers of the edits of the classes that counted then; None in runs of older versions.
        names: name of every class then, by id.
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
    edits: tuple[int, ...] | None = None
    names: dict[str, str] = field(default_factory=dict)

    @property
    def date(self) -> str:
        """Local date and time: ``2026-11-30 14:05``.

        Raises:
            ValueError, OverflowError, OSError: ``created`` is no time; :meth:`KeptRuns.all` leaves such a run out.
        """
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.created))


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRun:
    """Labels of a complete run whose facts are lost: the database was damaged, or an older copy of it was restored.

    Attributes:
        number: of the run.
        images: how many files it has.
        bytes: their size.
        changed: Unix time in seconds of its folder.
    """

    number: int
    images: int
    bytes: int
    changed: float


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

    def used(self) -> int:
        """Bytes of all labels, also of lost runs."""
        return sum(_size(self._project.directory / RUNS / name)[1] for name in self._names())

    def lost(self) -> list[LostRun]:
        """Complete runs without facts, the newest first; links and other things in the folder are none."""
        known = {run.number for run in self.all()}
        found = []
        for name in self._names():
            folder = self._project.directory / RUNS / name
            if _NUMBER.fullmatch(name) and int(name) not in known and folder.is_dir() and not folder.is_symlink():
                images, size = _size(folder)
                found.append(LostRun(number=int(name), images=images, bytes=size, changed=folder.stat().st_mtime))
        return sorted(found, key=lambda run: -run.number)

    def take_in(self, lost: LostRun, name: str, scored: Callable[[int], LabelMap | None]) -> KeptRun:
        """Keep a lost run again. Its labels are read and scored; model and settings stay unknown. Takes as long as reading them.

        Args:
            name: that it gets.
            scored: gives the (H, W) ground truth of an image as it is scored, by id; None without one.

        Raises:
            ProjectLocked, ProjectError: the project is read-only, or no file is of an image of the project.
            MaskFormatError: a file is damaged, or has an id that no class of the project has.
        """
        project = self._project
        project.check_writable()
        run = self._facts(lost.number, name, message("unknown"), "", "")
        recorder = RunRecorder(project, replace(run, created=lost.changed))
        for record in project.images:
            path = contained(project.directory, _file(str(lost.number), record.relative_path), below=RUNS)
            if path.is_file():
                recorder.count(record.id, read_mask(path, project.catalog), scored(record.id))
        if not recorder.images:
            raise ProjectError(
                message("run {number} has no image of this project", number=lost.number),
                remedy=message("Remove the run, or open the project of its images"),
                path=project.directory,
            )
        return recorder.write()

    def remove_lost(self, lost: LostRun) -> None:
        """Delete the labels of a lost run.

        Raises:
            ProjectLocked: the project is read-only.
        """
        self._project.check_writable()
        self._delete(lost.number)

    def begin(
        self, name: str, model: str, *, model_id: str = "", settings: str = "", most_bytes: int | None = None
    ) -> RunRecorder:
        """Begin to keep a run; it exists once :meth:`RunRecorder.finish` was called.

        What an interrupted run left behind is removed. No number is given twice, so that whoever still shows a run that was
        removed finds no labels rather than those of another run.

        Args:
            most_bytes: of the labels of all runs with this one; None for no bound.

        Raises:
            ProjectLocked: the project is read-only.
            ProjectError: the folder of the runs is a link, or the runs take as much space as they may.
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
        left_bytes = None if most_bytes is None else most_bytes - self.used()
        if left_bytes is not None and left_bytes <= 0:
            raise _full(project, most_bytes or 0)
        make_folder(project.directory / RUNS / f"{number}{_PART}")
        project.set_setting(_NEWEST, number)
        run = self._facts(number, name, model, model_id, settings)
        return RunRecorder(project, run, left_bytes, most_bytes)

    def _facts(self, number: int, name: str, model: str, model_id: str, settings: str) -> KeptRun:
        edits, catalog = self._project.class_edits, self._project.catalog
        return KeptRun(
            number=number, name=name.strip()[:LONGEST_NAME], created=time.time(), model=model, model_id=model_id,
            settings=settings, catalog=edits.stamp(catalog), edits=edits.counting,
            names={str(info.id): info.name for info in catalog.classes},
        )  # fmt: skip

    def labels(self, run: KeptRun, image: int) -> LabelMap | None:
        """(H, W) labels of an image in a run, in the project's ids of now; None where the run has none.

        Edits of the classes since then (merged, deleted) are followed: ids that they took away are never used again.

        Raises:
            ProjectError: an edit cannot be followed (:meth:`unreadable` says why), or the file is not in its folder.
            MaskFormatError: the file is damaged.
        """
        project, edits = self._project, self._project.class_edits
        why = self.unreadable(run)
        if why:
            raise ProjectError(
                message("the classes were edited after the run '{name}' was kept", name=run.name),
                why=why,
                remedy=message("Undo the edit of the classes, or keep the run again"),
                path=project.directory,
            )
        path = contained(project.directory, _file(str(run.number), project.record(image).relative_path), below=RUNS)
        if not path.is_file():
            return None
        if run.catalog == edits.stamp(project.catalog):
            return read_mask(path, project.catalog)
        return edits.current_ids(read_mask(path, edits.reading_catalog(project.catalog)), project.catalog)

    def unreadable(self, run: KeptRun) -> MessageText:
        """Why the labels of a run mean something else than the classes of now; empty if they do not, or can be translated."""
        edits, catalog = self._project.class_edits, self._project.catalog
        if run.catalog == edits.stamp(catalog):
            return message("")
        if run.edits is None:
            return message("A version that did not note the classes of its runs kept it")
        undone = next(
            (edit for edit in edits.entries if edit.undone and edit.number in run.edits and (edit.moved or edit.added)), None
        )
        if undone is not None:
            return message("'{edit}' was undone since, and its labels do not say which class they had before", edit=undone.title)
        known = {str(class_id): names for class_id, names in edits.names_of(catalog).items()}
        for class_id, name in run.names.items():
            if name not in known.get(class_id, ()):
                return message("{class_id} was '{name}' then, and is not in the classes of now", class_id=class_id, name=name)
        return message("")

    def remove(self, run: KeptRun) -> None:
        """Forget a run and delete its labels.

        Raises:
            ProjectLocked: the project is read-only.
        """
        project = self._project
        project.drop_setting(f"{_KEY}{run.number}")
        self._delete(run.number)

    def _delete(self, number: int) -> None:
        contained(self._project.directory, f"{RUNS}/{number}/x.png", below=RUNS)
        shutil.rmtree(self._project.directory / RUNS / str(number), ignore_errors=True)

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

    def __init__(self, project: Project, run: KeptRun, left_bytes: int | None = None, most_bytes: int | None = None) -> None:
        """Args: left_bytes: that its labels may take; most_bytes: that all runs may take, for the message."""
        self._project, self._run = project, run
        self._left, self._most = left_bytes, most_bytes
        self._matrix = ConfusionMatrix(project.catalog)
        self._hashes: list[tuple[str, str]] = []
        self.images = 0

    @property
    def name(self) -> str:
        """What the run will be called."""
        return self._run.name

    @property
    def outgrown(self) -> bool:
        """Whether the run takes more space than is left for runs: it cannot be finished any more."""
        return self._left is not None and self._left < 0

    def add(self, image: int, labels: LabelMap, truth: LabelMap | None) -> None:
        """Keep the labels of an image; nothing once the run is :attr:`outgrown`.

        Args:
            image: its id.
            labels: (H, W) in the project's ids.
            truth: (H, W) ground truth as it is scored; None without one.

        Raises:
            StorageError: the file cannot be written.
            MaskFormatError: the sizes of both differ.
        """
        if self.outgrown:
            return  # finish() says so
        name = self._project.record(image).relative_path
        self.count(image, labels, truth)
        path = contained(self._project.directory, _file(f"{self._run.number}{_PART}", name), below=RUNS)
        make_folder(path.parent)
        write_mask(path, labels, self._project.catalog)
        if self._left is not None:
            self._left -= path.stat().st_size

    def count(self, image: int, labels: LabelMap, truth: LabelMap | None) -> None:
        """Score the labels of an image that are kept already; arguments as for :meth:`add`."""
        if truth is not None:
            self._matrix.update(truth=truth, prediction=labels)
            self._hashes.append((self._project.record(image).relative_path, label_map_hash(truth)))
        self.images += 1

    def finish(self) -> KeptRun:
        """The run is complete; it is kept from now on.

        Raises:
            StorageError: the folder cannot be renamed, or the facts cannot be written; then the run is not kept.
            ProjectError: a link or another thing is in the way, or the run takes more space than is left for runs.
        """
        if self.outgrown:
            raise _full(self._project, self._most or 0)
        run = self._scored()
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

    def write(self) -> KeptRun:
        """Write the facts of labels that lie in their folder already. Raises StorageError."""
        run = self._scored()
        self._project.set_setting(f"{_KEY}{run.number}", asdict(run))
        return run

    def _scored(self) -> KeptRun:
        run, mean = replace(self._run, images=self.images), self._matrix.mean_iou("truth")
        if not self._hashes:
            return run
        names, iou = [info.name for info in self._project.catalog.classes], self._matrix.iou()
        seen = self._matrix.counts.sum(axis=1) > 0
        return replace(
            run, scored=len(self._hashes), mean_iou=float(mean.value), pixel_accuracy=float(self._matrix.pixel_accuracy()),
            classes=mean.classes, truth_sha256=ground_truth_hash(self._hashes),
            iou={name: float(value) for name, value, there in zip(names, iou, seen, strict=True) if there},
        )  # fmt: skip


def _size(folder: Path) -> tuple[int, int]:
    """Files of a folder and their bytes; what cannot be read counts as nothing."""
    sizes = []
    for path in folder.rglob("*.png"):
        with contextlib.suppress(OSError):
            sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def _full(project: Project, most_bytes: int) -> ProjectError:
    return ProjectError(
        message("the kept runs of this project may take {size} MB", size=f"{most_bytes / 1e6:,.0f}"),
        why=message("This run does not fit beside the others"),
        remedy=message("Remove a run, or raise 'Disk space for kept runs, per project' in the settings"),
        path=project.directory,
    )


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
