"""Encoder and decoder pairs: SAM 1, MobileSAM, EdgeSAM, EfficientSAM, SAM 2, and what is exported like them.

The encoder sees the image once. The decoder takes its features and points (1, N, 2) of x and y in the encoder's px with labels
(1, N): 1 on the object, 0 beside it, 2 and 3 the corners of a box, -1 no point. Sources of the signatures:

- SAM 1: ``SamOnnxModel`` in https://github.com/facebookresearch/segment-anything (segment_anything/utils/onnx.py); its encoders
  as https://github.com/vietanhdev/samexporter writes them (samexporter/export_encoder.py): (1, 3, 1024, 1024) normalised, the
  longest side 1024 and the rest filled up, or (height, width, 3) bytes with all of this inside. MobileSAM alike.
- EdgeSAM: scripts/export_onnx_model.py and edge_sam/onnx/predictor_onnx.py in https://github.com/chongzhou96/EdgeSAM: a decoder
  without mask input, and no padding point.
- EfficientSAM: export_to_onnx.py and onnx_models.py in https://github.com/yformer/EfficientSAM: the image as it is, 0..1; points
  (1, 1, N, 2), of which six count; also as one graph.
- Hugging Face's SAM: ``SamOnnxConfig`` in https://github.com/huggingface/optimum-onnx
  (optimum/exporters/onnx/model_configs.py): points (1, 1, N, 2) without corners of boxes, and no mask input.
- SAM 2: samexporter/export_sam2.py, https://github.com/wkentaro/osam (osam/_models/sam2) and onnxruntime's
  tools/transformers/models/sam2: two maps of features more, and the image stretched to a square.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.clicks.graphs import (
    BYTES,
    KEPT_STEPS,
    NORMALISED,
    UNIT,
    Clicks,
    Colours,
    Graph,
    ImageNames,
    Store,
    Tensor,
    above,
    colours_of,
    digest,
    fed,
    resized,
    shapes,
    unfit,
)
from deeplab_core.correction.clicks.merging import clicked
from deeplab_core.errors import ComputeError, message
from deeplab_core.parallel import IsCancelled
from deeplab_core.regions import Mask

#: Side of SAM's square where a graph leaves it open, and how much coarser its masks are (build_sam.py).
_SIDE, _COARSER = 1024, 4
#: Logits of a mask that is given to the decoder (``_use_mask_as_output`` in sam2/modeling/sam2_base.py of facebookresearch/sam2).
_SURE = 10.0
#: Points that EfficientSAM's decoder looks at (``decoder_max_num_input_points``); it cuts off the others.
_SIX = 6
#: What to do about graphs that do not belong together.
PAIR_REMEDY = message("Choose another click network; encoder and decoder must be of one export")
_POSITIVE, _NEGATIVE, _CORNERS, _NO_POINT = 1, 0, (2, 3), -1

_Features = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class EncoderFrame:
    """The position of an image in the input of the encoder.

    Attributes:
        content: (h, w) that the image takes, at its top left.
        whole: (h, w) with what fills it up.
        image: (H, W).
    """

    content: tuple[int, int]
    whole: tuple[int, int]
    image: tuple[int, int]

    def points(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Continuous image px as the decoder counts: the centre of its first pixel is (0, 0)."""
        scale = self.content[1] / self.image[1], self.content[0] / self.image[0]
        return np.asarray(at, np.float64).reshape(-1, 2) * scale - 0.5


@dataclass(frozen=True, slots=True)
class DecoderEnds:
    """Which tensor of a decoder is what; ``features`` come from the encoder."""

    coords: Tensor
    labels: Tensor
    mask: Tensor | None
    has_mask: Tensor | None
    size: Tensor | None
    features: tuple[Tensor, ...]
    masks: Tensor
    scores: Tensor | None

    @staticmethod
    def of(graph: Graph) -> DecoderEnds:
        """Found by name and shape.

        Raises:
            WeightsError: something is missing.
        """
        left = list(graph.inputs)
        coords = _taken(left, is_coords)
        labels = _taken(left, lambda tensor: "label" in tensor.name.lower() and len(tensor.shape) in (2, 3))
        has_mask = _taken(left, lambda tensor: bool(re.search(r"has.*mask", tensor.name.lower())))
        mask = _taken(left, lambda tensor: "mask" in tensor.name.lower() and len(tensor.shape) == 4)
        size = _taken(left, lambda tensor: "size" in tensor.name.lower() and len(tensor.shape) == 1)
        maps = [out for out in graph.outputs if len(out.shape) in (4, 5) and out.dtype.kind == "f"]
        if coords is None or labels is None or not maps or not left:
            raise unfit(graph, message("It takes {inputs} and gives {outputs}", inputs=shapes(graph.inputs),
                                       outputs=shapes(graph.outputs)))  # fmt: skip
        if len(labels.shape) != len(coords.shape) - 1:
            raise unfit(graph, message("Its points and their labels do not fit: {inputs}", inputs=shapes((coords, labels))))
        # SAM's exporter fixes the crop of its large masks to the image that it was tried on; the small ones have no crop.
        low = [out for out in maps if re.search(r"low.*res", out.name.lower())]
        named = [out for out in maps if "mask" in out.name.lower()]
        scores = [out for out in graph.outputs if re.search("iou|score", out.name.lower()) and len(out.shape) in (2, 3)]
        return DecoderEnds(
            coords, labels, mask, has_mask, size, tuple(left), (low or named or maps)[0], scores[0] if scores else None
        )  # fmt: skip

    @property
    def nested(self) -> bool:
        """Whether points have a dimension more: EfficientSAM's and Hugging Face's."""
        return len(self.coords.shape) == 4

    @property
    def batched(self) -> bool:
        """Whether it is EfficientSAM's, which takes the image as it is, and six points."""
        return self.nested and not self.points_only

    @property
    def points_only(self) -> bool:
        """Whether corners of a box mean nothing to it: Hugging Face's."""
        return self.coords.name == "input_points"

    @property
    def coarse(self) -> bool:
        """Whether masks are not of the size that the graph is asked for."""
        return self.size is None or bool(re.search(r"low.*res", self.masks.name.lower()))


def has_fine_maps(features: Sequence[Tensor]) -> bool:
    """Whether a decoder takes SAM 2's finer maps besides the embedding."""
    grids = {tensor.shape[-2:] for tensor in features if len(tensor.shape) == 4}
    return len(grids) > 1 or any("high_res" in tensor.name.lower() for tensor in features)


def is_coords(tensor: Tensor) -> bool:
    """Whether a tensor takes points as x and y."""
    name = tensor.name.lower()
    telling = ("coord" in name or "point" in name) and "label" not in name and "box" not in name
    return telling and len(tensor.shape) in (3, 4) and tensor.shape[-1] in (2, None)


def _taken(left: list[Tensor], fits: Any) -> Tensor | None:
    for tensor in left:
        if fits(tensor):
            left.remove(tensor)
            return tensor
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """Masks of one question, best first: (K, h, w) float32 logits."""

    logits: NDArray[np.float32]


class EncoderDecoder:
    """A pair, or one graph that is both.

    Features of the last images are kept. The first click sees the component of the class that it hits, if it hits one; each later
    click continues from the best mask of those before it. Negative clicks alone ask for the object under them, to be taken from
    the class: these networks know objects, not what is left of one.

    Args:
        encoder: None if the decoder takes the image itself.
        decoder: takes points.

    Raises:
        WeightsError: the two do not fit each other, or have another signature.
    """

    def __init__(self, encoder: Graph | None, decoder: Graph) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._ends = DecoderEnds.of(decoder)
        self._image = image_input(decoder, self._ends.features) if encoder is None else image_input(encoder, encoder.inputs)
        self._stretched = has_fine_maps(self._ends.features)
        #: Whether masks cover all that the encoder sees, rather than the image's part of it; one graph gives the image's part.
        self._coarse = encoder is not None and self._ends.coarse
        self._sources = {} if encoder is None else sources(encoder, decoder, self._ends.features)
        self._colours = self._taken_colours(decoder if encoder is None else encoder)
        self.title = f"object network, {decoder.title}"
        self.notes: tuple[str, ...] = ()
        self._names = ImageNames()
        self._features: Store[tuple[_Features, EncoderFrame]] = Store()
        self._steps: Store[_Answer] = Store(most=KEPT_STEPS)

    def _taken_colours(self, graph: Graph) -> Colours:
        if self._image.dtype == np.uint8 or len(self._image.shape) == 3:
            return BYTES
        return colours_of(graph, UNIT if self._ends.batched else NORMALISED)

    def prepare(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None = None) -> None:
        """Compute the features of an image, or find them."""
        self._of_image(rgb, cancel)

    def _of_image(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None) -> tuple[_Features, EncoderFrame]:
        name = self._names.of(rgb)
        kept = self._features.find(name)
        if kept is None:
            frame = self._frame((rgb.shape[0], rgb.shape[1]))
            pixels = self._pixels(rgb, frame)
            if self._encoder is None:
                features = {self._image.name: pixels}
            else:
                outputs = list(self._sources.values())
                found = self._encoder.run({self._image.name: pixels}, outputs, remedy=PAIR_REMEDY, cancel=cancel)
                features = dict(zip(self._sources, found, strict=True))
            kept = features, frame
            self._features.keep(name, kept, sum(array.nbytes for array in features.values()))
        return kept

    def _frame(self, image: tuple[int, int]) -> EncoderFrame:
        """How an image is put before the encoder."""
        shape = self._image.shape
        fixed = shape[:2] if len(shape) == 3 and shape[2] == 3 else shape[-2:]
        height, width = fixed[0] or _SIDE, fixed[1] or _SIDE
        if self._stretched:
            return EncoderFrame((height, width), (height, width), image)
        scale = min(height / image[0], width / image[1])
        if self._ends.batched and fixed == (None, None):  # the graph scales to its own size; more than this is lost there
            scale = min(scale, 1.0)
        content = max(int(image[0] * scale + 0.5), 1), max(int(image[1] * scale + 0.5), 1)
        if self._ends.batched:
            return EncoderFrame(content, content if fixed == (None, None) else (height, width), image)
        return EncoderFrame(content, (max(height, width),) * 2, image)

    def _pixels(self, rgb: NDArray[np.uint8], frame: EncoderFrame) -> NDArray[Any]:
        """The image as the encoder takes it. What fills it up is 0 behind the normalisation."""
        values = self._colours.of(resized(rgb, frame.content))
        shape = self._image.shape
        if len(shape) == 3 and shape[2] == 3:
            if shape[0] is not None and shape[1] is not None:
                filled = np.broadcast_to(
                    np.asarray(NORMALISED.mean, np.float32) * np.float32(255), (shape[0], shape[1], 3)
                ).copy()
                filled[: frame.content[0], : frame.content[1]] = values
                values = filled
            return fed(values, self._image)
        planes = values.transpose(2, 0, 1)
        if frame.content != frame.whole:
            rest = [(0, all_ - part) for all_, part in zip(frame.whole, frame.content, strict=True)]
            planes = np.pad(planes, [(0, 0), *rest])
        return fed(planes if len(shape) == 3 else planes[None], self._image)

    def masks(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float] | None,
        previous: Mask,
        cancel: IsCancelled | None = None,
    ) -> list[Mask]:
        """See the protocol: by predicted quality, best first."""
        if box is not None and self._ends.points_only:
            return self._in_box(rgb, points, positive, box, previous, cancel)
        clicks = Clicks(points, positive, box)
        taking = box is None and not positive.any()
        if taking:  # ask for what is under the clicks
            clicks = Clicks(points, np.ones_like(positive), None)
        features, frame = self._of_image(rgb, cancel)
        # Of the first click only: the later ones continue from what the network said.
        first = clicks.pixels[:1] if box is None and not taking and positive[0] else clicks.pixels[:0]
        start = clicked(previous, first)
        begun = self._names.of(rgb) + digest(np.packbits(start))
        answer: _Answer | None = None
        for count in range(0 if box is not None else 1, len(clicks) + 1):
            some = clicks.first(count)
            name = begun + some.key()
            kept = self._steps.find(name)
            if kept is None:
                kept = self._step(features, frame, some, start, answer, cancel)
                self._steps.keep(name, kept, kept.logits.nbytes)
            answer = kept
        if answer is None:
            return []
        found = [self._mask(logits, frame) for logits in answer.logits]
        if taking:
            return [previous & ~mask for mask in found]
        return found

    def _in_box(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float],
        previous: Mask,
        cancel: IsCancelled | None,
    ) -> list[Mask]:
        """A box for a decoder that knows points only: its centre is a click unless there is one; nothing outside counts."""
        if not positive.any():
            centre = np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]])
            points, positive = np.concatenate([centre, points]), np.concatenate([[True], positive])
        inside = np.zeros_like(previous)
        inside[max(int(box[1]), 0) : int(np.ceil(box[3])), max(int(box[0]), 0) : int(np.ceil(box[2]))] = True
        return [mask & inside for mask in self.masks(rgb, points, positive, None, previous, cancel)]

    def _step(
        self,
        features: _Features,
        frame: EncoderFrame,
        clicks: Clicks,
        start: Mask,
        before: _Answer | None,
        cancel: IsCancelled | None,
    ) -> _Answer:
        ends = self._ends
        feeds = {tensor.name: fed(features[tensor.name], tensor) for tensor in ends.features}
        coords, labels = self._prompt(clicks, frame)
        feeds[ends.coords.name] = fed(coords, ends.coords)
        feeds[ends.labels.name] = fed(labels, ends.labels)
        if ends.mask is not None:
            mask = self._mask_so_far(frame, start, before)
            feeds[ends.mask.name] = fed(mask, ends.mask)
            if ends.has_mask is not None:
                known = np.full([side or 1 for side in ends.has_mask.shape], before is not None or start.any())
                feeds[ends.has_mask.name] = fed(known, ends.has_mask)
        if ends.size is not None:
            feeds[ends.size.name] = fed(np.array(frame.content), ends.size)
        outputs = [ends.masks.name] + ([] if ends.scores is None else [ends.scores.name])
        found = self._decoder.run(feeds, outputs, remedy=PAIR_REMEDY, cancel=cancel)
        logits = found[0].reshape(-1, *found[0].shape[-2:]).astype(np.float32)
        scores = found[1].ravel() if len(found) > 1 else np.zeros(len(logits))
        if not len(logits) or scores.size != len(logits) or not np.isfinite(logits).all():
            raise ComputeError(
                message("the click network's answer is not a mask"),
                why=message("it gave {masks} masks with {scores} scores", masks=found[0].shape, scores=scores.size),
                remedy=message("Choose another click network"),
                path=self._decoder.path,
            )
        return _Answer(logits[np.argsort(-scores, kind="stable")])

    def _prompt(self, clicks: Clicks, frame: EncoderFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points and labels: corners of the box first; of more clicks than the graph takes the newest."""
        ends = self._ends
        at = frame.points(np.asarray(clicks.pixels + 0.5, np.float64))
        labels = np.where(clicks.positive, _POSITIVE, _NEGATIVE)
        corners = np.zeros((0, 2)) if clicks.box is None else frame.points(np.array(clicks.box, np.float64))
        fixed = ends.coords.shape[-2]
        room = fixed if fixed is not None else _SIX if ends.batched else None
        if room is not None:
            newest = max(room - len(corners), 0)
            at, labels = at[len(at) - min(newest, len(at)) :], labels[len(labels) - min(newest, len(labels)) :]
        at = np.concatenate([corners, at])
        labels = np.concatenate([np.array(_CORNERS[: len(corners)], np.int64), labels])
        # SAM 1 learned with a point that is none wherever there is no box; the others add it themselves, or learned without.
        padding = int(ends.mask is not None and not self._stretched and clicks.box is None)
        if fixed is not None:
            padding = fixed - len(at)
        if padding > 0:
            at = np.concatenate([at, np.zeros((padding, 2))])
            labels = np.concatenate([labels, np.full(padding, _NO_POINT)])
        return (at[None, None], labels[None, None]) if ends.nested else (at[None], labels[None])

    def _mask_so_far(self, frame: EncoderFrame, start: Mask, before: _Answer | None) -> NDArray[np.float32]:
        """(1, 1, h, w) logits over all that the encoder sees."""
        assert self._ends.mask is not None
        height, width = self._ends.mask.shape[2:]
        size = height or frame.whole[0] // _COARSER, width or frame.whole[1] // _COARSER
        if before is not None:
            logits = before.logits[0]
            if not self._coarse:
                logits = self._filled(logits, frame, -_SURE)
            return np.asarray(cv2.resize(logits, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)[None, None]
        inside = cv2.resize(start.view(np.uint8) * np.float32(1), frame.content[::-1], interpolation=cv2.INTER_AREA)
        whole = self._filled(np.asarray(inside, np.float32), frame, 0.0)
        share = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
        return (np.asarray(share, np.float32) * np.float32(2 * _SURE) - np.float32(_SURE))[None, None]

    @staticmethod
    def _filled(values: NDArray[np.float32], frame: EncoderFrame, rest: float) -> NDArray[np.float32]:
        whole = np.full(frame.whole, rest, np.float32)
        whole[: frame.content[0], : frame.content[1]] = resized_scores(values, frame.content)
        return whole

    def _mask(self, logits: NDArray[np.float32], frame: EncoderFrame) -> Mask:
        """(H, W) bool of the image, as SAM's ``mask_postprocessing``: enlarged to what the encoder sees, cut, enlarged to the
        image.
        """
        if self._coarse:
            logits = resized_scores(logits, frame.whole)[: frame.content[0], : frame.content[1]]
        mask = np.zeros(frame.image, np.bool_)
        scale = logits.shape[1] / frame.image[1], logits.shape[0] / frame.image[0]
        box, inside = above(np.ascontiguousarray(logits), scale, frame.image, 0.0)
        mask[box.slices] = inside
        return mask


def resized_scores(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w) scores at another (H, W), bilinear."""
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def image_input(graph: Graph, inputs: Sequence[Tensor]) -> Tensor:
    """The input that takes the image.

    Raises:
        WeightsError: there is none, or there are several.
    """
    found = [tensor for tensor in inputs if is_image(tensor)]
    if len(found) != 1 or len(inputs) != 1:
        raise unfit(graph, message("It takes {inputs}, not one image of three colours", inputs=shapes(inputs)))
    return found[0]


def is_image(tensor: Tensor) -> bool:
    """(N, 3, H, W), (3, H, W) or (H, W, 3)."""
    shape = tensor.shape
    if len(shape) == 4:
        return shape[1] == 3 and shape[0] in (1, None)
    return len(shape) == 3 and 3 in (shape[0], shape[2])


def sources(encoder: Graph, decoder: Graph, features: Sequence[Tensor]) -> dict[str, str]:
    """Which output of the encoder is which input of the decoder: by name, else by shape.

    Raises:
        WeightsError: one has no partner, or several.
    """
    names = {out.name: out for out in encoder.outputs}
    found = {tensor.name: tensor.name for tensor in features if tensor.name in names}
    for tensor in features:
        if tensor.name in found:
            continue
        rest = [out for name, out in names.items() if name not in found.values()]
        fitting = rest if len(rest) == 1 == len(features) - len(found) else [out for out in rest if out.shape == tensor.shape]
        if len(fitting) != 1:
            raise unfit(
                decoder,
                message(
                    "Its input {name} is none of what {encoder} gives: {outputs}",
                    name=shapes([tensor]), encoder=encoder.path.name, outputs=shapes(encoder.outputs),
                ),
            )  # fmt: skip
        found[tensor.name] = fitting[0].name
    for tensor in features:
        given = names[found[tensor.name]].shape
        if len(given) != len(tensor.shape) or any(a != b for a, b in zip(given, tensor.shape, strict=True) if a and b):
            raise unfit(
                decoder,
                message(
                    "Its input {name} does not fit {output} of {encoder}",
                    name=shapes([tensor]), output=shapes([names[found[tensor.name]]]), encoder=encoder.path.name,
                ),
            )  # fmt: skip
    return found
