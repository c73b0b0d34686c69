"""Ground truth and classes of a command: as the user named them, or as they are found and recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import TruthOptions
from app.cli.terminal import say

if TYPE_CHECKING:
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.datasets import ClassChoice, GroundTruthFiles
    from deeplab_core.masks import OutputMarker
    from deeplab_core.masks.frames import Frame
    from deeplab_core.training import DataSource


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTruth:
    """Ground truth that a command uses, and what it says and records about it.

    Attributes:
        folders: where it lies.
        found: whether it was found beside the images rather than named.
        reason: what the choice rests on.
        catalog: its classes.
        classes_reason: what they rest on.
        markers: of folders that Atrous wrote.
        frame: as the user said, ``"auto"`` otherwise.
    """

    folders: tuple[Path, ...]
    found: bool
    reason: str
    catalog: ClassCatalog
    classes_reason: str
    markers: tuple[OutputMarker, ...] = ()
    frame: Frame = "auto"

    def report(self) -> None:
        """Say on stderr what the user should know; nothing if everything was named and nothing is special about it."""
        if self.found:
            say(f"atrous: ground truth: {self.reason}", err=True)
        for marker in self.markers:
            say(f"atrous: ground truth: {marker.folder} is {marker.text()}", err=True)
        if self.classes_reason:
            report_classes(self.catalog, self.classes_reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "folders": [str(folder) for folder in self.folders],
            "found": self.found,
            "reason": self.reason,
            "catalog": self.catalog.name,
            "catalog_reason": self.classes_reason or "You named them",
            "mask_frame": {"oriented": "displayed"}.get(self.frame, self.frame),
            "written_by_atrous": [
                {
                    "folder": str(marker.folder),
                    "kind": marker.kind,
                    "images": marker.images,
                    "untouched_images": marker.untouched_images,
                    "untouched_pixels": marker.untouched_pixels,
                }
                for marker in self.markers
            ],
        }


class TrainingTruth:
    """Where the masks of training data lie: said, and kept for the summary.

    Attributes:
        rows: one per source, plain values.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.rows: list[dict[str, Any]] = []

    def of(self, source: DataSource) -> Callable[[GroundTruthFiles], None]:
        """What is called with the ground truth of one source."""

        def note(matched: GroundTruthFiles) -> None:
            found, marker = source.truth is None, matched.marker
            if found:
                self._say(f"ground truth: {matched.reason}")
            if marker is not None:
                self._say(f"ground truth: {marker.folder} is {marker.text()}")
            folders = [str(entry.folder) for entry in matched.alternatives if entry.taken] or [
                str(place) for place in matched.folders
            ]
            untouched = None if marker is None else marker.untouched_images
            row = {"images": str(source.images), "folders": folders, "found": found, "untouched_images": untouched}
            self.rows.append(row)

        return note


def recognised_classes(sources: Sequence[DataSource], say: Callable[[str], None]) -> ClassCatalog:
    """The classes of the masks of training data, recognised and said; all sources must have the same.

    Raises:
        CatalogError: those of a source are not certain, or two sources have different ones.
        AtrousError: as :meth:`deeplab_core.training.DataSource.survey`.
    """
    from deeplab_core.errors import CatalogError

    found: list[tuple[ClassCatalog, Path]] = []
    for source in sources:
        survey = source.survey()
        if not survey.matched.files:
            raise source.without_masks(survey.matched)
        catalog = survey.classes.certain(source.truth or source.images)
        if found and found[0][0] != catalog:
            raise CatalogError(
                f"the classes are those of '{found[0][0].name}' for {found[0][1]}, but of '{catalog.name}' for {source.images}",
                remedy="Name the classes that all have with --catalog, or train on one of the folders",
            )
        if not found:
            say(f"classes: {catalog.title} ('{catalog.name}'). {survey.classes.reason}")
        found.append((catalog, source.images))
    return found[0][0]


def report_classes(catalog: ClassCatalog, reason: str) -> None:
    """Say on stderr which classes were recognised, and by what."""
    say(f"atrous: classes: {catalog.title} ('{catalog.name}'). {reason}", err=True)


def masks_classes(options: TruthOptions, masks: Path) -> ClassCatalog:
    """Classes of a folder of masks without ground truth: as the user named them, or as they are recognised (and printed).

    Raises:
        CatalogError: they are not certain, or the named ones are unknown.
    """
    from deeplab_core.datasets import choose_classes
    from deeplab_core.datasets.pairing import pair_masks

    named = options.catalog()
    if named is not None:
        return named
    choice = choose_classes(pair_masks(masks, []).extra)
    catalog = choice.certain(masks)
    report_classes(catalog, choice.reason)
    return catalog


def masks_truth(options: TruthOptions, prediction: Path, photographs: Path | None) -> CommandTruth:
    """Ground truth of a folder of masks: in the folders that the user named, or found beside the photographs.

    Args:
        options: see :func:`truth_options`.
        prediction: the masks. Their marker's classes count if they are none of the built-in ones and fit the ground truth.
        photographs: ``--images``, or None.

    Raises:
        click.UsageError: neither ground truth nor photographs are named, or an option lacks the one that it needs.
        AtrousError: as :func:`named_truth` and :func:`found_truth`; or the masks were written with other classes than the
            ground truth's.
    """
    from deeplab_core.catalogs import builtin_catalogs
    from deeplab_core.datasets import find_images, read_marker
    from deeplab_core.datasets.pairing import pair_masks
    from deeplab_core.errors import CatalogError

    if options.frame != "auto" and photographs is None:
        raise click.UsageError("--mask-frame needs the photographs; name their folder with --images")
    marker = read_marker(prediction)
    written = None if marker is None else marker.catalog
    own = written if written is not None and written.name not in builtin_catalogs() else None
    if options.folders:

        def truths() -> list[Path]:
            pairing = pair_masks(prediction, options.folders)
            return [pair.truth for pair in pairing.pairs] or list(pairing.missing)

        ground = named_truth(options, truths, fallback=own)
    elif photographs is not None:
        names = find_images(photographs)
        ground, matched = found_truth(options, photographs, names, fallback=own, compared=prediction)
        if photographs in matched.folders and any(name.lower().endswith((".png", ".tif", ".tiff", ".bmp")) for name in names):
            raise click.UsageError(
                f"the ground truth lies among the photographs in {photographs}; put it into a folder of its own and name it "
                "with --truth"
            )
    else:
        raise click.UsageError(
            "name the ground truth with --truth DIR, or the photographs with --images DIR so that it is found beside them"
        )
    if written is not None and options.catalog_name is None and written.names != ground.catalog.names:
        raise CatalogError(
            f"the masks have the classes of '{written.name}', the ground truth has others: {_only(written, ground.catalog)}",
            why=ground.classes_reason,
            remedy="Name the classes that both have with --catalog: a built-in one, or a file as 'atrous classes show' writes it",
            path=prediction,
        )
    return ground


def named_truth(
    options: TruthOptions, masks: Callable[[], Iterable[Path]], *, fallback: ClassCatalog | None = None
) -> CommandTruth:
    """Ground truth in folders that the user named, for commands that pair masks with masks.

    Args:
        options: with at least one folder.
        masks: gives the ground truth files; asked only if the classes must be guessed.
        fallback: a model's classes.

    Raises:
        PredictedTruthError: a folder holds predictions, and they are not allowed.
        MaskFormatError: there is no ground truth file.
        CatalogError: the classes are not certain, or the named ones are unknown.
    """
    from deeplab_core.datasets import check_truth_folder
    from deeplab_core.errors import MaskFormatError

    found = [check_truth_folder(folder, allow_predicted=options.allow_predicted) for folder in options.folders]
    catalog, why = options.catalog(), ""
    if catalog is None:
        files = list(masks())
        if not files:
            remedy = "Name the folder that holds the masks with --truth DIR"
            raise MaskFormatError("no ground truth mask was found in this folder", remedy=remedy, path=options.folders[0])
        catalog, why = _classes(_choose(files, fallback), options.folders[0])
    return CommandTruth(
        folders=options.folders,
        found=False,
        reason="You named it",
        catalog=catalog,
        classes_reason=why,
        markers=tuple(marker for marker in found if marker is not None),
        frame=options.frame,
    )


def found_truth(
    options: TruthOptions,
    images: Path,
    names: Sequence[str],
    *,
    fallback: ClassCatalog | None = None,
    compared: Path | None = None,
) -> tuple[CommandTruth, GroundTruthFiles]:
    """Ground truth of images: in the one folder that the user named, or found beside them.

    Args:
        options: ``--truth`` at most once.
        images, names: folder of the images, and their paths below it with ``/``.
        fallback: a model's classes.
        compared: masks that are to be compared with the ground truth, and are none themselves.

    Raises:
        AmbiguousTruthError: it was found, but is not certain.
        PredictedTruthError: the named folder holds predictions, and they are not allowed.
        MaskFormatError: there is none.
        CatalogError: the classes are not certain, or the named ones are unknown.
    """
    from deeplab_core.datasets import survey_truth
    from deeplab_core.errors import MaskFormatError

    folder = options.folders[0] if options.folders else None
    survey = survey_truth(
        images,
        names,
        truth_folder=folder,
        catalog=options.catalog(),
        fallback=fallback,
        allow_predicted=options.allow_predicted,
        leave_out=compared,
    )
    matched = survey.matched
    matched.check_certain()
    if not matched.files:
        why = matched.reason if folder is None else f"No mask in {folder} has the name of an image"
        remedy = "Name the folder of the ground truth with --truth DIR"
        raise MaskFormatError("no ground truth was found for these images", why=why, remedy=remedy, path=images)
    catalog, why = _classes(survey.classes, folder or images)
    truth = CommandTruth(
        folders=tuple(entry.folder for entry in matched.alternatives if entry.taken) or matched.folders,
        found=folder is None,
        reason=matched.reason,
        catalog=catalog,
        classes_reason="" if options.catalog_name is not None else why,
        markers=() if matched.marker is None else (matched.marker,),
        frame=options.frame,
    )
    return truth, matched


def _choose(masks: Iterable[Path], fallback: ClassCatalog | None) -> ClassChoice:
    from deeplab_core.datasets import choose_classes

    return choose_classes(masks, fallback=fallback)


def _classes(choice: ClassChoice, folder: Path) -> tuple[ClassCatalog, str]:
    return choice.certain(folder), choice.reason


def _only(one: ClassCatalog, other: ClassCatalog) -> str:
    """Which classes two catalogs do not share, in words."""
    parts = []
    for catalog, rest, where in ((one, other, "only the masks have"), (other, one, "only the ground truth has")):
        names = [name for name in catalog.names if name not in rest.names]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        parts += [f"{where} {', '.join(names[:5])}{more}"] if names else []
    return "; ".join(parts) or "they are listed in another order"
