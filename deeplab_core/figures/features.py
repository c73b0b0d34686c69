"""Figures of one image: features at two resolutions, two ways back up, the pyramid's branches, and steps of the CRF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.errors import AtrousError, message
from deeplab_core.figures.record import DrawnFigure, FigureInputs
from deeplab_core.figures.style import RAMP, panels, show_picture
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.masks.export.masks import color_table
from deeplab_core.nn.layers import bilinear_kernel
from deeplab_core.nn.models.deeplab import ASPP, DeepLab
from deeplab_core.refine import DenseCRF, ProbabilitySource, preset

#: Longest side of the image in figures that show single features.
_SMALL = 128
#: Iterations of mean field that are shown (DeepLab v1, figure 2, shows 1, 2 and 10).
CRF_STEPS = (0, 1, 2, 5, 10)


def grey(image: NDArray[np.uint8], longest: int = _SMALL) -> NDArray[np.float32]:
    """(h, w) float32 luminance 0..1 (ITU-R BT.601), shrunk by area to ``longest`` px at most; sides are multiples of 4."""
    luminance = torch.from_numpy(image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255.0)
    factor = longest / max(luminance.shape)
    height, width = (max(4, 4 * round(side * factor / 4)) for side in luminance.shape)
    small = functional.interpolate(luminance[None, None], size=(height, width), mode="area")
    shrunk: NDArray[np.float32] = small[0, 0].numpy()
    return shrunk


def _edge_kernel() -> Tensor:
    """(1, 1, 7, 7) derivative of a Gaussian along x, the kernel of DeepLab v2, figure 3."""
    place = torch.arange(7, dtype=torch.float32) - 3
    bell = torch.exp(-(place**2) / 4.5)
    kernel = bell[:, None] * (-place * bell)[None, :]
    return (kernel / kernel.abs().sum())[None, None]


def atrous_or_downsample(inputs: FigureInputs) -> DrawnFigure:
    """The same kernel on a halved image and, with rate 2, on the whole one."""
    assert inputs.image is not None
    picture = torch.from_numpy(grey(inputs.image))[None, None]
    kernel = _edge_kernel()
    # Halving keeps every second pixel of the low-passed image, as a strided network sees it.
    halved = functional.avg_pool2d(picture, 2)
    coarse = functional.conv2d(functional.pad(halved, (3,) * 4, mode="replicate"), kernel)
    sparse = torch.zeros_like(picture)
    sparse[..., ::2, ::2] = coarse
    dense = functional.conv2d(functional.pad(picture, (6,) * 4, mode="replicate"), kernel, dilation=2)
    figure, axes = panels(4, width=2.4, height=2.4)
    shown = [
        ("image", picture, "gray"),
        ("halved, 7x7 kernel: response", coarse.abs(), RAMP),
        ("the same, put back", sparse.abs(), RAMP),
        ("7x7 kernel of rate 2: response", dense.abs(), RAMP),
    ]
    rows = []
    for axis, (name, values, ramp) in zip(axes[0], shown, strict=True):
        array = values[0, 0].numpy()
        show_picture(axis, array, name, ramp=ramp)
        if name != "image":
            rows.append({"map": name, "height": array.shape[0], "width": array.shape[1], "responses": int((array != 0).sum())})
    size = picture.shape[-2:]
    return DrawnFigure(
        figure=figure, rows=rows, parameters={"image": inputs.image_name, "size": list(size), "kernel": 7, "rate": 2}
    )


def upsampling(inputs: FigureInputs) -> DrawnFigure:
    """Two poolings, and two ways back: unpooling at the kept places, and transposed convolution with a bilinear kernel."""
    assert inputs.image is not None
    picture = torch.from_numpy(grey(inputs.image))[None, None]
    first, places = functional.max_pool2d_with_indices(picture, [2, 2])
    second, deeper = functional.max_pool2d_with_indices(first, [2, 2])
    unpooled = functional.max_unpool2d(functional.max_unpool2d(second, deeper, [2, 2]), places, [2, 2])
    kernel = bilinear_kernel(4)[None, None]
    smooth = functional.conv_transpose2d(
        functional.conv_transpose2d(second, kernel, stride=2, padding=1), kernel, stride=2, padding=1
    )
    figure, axes = panels(4, width=2.4, height=2.4)
    shown = [
        ("image", picture),
        ("pooled twice", second),
        ("unpooled twice", unpooled),
        ("transposed convolution, twice", smooth),
    ]
    rows = []
    for axis, (name, values) in zip(axes[0], shown, strict=True):
        array = values[0, 0].numpy()
        show_picture(axis, array, name, ramp="gray")
        same = array.shape == tuple(picture.shape[-2:])
        error = float((values - picture).square().mean().sqrt()) if same else None
        rows.append(
            {"map": name, "filled_share": round(float((array != 0).mean()), 6),
             "rms_difference": None if error is None else round(error, 6)}
        )  # fmt: skip
    return DrawnFigure(figure=figure, rows=rows, parameters={"image": inputs.image_name, "pooling": 2, "times": 2})


@contextmanager
def _outputs(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    """Outputs of modules while a network runs, in the order of the modules."""
    found: dict[int, Tensor] = {}

    def note(module: nn.Module, _: object, out: Tensor) -> None:
        found[id(module)] = out.detach()

    hooks = [module.register_forward_hook(note) for module in modules]
    kept: list[Tensor] = []
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
        kept.extend(found[id(module)] for module in modules if id(module) in found)


def pyramid(inputs: FigureInputs) -> DrawnFigure:
    """Mean activation of every branch of atrous spatial pyramid pooling.

    Raises:
        AtrousError: the network has no such pyramid.
    """
    assert inputs.image is not None
    named = inputs.models[0]
    predictor = Predictor(named.model, named.card, PredictOptions(device="cpu"))
    model = predictor.model
    if not isinstance(model, DeepLab) or not isinstance(model.aspp, ASPP):
        raise AtrousError(
            message("{model} has no atrous spatial pyramid", model=named.name),
            remedy=message("Choose a DeepLabv3 or DeepLabv3+ with --model"),
        )
    branches = list(model.aspp.branches)
    stride = model.output_stride
    scale = 16 // stride if stride <= 16 else 1
    rates = [max(1, rate * 16 // stride) if model.options.scale_rates else rate for rate in model.options.atrous_rates]
    names = ["1x1", *(f"3x3, rate {rate}" for rate in rates)]
    modules = [*branches, *([model.aspp.pooling] if model.aspp.pooling is not None else [])]
    with _outputs(modules) as found, torch.no_grad():
        predictor.scores(inputs.image)
    maps = [values[0].float().clamp(min=0).mean(0).numpy() for values in found]
    if model.aspp.pooling is not None:
        names.append("image pooling")
        maps[-1] = np.full_like(maps[0], float(maps[-1].mean()))
    figure, axes = panels(len(maps) + 1, width=2.0, height=2.2)
    show_picture(axes[0, 0], inputs.image, "image")
    rows = []
    for axis, name, values in zip(axes[0, 1:], names, maps, strict=True):
        show_picture(axis, values, name, ramp=RAMP)
        rows.append(
            {"branch": name, "mean_activation": round(float(values.mean()), 6), "largest": round(float(values.max()), 6),
             "std_over_positions": round(float(values.std()), 6)}
        )  # fmt: skip
    parameters = {"image": inputs.image_name, "model": named.name, "output_stride": stride, "rate_factor": scale}
    return DrawnFigure(figure=figure, rows=rows, parameters=parameters)


def crf_steps(inputs: FigureInputs) -> DrawnFigure:
    """Labels before the CRF and after 1, 2, 5 and 10 steps of mean field."""
    assert inputs.image is not None
    named = inputs.models[0]
    scores = Predictor(named.model, named.card, PredictOptions(device="cpu")).scores(inputs.image)
    params = preset("v2")
    source = ProbabilitySource.of_scores(scores)
    colours = color_table(named.card.catalog)
    before, _ = scores.label_map(None)
    figure, axes = panels(len(CRF_STEPS) + 1, width=2.0, height=2.2)
    show_picture(axes[0, 0], inputs.image, "image")
    rows, last = [], before
    for axis, steps in zip(axes[0, 1:], CRF_STEPS, strict=True):
        labels = before
        if steps:
            crf = DenseCRF(inputs.image, replace(params, iterations=steps))
            labels = crf.marginals(source).labels(np.asarray(named.card.catalog.ids))
        changed = float((labels != before).mean())
        moved = float((labels != last).mean())
        last = labels
        show_picture(axis, colours[labels], "network" if not steps else f"{steps} step{'s' if steps > 1 else ''}")
        axis.set_xlabel("" if not steps else f"{changed:.2%} of pixels changed")
        rows.append({"steps": steps, "changed_share": round(changed, 6), "changed_since_last_share": round(moved, 6)})
    parameters = {"image": inputs.image_name, "model": named.name, "crf": "v2"}
    return DrawnFigure(figure=figure, rows=rows, parameters=parameters)
