"""Small ONNX graphs with exactly the signatures of click networks: disks around positive points, less those around negative ones.

Every graph's answer can be computed by hand (:func:`disk`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

RADIUS = 12.0
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FAR = 1e4


def disk(size: tuple[int, int], at: Sequence[tuple[float, float]], radius: float = RADIUS) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with a centre nearer than ``radius`` to the centre of one of the pixels x, y."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.any([(x - px) ** 2 + (y - py) ** 2 < radius**2 for px, py in at], axis=0)


class Builder:
    """Writes a graph operation by operation."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def named(self, value: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def write(self, path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "clicks",
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs],
            self.tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path.write_bytes(model.SerializeToString())
        return path

    # What several graphs compute

    def range_of(self, shape: str, axis: int) -> str:
        """0, 1, 2, ... along an axis, as floats."""
        length = self("Gather", shape, self.constant(axis, np.int64))
        steps = self("Range", self.constant(0, np.int64), length, self.constant(1, np.int64))
        return self("Cast", steps, to=TensorProto.FLOAT)

    def nearest(self, points: str, valid: str, rows: str, columns: str) -> str:
        """(h, w) squared distance to the nearest of (N, 2) points x, y with ``valid`` (N,) 1; 1e8 if there is none."""
        axis2, last = self.constant([2], np.int64), self.constant([1, 2], np.int64)
        x = self("Unsqueeze", self("Slice", points, *self.span(0, 1, 1)), axis2)
        y = self("Unsqueeze", self("Slice", points, *self.span(1, 2, 1)), axis2)
        columns = self("Unsqueeze", columns, self.constant([0, 1], np.int64))
        rows = self("Unsqueeze", rows, self.constant([0, 2], np.int64))
        across, down = self("Sub", columns, x), self("Sub", rows, y)
        squares = self("Add", self("Mul", across, across), self("Mul", down, down))
        none = self("Unsqueeze", self("Sub", self.constant(1.0), valid), last)
        squares = self("Add", squares, self("Mul", none, self.constant(FAR**2)))
        return self("ReduceMin", squares, self.constant([0], np.int64), keepdims=0)

    def span(self, start: int, stop: int, axis: int) -> tuple[str, str, str]:
        return tuple(self.constant([value], np.int64) for value in (start, stop, axis))  # type: ignore[return-value]

    def score(self, near: str, far: str, radius: float) -> str:
        """Logit: how far inside of the positive disks, unless inside of a negative one."""
        inside = self("Sub", self.constant(radius), self("Sqrt", near))
        outside = self("Sub", self("Sqrt", far), self.constant(radius))
        return self("Min", inside, outside)


def ritm(
    path: Path,
    *,
    channels: int = 4,
    size: tuple[int, int] | None = None,
    normalised: bool = True,
    separate_mask: bool = False,
    size_input: bool = False,
    room: int | None = None,
    keep_mask: bool = False,
    radius: float = RADIUS,
    kind: int = TensorProto.FLOAT,
) -> Path:
    """RITM, FocalClick, SimpleClick: ``instances`` are disks around ``points``; ``keep_mask`` adds the mask so far to them.

    ``normalised``: ImageNet's mean and deviation are among its constants, as in ``BatchImageNormalize``.
    """
    b = Builder()
    side: list[Any] = list(size) if size else ["height", "width"]
    image = b("Cast", "image", to=TensorProto.FLOAT)
    if normalised:
        rgb = b("Slice", image, *b.span(0, 3, 1))
        mean, std = (b.constant(np.reshape(values, (1, 3, 1, 1))) for values in (MEAN, STD))
        rest = b("ReduceSum", b("Mul", b("Div", b("Sub", rgb, mean), std), b.constant(0.0)), keepdims=0)
    else:
        rest = b("ReduceSum", b("Mul", image, b.constant(0.0)), keepdims=0)
    points = b("Squeeze", b("Cast", "points", to=TensorProto.FLOAT), b.constant([0], np.int64))
    halves = b("Split", points, axis=0, num_outputs=2)
    b.nodes[-1].output.append("second")
    near = []
    shape = b("Shape", image)
    rows, columns = b.range_of(shape, 2), b.range_of(shape, 3)
    for half in (halves, "second"):
        y, x, order = (b("Slice", half, *b.span(n, n + 1, 1)) for n in range(3))
        valid = b(
            "Cast", b("GreaterOrEqual", b("Squeeze", order, b.constant([1], np.int64)), b.constant(0.0)), to=TensorProto.FLOAT
        )
        near.append(b.nearest(b("Concat", x, y, axis=1), valid, rows, columns))
    logits = b("Unsqueeze", b("Add", b.score(near[0], near[1], radius), rest), b.constant([0, 1], np.int64))
    if keep_mask:
        mask = b("Slice", image, *b.span(3, 4, 1)) if channels == 4 else b("Cast", "prev_mask", to=TensorProto.FLOAT)
        logits = b("Max", logits, b("Mul", b("Sub", mask, b.constant(0.5)), b.constant(50.0)))
    b.named(b("Cast", logits, to=kind), "instances")
    inputs: list[Any] = [("image", kind, [1, channels, *side]), ("points", kind, [1, room or "points", 3])]
    if separate_mask:
        inputs.append(("prev_mask", kind, [1, 1, *side]))
    if size_input:
        inputs.append(("size", TensorProto.INT64, [2]))
    return b.write(path, inputs, [("instances", kind, [1, 1, None, None])])


def encoder(
    path: Path,
    outputs: Sequence[tuple[str, tuple[int, int, int]]] = (("image_embeddings", (256, 64, 64)),),
    *,
    name: str = "input_image",
    shape: Sequence[Any] = (1, 3, 1024, 1024),
    kind: int = TensorProto.FLOAT,
    constants: Sequence[float] = (),
) -> Path:
    """Features that are all the mean of the image, so that a decoder shows what the encoder was given."""
    b = Builder()
    mean = b("ReduceMean", b("Cast", name, to=TensorProto.FLOAT), keepdims=0)
    if constants:
        mean = b("Add", mean, b("ReduceSum", b("Mul", b.constant(constants), b.constant(0.0)), keepdims=0))
    for output, size in outputs:
        b.named(b("Expand", mean, b.constant([1, *size], np.int64)), output)
    return b.write(path, [(name, kind, list(shape))], [(output, TensorProto.FLOAT, [1, *size]) for output, size in outputs])


def decoder(
    path: Path,
    features: Sequence[tuple[str, tuple[int, int, int]]] = (("image_embeddings", (256, 64, 64)),),
    *,
    points: str = "point_coords",
    mask_input: bool = True,
    size_input: int | None = TensorProto.FLOAT,
    outputs: Sequence[str] = ("masks", "iou_predictions", "low_res_masks"),
    side: int = 1024,
    radii: Sequence[float] = (30.0, 60.0, 15.0),
    scores: Sequence[float] = (0.5, 0.9, 0.1),
    label_kind: int = TensorProto.FLOAT,
    low: int = 256,
) -> Path:
    """Disks of some radii (px of the encoder) around the points, with given scores. Two corners are a box: all of it.

    The masks' grid has ``side / low`` px a point; ``masks`` at the size that is asked for cover the upper left part of it. A mask
    that is given (with its indicator) is united with the disks. Without ``size_input`` the first output holds the coarse masks.
    """
    b = Builder()
    batched = points.startswith(("batched", "input"))
    label_name = points.replace("coords", "labels").replace("points", "labels")
    coords = b("Reshape", points, b.constant([-1, 2], np.int64))
    labels = b("Reshape", b("Cast", label_name, to=TensorProto.FLOAT), b.constant([-1], np.int64))
    first = b("Mul", b("ReduceMean", features[0][0], keepdims=0), b.constant(0.0))
    for name, _ in features[1:]:
        first = b("Add", first, b("Mul", b("ReduceMean", name, keepdims=0), b.constant(0.0)))
    step = side / low

    def grid(shape: str | None) -> tuple[str, str]:
        if shape is None:
            ahead = b.constant((np.arange(low) + 0.5) * step - 0.5)
            return ahead, ahead
        return b.range_of(shape, 0), b.range_of(shape, 1)

    def answer(rows: str, columns: str) -> str:
        def of(value: float) -> str:
            return b("Cast", b("Equal", labels, b.constant(value)), to=TensorProto.FLOAT)

        near, far = b.nearest(coords, of(1.0), rows, columns), b.nearest(coords, of(0.0), rows, columns)
        found = [b.score(near, far, radius) for radius in radii]
        # The larger of both distances along x and y to the corners, inside of both: within the box.
        low_x, low_y, high_x, high_y = (
            b(
                "ReduceSum",
                b("Mul", b("Squeeze", b("Slice", coords, *b.span(axis, axis + 1, 1)), b.constant([1], np.int64)), of(sign)),
                keepdims=0,
            )
            for sign, axis in ((2.0, 0), (2.0, 1), (3.0, 0), (3.0, 1))
        )
        columns, rows = b("Unsqueeze", columns, b.constant([0], np.int64)), b("Unsqueeze", rows, b.constant([1], np.int64))
        inside = b(
            "Min",
            b("Min", b("Sub", columns, low_x), b("Sub", high_x, columns)),
            b("Min", b("Sub", rows, low_y), b("Sub", high_y, rows)),
        )
        boxed = b("ReduceSum", of(2.0), keepdims=0)
        inside = b("Sub", inside, b("Mul", b("Sub", b.constant(1.0), boxed), b.constant(FAR)))
        found = [b("Min", b("Max", one, inside), b("Sub", b("Sqrt", far), b.constant(radii[0]))) for one in found]
        return b("Add", b("Concat", *[b("Unsqueeze", one, b.constant([0, 1], np.int64)) for one in found], axis=1), first)

    coarse = answer(*grid(None))
    if mask_input:
        given = b("Mul", b("Sub", "mask_input", b.constant(0.0)), "has_mask_input")
        nothing = b("Mul", b("Sub", "has_mask_input", b.constant(1.0)), b.constant(FAR))
        coarse = b("Max", coarse, b("Add", given, nothing))
    made = {}
    shape = "orig_im_size" if size_input is not None else None
    if shape is not None:
        whole = answer(*grid(b("Cast", shape, to=TensorProto.INT64)))
        made[outputs[0]] = b("Unsqueeze", whole, b.constant([0], np.int64)) if batched else whole
    else:
        made[outputs[0]] = b("Unsqueeze", coarse, b.constant([0], np.int64)) if batched else coarse
    made[outputs[1]] = b("Reshape", b.constant(scores), b.constant([1, 1, -1] if batched else [1, -1], np.int64))
    if len(outputs) > 2:
        made[outputs[2]] = coarse
    for name, value in made.items():
        b.named(value, name)
    lead: list[Any] = [1, 1] if batched else [1]
    inputs: list[Any] = [(name, TensorProto.FLOAT, [1, *size]) for name, size in features]
    inputs += [(points, TensorProto.FLOAT, [*lead, "n", 2]), (label_name, label_kind, [*lead, "n"])]
    if mask_input:
        inputs += [("mask_input", TensorProto.FLOAT, [1, 1, low, low]), ("has_mask_input", TensorProto.FLOAT, [1])]
    if size_input is not None:
        inputs.append(("orig_im_size", size_input, [2]))
    shapes = {outputs[0]: [*lead, None, None, None], outputs[1]: [*lead, None]}
    return b.write(path, inputs, [(name, TensorProto.FLOAT, shapes.get(name, [1, None, None, None])) for name in made])
