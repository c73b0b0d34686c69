"""Options that several commands share, and what they mean. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.terminal import say
from app.text import read_number

if TYPE_CHECKING:
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.datasets import ClassChoice, GroundTruthFiles
    from deeplab_core.masks import OutputMarker
    from deeplab_core.masks.frames import Frame
    from deeplab_core.records import ModelCard
    from deeplab_core.training import DataSource


class Decimal(click.FloatRange):
    """A number of an option, ``0.5`` or ``0,5``, between ``min`` and ``max`` (both included; None leaves an end open)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str):
            try:
                value = read_number(value)
            except ValueError as error:
                self.fail(f"{error}.", param, ctx)
        return super().convert(value, param, ctx)

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthOptions:
    """What the user says about ground truth: one group of options for every command that reads it.

    Attributes:
        folders: ``--truth``; empty if it was not given.
        allow_predicted: ``--allow-predicted-truth``.
        frame: ``--mask-frame``; ``"auto"`` if it was not given.
        catalog_name: ``--catalog``, or None.
    """

    folders: tuple[Path, ...] = ()
    allow_predicted: bool = False
    frame: Frame = "auto"
    catalog_name: str | None = None

    def catalog(self) -> ClassCatalog | None:
        """The classes that the user named, or None. Raises CatalogError."""
        from deeplab_core.catalogs import get_catalog

        return None if self.catalog_name is None else get_catalog(self.catalog_name)


def truth_options(
    truth_help: str, *, catalog_help: str, many: bool = True, existing: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--truth``, ``--allow-predicted-truth``, ``--mask-frame`` and ``--catalog``; the command gets them as ``truth``.

    Args:
        truth_help, catalog_help: what the folders are for, and what is taken without ``--catalog``.
        many: whether ``--truth`` may be repeated.
        existing: whether a folder that is missing is a wrong option at once.
    """
    repeated = "; may be repeated" if many else ""
    folder = FOLDER if existing else click.Path(path_type=Path)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--truth", "truth_folders", metavar="DIR", multiple=True, type=folder, help=f"{truth_help}{repeated}.")
        @click.option(
            "--allow-predicted-truth", is_flag=True, help="Accept a --truth folder that holds what 'predict' or 'refine' wrote."
        )
        @click.option(
            "--mask-frame",
            type=click.Choice(["stored", "displayed"]),
            help="Masks that fit an image in both ways lie as its pixels are stored, or as it is displayed (EXIF) "
            "[default: what Atrous recorded; else such a mask is an error].",
        )
        @click.option("--catalog", "catalog_name", metavar="NAME_OR_FILE", help=f"{catalog_help}.")
        @functools.wraps(command)
        def wrapper(
            *args: object,
            truth_folders: tuple[Path, ...],
            allow_predicted_truth: bool,
            mask_frame: str | None,
            catalog_name: str | None,
            **values: object,
        ) -> Any:
            if len(truth_folders) > 1 and not many:
                raise click.UsageError("--truth is given twice; this command reads one folder of ground truth")
            frames: dict[str | None, Frame] = {None: "auto", "stored": "stored", "displayed": "oriented"}
            options = TruthOptions(
                folders=truth_folders,
                allow_predicted=allow_predicted_truth,
                frame=frames[mask_frame],
                catalog_name=catalog_name,
            )
            return command(*args, truth=options, **values)

        return wrapper

    return decorate


def project_option(
    *, text: str = "Where the project's data is, if not in FOLDER/.atrous.", existing: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--project DIR``; the command gets it as ``project_dir``, a path or None.

    Args:
        text: what the help says of it.
        existing: whether one that is missing is a wrong option.
    """
    folder = click.Path(exists=existing, file_okay=False, path_type=Path)
    return click.option("--project", "project_dir", metavar="DIR", type=folder, help=text)


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--output-stride`` (8, 16, 32 or None), ``--device`` and ``--precision``: how a network is run."""
    stride = click.option(
        "--output-stride",
        type=click.Choice([8, 16, 32]),
        default=None,
        help="Smaller is finer and slower [default: the model's own].",
    )
    precision = click.option(
        "--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True
    )
    return stride(device_option(precision(command)))


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model-option NAME=VALUE``; the command gets the checked values as ``options_of_model``, a dict."""

    @click.option(
        "--model-option",
        "model_option",
        metavar="NAME=VALUE",
        multiple=True,
        help="What the weights do not tell, e.g. atrous_rates=6,12,18, interpolation=bilinear, align_corners=true, "
        "weights=ema_model, output=NAME (of a graph), catalog=FILE, mean=..., std=..., resize=...; may be repeated. "
        "'atrous models show' lists what is guessed.",
    )
    @functools.wraps(command)
    def wrapper(*args: object, model_option: tuple[str, ...], **values: object) -> Any:
        options: dict[str, Any] = {}
        if model_option:
            from deeplab_core.weights.options import parse_options

            options = parse_options(model_option)
        return command(*args, options_of_model=options, **values)

    return wrapper


def tell_model(card: ModelCard) -> None:
    """Say on stderr which weights of a file are used, what is guessed about the network, and what was not read."""
    others = card.extra.get("other_weights")
    if others:
        used, more = card.extra.get("weights", ""), ", ".join(map(repr, others))
        say(
            f"atrous: {card.name}: uses the weights '{used}'; the file also holds {more} (--model-option weights=NAME)",
            err=True,
        )
    for note in card.extra.get("notes", ()):
        say(f"atrous: {card.name}: {note}", err=True)
    guessed = [name for name in card.guessed if name not in ("catalog", "preprocessing")]
    if guessed:
        values = ", ".join(f"{name} {option_text(card, name)}".strip() for name in guessed)
        say(f"atrous: {card.name}: guessed {values}; see 'atrous models show', set it with --model-option", err=True)


def option_text(card: ModelCard, name: str) -> str:
    """Value of an option of a card's network in one word, as ``--model-option`` takes it; empty if the card does not tell."""
    value = card.output_stride if name == "output_stride" else card.extra.get(name, card.architecture.get(name, ""))
    if name == "align_corners":
        value = card.align_corners
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
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

    def tell(self) -> None:
        """Say on stderr what the user should know; nothing if everything was named and nothing is special about it."""
        if self.found:
            say(f"atrous: ground truth: {self.reason}", err=True)
        for marker in self.markers:
            say(f"atrous: ground truth: {marker.folder} is {marker.text()}", err=True)
        if self.classes_reason:
            tell_classes(self.catalog, self.classes_reason)

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

        def note(index: GroundTruthFiles) -> None:
            found, marker = source.truth is None, index.marker
            if found:
                self._say(f"ground truth: {index.reason}")
            if marker is not None:
                self._say(f"ground truth: {marker.folder} is {marker.text()}")
            folders = [str(entry.folder) for entry in index.alternatives if entry.taken] or [
                str(place) for place in index.folders
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
        if not survey.index.files:
            raise source.without_masks(survey.index)
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


def tell_classes(catalog: ClassCatalog, reason: str) -> None:
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
    tell_classes(catalog, choice.reason)
    return catalog


def masks_truth(options: TruthOptions, prediction: Path, photographs: Path | None) -> GroundTruth:
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
        ground, index = found_truth(options, photographs, names, fallback=own, compared=prediction)
        if photographs in index.folders and any(name.lower().endswith((".png", ".tif", ".tiff", ".bmp")) for name in names):
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
            f"the masks have the classes of '{written.name}', the ground truth those of '{ground.catalog.name}'",
            why=ground.classes_reason,
            remedy=f"Name the classes that both have with --catalog: {written.name} or {ground.catalog.name}, or a catalog file",
            path=prediction,
        )
    return ground


def named_truth(
    options: TruthOptions, masks: Callable[[], Iterable[Path]], *, fallback: ClassCatalog | None = None
) -> GroundTruth:
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
    return GroundTruth(
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
) -> tuple[GroundTruth, GroundTruthFiles]:
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
    index = survey.index
    index.check_certain()
    if not index.files:
        why = index.reason if folder is None else f"No mask in {folder} has the name of an image"
        remedy = "Name the folder of the ground truth with --truth DIR"
        raise MaskFormatError("no ground truth was found for these images", why=why, remedy=remedy, path=images)
    catalog, why = _classes(survey.classes, folder or images)
    truth = GroundTruth(
        folders=tuple(entry.folder for entry in index.alternatives if entry.taken) or index.folders,
        found=folder is None,
        reason=index.reason,
        catalog=catalog,
        classes_reason="" if options.catalog_name is not None else why,
        markers=() if index.marker is None else (index.marker,),
        frame=options.frame,
    )
    return truth, index


def _choose(masks: Iterable[Path], fallback: ClassCatalog | None) -> ClassChoice:
    from deeplab_core.datasets import choose_classes

    return choose_classes(masks, fallback=fallback)


def _classes(choice: ClassChoice, folder: Path) -> tuple[ClassCatalog, str]:
    return choice.certain(folder), choice.reason
