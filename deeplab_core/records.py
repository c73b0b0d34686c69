"""The records that the window's process and the compute process both speak of. numpy only.

Shapes: H, W are pixels of the *oriented* image (EXIF applied); C is the number of classes of the model's catalog.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.display import html_table, percent
from deeplab_core.errors import WeightsError, message
from deeplab_core.reading import expecting, shorten, whole

Device = Literal["auto", "cpu", "cuda", "mps"] | str
Precision = Literal["auto", "fp32", "bf16", "fp16"]
#: What runs a network of ours; ``auto`` is the fastest by a trial on this machine.
EngineChoice = Literal["auto", "torch", "onnx", "openvino", "amx", "cuda-graph"]
#: ``pydensecrf`` is the usual binding of the authors' code (extra ``crf``); the others are ours.
CRFEngine = Literal["auto", "native", "torch", "pydensecrf"]


class Source(StrEnum):
    """Where a correction starts from."""

    MODEL = "model"
    MASK = "mask"
    TRUTH = "truth"
    BLANK = "blank"


ChannelOrder = Literal["RGB", "BGR", "gray", "RGBA"]
#: Number of input channels by their order.
INPUT_CHANNELS: dict[str, int] = {"RGB": 3, "BGR": 3, "gray": 1, "RGBA": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What a network expects of its input; travels with the weights.

    ``x = (value - mean) / std`` per channel on raw 0..255 values, after reordering to ``channel_order``.

    Attributes:
        channel_order: the network's input channels in order. ``"gray"`` is one channel, the luminance
            ``0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601), rounded as Pillow's ``convert("L")`` does; ``"RGBA"`` red, green, blue
            and the fourth channel of the file, whatever it holds (alpha, near infrared).
        mean, std: per network channel, on the 0..255 scale ((127.5,)*3 and (127.5,)*3 give TensorFlow's -1..1).
        resize: ``"native"``, ``"long_side:N"``, ``"short_side:N"``, ``"fit:HxW"`` (bilinear, aspect kept) or ``"stretch:HxW"``.
            Tiling belongs to native. ``short_side`` enlarges up to 16 N on the long side.
        padding: ``"none"``, ``"canvas:N"`` or ``"canvas:HxW"`` (bottom/right up to that size), ``"multiple:N"`` (bottom/right)
            or ``"grid:N"`` (bottom/right up to N k + 1, the sizes with corners on features of stride N: TensorFlow's 513
            or 1025 x 2049).
        pad_value: raw 0..255 value of padding, per network channel; usually the mean, so that padding becomes 0.
    """

    channel_order: ChannelOrder = "RGB"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    resize: str = "native"
    padding: str = "none"
    pad_value: tuple[float, ...] = (123.675, 116.28, 103.53)

    @property
    def channels(self) -> int:
        """Input channels of the network: 1, 3 or 4."""
        return INPUT_CHANNELS[self.channel_order]


#: Forms of the rules of :class:`Preprocessing`: which kinds take one number, which take two, and the largest.
_RULES: dict[str, dict[str, tuple[bool, int]]] = {
    "resize": {
        "long_side": (False, 16_384), "short_side": (False, 8_192), "fit": (True, 16_384), "stretch": (True, 16_384),
    },
    "padding": {"canvas": (True, 16_384), "multiple": (False, 4_096), "grid": (False, 4_096)},
}  # fmt: skip


def size_rule(rule: str, name: Literal["resize", "padding"]) -> tuple[str, tuple[int, int]]:
    """A rule's kind and its numbers: ``"canvas:512x640"`` is ``("canvas", (512, 640))``; one number stands for both sides.

    ``"native"`` and ``"none"`` give (0, 0).

    Raises:
        WeightsError: it is not a rule, with the forms that are, or its numbers are too large for an image.
    """
    plain, kinds = "native" if name == "resize" else "none", _RULES[name]
    if rule == plain:
        return plain, (0, 0)
    kind, _, given = rule.partition(":")
    numbers = given.split("x")
    two, most = kinds.get(kind, (False, 0))
    fits = most and len(numbers) <= (2 if two else 1) and all(number.isdecimal() and len(number) < 8 for number in numbers)
    if not fits or not all(0 < int(number) <= most for number in numbers):
        forms = [f"{form}:{'HxW' if both else 'N'}" for form, (both, _) in kinds.items()]
        limit = message(", at most {most}", most=most) if fits else ""
        raise WeightsError(
            message("{rule} is not a rule for {name}", rule=shorten(rule), name=name),
            remedy=message("Use {plain}, {forms} with whole numbers{limit}", plain=plain, forms=", ".join(forms), limit=limit),
        )
    return kind, (int(numbers[0]), int(numbers[-1]))


#: Key of the card in a safetensors file's metadata.
CARD_KEY = "atrous_card"


def card_path(weights: Path) -> Path:
    """Where a card beside a weights file stands: ``net.pth.card.json`` beside ``net.pth``."""
    return weights.with_name(weights.name + ".card.json")


#: Output strides that a network without fixed strides can be run at: input pixels per feature at the encoder's end.
OUTPUT_STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything about a checkpoint that its tensors do not say.

    Attributes:
        id: stable identifier (sha256 prefix plus name); part of prediction cache keys.
        name: as shown to users.
        architecture: keyword arguments of ``create_model`` ("name", "backbone", ...), so that the file can be rebuilt.
        catalog: classes in channel order.
        preprocessing: see :class:`Preprocessing`.
        align_corners: rule of the network's bilinear upsampling.
        output_stride: stride that the weights were trained or published for.
        output_strides: strides that can be chosen at run time.
        sha256: of the weights file, lower-case hex; empty for a model that was never saved.
        source, licence: where the weights come from and what their data or release allows.
        summary: one line for the model dock: what it knows.
        threshold: probability above which a pixel is the second class of :attr:`catalog`, for a network of one channel
            (sigmoid), with background and object as catalog; None for every other network.
        guessed: names of fields that took a documented default because the file does not say.
        extra: training recipe, metrics, lineage; JSON values only.
    """

    id: str
    name: str
    architecture: dict[str, Any]
    catalog: ClassCatalog
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    align_corners: bool = False
    output_stride: int = 16
    output_strides: tuple[int, ...] = (8, 16, 32)
    sha256: str = ""
    source: str = ""
    licence: str = ""
    summary: str = ""
    threshold: float | None = None
    guessed: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` is the inverse."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["catalog"] = self.catalog.to_dict()
        data["preprocessing"] = asdict(self.preprocessing)
        return json.loads(json.dumps(data))  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        facts = {
            "knows": self.summary,
            "network": ", ".join(f"{key}={value}" for key, value in self.architecture.items()),
            "classes": f"{len(self.catalog)}: {', '.join(self.catalog.names)}",
            "output stride": f"{self.output_stride} (of {', '.join(map(str, self.output_strides))})",
            "source": self.source,
            "licence": self.licence,
            "guessed": ", ".join(self.guessed),
        }
        return html_table(self.name, ("", ""), [(key, value) for key, value in facts.items() if value])

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a card; raises WeightsError naming what is malformed. Unknown keys of newer versions are ignored."""
        with expecting("not a model card", error=WeightsError):
            known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
            known["catalog"] = ClassCatalog.from_dict(known["catalog"])
            pre = dict(known.get("preprocessing", {}))
            for key in ("mean", "std", "pad_value"):
                if key in pre:
                    pre[key] = tuple(float(v) for v in pre[key])
            known["preprocessing"] = Preprocessing(**pre)
            for key in ("output_strides", "guessed"):
                if key in known:
                    known[key] = tuple(known[key])
            card = cls(**known)
            _check_card(card)
            return card


def _check_card(card: ModelCard) -> None:
    """Raise TypeError or ValueError naming a field of the wrong type: a card may be written by anybody."""
    kinds: dict[type, tuple[str, ...]] = {
        str: ("id", "name", "sha256", "source", "licence", "summary"), dict: ("architecture", "extra"), bool: ("align_corners",),
    }  # fmt: skip
    for kind, names in kinds.items():
        for name in names:
            if not isinstance(getattr(card, name), kind):
                raise TypeError(f"'{name}' is {shorten(getattr(card, name))}")
    for stride in (card.output_stride, *card.output_strides):
        whole(stride, least=1, most=4096)
    pre = card.preprocessing
    for text in (*card.guessed, *card.architecture, *card.extra, pre.channel_order, pre.resize, pre.padding):
        if not isinstance(text, str):
            raise TypeError(f"{shorten(text)} is not text")
    size_rule(pre.resize, "resize")
    size_rule(pre.padding, "padding")
    if pre.channel_order not in INPUT_CHANNELS:
        raise ValueError(f"'channel_order' is {shorten(pre.channel_order)}; it is one of {', '.join(INPUT_CHANNELS)}")
    if card.threshold is not None:
        check_threshold(card.threshold)
    values = (*pre.mean, *pre.std, *pre.pad_value)
    right = all(len(part) == pre.channels for part in (pre.mean, pre.std, pre.pad_value))
    if not right or not all(map(math.isfinite, values)) or not all(pre.std):
        count = {1: "one number", 3: "three numbers", 4: "four numbers"}[pre.channels]
        raise ValueError(f"'mean', 'std' and 'pad_value' each hold {count}, 'std' none that is 0")


def check_threshold(value: float) -> float:
    """The threshold of a two-class network as a float; raises ValueError unless it lies between 0 and 1, both excluded."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < 1.0:
        raise ValueError(f"the threshold is {shorten(value)}; it lies between 0 and 1")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CRFParams:
    """Parameters of the fully connected CRF; meanings as in pydensecrf (Krähenbühl and Koltun 2011).

    Attributes:
        gaussian_sxy: standard deviation of the smoothness kernel in px.
        gaussian_compat: weight of the smoothness kernel (w2 of DeepLab v1, equation 2).
        bilateral_sxy: standard deviation of the appearance kernel's position in px.
        bilateral_srgb: standard deviation of the appearance kernel's colour, 0..255 scale.
        bilateral_compat: weight of the appearance kernel (w1).
        iterations: mean-field steps.
        normalization: ``"symmetric"`` as pydensecrf, ``"after"`` as the authors' library, ``"none"``.
        clip: class probabilities below this are raised to it before the logarithm.
        temperature: the unary term is ``-log(p) / temperature``; above 1 softens an over-confident network.
    """

    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 50.0
    bilateral_srgb: float = 5.0
    bilateral_compat: float = 10.0
    iterations: int = 10
    normalization: Literal["symmetric", "after", "none"] = "symmetric"
    clip: float = 1e-5
    temperature: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """How a prediction is made; hashable, part of the cache key.

    Attributes:
        output_stride: 8, 16 or 32; None takes the card's.
        scales: relative scales; probabilities are averaged over them (DeepLabv3, section 4.1).
        flip: also average with the mirrored image.
        resize: overrides the card's ``resize``; None keeps it.
        tile: side of a tile in network pixels; None decides from the available memory.
        overlap: context of a tile beyond its own part, on every side, in network pixels; None takes the network's receptive
            radius, but no more than a sixth of the tile.
        device: ``auto`` prefers cuda, then mps, then cpu; or a torch device string.
        precision: ``auto`` is fp32 on the CPU and bf16/fp16 where the device computes them exactly enough.
        crf: refine with a dense CRF.
        crf_engine: what computes it; ``auto`` is ours, on the GPU where the network runs there.
        threshold: probability above which a pixel is the object, for a network of one channel (sigmoid); None takes the card's.
        engine: what runs the network: on the CPU onnx, openvino or amx, which round otherwise, so labels may differ at ties; on
            a GPU cuda-graph.
    """

    output_stride: int | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    resize: str | None = None
    tile: int | None = None
    overlap: int | None = None
    device: Device = "auto"
    precision: Precision = "auto"
    crf: CRFParams | None = None
    crf_engine: CRFEngine = "auto"
    threshold: float | None = None
    engine: EngineChoice = "torch"

    def cache_key(self) -> str:
        """Short digest of everything that can change the labels (the device is left out)."""
        data = asdict(self)
        data.pop("device")
        if self.threshold is None:  # as in versions that had none
            data.pop("threshold")
        if self.engine == "torch":
            data.pop("engine")
        if self.crf is None or self.crf_engine == "auto":
            data.pop("crf_engine")
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a prediction really ran, for the honest device panel.

    Attributes:
        device: torch device that computed it, e.g. ``"cpu"`` or ``"cuda:0 (NVIDIA ...)"``.
        precision: ``fp32``, ``bf16``, ``fp16``, or ``int8`` of a graph that is quantised.
        milliseconds: wall time of preprocessing, forward passes and label maps.
        cpu_milliseconds: processor time of all threads of this process meanwhile, which other work on the machine does not
            stretch; 0 where it was not measured.
        tiles: number of tiles (1 = whole image).
        notes: what differs from what was asked, and why (fallback device, smaller tiles).
    """

    device: str = ""
    precision: str = "fp32"
    milliseconds: float = 0.0
    cpu_milliseconds: float = 0.0
    tiles: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says about one image.

    Attributes:
        labels: (H, W) uint8 (uint16 for a wide catalog), C-contiguous, ids of the model card's catalog, at the size of the
            oriented image.
        confidence: (H, W) uint8, ``round(255 * probability of the label)``, the largest probability unless a threshold chose
            the label; (0, 0) where it was not asked for, and for a kept prediction with confidence that had to make
            room, see :attr:`known_confidence`.
        card_id: id of the model card.
        options: the options asked for; of a two-class network with the threshold that was used.
        source_key: content key of the image.
        report: how it ran.
        uncertainty: figures that need all probabilities (:func:`deeplab_core.inference.scores.uncertainty_scores`); empty if they
            are not known.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    card_id: str
    options: PredictOptions
    source_key: str = ""
    report: RunReport = field(default_factory=RunReport)
    uncertainty: dict[str, float] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        ids, pixels = np.unique(self.labels, return_counts=True)
        order = np.argsort(-pixels, kind="stable")
        rows = [(int(ids[at]), f"{pixels[at]:,}", percent(pixels[at] / self.labels.size)) for at in order]
        height, width = self.labels.shape
        note = f"Computed on {self.report.device}." if self.report.device else ""
        return html_table(f"Labels of {width} x {height} px", ("class id", "pixels", "share"), rows, note)

    @property
    def known_confidence(self) -> NDArray[np.uint8] | None:
        """:attr:`confidence`, or None if it is not known, or not any more."""
        return self.confidence if self.confidence.shape == self.labels.shape else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimapBand:
    """Which boundary band is meant; the rule is part of every figure measured in it.

    Attributes:
        width_px: 1..40; pixels at most this far away belong to the band.
        rule: ``"void"``: Chebyshev distance to a void pixel of the truth (square structuring element, as in the DeepLab
            papers' evaluation code), void excluded. ``"edge"``: exact Euclidean distance to a class edge, 1 = a pixel with a
            4-neighbour of another class; void is filled by the nearest class first and excluded afterwards; the image border
            is not an edge.
        around: ``"truth"`` or ``"prediction"``; the void rule needs truth.
    """

    width_px: int = 10
    rule: Literal["void", "edge"] = "edge"
    around: Literal["truth", "prediction"] = "truth"

    def __post_init__(self) -> None:
        if not 1 <= self.width_px <= 40:
            raise ValueError(f"band width {self.width_px} is outside 1..40 px")
        if self.rule == "void" and self.around != "truth":
            raise ValueError("the void rule needs truth")
