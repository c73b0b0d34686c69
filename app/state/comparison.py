"""Several models on the same pixels: figures of each, and of where two of them differ. Plain values and counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from app.text import mark, tr
from deeplab_core.analysis.ablation import Ablation, AblationRow
from deeplab_core.analysis.compare import compare_sides
from deeplab_core.analysis.compared_side import ComparedSide
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.record import CLASSES, CONFUSION, ImageAnalysis
from deeplab_core.analysis.verdicts import FEWEST_IMAGES, needed_draws
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.records import EngineChoice, ModelCard, PredictOptions, TrimapBand
from deeplab_core.refine.parameters import preset

#: As many models are shown side by side; the panes call them by these letters.
LETTERS = "ABCD"
#: Tokens of the models' colours, by place: swatches of the list and the table, lines of the plot.
PLACE_TOKENS = ("series_1", "series_2", "series_3", "series_4")


#: Images up to which models are tested against the first one; fewest draws, and widths of the bands, px, of that.
MOST_TESTED, _DRAWS, _WIDTHS = 10_000, 10_000, (1, 2, 4, 8, 16, 40)

#: Settings that a model may be compared with, named as for ``atrous ablate``.
VARIANTS: dict[str, str] = {
    "flip": mark("mirrored too"),
    "scales:0.75,1,1.25": mark("scales 0.75, 1, 1.25"),
    "os8": mark("output stride 8"),
    "os16": mark("output stride 16"),
    "os32": mark("output stride 32"),
    "crf:v1": mark("CRF v1"),
    "crf:v2": mark("CRF v2"),
    "threshold:0.3": mark("threshold 0.3"),
    "threshold:0.4": mark("threshold 0.4"),
    "threshold:0.5": mark("threshold 0.5"),
    "threshold:0.6": mark("threshold 0.6"),
    "threshold:0.7": mark("threshold 0.7"),
    "engine:onnx": mark("engine ONNX Runtime"),
    "engine:openvino": mark("engine OpenVINO"),
    "engine:amx": mark("engine AMX"),
}
#: What an engine needs to be installed.
ENGINE_PACKAGES = {"engine:onnx": "onnxruntime", "engine:openvino": "openvino", "engine:amx": "numba"}


@dataclass(frozen=True, slots=True)
class ModelSetting:
    """A model file with its setting: keys of :data:`VARIANTS` joined by ``+``, or empty for the settings of the run."""

    path: Path
    variant: str = ""

    @property
    def text(self) -> str:
        """The form in which settings of the program keep it; :meth:`of` is the inverse."""
        return f"{self.path}\t{self.variant}" if self.variant else str(self.path)

    @classmethod
    def of(cls, text: str) -> ModelSetting:
        """Read :attr:`text`; a setting that this version does not know is left out."""
        path, _, variant = text.partition("\t")
        return cls(Path(path), "+".join(part for part in variant.split("+") if part in VARIANTS))

    @property
    def parts(self) -> list[str]:
        """What it changes, keys of :data:`VARIANTS`."""
        return self.variant.split("+") if self.variant else []

    def with_part(self, part: str) -> ModelSetting:
        """The setting with one more part, in the place of one of the same kind."""
        others = [one for one in self.parts if kind_of(one) != kind_of(part)]
        return ModelSetting(self.path, "+".join(one for one in VARIANTS if one in (*others, part)))

    @property
    def words(self) -> str:
        """The setting in words; empty for the settings of the run."""
        return ", ".join(tr(VARIANTS[part]) for part in self.parts)

    def titled(self, model: str) -> str:
        """The title of a model with this setting."""
        return f"{model} · {self.words}" if self.variant else model

    def apply(self, wanted: PredictOptions) -> PredictOptions:
        """The wanted options with what the setting changes."""
        for part in self.parts:
            wanted = _changed(wanted, part)
        return wanted


def kind_of(part: str) -> str:
    """What of the options a part of a setting changes; of one kind a setting has one part."""
    return "os" if part.startswith("os") else part.partition(":")[0]


_ENGINES: dict[str, EngineChoice] = {"onnx": "onnx", "openvino": "openvino", "amx": "amx"}


def _changed(wanted: PredictOptions, part: str) -> PredictOptions:
    name, _, value = part.partition(":")
    if name == "flip":
        return replace(wanted, flip=True)
    if name == "scales":
        return replace(wanted, scales=tuple(float(scale) for scale in value.split(",")))
    if name == "crf":
        return replace(wanted, crf=preset(value))
    if name == "threshold":
        return replace(wanted, threshold=float(value))
    if name == "engine":
        return replace(wanted, engine=_ENGINES[value])
    return replace(wanted, output_stride=int(name[2:]))


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model that takes part.

    Attributes:
        path: its file.
        title: as shown, with its setting.
        card: None until the file was read.
        problem: why it cannot take part; empty where it can.
        variant: what it takes part with, as of :class:`ModelSetting`; empty for the settings of the run.
    """

    path: Path
    title: str
    card: ModelCard | None = None
    problem: str = ""
    variant: str = ""

    @property
    def setting(self) -> ModelSetting:
        """What distinguishes it: a file may take part several times, with different settings."""
        return ModelSetting(self.path, self.variant)

    def options(self, wanted: PredictOptions) -> PredictOptions:
        """The wanted options, changed by its setting, as far as this model can: without the output stride it takes its own, of
        several channels none of the thresholds.
        """
        wanted = self.setting.apply(wanted)
        if self.card is not None and (self.card.threshold is None or wanted.threshold is None):
            wanted = replace(wanted, threshold=None)
        possible = self.card is None or wanted.output_stride in (None, *self.card.output_strides)
        return wanted if possible else replace(wanted, output_stride=None)


@dataclass(frozen=True, slots=True, eq=False)
class ModelPrediction:
    """What a model says about an image.

    Attributes:
        labels: (H, W) in the project's ids; a class that the project lacks is void.
        unmatched: names of such classes of the model.
        milliseconds: that the prediction took, when it was made.
        note: what happened to the memory, and what else the run has to say.
    """

    labels: LabelMap
    unmatched: tuple[str, ...]
    milliseconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class PairCount:
    """Where two models differ, in pixels.

    Attributes:
        pixels: all of them.
        differ: the models say different things.
        first, second: of these, only the first (the second) is right by the truth.
        neither: of these, neither is right.
        unjudged: of these, the truth says nothing.
    """

    pixels: int = 0
    differ: int = 0
    first: int = 0
    second: int = 0
    neither: int = 0
    unjudged: int = 0

    @property
    def share(self) -> float:
        """Share of pixels that differ, 0..1; 0 without pixels."""
        return self.differ / self.pixels if self.pixels else 0.0

    def __add__(self, other: PairCount) -> PairCount:
        return PairCount(
            self.pixels + other.pixels, self.differ + other.differ, self.first + other.first, self.second + other.second,
            self.neither + other.neither, self.unjudged + other.unjudged,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Figures of one model on an image or pooled over a folder.

    Attributes:
        iou: class id -> IoU, nan for a class that neither truth nor model has; empty without truth.
        mean: mean IoU over the classes of the ground truth, of the image or of the folder, so that all models have the same; nan
            without truth.
        classes: how many classes that mean is over.
        accuracy: share of labelled pixels that are right; nan without truth.
        curve: mIoU inside the band of width 1, 2, ... px; empty without truth.
        shares: class id -> share of all pixels, 0..1.
    """

    iou: dict[int, float]
    mean: float
    classes: int
    accuracy: float
    curve: tuple[float, ...]
    shares: dict[int, float]


@dataclass(slots=True)
class ModelResult:
    """What one model says about the image in view.

    Attributes:
        prediction: None while it is computed.
        figures: None until they are counted.
        problem: why there is none; empty if there is one, or may come.
    """

    prediction: ModelPrediction | None = None
    figures: ModelFigures | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """One image of a folder.

    Attributes:
        image: its id.
        name: relative path.
        pairs: (first place, second place) -> where these two models differ.
        means: mIoU of each model over the classes in the truth; nan without truth.
    """

    image: int
    name: str
    pairs: dict[tuple[int, int], PairCount]
    means: tuple[float, ...]


@dataclass(slots=True)
class FolderComparison:
    """What a comparison over a folder has found so far.

    Attributes:
        models: who took part.
        band: the source of the rule and reference the curves have.
        counts: of all images, by place.
        pairs: pooled differences, by places.
        rows: every image.
        scored: how many images have ground truth.
        milliseconds: mean time of a prediction, by place; nan before the first.
        ablation: every model against the first one, with intervals and verdicts; None before the end, or if it cannot be had.
        untested: why it cannot be had, as a sentence; empty otherwise.
    """

    models: tuple[ComparedModel, ...]
    band: TrimapBand
    counts: list[FolderAnalysis]
    pairs: dict[tuple[int, int], PairCount]
    rows: list[ImageDifference] = field(default_factory=list)
    scored: int = 0
    times: list[list[float]] = field(default_factory=list)
    ablation: Ablation | None = None
    untested: str = ""

    @property
    def milliseconds(self) -> tuple[float, ...]:
        return tuple(float(np.mean(times)) if times else float("nan") for times in self.times)


def ablation_of(result: FolderComparison) -> Ablation:
    """Every model against the first one, as ``atrous ablate`` compares them: one correction over all models. Takes seconds.

    Raises:
        AtrousError: fewer than two images have ground truth.
    """
    sides = [
        ComparedSide.of_folder(folder, Path(model.title.replace("/", " ")), band=result.band, widths=_WIDTHS, ratio=None)
        for model, folder in zip(result.models, result.counts, strict=True)
    ]
    draws = max(_DRAWS, needed_draws((len(sides) - 1) * _classes_with_images(result.counts[0])))
    rows = [
        AblationRow(
            model=model.title, variant="", seconds=spent / 1000, images=len(side.images),
            comparison=None if side is sides[0] else compare_sides(sides[0], side, resamples=draws, correct=False),
        )
        for model, side, spent in zip(result.models, sides, result.milliseconds, strict=True)
    ]  # fmt: skip
    return Ablation.of(rows)


def _classes_with_images(folder: FolderAnalysis) -> int:
    """How many classes enough images of the ground truth have for a verdict."""
    width = len(folder.catalog) + 1
    records = [record for name in folder if (record := folder.get(name)) is not None and CONFUSION in record.counts]
    rows = [np.zeros(0, np.int64), *(np.unique(record.counts[CONFUSION].places // width) for record in records)]
    return int((np.bincount(np.concatenate(rows)) >= FEWEST_IMAGES).sum())


def count_pair(one: LabelMap, other: LabelMap, ignore: int, truth: LabelMap | None = None) -> PairCount:
    """Count where two (H, W) label maps differ, and which of them is right there.

    A class without a partner in the project is void here: it differs from everything but void.

    Raises:
        ValueError: the maps differ in size.
    """
    if one.shape != other.shape or (truth is not None and truth.shape != one.shape):
        raise ValueError(f"label maps of {one.shape} and {other.shape}, truth of {None if truth is None else truth.shape}")
    places = np.flatnonzero(one.ravel() != other.ravel())
    if truth is None:
        return PairCount(one.size, places.size, unjudged=places.size)
    own, against, right = (labels.ravel()[places] for labels in (one, other, truth))
    scored = right != ignore
    first, second = int(np.count_nonzero(scored & (own == right))), int(np.count_nonzero(scored & (against == right)))
    labelled = int(np.count_nonzero(scored))
    return PairCount(one.size, places.size, first, second, labelled - first - second, places.size - labelled)


def figures_of(folder: FolderAnalysis, band: TrimapBand) -> ModelFigures:
    """Figures of one model.

    Args:
        folder: its labels, counted by :func:`~deeplab_core.analysis.image.count_labels`.
        band: the source of the rule and reference the curve has.
    """
    catalog, pixels = folder.catalog, folder.total(CLASSES)
    total = int(pixels.sum())
    named = zip([*catalog.ids.tolist(), catalog.ignore], pixels.tolist(), strict=True)
    shares = {class_id: count / total for class_id, count in named if count}
    if not folder.measured(CONFUSION):
        return ModelFigures({}, float("nan"), 0, float("nan"), (), shares)
    matrix = folder.matrix
    mean = matrix.mean_iou("truth")
    return ModelFigures(
        iou=dict(zip(catalog.ids.tolist(), matrix.iou().tolist(), strict=True)),
        mean=mean.value,
        classes=mean.classes,
        accuracy=matrix.pixel_accuracy(),
        curve=tuple(folder.band(band.rule, band.around).curve("truth").mean_iou.tolist()),
        shares=shares,
    )


def figures_of_image(record: ImageAnalysis, band: TrimapBand) -> ModelFigures:
    """Figures of one model on one image."""
    folder = FolderAnalysis(record.catalog)
    folder.update("", record)
    return figures_of(folder, band)


def shown_classes(catalog: ClassCatalog, figures: Sequence[ModelFigures | None]) -> list[int]:
    """Ids of the classes that any truth or model has, in the catalog's order."""
    known: set[int] = set()
    for found in figures:
        if found is not None:
            known |= {class_id for class_id, value in found.iou.items() if not np.isnan(value)}
            known |= {class_id for class_id, share in found.shares.items() if share > 0}
    return [class_id for class_id in catalog.ids.tolist() if class_id in known]


def pairs_of(models: int) -> list[tuple[int, int]]:
    """Every two of some models, by place."""
    return [(first, second) for first in range(models) for second in range(first + 1, models)]
