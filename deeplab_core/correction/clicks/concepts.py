"""SAM 3 pairs without text: points and boxes as examples of a concept.

Signature (https://github.com/vietanhdev/samexporter, samexporter/export_sam3.py and sam3_onnx.py): the encoder takes bytes
(3, 1008, 1008), the image stretched, and gives three maps of features with three of positions. The decoder takes them with
boxes (N, 1, 4) of centre, width and height relative to the image, their labels (N, 1), and True in (1, N) where a row is none;
a point is a box of 1 % of the image. Where a text encoder would come in, zeros do (``SAM3ImageDecoder``). It answers with every
object of the kind, of which those under a positive click or the box are taken.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.clicks.graphs import (
    BYTES,
    Clicks,
    Colours,
    Graph,
    ImageNames,
    Store,
    above,
    fed,
    resized,
    shapes,
    unfit,
)
from deeplab_core.correction.clicks.pairs import PAIR_REMEDY, image_input, sources
from deeplab_core.errors import ComputeError, message
from deeplab_core.geometry import Box
from deeplab_core.parallel import IsCancelled
from deeplab_core.regions import Mask

_SIDE = 1008
#: Sides of the box that stands for a point, relative to the image's.
_POINT = 0.01
#: Candidates that are offered at most.
_MOST = 4
#: Normalisation of an encoder that takes floats: to -1..1.
_HALVES = Colours(1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
#: What a decoder takes besides features; rows and columns of masks that are asked for.
_PROMPT: Final = ("box_coords", "box_labels", "box_masks")
_SIZES: Final = ("original_height", "original_width")


def is_concept_decoder(graph: Graph) -> bool:
    """Whether a graph takes SAM 3's boxes."""
    return set(_PROMPT) <= {tensor.name for tensor in graph.inputs}


class ConceptPair:
    """SAM 3's encoder and decoder.

    Negative clicks alone ask for the object under them, to be taken from the class.

    Raises:
        WeightsError: the two do not fit each other, or have another signature.
    """

    def __init__(self, encoder: Graph, decoder: Graph) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._inputs = {tensor.name: tensor for tensor in decoder.inputs}
        self._image = image_input(encoder, encoder.inputs)
        known = (*_PROMPT, *_SIZES)
        self._empty = [tensor for name, tensor in self._inputs.items() if name.startswith("language_")]
        features = [tensor for name, tensor in self._inputs.items() if name not in known and tensor not in self._empty]
        if not features or any(None in tensor.shape for tensor in self._empty):
            raise unfit(decoder, message("It takes {inputs} and gives {outputs}", inputs=shapes(decoder.inputs),
                                         outputs=shapes(decoder.outputs)))  # fmt: skip
        self._sources = sources(encoder, decoder, features)
        names = [out.name for out in decoder.outputs]
        self._raw = "pred_masks" in names
        self._outputs = ["pred_masks", "pred_logits"] if self._raw else ["masks", "scores"]
        if not set(self._outputs) <= set(names):
            raise unfit(decoder, message("It gives {outputs}, no masks with scores", outputs=shapes(decoder.outputs)))
        self.title = f"concept network, {decoder.title}"
        self.notes: tuple[str, ...] = ()
        self._names = ImageNames()
        self._features: Store[dict[str, NDArray[Any]]] = Store()

    def prepare(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None = None) -> None:
        """Compute the features of an image, or find them."""
        self._of_image(rgb, cancel)

    def _of_image(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None) -> dict[str, NDArray[Any]]:
        name = self._names.of(rgb)
        kept = self._features.find(name)
        if kept is None:
            shape = self._image.shape
            size = shape[-2] or _SIDE, shape[-1] or _SIDE
            colours = BYTES if self._image.dtype == np.uint8 else _HALVES
            planes = colours.of(resized(rgb, size)).transpose(2, 0, 1)
            pixels = fed(planes if len(shape) == 3 else planes[None], self._image)
            outputs = list(self._sources.values())
            found = self._encoder.run({self._image.name: pixels}, outputs, remedy=PAIR_REMEDY, cancel=cancel)
            kept = dict(zip(self._sources, found, strict=True))
            self._features.keep(name, kept, sum(array.nbytes for array in kept.values()))
        return kept

    def masks(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float] | None,
        previous: Mask,
        cancel: IsCancelled | None = None,
    ) -> list[Mask]:
        """See the protocol: objects under a positive click or in the box, by score."""
        taking = box is None and not positive.any()
        clicks = Clicks(points, np.ones_like(positive) if taking else positive, box)
        features = self._of_image(rgb, cancel)
        image = rgb.shape[0], rgb.shape[1]
        feeds = {name: fed(features[name], self._inputs[name]) for name in self._sources}
        feeds |= {tensor.name: np.zeros([side or 1 for side in tensor.shape], tensor.dtype) for tensor in self._empty}
        feeds |= self._prompt(clicks, image)
        scale = min(_SIDE / max(image), 1.0)
        for name, side in zip(_SIZES, image, strict=True):
            if name in self._inputs:
                feeds[name] = fed(np.full([side_ or 1 for side_ in self._inputs[name].shape], max(round(side * scale), 1)),
                                  self._inputs[name])  # fmt: skip
        raw, scores = self._decoder.run(feeds, self._outputs, remedy=PAIR_REMEDY, cancel=cancel)
        grids = raw.reshape(-1, *raw.shape[-2:])
        if scores.size != len(grids):
            raise ComputeError(
                message("the click network's answer is not a mask"),
                why=message("it gave {masks} masks with {scores} scores", masks=raw.shape, scores=scores.size),
                remedy=message("Choose another click network"),
                path=self._decoder.path,
            )
        # True and False become 1 and -1, so that an outline runs between their pixels.
        logits = (
            grids.astype(np.float32) if grids.dtype.kind == "f" and self._raw else (grids > 0) * np.float32(2) - np.float32(1)
        )
        found = []
        for number in np.argsort(-scores.ravel(), kind="stable").tolist():
            mask = self._mask(logits[number], image)
            if _meant(mask, clicks):
                found.append(previous & ~mask if taking else mask)
            if len(found) == _MOST:
                break
        return found

    def _prompt(self, clicks: Clicks, image: tuple[int, int]) -> dict[str, NDArray[Any]]:
        """Boxes, labels and the rows that are none; of more than fit the newest."""
        size = np.array(image[::-1], np.float64)
        rows = np.column_stack([(clicks.pixels + 0.5) / size, np.full((len(clicks), 2), _POINT)])
        labels = clicks.positive.astype(np.int64)
        fixed = self._inputs["box_coords"].shape[0]
        room = max(len(rows) + (clicks.box is not None), 1) if fixed is None else fixed
        if clicks.box is not None:
            corners = np.array(clicks.box, np.float64).reshape(2, 2) / size
            example = np.concatenate([corners.mean(axis=0), corners[1] - corners[0]])[None]
            newest = slice(max(len(rows) - room + 1, 0), None)
            rows, labels = np.concatenate([example, rows[newest]]), np.concatenate([[1], labels[newest]])
        rows, labels = rows[-room:], labels[-room:]
        coords, signs, none = np.zeros((room, 1, 4)), np.ones((room, 1)), np.ones((1, room), np.bool_)
        coords[: len(rows), 0], signs[: len(rows), 0], none[0, : len(rows)] = rows, labels, False
        given = zip(_PROMPT, (coords, signs, none), strict=True)
        return {name: fed(array, self._inputs[name]) for name, array in given}

    def _mask(self, logits: NDArray[np.float32], image: tuple[int, int]) -> Mask:
        mask = np.zeros(image, np.bool_)
        scale = logits.shape[1] / image[1], logits.shape[0] / image[0]
        box, inside = above(np.ascontiguousarray(logits), scale, image, 0.0)
        mask[box.slices] = inside
        return mask


def _meant(mask: Mask, clicks: Clicks) -> bool:
    """Whether a positive click hits an object, or the box holds most of it."""
    shown = clicks.pixels[clicks.positive]
    if len(shown):
        return bool(mask[shown[:, 1], shown[:, 0]].any())
    if clicks.box is None or not mask.any():
        return False
    left, top, right, bottom = clicks.box
    inside = Box.between(int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))).clipped(mask.shape)
    return bool(2 * np.count_nonzero(mask[inside.slices]) > np.count_nonzero(mask))
