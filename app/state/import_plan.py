"""What an import of masks will do: which file belongs to which image, in which classes, what is left out. No Qt, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.locks import held
from app.state.mask_check import sentence
from app.state.mask_reading import load_project_mask
from app.state.patch import TilePatch, diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import counted, spaced
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.datasets import guess_catalog
from deeplab_core.datasets.find import MASK_SUFFIXES
from deeplab_core.errors import MaskFormatError
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap, apply_lut, class_histogram, value_counts
from deeplab_core.masks.confirmed import read_confirmed
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.notes import Note, RunNotes


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """An import before it begins.

    Attributes:
        folder: of the masks, searched recursively.
        files: relative image path -> mask file.
        missing: images without a mask there.
        unused: (file, why) of every file that is not read, relative to the folder.
        classes: what the masks are made in, where that is not what the project has; None without a contradiction.
        reason: what that rests on, in words.
    """

    folder: Path
    files: Mapping[str, Path]
    missing: int = 0
    unused: tuple[tuple[str, str], ...] = ()
    classes: ClassCatalog | None = None
    reason: str = ""


@dataclass(slots=True)
class ImportCounts:
    """What came in.

    Attributes:
        done: masks that were imported.
        kept: images that kept the mask that the user worked on.
        failures: (image or file, why) of what could not be used.
        pixels, void: of the imported masks.
        notes: what was read in an unusual way.
        masks: pixels by class, by which masks are found to be implausible; None before the first.
    """

    done: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    pixels: int = 0
    void: int = 0
    notes: RunNotes = field(default_factory=lambda: RunNotes("mask"))
    masks: MaskStatistics | None = None

    @property
    def warning(self) -> bool:
        """Whether the masks may not be what they are taken for."""
        return self.notes.warning or (self.masks is not None and any(note.warning for note in self.masks.findings()))

    def add(self, name: str, found: ImportedMask) -> None:
        """Count a mask that was imported."""
        self.done += 1
        self.pixels += found.pixels
        self.void += found.void
        self.notes.add(name, found.notes)
        if self.masks is None:
            self.masks = MaskStatistics(found.catalog)
        self.masks.add(name, found.px)

    def text(self, plan: ImportPlan) -> str:
        """Everything but the number of imported masks, one sentence each."""
        parts = []
        if self.kept:
            parts.append(f"{counted(self.kept, 'image')} kept the mask that you worked on.")
        if self.failures:
            parts.append(f"{counted(len(self.failures), 'file')} could not be used.")
        if plan.missing:
            verb = "has" if plan.missing == 1 else "have"
            parts.append(f"{counted(plan.missing, 'image')} {verb} no mask in {plan.folder.name}.")
        if plan.unused:
            verb = "was" if len(plan.unused) == 1 else "were"
            parts.append(f"{counted(len(plan.unused), 'file')} {verb} not read.")
        if self.void:
            share = f"{self.void / self.pixels:.1%}".replace("%", "\u2009%")
            parts.append(f"{share} of the pixels are void.")
        if self.notes:
            parts.append(f"{self.notes.text()}.")
        # The share of void stands above already.
        findings = [] if self.masks is None else self.masks.findings()
        parts += [sentence(note.text) for note in findings if note.warning or note.kind != "void"]
        return " ".join(parts)

    def rows(self, plan: ImportPlan) -> list[tuple[str, str]]:
        """(file, why) of everything that was not taken as it is."""
        return [*self.failures, *plan.unused, *((plan.folder.name, line) for line in self.notes.lines())]


@dataclass(frozen=True, slots=True, eq=False)
class ImportedMask:
    """A mask that was read for an image.

    Attributes:
        labels: (H, W) in the project's ids.
        catalog: the project's classes.
        px: (C + 1,) int64 pixels by class, void last.
        notes: what was read in an unusual way or became void.
        by: (H, W) uint8 who set each pixel; None says the import.
    """

    labels: LabelMap
    catalog: ClassCatalog
    px: NDArray[np.int64]
    notes: tuple[Note, ...] = ()
    by: NDArray[np.uint8] | None = None

    @property
    def pixels(self) -> int:
        """Size of the mask in px."""
        return int(self.labels.size)

    @property
    def void(self) -> int:
        """How many of its pixels are void."""
        return int(self.px[-1])


def plan_import(project: Project, folder: Path) -> ImportPlan:
    """Find the masks of a folder for every image of a project; predictions of Atrous are welcome here.

    Raises:
        MaskFormatError: the folder cannot be opened.
    """
    from deeplab_core.datasets import find_truth

    names = [record.relative_path for record in project.images if not record.missing]
    known = project.class_edits.reading_catalog(project.catalog)
    index = find_truth(project.folder, names, truth_folder=folder, catalog=known, allow_predicted=True)
    unused = [(problem.image, problem.message) for problem in index.problems]
    unused += _unused(folder, {Path(os.path.abspath(path)) for path in index.files.values()})  # noqa: PTH100
    missing = len(names) - len(index.files) - len(index.problems)
    classes, reason = classes_of(project, index.files)
    return ImportPlan(folder, index.files, max(missing, 0), tuple(unused), classes, reason)


def classes_of(project: Project, files: Mapping[str, Path]) -> tuple[ClassCatalog | None, str]:
    """The classes that masks are made in, and why, where these are not the project's; (None, "") without a contradiction."""
    builtin = list(builtin_catalogs().values())
    own = [] if any(same_classes(catalog, project.catalog) for catalog in builtin) else [project.catalog]
    guess = guess_catalog(files.values(), [*builtin, *own])
    if guess.catalog is None or same_classes(guess.catalog, project.catalog):
        return None, ""
    allowed = any(same_classes(catalog, project.catalog) for catalog in guess.catalogs)
    return (None, "") if allowed and not guess.certain else (guess.catalog, guess.reason)


def read_import(
    project: Project, image: int, path: Path, frame: Frame, source: ClassCatalog | None, info: ImageInfo | None = None
) -> ImportedMask:
    """Read a mask file in the project's ids.

    Args:
        source: classes of the file, which are matched to the project's by name; None reads it in the project's own.

    Raises:
        ImageReadError, MaskFormatError: the file does not fit the image or the classes.
    """
    info = info or probe_image(project.path_of(project.record(image)))
    by, confirmed = _imported_by(path, info, (info.height, info.width))
    found = load_project_mask(path, source or project.class_edits.reading_catalog(project.catalog), info, frame=frame)
    if source is None:
        labels = project.class_edits.current_ids(found.labels, project.catalog)
        return ImportedMask(labels, project.catalog, class_histogram(labels, project.catalog), (*found.notes, *confirmed), by)
    mapping = map_catalogs(source, project.catalog)
    present = np.flatnonzero(value_counts(found.labels)).tolist()
    lost = [info.name for info in source.classes if info.id in present and info.name in mapping.unmatched]
    notes = (*found.notes, *confirmed)
    if lost:
        text = f"{', '.join(lost)} became void, because the project has no such class"
        notes = (*notes, Note("classes", text, "has classes that the project lacks", warning=True))
    labels = apply_lut(found.labels, mapping.lut)
    return ImportedMask(labels, project.catalog, class_histogram(labels, project.catalog), notes, by)


def import_patch(
    project: Project, image: int, path: Path, frame: Frame, source: ClassCatalog | None
) -> tuple[TilePatch, ImportedMask]:
    """The step that makes a mask file the mask of an image that is not open. Errors as :func:`read_import`."""
    found = read_import(project, image, path, frame, source)
    document = project.load(image, (found.labels.shape[0], found.labels.shape[1])).document
    return whole_patch(document, found.labels, found.by), found


def whole_patch(document: Document, labels: LabelMap, by: NDArray[np.uint8] | None = None) -> TilePatch:
    """The step that makes imported labels, (H, W) in the project's ids, the whole mask of a document but for locked classes.

    Args:
        by: (H, W) who set each pixel; None says the import.
    """
    if by is None:
        by = np.full_like(document.provenance, Provenance.IMPORT)
    if document.locked:
        kept = held(document.labels, labels, document.locked)
        labels = np.where(kept, document.labels, labels)
        by = np.where(kept, document.provenance, by)
    return diff_patch(document.labels, document.provenance, labels, by)


def _imported_by(path: Path, info: ImageInfo, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], tuple[Note, ...]]:
    """(H, W) who set the pixels of an imported mask: what an export of Atrous says beside it, else the import."""
    try:
        confirmed = read_confirmed(path, info)
    except MaskFormatError as error:
        text = f"who set each pixel was not read: {error.what}"
        note = Note("provenance", text, "has a damaged record of who set each pixel", warning=True)
        return set_by(None, shape), (note,)
    return set_by(
        None if confirmed is None else confirmed.codes, shape, reviewed=confirmed is not None and confirmed.reviewed
    ), ()


def set_by(codes: NDArray[np.uint8] | None, shape: tuple[int, ...], *, reviewed: bool = False) -> NDArray[np.uint8]:
    """(H, W) uint8 provenance of imported pixels.

    Args:
        codes: (H, W) who set them, as an export of Atrous says beside the mask; None without one.
        shape: (H, W) of the mask.
        reviewed: whether a user confirmed the whole mask: then the pixels of a model count as imported, too.
    """
    by = np.full(shape, Provenance.IMPORT, np.uint8)
    if codes is None:
        return by
    kept = codes != Provenance.UNSET
    if reviewed:
        kept &= (codes == Provenance.USER) | (codes == Provenance.RECLASSIFIED)
    by[kept] = codes[kept]
    return by


def mapping_text(source: ClassCatalog, target: ClassCatalog) -> str:
    """What matching by name does, in a sentence."""
    unmatched = map_catalogs(source, target).unmatched
    matched = len(source) - len(unmatched)
    text = f"{spaced(matched)} of {counted(len(source), 'class', 'classes')} have a partner of the same name."
    if unmatched:
        more = f" and {len(unmatched) - 5} more" if len(unmatched) > 5 else ""
        text += f" {', '.join(unmatched[:5])}{more} become void."
    return text


def _unused(folder: Path, used: set[Path]) -> list[tuple[str, str]]:
    """Every other file of a folder, with the reason why it is not read; hidden ones are left alone."""
    found = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(os.path.abspath(Path(place) / name))  # noqa: PTH100
            if name.startswith(".") or path in used:
                continue
            mask = path.suffix.lower() in {".png", ".npy", *MASK_SUFFIXES}
            why = "It has the name of no image, or another file was taken." if mask else "Masks in this format cannot be read."
            found.append((path.relative_to(os.path.abspath(folder)).as_posix(), why))  # noqa: PTH100
    return found
