"""Which classes a project has, and what its ground truth says about it. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from app.state.class_keys import forget_keys
from app.state.mask_reading import standard_colors
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.datasets import CatalogGuess, guess_catalog
from deeplab_core.errors import CatalogError, MaskFormatError, join_messages, message, plural_message
from deeplab_core.labels import value_counts
from deeplab_core.masks.read import interpret
from deeplab_core.masks.stored import StoredMask, read_stored
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.wording import name_some

if TYPE_CHECKING:
    from app.state.ground_truth import GroundTruth
    from app.state.project import Project
    from deeplab_core.catalogs.catalog import ClassCatalog

#: ``certain``: the ground truth determines it; ``labels``: the ground truth allows it and the project is labelled in it; the
#: others as
#: for the ground truth (:data:`app.state.ground_truth.How`).
How = Literal["certain", "labels", "asked", "user", "later"]

#: Setting that keeps who chose the classes; the classes themselves are the project's catalog.
SETTING = "catalog_choice"
#: Setting with the ids of classes that are not drawn.
HIDDEN = "hidden_classes"
#: Masks that a preview reads, spread evenly over the folder.
_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class CatalogEffect:
    """What a catalog makes of the ground truth, measured on a sample of its files.

    Attributes:
        catalog: the classes.
        images: images with ground truth.
        sampled: how many of their masks were read.
        refused: how many of those the catalog cannot read.
        void: share of the pixels of the readable ones that become void, 0..1; nan if none is readable.
        undeclared: ids that occur and that the catalog does not declare -> pixels.
        classes: how many of its classes occur.
    """

    catalog: ClassCatalog
    images: int
    sampled: int
    refused: int
    void: float
    undeclared: dict[int, int] = field(default_factory=dict)
    classes: int = 0

    @property
    def fits(self) -> bool:
        """Whether every mask of the sample can be read."""
        return bool(self.sampled) and not self.refused


@dataclass(frozen=True, slots=True)
class ClassQuestion:
    """The ground truth allows other classes than the project has, or several.

    Attributes:
        effects: the catalogs to choose from, likeliest first.
        reason: what the guess rests on, or why it is not certain, in words.
        certain: the ground truth speaks for the first catalog, and nothing against it.
        current: name of the project's catalog.
        touched: images that the user worked on: their ids stay, so catalogs that lack one cannot be chosen.
        predicted: images with labels of a model or CRF alone: they are cleared for other ids, and predicted again.
    """

    effects: tuple[CatalogEffect, ...]
    reason: str
    current: str
    touched: int = 0
    predicted: int = 0
    certain: bool = False


def stored_how(project: Project) -> How | None:
    """Who chose the project's classes; None before they were chosen."""
    found = project.setting(SETTING)
    how = found.get("how") if isinstance(found, dict) else None
    return how if how in get_args(How) else None


def store_how(project: Project, how: How, reason: str = "") -> None:
    """Keep who chose the classes; a read-only project keeps nothing. Raises StorageError."""
    if not project.read_only:
        project.set_setting(SETTING, {"how": how, "reason": reason})


def stored_reason(project: Project) -> str:
    """What the choice rests on, in words; empty if unknown."""
    found = project.setting(SETTING)
    return str(found.get("reason", "")) if isinstance(found, dict) else ""


def known_catalogs(project: Project) -> list[ClassCatalog]:
    """The project's own catalog first, then the built-in ones."""
    own = project.catalog
    return [own, *(catalog for catalog in builtin_catalogs().values() if not same_classes(catalog, own))]


def guess_classes(project: Project, truth: GroundTruth) -> CatalogGuess:
    """Which catalogs fit the ground truth: the built-in ones, the project's own, one that Atrous recorded beside the masks."""
    builtin = list(builtin_catalogs().values())
    own = [] if any(same_classes(catalog, project.catalog) for catalog in builtin) else [project.catalog]
    return guess_catalog(truth.files.values(), [*builtin, *own])


@dataclass(frozen=True, slots=True)
class ClassDecision:
    """What the ground truth says about the classes of a project.

    Attributes:
        how, reason: to be stored; None if there is nothing to store.
        catalog: other classes to take; None keeps those of the project.
        question: what only the user knows; None without a doubt.
    """

    how: How | None = None
    reason: str = ""
    catalog: ClassCatalog | None = None
    question: ClassQuestion | None = None


def decide_classes(project: Project, truth: GroundTruth, *, again: bool = False) -> ClassDecision:
    """Find the classes that the ground truth is made in. Changes nothing: see :func:`apply_decision`.

    Nothing is guessed without ground truth, and a labelled project never gets other classes by itself.

    Args:
        again: other ground truth was chosen: the stored choice does not count, if the ground truth contradicts it.
    """
    stored = stored_how(project)
    if not truth.files or project.read_only or (stored is not None and not again):
        return ClassDecision()
    guess = guess_classes(project, truth)
    if not guess.names and guess.unread:
        return ClassDecision()  # every file is named when it is read
    current = project.catalog
    allowed = any(same_classes(catalog, current) for catalog in guess.catalogs)
    if allowed and stored is not None:
        return ClassDecision()
    if guess.certain and guess.catalog is not None and same_classes(guess.catalog, current):
        return ClassDecision("certain", guess.reason)
    touched, predicted = labelled_images(project)
    labelled = bool(touched or predicted)
    if not labelled and guess.certain and guess.catalog is not None:
        return ClassDecision("certain", guess.reason, guess.catalog)
    if allowed and labelled:
        return ClassDecision("labels", guess.reason)
    return ClassDecision(question=class_question(project, truth, guess, touched=touched, predicted=predicted))


def apply_decision(project: Project, decision: ClassDecision) -> None:
    """Take what is decided. No image may be open. Raises StorageError, CatalogError."""
    if decision.catalog is not None and decision.how is not None:
        choose_catalog(project, decision.catalog, decision.how, decision.reason)
    elif decision.how is not None:
        store_how(project, decision.how, decision.reason)


def class_question(
    project: Project, truth: GroundTruth, guess: CatalogGuess | None = None, *, touched: int = 0, predicted: int = 0
) -> ClassQuestion:
    """What to show where the user has to choose, or wants to: every catalog with its effect, likeliest first."""
    guess = guess or (guess_classes(project, truth) if truth.files else CatalogGuess(names=(), certain=False, reason=""))
    known = known_catalogs(project)
    known += [catalog for catalog in guess.catalogs if not any(same_classes(catalog, other) for other in known)]
    effects = measure_effects(list(truth.files.values()), [standard_colors(catalog) for catalog in known])

    def rank(effect: CatalogEffect) -> tuple[int, int]:
        fits = (place for place, catalog in enumerate(guess.catalogs) if same_classes(catalog, effect.catalog))
        return effect.refused, next(fits, len(guess.catalogs))

    return ClassQuestion(tuple(sorted(effects, key=rank)), guess.reason, project.catalog.name, touched, predicted, guess.certain)


def measure_effects(files: Sequence[Path], catalogs: Sequence[ClassCatalog]) -> list[CatalogEffect]:
    """What each catalog makes of ground truth files; each file of the sample is decoded once."""
    masks: list[tuple[Path, StoredMask]] = []
    for path in files[:: max(1, -(-len(files) // _SAMPLES))]:
        try:
            masks.append((path, read_stored(path)))
        except MaskFormatError:
            continue  # it is named when it is read
    return [_effect(catalog, len(files), masks) for catalog in catalogs]


def _effect(catalog: ClassCatalog, images: int, masks: Sequence[tuple[Path, StoredMask]]) -> CatalogEffect:
    refused = void = total = 0
    undeclared: dict[int, int] = {}
    present: set[int] = set()
    declared = {*catalog.ids.tolist(), catalog.file_ignore}
    for path, stored in masks:
        try:
            labels = interpret(stored, catalog, path)
        except MaskFormatError:
            refused += 1
            if stored.values is not None:
                counts = value_counts(stored.values)
                for value in np.flatnonzero(counts).tolist():
                    if value not in declared:
                        undeclared[value] = undeclared.get(value, 0) + int(counts[value])
            continue
        counts = value_counts(labels)
        void += int(counts[catalog.ignore])
        total += labels.size
        present |= set(np.flatnonzero(counts).tolist()) - {catalog.ignore}
    share = void / total if total else float("nan")
    return CatalogEffect(catalog, images, len(masks), refused, share, dict(sorted(undeclared.items())), len(present))


def meaning_changes(old: ClassCatalog, new: ClassCatalog) -> str:
    """Why labels of one catalog would mean something else in another, in words; empty if every id keeps its meaning."""
    names = {info.id: info.name for info in new.classes}
    lost = [info.name for info in old.classes if info.id not in names]
    if lost:
        return message("It has no class for {names}", names=name_some(lost, 4))
    other = next((info for info in old.classes if names[info.id] != info.name), None)
    if other is not None:
        found = names[other.id]
        return message("Its id {class_id} is {found}, not {expected}", class_id=other.id, found=found, expected=other.name)
    return message("Its masks have another number of bits") if old.wide != new.wide else ""


def _painted_changes(project: Project, catalog: ClassCatalog) -> str:
    """Why the user's labels would mean something else, in words: the classes that occur, with their pixels."""
    now = {info.id: info for info in catalog.classes}
    others = [info for info in project.catalog.classes if info.id not in now or now[info.id].name != info.name]
    counts = project.count_pixels([info.id for info in others])
    parts = []
    for info in others:
        pixels = counts.of(info.id)[1]
        if pixels and info.id in now:
            parts.append(message("{pixels:,} px are {name}, and the id {class_id} would be {new}", pixels=pixels, name=info.name,
                                 class_id=info.id, new=now[info.id].name))  # fmt: skip
        elif pixels:
            parts.append(message("{pixels:,} px are {name}, which it has not", pixels=pixels, name=info.name))
    if parts:
        named = join_messages(parts[:4], "; ")
        return plural_message("{named}; {n} more", "{named}; {n} more", len(parts) - 4, named=named) if parts[4:] else named
    if project.catalog.wide != catalog.wide:
        return message("Its masks have another number of bits")
    return message(
        "No pixel has one of the classes that would be lost, but undo steps may. 'atrous classes edit FOLDER --delete NAME' "
        "removes a class, e.g. {name}", name=others[0].name,
    )  # fmt: skip


def labelled_images(project: Project) -> tuple[int, int]:
    """(images that the user worked on, images with labels of a model or CRF alone)."""
    touched = {record.id for record in project.images if record.touched}
    return len(touched), len(project.labelled() - touched)


def take_named(project: Project, catalog: ClassCatalog) -> None:
    """Take the classes that the user named when the folder was opened, if nothing is labelled yet.

    A project with labels keeps its classes, and one of its notices reports it. Raises StorageError.
    """
    other = not same_classes(project.catalog, catalog)
    if other and (project.read_only or any(labelled_images(project))):
        notice = message(
            "The project keeps its classes ({classes}) instead of those that you named: {reason}.",
            classes=project.catalog.title,
            reason=message("it is read-only") if project.read_only else message("it has labelled images"),
        )
        project.notices = (*project.notices, notice)
        return
    if other:
        project.set_catalog(catalog)
    store_how(project, "user", message("You named them when the folder was opened"))


def choose_catalog(project: Project, catalog: ClassCatalog, how: How, reason: str = "") -> int:
    """Give the project other classes, and clear labels that only a model or CRF has set where their ids would be lost.

    The masks of those images are set aside, never deleted. Meant for another thread.

    Returns:
        How many images were cleared.

    Raises:
        CatalogError: an image that the user worked on has ids that would be lost; nothing was changed.
        StorageError, ProjectLocked: the project cannot be written.
    """
    cleared = 0
    if meaning_changes(project.catalog, catalog):
        touched, _ = labelled_images(project)
        if touched:
            raise CatalogError(
                message(
                    "the classes cannot become {title}, because you worked on {images} in other ids",
                    title=catalog.title, images=plural_message("{n} image", "{n} images", touched),
                ),
                why=_painted_changes(project, catalog),
                remedy=message("Keep the classes, or begin a new project with --project DIR"),
            )  # fmt: skip
        for image in project.labelled():
            project.start_over(image)
            cleared += 1
        forget_keys(project)  # the same ids are other classes now
        if project.locked_classes:
            project.lock_classes(())
        if project.setting(HIDDEN):
            project.set_setting(HIDDEN, [])
    project.set_catalog(catalog)
    store_how(project, how, reason)
    return cleared
