"""Features of a network's encoder for one image, pooled to a few vectors: what "more like this" compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.similarity import Vectors, pooled_vectors
from deeplab_core.errors import ComputeError, message
from deeplab_core.geometry import Box
from deeplab_core.inference.geometry import frame_for
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.network import canvas_for
from deeplab_core.inference.pixels import RGB, check_rgb, resize_rgb
from deeplab_core.inference.predictor import Predictor
from deeplab_core.networks import GraphNetwork
from deeplab_core.parallel import IsCancelled

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Longer side, px, that an image is shrunk to first: its content is seen at that size, and a folder takes a part of the time.
SIDE = 512


def embed(predictor: Predictor, rgb: RGB, *, region: Box | None = None, cancel: IsCancelled | None = None) -> Vectors:
    """The vectors of an image, or of a region of it.

    The features are the encoder's output, before any pyramid or decoder. Of a network that has no encoder of its own they are the
    smallest feature map of more than one cell; of several, the last of those with most channels.

    Args:
        predictor: of the network.
        rgb: (H, W, 3) uint8, oriented.
        region: in image pixels; None gives the whole image and its parts.
        cancel: asked before every layer.

    Returns:
        (1, C) or (10, C) float16, see :func:`~deeplab_core.analysis.similarity.pooled_vectors`.

    Raises:
        ComputeError: the network is a graph that does not give its features (ours do), or compiled by TorchScript.
        Cancelled: ``cancel`` returned True.
    """
    check_rgb(rgb, predictor.model.in_channels)
    model, card = predictor.model, predictor.card
    height, width = rgb.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    small = resize_rgb(rgb, (max(round(height * shrink), 1), max(round(width * shrink), 1)))
    frame = frame_for(
        (small.shape[0], small.shape[1]), card.preprocessing, align_corners=model.align_corners, minimum_side=model.minimum_side
    )
    canvas = canvas_for(model, resize_rgb(small, frame.scaled), card.preprocessing, predictor.device, frame)
    monitor = ProgressMonitor(cancel, None)
    monitor.check()
    window: Any = canvas.window(0, 0, *frame.canvas)  # an array for a graph, else a tensor
    features = _of_graph(model, window) if isinstance(model, GraphNetwork) else _of_layers(model, window, monitor)
    # Padding at the bottom and right is no part of the image.
    rows, columns = (
        max(round(cells * scaled / whole), 1)
        for cells, scaled, whole in zip(features.shape[1:], frame.scaled, frame.canvas, strict=True)
    )
    shares = None
    if region is not None:
        shares = (
            region.x / width, region.y / height, (region.x + region.width) / width, (region.y + region.height) / height,
        )  # fmt: skip
    return pooled_vectors(np.ascontiguousarray(features[:, :rows, :columns]), shares)


def _of_graph(model: GraphNetwork, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, h, w) features of an input."""
    found = model.features(x)
    if found is None:
        raise ComputeError(
            message("this model has no features to compare images by"),
            why=message("{engine} runs it as a finished graph, without layers to look into", engine=model.engine.name),
            remedy=message("Choose a model of safetensors or PyTorch weights"),
        )
    features: NDArray[np.float32] = found[0]
    return features


def _of_layers(model: nn.Module, x: Tensor, monitor: ProgressMonitor) -> NDArray[np.float32]:
    """(C, h, w) features of an input."""
    import torch

    with torch.inference_mode(), monitor.over(model):
        found: NDArray[np.float32] = _features(model, x)[0].float().cpu().numpy()
    return found


def _features(model: nn.Module, x: Tensor) -> Tensor:
    """(1, C, h, w) features of an input."""
    from torch import Tensor

    from deeplab_core.nn.base import Encoder
    from deeplab_core.nn.receptive import demand_layers

    encoder = next((part for part in model.modules() if isinstance(part, Encoder)), None)
    if encoder is not None:
        return encoder.levels(x)[-1]
    smallest: list[Tensor] = []

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        more = isinstance(output, Tensor) and output.ndim == 4 and output.shape[-2] * output.shape[-1] > 1
        if isinstance(output, Tensor) and more and (not smallest or _order(output) <= _order(smallest[0])):
            smallest[:] = [output]

    demand_layers(model, message("this model has no features to compare images by"))
    handles = [part.register_forward_hook(look) for part in model.modules() if not any(part.children())]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    if not smallest:
        raise ComputeError(
            message("this model has no features to compare images by"),
            remedy=message("Choose a network with convolutions"),
        )
    return smallest[0]


def _order(features: Tensor) -> tuple[int, int]:
    """Few cells first, then many channels."""
    return features.shape[-2] * features.shape[-1], -features.shape[1]
