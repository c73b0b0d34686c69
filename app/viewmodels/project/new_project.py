"""The page of a new project in words: each guess with what it rests on and what follows from it. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.state.class_choice import CatalogEffect
from app.state.ground_truth import GroundTruth, TruthChoice
from app.state.new_project import ClassOffer, FolderLook, LabelOffer
from app.text import displayed, error_detail, error_title, plural, sentence, spaced, tr
from app.viewmodels.project.data_choices import truth_options
from app.viewmodels.project.label_plan import match_sentences
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.metrics.confusion import same_classes

#: Names that a sentence lists.
_NAMED = 4

#: (text, tone) of a line below a choice.
Line = tuple[str, str]


def images_line(look: FolderLook) -> Line:
    """What the folder holds."""
    text = plural("{n} image", "{n} images", len(look.images))
    if look.left_out:
        return f"{text}. {' '.join(look.left_out)}", "warn"
    return text, "muted"


def class_title(offer: ClassOffer, model: str = "") -> str:
    """Classes in a list of choices, with their source."""
    count = plural("{n} class", "{n} classes", len(offer.catalog))
    name = "" if offer.path is None else displayed(offer.path.name)
    plain = tr(offer.catalog.title).partition(" (")[0]  # the count follows
    titles = {
        "truth": tr("{title}: found in the ground truth", title=plain),
        "labels": tr("Those of the labels in {name}", name=name),
        "list": tr("Those listed in {name}", name=name),
        "named": tr("{title}: as you named them", title=plain),
        "typed": tr("Typed names"),
        "model": tr("Those of the model {name}", name=model),
        "builtin": tr(offer.catalog.title),
        "object": tr("Object and background"),
    }
    return f"{titles[offer.source]} ({count})" if offer.source not in ("object", "builtin") else titles[offer.source]


def class_line(offer: ClassOffer, effect: CatalogEffect | None, current: bool) -> Line:
    """What follows from classes for the ground truth.

    Args:
        effect: what they make of it; None without ground truth.
        current: whether ``effect`` is about these classes; else it is still being measured.
    """
    if not current:
        return tr("The ground truth is being read…"), "muted"
    if effect is None or not effect.sampled:
        reason = sentence(offer.reason) if offer.reason else ""
        return reason or tr("You can add, rename and merge classes at any time."), "muted"
    if effect.refused:
        ids = ", ".join(map(str, list(effect.undeclared)[:_NAMED]))
        text = tr(
            "{refused} of {sampled} ground truth files that were checked cannot be read in these classes.",
            refused=spaced(effect.refused),
            sampled=spaced(effect.sampled),
        )
        undeclared = tr("Undeclared ids: {ids}.", ids=ids)
        return f"{text} {undeclared}" if ids else text, "bad"
    text = tr(
        "Fits the ground truth: {classes} of {count} classes occur in {sampled}.",
        classes=spaced(effect.classes),
        count=spaced(len(offer.catalog)),
        sampled=plural("the checked file", "{n} checked files", effect.sampled),
    )
    if offer.reason:
        text = f"{text} {sentence(offer.reason)}"
    return text, "muted" if offer.certain else "warn"


class TakenTruth:
    """The ground truth of a new project as the user chooses it and the classes.

    Ground truth that is certainly made in other classes is left out, because its ids would count as those of the project. The
    user can insist.

    Attributes:
        choice, files: what is taken.
        made_in: the classes that the ground truth is certainly made in; None if they are not certain.
    """

    def __init__(self, choice: TruthChoice | None, files: GroundTruthFiles, made_in: ClassCatalog | None) -> None:
        self.choice, self.files, self.made_in = choice, files, made_in
        self._left: tuple[TruthChoice, GroundTruthFiles] | None = None
        self._insists = False

    def choose(self, choice: TruthChoice, files: GroundTruthFiles | None = None, made_in: ClassCatalog | None = None) -> None:
        """Take what the user chose; ``files`` is None while they are read."""
        self.choice, self._left, self._insists = choice, None, bool(choice.folders)
        if files is not None:
            self.files, self.made_in = files, made_in

    def fit(self, catalog: ClassCatalog) -> bool:
        """Leave ground truth of other classes out, or take it back, for the classes of the project; whether that changed it."""
        differs = self._differs(catalog)
        if differs and not self._insists and self.choice is not None and self.choice.folders:
            self._left = self.choice, self.files
            self.choice, self.files = TruthChoice((), "user"), GroundTruthFiles()
            return True
        if not differs and self._left is not None:
            self.choice, self.files = self._left
            self._left = None
            return True
        return False

    def other(self, catalog: ClassCatalog) -> OtherClasses | None:
        """The classes of the ground truth if they are not those of the project."""
        if self.made_in is None or not self._differs(catalog) or (self._left is None and not self.files.files):
            return None
        return OtherClasses(self.made_in.title, self._left is not None)

    def _differs(self, catalog: ClassCatalog) -> bool:
        return self.made_in is not None and not same_classes(self.made_in, catalog)


class OtherClasses(NamedTuple):
    """Ground truth that is certainly made in other classes than the project's.

    Attributes:
        title: of its classes.
        left_out: whether it is not taken for that.
    """

    title: str
    left_out: bool


def truth_line(look: FolderLook, choice: TruthChoice | None, truth: GroundTruthFiles, other: OtherClasses | None = None) -> Line:
    """What follows from a choice of ground truth.

    Args:
        truth: the files that it gives.
        other: its classes, if they are not those of the project.
    """
    if other is not None and other.left_out:
        left = tr("The masks that were found are made in {title}, so they are not taken.", title=displayed(other.title))
        why = tr("At 'Start from' their classes are matched by name. Choose them here to read their ids in these classes.")
        return f"{left} {why}", "warn"
    if other is not None:
        text = tr("These masks are made in {title}: metrics take their ids for other classes.", title=displayed(other.title))
        return text, "bad"
    if choice is None or not choice.folders:
        if not look.truth.certain and (choice is None or choice.how == "later"):
            reason = look.truth.reason
            return sentence(reason) if reason else tr("Several folders may be the ground truth."), "warn"
        return tr("No IoU is computed. Labelling, prediction, refinement and export work."), "muted"
    answers = truth_options(truth, choice, len(look.images), GroundTruth(truth, choice=choice))
    answer = next((answer for answer in answers if answer.value == choice.folders[0]), None)
    if answer is None:
        return "", "muted"
    return f"{displayed(answer.title)}. {answer.effect}", "warn" if answer.doubtful else "muted"


def labels_title(offer: LabelOffer, folder: str) -> str:
    """Labels in a list of choices."""
    name = displayed(offer.path.name) if str(offer.path) != folder else tr("the folder of the images")
    if offer.large:
        return tr("{name}: not looked at, {size}", name=name, size=tr(offer.large))
    return tr("{format} in {name}", format=offer.title, name=name) if offer.title else tr("Masks in {name}", name=name)


def labels_line(offer: LabelOffer | None, catalog: ClassCatalog, images: int, offers: Sequence[LabelOffer] = ()) -> Line:
    """What follows from labels to start from.

    Args:
        offers: all that the user can choose.
    """
    if offer is None:
        text = tr("Images begin with the model's prediction, or empty.")
        large = next((other for other in offers if other.large), None)
        if large is None:
            return text, "muted"
        name, size = displayed(large.path.name), tr(large.large)
        more = tr("{name} has {size} and was not looked at: choose it to read its labels.", name=name, size=size)
        return f"{text} {more}", "warn"
    if offer.error is not None:
        return f"{error_title(offer.error)}. {error_detail(offer.error)}", "bad"
    if offer.plan is None:
        return tr("The labels are being read…"), "muted"
    plan = offer.plan.mapped(catalog)
    if not plan.items:
        return tr("No image has labels there: names are compared with and without their folders."), "bad"
    parts = match_sentences(plan, images)
    open_ = () if plan.mapping is None else plan.mapping.unmapped
    if open_:
        parts.append(tr("No class here for {names}: you are asked before the import.", names=_named(open_)))
    elif offer.plan.classes:
        parts.append(tr("Every class of the labels has a partner."))
    if offer.reason:
        parts.append(sentence(offer.reason))
    return " ".join(parts), "warn" if open_ or plan.unread or plan.without_image else "muted"


def partners(model: ClassCatalog, catalog: ClassCatalog) -> tuple[int, tuple[str, ...]]:
    """How many classes of a model other than its background have a partner, and the names of those without one."""
    lost = map_catalogs(model, catalog).unmatched
    found = [info for info in model.classes if info.name not in lost and info.id != model.background]
    return len(found), lost


def model_line(model: ClassCatalog | None, catalog: ClassCatalog, *, wanted: bool) -> Line:
    """What follows from a model.

    Args:
        model: its classes; None while it is being loaded.
        wanted: whether it predicts the images.
    """
    if not wanted:
        return tr("Images begin empty. You can run a model at any time."), "muted"
    if model is None:
        return tr("The model is being loaded…"), "muted"
    found, lost = partners(model, catalog)
    if not lost:
        return tr("Every class of the model has a partner."), "muted"
    if not found:
        return tr("None of the model's objects has a class here: it would predict void or background only."), "warn"
    text = plural(
        "{n} class of the model has no partner and becomes void: {names}.",
        "{n} classes of the model have no partner and become void: {names}.",
        len(lost),
        names=_named(lost),
    )
    return text, "warn"


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    listed = ", ".join(names[:_NAMED])
    return tr("{names} and {more} more", names=listed, more=spaced(more)) if more > 0 else listed
