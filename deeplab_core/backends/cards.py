"""Cards of graphs without classes and preprocessing in their file: documented defaults, each named as a guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeplab_core import model_cards as cards
from deeplab_core.backends.signature import Signature, TensorSpec
from deeplab_core.records import ModelCard, Preprocessing

#: Number of classes -> the catalog that networks of that many classes are nearly always trained on.
_CATALOGS = {11: "camvid11", 19: "cityscapes19", 21: "voc21", 34: "cityscapes34", 150: "ade20k150"}
#: Input range -1..1, the convention of TensorFlow's DeepLab and of MobileNets.
_SIGNED_UNIT = (127.5, 127.5, 127.5)


def guessed_card(path: Path, engine: str, signature: Signature, spec: TensorSpec, classes: int, align: bool | None) -> ModelCard:
    """The card of a graph that brings none.

    Args:
        path: its file, which it is called by.
        engine: ``"onnx"`` or ``"litert"``.
        spec: its input.
        classes: number of classes.
        align: the rule of its upsampling where the graph tells.
    """
    guessed = ["catalog", "preprocessing", "output_stride"]
    if align is None and signature.grid != signature.probed:  # without an upsampling there is no rule
        guessed.append("align_corners")
    title = {"onnx": "ONNX", "litert": "LiteRT"}[engine]
    what = "labels without scores" if signature.labels else "scores" if classes > 1 else "one score"
    names = "one class and the background" if classes == 1 else f"{classes} classes"
    return ModelCard(
        id="",
        name=path.stem,
        architecture={"name": engine},
        catalog=cards.catalog_for(_CATALOGS.get(classes), classes),
        preprocessing=_preprocessing(engine, signature, spec),
        align_corners=_aligned(signature) if align is None else align,
        output_stride=_stride(signature),
        output_strides=(_stride(signature),),
        summary=f"{title} graph, {names}, {what}; check class names and input",
        threshold=cards.THRESHOLD if classes == 1 else None,
        guessed=tuple(guessed),
    )


def _preprocessing(engine: str, signature: Signature, spec: TensorSpec) -> Preprocessing:
    mean, std = _normalisation(engine, spec)
    resize, padding = "native", "none"
    height, width = signature.size
    if height is not None and width is not None:
        resize, padding = (
            (f"long_side:{height}", f"canvas:{height}")
            if height == width
            else (f"fit:{height}x{width}", f"canvas:{height}x{width}")
        )
    return Preprocessing(mean=mean, std=std, resize=resize, padding=padding, pad_value=mean)


def _normalisation(engine: str, spec: TensorSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if np.issubdtype(spec.dtype, np.integer):
        # Raw pixels go in unchanged (shifted by 128 for a signed type): the normalisation is that of the quantisation.
        zero = spec.zero_point - int(np.iinfo(spec.dtype).min)
        unit = 1.0 / spec.scale if spec.scale else 1.0
        return (float(zero),) * 3, (unit,) * 3
    if engine == "litert":
        return _SIGNED_UNIT, _SIGNED_UNIT
    usual = Preprocessing()  # ImageNet's mean and deviation, as torchvision's and nearly all exported networks
    return usual.mean, usual.std


def _aligned(signature: Signature) -> bool:
    """TensorFlow's DeepLab takes 16 k + 1 pixels so that corners fall on features; other exports rarely have odd sizes."""
    (height, width), (rows, columns) = signature.probed, signature.grid
    if not (1 < rows < height and 1 < columns < width and height % 2 and width % 2):
        return False
    return (height - 1) % (rows - 1) == 0 and (width - 1) % (columns - 1) == 0


def _stride(signature: Signature) -> int:
    """Input pixels per score, but at least 16: tiles start on its multiples, and encoders look that coarsely behind decoders."""
    step = round((signature.probed[0] - 1) / max(1, signature.grid[0] - 1))
    return step if step > 16 or 16 % step else 16
