"""What a folder without a project holds, and what a project in it would begin with. Nothing is written. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.state.class_choice import CatalogEffect, measure_effects, store_how
from app.state.class_choice import How as ClassesHow
from app.state.class_mapping import choose_classes
from app.state.data_choices import OpenQuestions, ground_truth_of, open_frame_question, store_choice, taken_folders
from app.state.folder_scan import survey
from app.state.ground_truth import GroundTruth, TruthChoice
from app.state.label_import import new_classes, plan_labels
from app.state.layout import DATABASE, DIRECTORY_NAME
from app.state.mask_reading import standard_colors
from app.state.opening import DEFAULT_CATALOG
from deeplab_core.catalogs import builtin_catalogs, get_catalog, with_default_keys
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.catalogs.lists import named_catalog
from deeplab_core.datasets import CatalogGuess, GroundTruthFiles, TruthAlternative, find_truth, guess_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.masks import read_marker
from deeplab_core.masks.importing import LABEL_ENDINGS, ImportPlan, find_labels
from deeplab_core.metrics.confusion import same_classes

if TYPE_CHECKING:
    from app.state.project import Project

#: Setting of a project of which no image is predicted unless the user asks for it.
BEGINS_EMPTY = "begins_empty"
#: Setting of a project: path of the model that the user chose while it was open, or for its beginning.
CHOSEN_MODEL = "model.chosen"

#: Files of class names that are looked for in the folder of the images and in the one above it.
_LISTS = (
    "labels.txt", "classes.txt", "labelmap.txt", "label_colors.txt", "names.yaml", "data.yaml", "dataset.yaml", "isat.yaml",
    "_classes.csv",
)  # fmt: skip

#: Where classes come from: the ground truth, the labels to start from, a class list beside the images, a file or names that the
#: user gave, the model in use, the program.
ClassSource = Literal["truth", "labels", "list", "named", "typed", "model", "builtin", "object"]


@dataclass(frozen=True, slots=True)
class ClassOffer:
    """Classes that the project can have.

    Attributes:
        catalog: the classes.
        source: where they come from.
        path: file or folder that they were read from; None for others.
        certain: nothing contradicts them, so the user need not be asked.
        reason: what that rests on, in words; empty if there is nothing to say.
    """

    catalog: ClassCatalog
    source: ClassSource
    path: Path | None = None
    certain: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LabelOffer:
    """Labels to start from.

    Attributes:
        path: file or folder of the labels.
        title: of their format.
        plan: what an import would do, its classes not mapped yet; None before they were read.
        reason: what the classes of plain masks rest on, in words.
        error: why they cannot be read; None if they can.
        large: why they were not looked at, in words: they are read if the user chooses them. Empty for others.
    """

    path: Path
    title: str
    plan: ImportPlan | None = None
    reason: str = ""
    error: AtrousError | None = None
    large: str = ""


@dataclass(frozen=True, slots=True)
class FolderLook:
    """What a folder without a project holds.

    Attributes:
        folder: of the images.
        project_dir: where the project's data will be; None means in the folder.
        images: relative paths.
        left_out: sentences about files that are not offered as images.
        truth: ground truth that was found.
        guess: the classes that it allows.
        labels: labels that were found, nearest first; the first one was read.
        offers: classes to choose from, likeliest first.
    """

    folder: Path
    project_dir: Path | None
    images: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    truth: GroundTruthFiles = field(default_factory=GroundTruthFiles)
    guess: CatalogGuess | None = None
    labels: tuple[LabelOffer, ...] = ()
    offers: tuple[ClassOffer, ...] = ()

    @property
    def taken_truth(self) -> tuple[Path, ...]:
        """Folders of ground truth that are certain; empty if there are none or the user has to choose."""
        return taken_folders(self.truth) if self.truth.certain and self.truth.files else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """What a project begins with.

    Attributes:
        classes: of the project.
        how: who said so.
        truth: where the ground truth lies; None stores nothing, because there is none.
        begins_empty: no image is predicted unless the user asks for it.
        labels: labels to start from; None for none.
        agreed: (id of the model's card, its classes), of which those without a partner become void, as the page showed; None
            leaves that to be asked.
        model: path of the model that the user chose; empty for the one that was offered.
    """

    classes: ClassOffer
    how: ClassesHow
    truth: TruthChoice | None = None
    begins_empty: bool = False
    labels: LabelOffer | None = None
    agreed: tuple[str, ClassCatalog] | None = None
    model: str = ""


def has_project(folder: Path, project_dir: Path | None = None) -> bool:
    """Whether a folder has a project already, or something in its place that opening it will report."""
    directory = folder / DIRECTORY_NAME if project_dir is None else project_dir
    return (directory / DATABASE).exists() or (project_dir is None and directory.exists())


def holds_labels_only(path: Path) -> bool:
    """Whether a file or folder that was dropped on an open project holds labels and no image of its own."""
    if path.is_file():
        return path.suffix.lower() in LABEL_ENDINGS
    try:
        return not survey(path)[0] and any(near.format is not None or near.path == path for near in find_labels(path))
    except AtrousError:
        return False


def look_at(folder: Path, project_dir: Path | None = None, *, named: ClassCatalog | None = None) -> FolderLook:
    """Look through a folder for images, ground truth, labels and class lists. Meant for another thread; writes nothing.

    Args:
        named: classes that the user named when the folder was opened.

    Raises:
        ImageReadError: the folder does not exist or cannot be opened.
    """
    folder = folder.absolute()
    found, left_out = survey(folder)
    images = tuple(found)
    truth = find_truth(folder, images)
    guess = guess_catalog(truth.files.values(), list(builtin_catalogs().values())) if truth.files and truth.certain else None
    taken = set(taken_folders(truth)) if truth.certain else set()
    labels: list[LabelOffer] = []
    exported: list[LabelOffer] = []
    for near in find_labels(folder):
        if near.path in taken or any(near.path in path.parents for path in taken):
            continue  # the files are the ground truth already
        if near.format is None:
            labels.append(LabelOffer(near.path, "", large=near.large))
            continue
        offer = LabelOffer(near.path, near.format.title)
        if near.path.parent == folder.parent and near.path != folder and read_marker(near.path) is not None:
            exported.append(offer)  # of another project, maybe in other classes: the user may choose it
            continue
        labels.append(read_labels(offer, folder, images) if not labels else offer)
    labels = [offer for offer in labels if offer.plan is None or offer.plan.items] + exported
    labels += [LabelOffer(entry.folder, "") for entry in truth.alternatives if _may_start(entry, taken)]
    offers = class_offers(folder, guess, labels, named)
    return FolderLook(folder, project_dir, images, left_out, truth, guess, tuple(labels), offers)


def read_labels(offer: LabelOffer, folder: Path, images: Sequence[str], catalog: ClassCatalog | None = None) -> LabelOffer:
    """The offer with its plan, or with the reason why it has none.

    Args:
        catalog: classes that plain masks are taken to be made in if nothing tells.
    """
    try:
        plan, reason = plan_labels(offer.path, folder, list(images), project_classes=catalog)
    except AtrousError as error:
        return replace(offer, plan=None, error=error)
    return replace(offer, title=plan.format.title, plan=plan, reason=reason, error=None, large="")


def class_offers(
    folder: Path, guess: CatalogGuess | None, labels: Sequence[LabelOffer], named: ClassCatalog | None
) -> tuple[ClassOffer, ...]:
    """Classes to choose from, likeliest first; equal ones are listed once."""
    offers = [] if named is None else [ClassOffer(named, "named", certain=True)]
    if guess is not None:
        # What else its values allow is not a finding if its classes are certain.
        found = guess.catalogs[:1] if guess.certain else guess.catalogs
        offers += [ClassOffer(catalog, "truth", certain=guess.certain, reason=guess.reason) for catalog in found]
    lists = _class_lists(folder)
    plan = labels[0].plan if labels else None
    # A list beside labels has their classes in the order and with the ids that the user wants.
    fitting = [offer for offer in lists if plan is not None and not _open_classes(plan, offer.catalog)]
    offers += [replace(offer, certain=True) for offer in fitting]
    offers += [offer for offer in map(classes_of_labels, labels) if offer is not None]
    offers += lists
    offers += [ClassOffer(get_catalog(DEFAULT_CATALOG), "builtin"), object_classes()]
    offers += [ClassOffer(catalog, "builtin") for catalog in builtin_catalogs().values()]
    return without_repeats(offers)


def _class_lists(folder: Path) -> list[ClassOffer]:
    found = []
    for path in (base / name for base in (folder, folder.parent) for name in _LISTS):
        if path.is_file():
            with suppress(AtrousError):  # many files are called so; the user can name one to read why it is not a class list
                found.append(ClassOffer(get_catalog(path), "list", path))
    return found


def _open_classes(plan: ImportPlan, catalog: ClassCatalog) -> tuple[str, ...]:
    mapping = plan.mapped(catalog).mapping
    return () if mapping is None else mapping.unmapped


def without_repeats(offers: Sequence[ClassOffer]) -> tuple[ClassOffer, ...]:
    """The offers without those that have the classes of an earlier one."""
    kept: list[ClassOffer] = []
    for offer in offers:
        if not any(same_classes(offer.catalog, other.catalog) for other in kept):
            kept.append(offer)
    return tuple(kept)


def classes_of_labels(offer: LabelOffer) -> ClassOffer | None:
    """The classes that labels name, or None if they name none."""
    if offer.plan is None or not offer.plan.items:
        return None
    try:
        return ClassOffer(new_classes(offer.plan), "labels", offer.path, certain=True)
    except AtrousError:
        return None  # numbers without names


def object_classes() -> ClassOffer:
    """Two classes: one kind of object, and everything else."""
    return ClassOffer(with_default_keys(named_catalog(("background", "object"), "object")), "object")


def typed_classes(text: str) -> ClassOffer:
    """Classes of names with commas, semicolons or line ends between them. Raises CatalogError."""
    for sign in ";\n\r\t":
        text = text.replace(sign, ",")
    return ClassOffer(with_default_keys(named_catalog(text.split(","), "typed")), "typed")


def classes_of_file(path: Path) -> ClassOffer:
    """Classes of a catalog or class list. Raises CatalogError."""
    return ClassOffer(get_catalog(path), "list", path)


def proposal(look: FolderLook, *, by_user: bool) -> NewProject:
    """What the page shows first, and what is taken if the user is not asked.

    Args:
        by_user: the user sees it before it is taken; else what is not certain is stored as not confirmed.
    """
    offer = look.offers[0]
    how: ClassesHow = "user" if offer.source == "named" else "certain" if offer.certain else "asked" if by_user else "later"
    return NewProject(classes=offer, how=how, truth=truth_choice(look), labels=first_labels(look))


def first_labels(look: FolderLook) -> LabelOffer | None:
    """The labels that a project starts from unless the user says otherwise: the nearest outlines that could be read."""
    return next((offer for offer in look.labels if offer.plan is not None), None)


def truth_choice(look: FolderLook) -> TruthChoice | None:
    """The ground truth that is certain; a postponed choice if several folders may be it; None if there is none."""
    if not look.truth.certain:
        return TruthChoice((), "later")
    return TruthChoice(look.taken_truth, "certain") if look.taken_truth else None


def made_in(offers: Sequence[ClassOffer]) -> ClassCatalog | None:
    """The classes that ground truth is certainly made in, by the offers that it gave; None if they are not certain."""
    return next((offer.catalog for offer in offers if offer.source == "truth" and offer.certain), None)


def measure_classes(truth: GroundTruthFiles, catalog: ClassCatalog) -> CatalogEffect | None:
    """What classes make of ground truth, measured on a sample of its files; None without ground truth."""
    if not truth.files:
        return None
    return measure_effects(list(truth.files.values()), [standard_colors(catalog)])[0]


def settle_new(project: Project, chosen: NewProject) -> OpenQuestions:
    """Store what a new project begins with, before anything of it is shown. Meant for another thread.

    Raises:
        AtrousError: the project cannot be written.
    """
    store_how(project, chosen.how, chosen.classes.reason)
    if chosen.begins_empty:
        project.set_setting(BEGINS_EMPTY, True)
    if chosen.model:
        project.set_setting(CHOSEN_MODEL, chosen.model)
    if chosen.agreed is not None:
        card_id, catalog = chosen.agreed
        lost = map_catalogs(catalog, project.catalog).unmatched
        if lost:
            choose_classes(project, catalog, card_id, {info.id: None for info in catalog.classes if info.name in lost})
    if chosen.truth is None:
        project.ground_truth = GroundTruth(find_truth(project.folder, [record.relative_path for record in project.images]))
        return OpenQuestions()
    store_choice(project, chosen.truth)
    project.ground_truth = ground_truth_of(project, chosen.truth)
    return OpenQuestions(frame=open_frame_question(project))


def _may_start(entry: TruthAlternative, taken: set[Path]) -> bool:
    return entry.matches > 0 and entry.folder not in taken and (entry.possible or entry.marker is not None)
