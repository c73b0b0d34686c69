"""Click networks of one graph: RITM, FocalClick, SimpleClick and what is trained like them.

Signature (``ISModel.forward`` of https://github.com/SamsungLabs/ritm_interactive_segmentation, ``isegm/model/is_model.py``, which
https://github.com/XavierCHEN34/ClickSEG and https://github.com/uncbiag/SimpleClick share): an image (1, 3, H, W), 0..1, or
(1, 4, H, W) with the mask so far as its fourth channel; points (1, 2n, 3) of row, column and order, the positive ones first, each
half filled up with -1; out come logits (1, 1, H, W). Exports may have the mask as an input of its own (1, 1, H, W), and a pair of
whole numbers, the size of the answer.

FocalClick's second stage (``refine`` of ClickSEG's models takes ``cropped_image, cropped_points, full_feature, full_logits`` and
``bboxes``) is recognised and refused: no exporter of both stages is documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.clicks.graphs import (
    KEPT_STEPS,
    NORMALISED,
    UNIT,
    Clicks,
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
from deeplab_core.errors import ComputeError, WeightsError, message
from deeplab_core.geometry import Box
from deeplab_core.parallel import IsCancelled
from deeplab_core.regions import Mask

#: RITM's inference: the longest side of a whole image (``LimitLongestSide``), and of the part around the object after the first
#: click (``ZoomIn`` in isegm/inference/transforms/zoom_in.py): its size relative to the object, its least side in px, and the
#: overlap below which it moves.
_WHOLE, _ZOOMED = 800, 400
_EXPANSION, _LEAST_SIDE, _SAME_PART = 1.4, 200, 0.5
#: Side of the part around a first click that is looked at closely, px (as FocalClick's second look, arXiv 2204.02574).
_CLOSE = 160
#: Sides of graphs of free size are multiples of this, which every network with a decoder takes.
_GRAIN = 32
#: Probabilities above which a pixel is the object: the network's own, then a tighter and a looser outline.
_LIMITS: Final = (0.5, 0.75, 0.25)

_REMEDY = message("Choose another click network, or export it for images of any size")


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What the network said after some clicks.

    Attributes:
        part: of the image that it saw.
        logits: (h, w) float32 of that part, at the network's scale.
    """

    part: Box
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Which tensor is what."""

    image: Tensor
    points: Tensor
    previous: Tensor | None
    size: Tensor | None
    logits: Tensor

    @staticmethod
    def of(graph: Graph) -> _Ends:
        """Found by shape.

        Raises:
            WeightsError: something is missing, or an input remains that nothing is known for.
        """
        left = list(graph.inputs)
        if _is_refinement(left):
            raise _refinement(graph)
        points = _taken(left, [tensor for tensor in left if is_points(tensor)])
        image = _taken(left, [tensor for tensor in left if len(tensor.shape) == 4 and tensor.shape[1] in (3, 4)])
        previous = _taken(left, [tensor for tensor in left if len(tensor.shape) == 4 and tensor.shape[1] == 1])
        size = _taken(
            left, [tensor for tensor in left if len(tensor.shape) == 1 and np.issubdtype(tensor.dtype, np.integer)]
        )  # fmt: skip
        answers = [out for out in graph.outputs if len(out.shape) == 4 and out.shape[1] in (1, None) and out.dtype.kind == "f"]
        answers.sort(key=lambda out: out.shape[1] is None)  # features of a first stage may have a free number of channels
        if points is None or image is None or not answers:
            raise unfit(graph, message("It takes {inputs} and gives {outputs}", inputs=shapes(graph.inputs),
                                       outputs=shapes(graph.outputs)))  # fmt: skip
        if left:
            raise unfit(graph, message("Nothing is known for its inputs {inputs}", inputs=shapes(left)))
        if points.shape[1] is not None and (points.shape[1] % 2 or not points.shape[1]):
            raise unfit(graph, message("It takes {count} points, which are not two equal halves", count=points.shape[1]))
        if image.shape[1] == 4 and previous is not None:
            raise unfit(graph, message("It takes the mask so far twice"))
        return _Ends(image, points, previous, size, answers[0])


def _is_refinement(inputs: Sequence[Tensor]) -> bool:
    """Whether a graph takes what only a first stage can give: features or logits of the whole, and where the crop lies in it."""
    names = [tensor.name.lower() for tensor in inputs]
    return any("feature" in name for name in names) and any(word in name for name in names for word in ("logits", "box", "roi"))


def _refinement(graph: Graph) -> WeightsError:
    return WeightsError(
        message("this is the second stage of FocalClick, its local refinement, which Atrous does not run"),
        why=message("It takes {inputs}", inputs=shapes(graph.inputs)),
        remedy=message("Export the first stage alone (image, clicks and the mask so far), and choose that file"),
        path=graph.path,
    )


def is_points(tensor: Tensor) -> bool:
    """Whether a tensor takes clicks as rows of row, column and order."""
    telling = "point" in tensor.name.lower() or "click" in tensor.name.lower()
    return telling and len(tensor.shape) == 3 and tensor.shape[2] == 3


def _taken(left: list[Tensor], fitting: list[Tensor]) -> Tensor | None:
    if not fitting:
        return None
    left.remove(fitting[0])
    return fitting[0]


class ClickNetwork:
    """One graph that sees image, clicks and mask so far.

    The first click is answered from the whole image, or from the surroundings of the object that it hits in the mask so far;
    later ones from the surroundings of the object found (RITM's zoom). A first click is also answered from its close
    surroundings, if it was answered from much more: they show the outline of something small better. A box is a part of its own;
    without clicks its centre is the first one, since these networks were not trained with boxes, and nothing outside of it
    becomes the object.
    Each click continues from the answer to those before it, whatever was asked in between.

    Raises:
        WeightsError: another signature.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._ends = _Ends.of(graph)
        self._colours = colours_of(graph, NORMALISED)
        self.title = f"click network, {graph.title}"
        self.notes: tuple[str, ...] = ()
        if self._colours is not UNIT:
            self.notes = (
                message("The graph does not contain ImageNet's mean: colours are normalised before it, not inside of it."),
            )  # fmt: skip
        self._names = ImageNames()
        self._steps: Store[_Answer] = Store(most=KEPT_STEPS)

    def prepare(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None = None) -> None:
        """Nothing: such a network sees image and clicks together."""

    def masks(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float] | None,
        previous: Mask,
        cancel: IsCancelled | None = None,
    ) -> list[Mask]:
        """See the protocol: outlines at three probabilities, the network's own first; of the whole image and of a close look by
        turns.
        """
        clicks = Clicks(points, positive, box)
        if box is not None and not positive.any():
            centre = np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]])
            clicks = Clicks(np.concatenate([centre, points]), np.concatenate([[True], positive]), box)
        begun = self._names.of(rgb) + digest(np.packbits(previous))
        answer: _Answer | None = None
        for count in range(1, len(clicks) + 1):
            name = begun + clicks.first(count).key()
            kept = self._steps.find(name)
            if kept is None:
                part = _part(clicks.first(count), previous, answer)
                kept = self._step(rgb, clicks.first(count), part, previous, answer, cancel)
                self._steps.keep(name, kept, kept.logits.nbytes)
            answer = kept
        if answer is None:
            return []
        answers = [answer]
        close = _close(clicks, previous, answer.part) if len(clicks) == 1 and box is None else None
        if close is not None:
            name = begun + clicks.key() + b"close"
            kept = self._steps.find(name) or self._step(rgb, clicks, close, previous, None, cancel)
            self._steps.keep(name, kept, kept.logits.nbytes)
            answers.append(kept)
        return _outlines(answers, previous, box)

    def _step(
        self,
        rgb: NDArray[np.uint8],
        clicks: Clicks,
        part: Box,
        previous: Mask,
        before: _Answer | None,
        cancel: IsCancelled | None,
    ) -> _Answer:
        size = self._size(part, whole=part.size == previous.shape)
        image = self._colours.of(resized(rgb[part.slices], size)).transpose(2, 0, 1)[None]
        mask = _mask_so_far(part, size, previous, before)[None, None]
        ends = self._ends
        feeds = {ends.points.name: fed(_rows(clicks, part, size, ends.points.shape[1]), ends.points)}
        if ends.image.shape[1] == 4:
            image = np.concatenate([image, mask], axis=1)
        elif ends.previous is not None:
            feeds[ends.previous.name] = fed(mask, ends.previous)
        feeds[ends.image.name] = fed(image, ends.image)
        if ends.size is not None:
            feeds[ends.size.name] = fed(np.array(size), ends.size)
        raw = self._graph.run(feeds, [ends.logits.name], remedy=_REMEDY, cancel=cancel)[0]
        if raw.ndim != 4 or raw.shape[:2] != (1, 1) or not np.isfinite(raw).all():
            raise ComputeError(
                message("the click network's answer is not a mask"),
                why=message("it gave {shape}, where (1, 1, height, width) finite numbers are expected", shape=raw.shape),
                remedy=message("Choose another click network"),
                path=self._graph.path,
            )
        return _Answer(part, raw[0, 0].astype(np.float32))

    def _size(self, part: Box, *, whole: bool) -> tuple[int, int]:
        """(H, W) of the network's input for a part of the image: the graph's own where it has one, whatever the ratio of sides
        (as SimpleClick does).
        """
        scale = min((_WHOLE if whole else _ZOOMED) / max(part.size), 1.0 if whole else np.inf)
        free = [max(round(side * scale / _GRAIN), 1) * _GRAIN for side in part.size]
        height, width = self._ends.image.shape[2:]
        return height or free[0], width or free[1]


def _part(clicks: Clicks, previous: Mask, before: _Answer | None) -> Box:
    """Which part of the image a click is answered from."""
    whole = Box.whole(previous.shape)
    if clicks.box is not None:
        left, top, right, bottom = clicks.box
        inside = Box.between(int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))).clipped(previous.shape)
        return _surroundings(inside, previous.shape) if not inside.empty else whole
    if before is None:
        found = Box.around(clicked(previous, clicks.pixels))
        return whole if found is None else _surroundings(_with_clicks(found, clicks), previous.shape)
    box, mask = above(before.logits, _scale(before), before.part.size, 0.0)
    if not mask.any():
        return before.part
    wanted = _surroundings(_with_clicks(box.moved(before.part.x, before.part.y), clicks), previous.shape)
    shown = all(before.part.holds(Box(x, y, 1, 1)) for x, y in clicks.pixels[clicks.positive].tolist())
    overlap = wanted.intersected(before.part).area
    same = overlap / (wanted.area + before.part.area - overlap) >= _SAME_PART
    return before.part if before.part != whole and shown and same else wanted


def _close(clicks: Clicks, previous: Mask, seen: Box) -> Box | None:
    """The close surroundings of the only click, inside of the image; None if what was seen is hardly larger."""
    height, width = (min(_CLOSE, side) for side in previous.shape)
    if 2 * height * width > seen.area:
        return None
    (x, y), (rows, columns) = clicks.pixels[0].tolist(), previous.shape
    return Box(min(max(x - width // 2, 0), columns - width), min(max(y - height // 2, 0), rows - height), width, height)


def _with_clicks(box: Box, clicks: Clicks) -> Box:
    for x, y in clicks.pixels[clicks.positive].tolist():
        box = box.united(Box(x, y, 1, 1))
    return box


def _surroundings(box: Box, shape: tuple[int, ...]) -> Box:
    """RITM's ``expand_bbox`` and ``clamp_bbox``."""
    width, height = (max(round(side * _EXPANSION), _LEAST_SIDE) for side in (box.width, box.height))
    left, top = box.x - (width - box.width) // 2, box.y - (height - box.height) // 2
    return Box(left, top, width, height).clipped(shape)


def _scale(answer: _Answer) -> tuple[float, float]:
    """Points of its grid per pixel, along x and y."""
    return answer.logits.shape[1] / answer.part.width, answer.logits.shape[0] / answer.part.height


def _mask_so_far(part: Box, size: tuple[int, int], previous: Mask, before: _Answer | None) -> NDArray[np.float32]:
    """(H, W) 0..1: the answer before at the scale of this part, or the class as it is now."""
    if before is None:
        inside = previous[part.slices].astype(np.float32)
        return np.asarray(cv2.resize(inside, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    odds = 1 / (1 + np.exp(-np.clip(before.logits, -40, 40)))
    across, down = (new / old for new, old in zip(size[::-1], (part.width, part.height), strict=True))
    x, y = _scale(before)
    # From a point of this grid to one of the old: through image px, between centres.
    move = np.array([
        [x / across, 0, (0.5 / across + part.x - before.part.x) * x - 0.5],
        [0, y / down, (0.5 / down + part.y - before.part.y) * y - 0.5],
    ])  # fmt: skip
    return np.asarray(cv2.warpAffine(odds, move, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float32)


def _rows(clicks: Clicks, part: Box, size: tuple[int, int], room: int | None) -> NDArray[np.float32]:
    """(1, 2n, 3) row, column and order; clicks outside of the part are left out, of too many the oldest."""
    scale = np.array([size[1] / part.width, size[0] / part.height])
    at = (clicks.pixels + 0.5 - (part.x, part.y)) * scale - 0.5
    inside = ((clicks.pixels >= (part.x, part.y)) & (clicks.pixels < (part.right, part.bottom))).all(axis=1)
    halves = [np.flatnonzero(inside & (clicks.positive == sign)) for sign in (True, False)]
    n = room // 2 if room is not None else max(1, *(half.size for half in halves))
    rows = np.full((2, n, 3), -1, np.float32)
    for half, numbers in enumerate(halves):
        newest = numbers[-n:]
        rows[half, : newest.size] = np.column_stack([at[newest, 1], at[newest, 0], newest])
    return rows.reshape(1, 2 * n, 3)


def _outlines(answers: Sequence[_Answer], previous: Mask, box: tuple[float, float, float, float] | None) -> list[Mask]:
    """Masks of the image, one per limit and answer; outside of the part that the network saw the class stays as it is."""
    found: list[Mask] = []
    for limit, answer in product(_LIMITS, answers):
        mask = previous.copy()
        view = mask[answer.part.slices]
        view[:] = False
        place, inside = above(answer.logits, _scale(answer), answer.part.size, float(np.log(limit / (1 - limit))))
        view[place.slices] = inside
        if box is not None:
            within = np.zeros_like(mask)
            left, top, right, bottom = box
            within[max(int(top), 0) : int(np.ceil(bottom)), max(int(left), 0) : int(np.ceil(right))] = True
            mask &= within | previous
        if not any(np.array_equal(mask, other) for other in found):
            found.append(mask)
    return found
