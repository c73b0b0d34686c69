"""What goes into an engine's graph and what comes out, found from its tensors alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, ComputeError, WeightsError, message
from deeplab_core.labels import LabelMap
from deeplab_core.networks import ComputeDevice

#: Input sizes at which a graph of free size is tried, so that its outputs' shapes become known. Not square, so that height and
#: width can be told apart; multiples of 32 first, since some graphs take nothing else.
PROBE_SIZES = ((128, 160), (513, 513))


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor at the border of a graph.

    Attributes:
        name: as the graph calls it.
        shape: None for a free dimension.
        dtype: of its elements.
        scale, zero_point: of a quantised tensor, ``real = (stored - zero_point) * scale``; scale 0 where it is not quantised.
        sigmoid: whether an output holds probabilities that a sigmoid made; None where the file does not tell.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0
    sigmoid: bool | None = None


class Runner(Protocol):
    """A loaded graph.

    Attributes:
        title: library and version.
        device, precision, notes: see :class:`deeplab_core.networks.Engine`.
        input: the only input.
        outputs: in the file's order.
        align_corners: rule of the upsampling that was left out behind an output, by its name.
        operations: how often each operation occurs in the graph; empty if the engine does not report it.
    """

    title: str
    device: str
    precision: str
    notes: tuple[str, ...]
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    align_corners: dict[str, bool]
    operations: Counter[str]

    def run(self, values: NDArray[Any], output: str) -> NDArray[Any]:
        """One output for an input of :attr:`input`'s type and layout.

        Raises:
            ComputeError: the engine refused; MemoryError where memory ran out.
        """

    def on(self, device: ComputeDevice) -> Runner:
        """The same graph on a device, or as near to it as the engine gets; :attr:`notes` records it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How to feed a graph and how to read it.

    Attributes:
        channels_last: the input is (N, H, W, C), else (N, C, H, W).
        channels: of the input: 1 (gray), 3 or 4.
        size: fixed (height, width) of the input; None for a free side.
        output: the output that is read.
        labels: it holds one label per pixel, else one score per class and pixel.
        class_axis: axis of the classes in a 4-D output of scores; 0 where a 3-D output is (N, H, W), the only channel, or
            (classes, H, W).
        classes: their number; 0 where only labels come and nothing tells, 1 for the logit (or the probability) of one class
            against the background.
        grid: (h, w) of the output for an input of ``probed``.
        probed: (H, W) of the input that ``grid`` belongs to.
        others: names of other outputs that are maps of the image too.
        named: the output's name marks it as the answer.
    """

    channels_last: bool
    size: tuple[int | None, int | None]
    output: TensorSpec
    labels: bool
    channels: int = 3
    class_axis: int = 1
    classes: int = 0
    grid: tuple[int, int] = (0, 0)
    probed: tuple[int, int] = (0, 0)
    others: tuple[str, ...] = ()
    named: bool = False

    def pack(self, x: NDArray[np.float32], spec: TensorSpec) -> NDArray[Any]:
        """(1, C, H, W) float32 as the graph's input: its layout, its type, quantised where it is."""
        values = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self.channels_last else np.ascontiguousarray(x)
        if not np.issubdtype(spec.dtype, np.integer):
            return values.astype(spec.dtype, copy=False)
        limits = np.iinfo(spec.dtype)
        stored = np.rint(values / np.float32(spec.scale or 1.0) + np.float32(spec.zero_point))
        packed: NDArray[Any] = np.clip(stored, limits.min, limits.max).astype(spec.dtype)
        return packed

    def unpack(self, raw: NDArray[Any], classes: int) -> NDArray[np.float32]:
        """The output as (classes, h, w) float32 logits.

        Scores that are probabilities already (a softmax at the graph's end) become their logarithms, those of a sigmoid their
        log odds, labels a score of 0 against :data:`RULED_OUT`.

        Raises:
            ComputeError: a label that is none of the classes, or an output of another shape.
        """
        if self.labels:
            return _one_hot(_squeezed(raw), classes)
        if self.class_axis == 0 and raw.ndim == 3:
            raw = raw[:, None] if self.classes == 1 else raw[None]
        axis = self.class_axis or 1
        if raw.ndim != 4 or raw.shape[0] != 1 or raw.shape[axis] != classes:
            raise ComputeError(
                message(
                    "the graph answered {size} numbers where scores of {classes} classes were expected",
                    size="x".join(map(str, raw.shape)),
                    classes=classes,
                ),
                remedy=message("Correct the catalog in its model card"),
            )
        scores = np.moveaxis(raw[0], axis - 1, 0)
        if self.output.scale:
            scores = (scores.astype(np.float32) - np.float32(self.output.zero_point)) * np.float32(self.output.scale)
        logits = np.ascontiguousarray(scores, dtype=np.float32)
        if classes == 1:
            inside = bool(logits.min() >= 0.0) and bool(logits.max() <= 1.0)
            return _log_odds(logits) if (inside if self.output.sigmoid is None else self.output.sigmoid) else logits
        return np.log(np.maximum(logits, _LEAST)) if _are_probabilities(logits, self.output.scale) else logits


#: Input channels that an image has: gray, RGB, and RGB with a fourth.
CHANNELS = (1, 3, 4)
#: Score of the classes that a label rules out, against 0 for the label itself.
RULED_OUT = -60000.0
#: Smallest probability that is distinguished from 0.
_LEAST = np.float32(1e-7)


def _are_probabilities(scores: NDArray[np.float32], quantum: float) -> bool:
    """Whether every pixel's scores are at least 0 and sum to 1, up to float16's (or the quantisation's) rounding."""
    slack = max(2e-3, quantum * scores.shape[0] / 2)
    return bool(scores.min() >= 0.0) and bool(np.abs(scores.sum(axis=0) - 1.0).max() <= slack)


def _log_odds(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    bounded = np.clip(probabilities.astype(np.float64), _LEAST, 1.0 - _LEAST)
    return np.log(bounded / (1.0 - bounded)).astype(np.float32)


def _squeezed(raw: NDArray[Any]) -> NDArray[Any]:
    height_and_width = [side for side in raw.shape if side != 1] if raw.ndim > 2 else list(raw.shape)
    if len(height_and_width) != 2:  # images one pixel high or wide keep the last two axes, channels-last ones the middle two
        height_and_width = list(raw.shape[1:3] if raw.ndim == 4 and raw.shape[-1] == 1 else raw.shape[-2:])
    return raw.reshape(height_and_width)


def _one_hot(labels: LabelMap, classes: int) -> NDArray[np.float32]:
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise ComputeError(
            message(
                "the graph answered label {label}, its model card lists {classes} classes",
                label=lowest if lowest < 0 else highest,
                classes=classes,
            ),
            remedy=message("Correct the catalog in its model card"),
        )
    logits = np.full((classes, *labels.shape), RULED_OUT, np.float32)
    np.put_along_axis(logits, labels[None].astype(np.int64), np.float32(0.0), axis=0)
    return logits


#: Names of outputs that are the answer, and of those that only training or other tasks want, as exporters and repositories write.
_ANSWER = re.compile(
    r"(?:.*[^a-z])?(out|outputs?|logits?|preds?|predictions?|seg|segmentation|semantic|masks?|scores?|prob\w*|softmax|sigmoid|labels?|"
    r"argmax|answer|classes|class_map)(?:[^a-z].*)?"
)
_ASIDE = re.compile(
    r"(?:.*[^a-z])?(aux\w*|features?|feat|embeddings?|backbone|encoder|low_level|deep_?sup\w*|ds|depth|edges?|boundar(?:y|ies)|"
    r"contours?|normals?|attention|uncertainty|confidence|cls|classification|hidden|intermediate)(?:[^a-z].*)?"
)
#: Channels from which an output without a telling name is rather a layer's features than scores, if there is another one.
_FEATURES = 192


def find_signature(runner: Runner, *, classes: int = 0, wanted: str = "") -> Signature:
    """How a graph is fed and read.

    Among several outputs that are maps of the image the answer is the one that is asked for; else the one with as many classes
    as the card has; else by its name; else scores before labels, fine grids before coarse ones, and the first of the file.
    A graph without recorded output shapes is run once on a small image.

    Args:
        runner: the graph.
        classes: number of classes that its card lists; 0 if it has none.
        wanted: name of the output to read.

    Raises:
        WeightsError: no graph for semantic segmentation: another number of inputs, no image, neither scores nor labels; or no
            output of the name that is wanted.
    """
    channels, channels_last, size = _image_input(runner.input)
    if wanted and wanted not in {output.name for output in runner.outputs}:
        names = ", ".join(output.name for output in runner.outputs)
        raise WeightsError(
            message("the graph has no output '{wanted}'", wanted=wanted),
            why=message("it has {names}", names=names),
            remedy=message("Choose one of these"),
        )
    found: list[Signature] = []
    for output in runner.outputs:
        if not _may_be_answer(output) or (wanted and output.name != wanted):
            continue
        draft = Signature(channels=channels, channels_last=channels_last, size=size, output=output, labels=_holds_labels(output))
        measured = _measured(runner, draft)
        if measured is not None:
            found.append(measured)
    if not found:
        shapes = "; ".join(f"{out.name} {_shape(out)} {out.dtype}" for out in runner.outputs)
        raise WeightsError(
            message("not a network for semantic segmentation"),
            why=message("none of its outputs is a map of class scores or labels: {shapes}", shapes=shapes),
            remedy=message("Export the network with its scores (N, classes, H, W) or labels (N, H, W) as output"),
        )
    best = min(found, key=lambda one: _rank(one, classes))
    others = tuple(one.output.name for one in found if one is not best)
    return replace(best, others=others, named=_rank(best, 0)[1] == 0)


def _rank(one: Signature, classes: int) -> tuple[bool, int, bool, bool, bool, int]:
    """Smaller is rather the answer."""
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", one.output.name).lower()
    telling = 2 if _ASIDE.fullmatch(name) else 0 if _ANSWER.fullmatch(name) else 1
    return (
        classes > 0 and one.classes not in (0, classes, *((1,) if classes == 2 else ())),  # one channel tells two classes apart
        telling,
        one.classes == 1,  # one channel may be a class, or an image's depth: it counts if nothing else answers
        one.classes >= _FEATURES and telling > 0,
        one.labels,  # scores tell more than labels
        -one.grid[0] * one.grid[1],
    )


def _image_input(spec: TensorSpec) -> tuple[int, bool, tuple[int | None, int | None]]:
    """Channels, whether they come last, and (height, width) of the input."""
    shape = spec.shape
    if len(shape) == 4 and shape[0] in (1, None):
        # An RGB image in either layout comes before any other reading.
        if shape[1] == 3 or (shape[1] is None and shape[3] not in CHANNELS):
            return 3, False, (shape[2], shape[3])
        if shape[3] == 3:
            return 3, True, (shape[1], shape[2])
        if shape[1] in CHANNELS:
            return shape[1], False, (shape[2], shape[3])
        if shape[3] in CHANNELS:
            return shape[3], True, (shape[1], shape[2])
    raise WeightsError(
        message("the graph takes no image of 1 (gray), 3 (RGB) or 4 channels"),
        why=message("its input {spec} is {size}", spec=spec.name, size=_shape(spec)),
        remedy=message("Export it for one image, (1, 3, H, W) or (1, H, W, 3)"),
    )


def _shape(spec: TensorSpec) -> str:
    return "(" + ", ".join("any" if side is None else str(side) for side in spec.shape) + ")"


def _may_be_answer(spec: TensorSpec) -> bool:
    if _holds_labels(spec):
        return 2 <= len(spec.shape) <= 4
    return len(spec.shape) in (3, 4) and (bool(spec.scale) or np.issubdtype(spec.dtype, np.floating))


def _holds_labels(spec: TensorSpec) -> bool:
    return (np.issubdtype(spec.dtype, np.integer) or spec.dtype == np.bool_) and not spec.scale


def _measured(runner: Runner, draft: Signature) -> Signature | None:
    """The draft with its grid and classes; None where the output is not a map of the image."""
    height, width = draft.size
    shape: tuple[int | None, ...] = draft.output.shape
    probed = (height or 0, width or 0)
    if height is None or width is None or any(side is None for side in shape[1:]):
        raw, probed = _probe(runner, draft)
        shape = raw.shape
    sides = tuple(side or 1 for side in shape)
    if not draft.labels and len(sides) == 3:
        fits = _ratio(sides[1], sides[2], probed) < 0.1
        one = replace(draft, class_axis=0, classes=sides[0], grid=(sides[1], sides[2]), probed=probed)
        return _if_labels(runner, one) if fits else None
    if draft.labels:
        grid = _squeezed(np.empty(sides, np.uint8)).shape
        fits = _ratio(grid[0], grid[1], probed) < 0.1
        classes = 2 if draft.output.dtype == np.bool_ else 0  # a mask of one class against the background
        return replace(draft, classes=classes, grid=(grid[0], grid[1]), probed=probed) if fits else None
    _, first, second, third = sides
    as_planes, as_pixels = _ratio(second, third, probed), _ratio(first, second, probed)
    if min(as_planes, as_pixels) > 0.1:
        return None
    last = as_pixels < as_planes or (as_pixels == as_planes and draft.channels_last)
    classes = third if last else first
    grid = (first, second) if last else (second, third)
    scores = replace(draft, class_axis=3 if last else 1, classes=classes, grid=(grid[0], grid[1]), probed=probed)
    return _if_labels(runner, scores)


def _if_labels(runner: Runner, one: Signature) -> Signature:
    """One channel of floats that holds nothing but whole numbers on a noisy image is a map of labels."""
    if one.classes != 1 or one.output.scale:
        return one
    noise = np.random.default_rng(0).normal(size=(1, one.channels, *one.probed)).astype(np.float32)
    try:
        raw = runner.run(one.pack(noise, runner.input), one.output.name)
    except ComputeError:
        return one
    whole = bool((raw == np.rint(raw)).all()) and bool((raw >= 0).all()) and bool((raw < 65_536).all())
    # A constant 0 tells nothing: a network that was never trained may say no to everything.
    return replace(one, labels=True, classes=0) if whole and bool(raw.any()) else one


def _ratio(height: int, width: int, image: tuple[int, int]) -> float:
    """How differently height and width are scaled, 0 for a grid of the image's shape."""
    if height > image[0] or width > image[1]:
        return 1.0
    across, down = width / image[1], height / image[0]
    return abs(across - down) / max(across, down)


def _probe(runner: Runner, draft: Signature) -> tuple[NDArray[Any], tuple[int, int]]:
    refused: AtrousError | None = None
    for height, width in PROBE_SIZES:
        side = (draft.size[0] or height, draft.size[1] or width)
        zeros = np.zeros((1, draft.channels, *side), np.float32)
        try:
            return runner.run(draft.pack(zeros, runner.input), draft.output.name), side
        except ComputeError as error:
            refused = error
    raise WeightsError(
        message("the graph cannot be run"), why=refused.why if refused is not None else "", remedy=message("Export it again")
    ) from refused
