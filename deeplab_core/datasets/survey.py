"""Ground truth and classes together: what the window and every command ask before they use masks beside images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.catalog_guess import CatalogGuess, guess_catalog
from deeplab_core.datasets.ground_truth import GroundTruthFiles, find_truth
from deeplab_core.errors import CatalogError, message


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChoice:
    """Which classes masks hold.

    Attributes:
        catalog: the classes, or None in doubt: ask.
        reason: what the choice rests on, or what the doubt is, in words.
        candidates: catalogs that declare everything in the masks, likeliest first.
    """

    catalog: ClassCatalog | None
    reason: str
    candidates: tuple[ClassCatalog, ...] = ()

    def certain(self, folder: Path) -> ClassCatalog:
        """The classes of the masks in ``folder``. Raises CatalogError with the candidates in doubt."""
        if self.catalog is not None:
            return self.catalog
        names = " or ".join(dict.fromkeys(catalog.name for catalog in self.candidates)) or ", ".join(builtin_catalogs())
        raise CatalogError(
            message("the classes of these masks are not certain"),
            why=self.reason,
            remedy=message("Name {names}, or a catalog file", names=names),
            option="--catalog",
            path=folder,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSurvey:
    """What :func:`survey_truth` found.

    Attributes:
        matched: the ground truth; see :attr:`GroundTruthFiles.certain`.
        classes: its classes.
    """

    matched: GroundTruthFiles
    classes: ClassChoice


def survey_truth(
    folder: str | Path,
    images: Iterable[str],
    *,
    truth_folder: str | Path | None = None,
    catalog: ClassCatalog | None = None,
    fallback: ClassCatalog | None = None,
    allow_predicted: bool = False,
    leave_out: str | Path | None = None,
) -> TruthSurvey:
    """Find the ground truth of images and its classes.

    Args:
        folder, images, truth_folder, allow_predicted, leave_out: see :func:`find_truth`.
        catalog: what the user chose; None guesses it from the masks that are found.
        fallback: a model's classes, see :func:`choose_classes`.

    Raises:
        MaskFormatError, PredictedTruthError: as :func:`find_truth`.
    """
    names = list(images)

    def find(classes: ClassCatalog | None) -> GroundTruthFiles:
        return find_truth(
            folder, names, truth_folder=truth_folder, catalog=classes, allow_predicted=allow_predicted, leave_out=leave_out
        )

    matched = find(catalog)
    if catalog is not None:
        return TruthSurvey(
            matched=matched, classes=ClassChoice(catalog=catalog, reason=message("You named them"), candidates=(catalog,))
        )
    classes = choose_classes(matched.files.values(), fallback=fallback)
    if classes.catalog is not None and matched.files:  # with the classes known, the contents of all folders can be checked
        matched = find(classes.catalog)
    return TruthSurvey(matched=matched, classes=classes)


def choose_classes(masks: Iterable[Path], *, fallback: ClassCatalog | None = None) -> ClassChoice:
    """The classes of masks, as far as :func:`guess_catalog` is certain.

    Args:
        masks: mask files.
        fallback: a model's classes. They are taken if they declare everything in the masks and nothing but values speaks for
            other ones.
    """
    known = list(builtin_catalogs().values())
    if fallback is not None:
        known = [fallback, *(catalog for catalog in known if not _alike(catalog, fallback))]
    guess: CatalogGuess = guess_catalog(masks, known)
    if guess.certain:
        return ClassChoice(catalog=guess.catalog, reason=guess.reason, candidates=guess.catalogs)
    if fallback is not None and not guess.hinted and (fallback in guess.catalogs or guess.unread):
        return ClassChoice(catalog=fallback, reason=message("They are the classes of the model"), candidates=guess.catalogs)
    return ClassChoice(catalog=None, reason=guess.reason, candidates=guess.catalogs)


def _alike(one: ClassCatalog, other: ClassCatalog) -> bool:
    """Whether two catalogs give every value the same meaning; colours and titles may differ."""
    return one.file_ignore == other.file_ignore and [(info.id, info.name) for info in one.classes] == [
        (info.id, info.name) for info in other.classes
    ]
