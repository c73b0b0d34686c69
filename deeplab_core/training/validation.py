"""Validation: whole images, pooled confusion matrix, and the same inside the boundary band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deeplab_core.inference.geometry import NetworkFrame, axis_taps, frame_for
from deeplab_core.inference.pixels import to_network_channels
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.nn import SegmentationModel, class_logits
from deeplab_core.records import Preprocessing
from deeplab_core.training.dataset import TrainingData
from deeplab_core.training.distributed import TrainingGroup
from deeplab_core.training.losses import VOID
from deeplab_core.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found.

    Attributes:
        matrix: pooled over the images of all processes.
        bands: by distance to a class edge of the truth.
        loss: mean cross entropy per labelled pixel.
        band_px: width for :attr:`band_mean_iou`.
    """

    matrix: ConfusionMatrix
    bands: BandHistogram
    loss: float
    band_px: int

    @property
    def mean_iou(self) -> float:
        """Over the classes with a non-empty union."""
        return float(self.matrix.mean_iou().value)

    @property
    def compared_iou(self) -> float:
        """Over the classes of the ground truth, the same in every epoch: what the best epoch is chosen by."""
        return float(self.matrix.mean_iou("truth").value)

    @property
    def band_mean_iou(self) -> float:
        """Inside the band of :attr:`band_px` px around class edges."""
        return float(self.bands.inside(self.band_px).mean_iou().value)

    def to_dict(self) -> dict[str, Any]:
        """JSON values for logs and cards; absent classes are None."""
        iou = self.matrix.iou()
        return {
            "mean_iou": _rounded(self.mean_iou),
            "classes": self.matrix.mean_iou().classes,
            "mean_iou_truth": _rounded(self.compared_iou),
            "classes_truth": self.matrix.mean_iou("truth").classes,
            "pixel_accuracy": _rounded(float(self.matrix.pixel_accuracy())),
            f"band_{self.band_px}px_mean_iou": _rounded(self.band_mean_iou),
            "loss": _rounded(self.loss),
            "iou": {info.name: _rounded(float(value)) for info, value in zip(self.matrix.catalog.classes, iou, strict=True)},
        }


def validate(
    model: SegmentationModel,
    data: TrainingData,
    recipe: Recipe,
    group: TrainingGroup,
    *,
    preprocessing: Preprocessing | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Validation:
    """Predict every image whole, as the recipe's ``resize`` says, and compare at the truth's size.

    The band follows the edge rule, because many data sets have no void ring. Each process takes its share of the images.

    Args:
        preprocessing: how the network's input is prepared; None takes the recipe's values.
    """
    catalog = data.catalog
    ids = np.array([info.id for info in catalog.classes], dtype=catalog.dtype)
    histogram = BandHistogram(catalog, rule="edge")
    prepared = preprocessing or Preprocessing(mean=recipe.mean, std=recipe.std, resize=recipe.resize, pad_value=recipe.mean)
    mean, std, pad = (
        torch.tensor(values, device=group.device).view(1, -1, 1, 1)
        for values in (prepared.mean, prepared.std, prepared.pad_value)
    )
    pad = (pad - mean) / std
    loss = torch.zeros(2, dtype=torch.float64)
    was_training = model.training
    model.eval()
    share = len(range(group.rank, len(data), group.world))
    with torch.inference_mode():
        for done, (rgb, channels) in enumerate(data.share(group.rank, group.world), start=1):
            shape = (rgb.shape[0], rgb.shape[1])
            pixels = np.ascontiguousarray(to_network_channels(rgb, prepared.channel_order))
            x = torch.from_numpy(pixels).to(group.device).permute(2, 0, 1).unsqueeze(0).float()
            frame = frame_for(shape, prepared, align_corners=model.align_corners, minimum_side=model.minimum_side)
            content = frame.content or frame.canvas
            if frame.scaled != shape:
                x = functional.interpolate(x, size=frame.scaled, mode="bilinear", align_corners=False)
            x = (x - mean) / std
            if content != frame.scaled:
                canvas = pad.expand(1, pad.shape[1], *content).clone()
                canvas[..., : frame.scaled[0], : frame.scaled[1]] = x
                x = canvas
            lacking = (0, frame.canvas[1] - content[1], 0, frame.canvas[0] - content[0])
            x = functional.pad(x, lacking, mode="replicate")
            coarse = class_logits(model.coarse_logits(x.contiguous(memory_format=torch.channels_last)).float())
            if frame.canvas != frame.scaled:
                logits = _read_grid(coarse, frame, align_corners=model.align_corners)
            else:
                logits = functional.interpolate(coarse, size=shape, mode="bilinear", align_corners=model.align_corners)
            known = torch.from_numpy(channels).long().unsqueeze(0).to(group.device)
            loss += torch.stack(
                [
                    functional.cross_entropy(logits, known, ignore_index=VOID, reduction="sum").double().cpu(),
                    (known != VOID).sum().double().cpu(),
                ]
            )
            prediction = ids[logits.argmax(1)[0].cpu().numpy()]
            truth = np.where(channels == VOID, catalog.ignore, ids[np.clip(channels, 0, None)]).astype(catalog.dtype)
            index = band_map(truth=truth, rule="edge", ignore=catalog.ignore)
            histogram.update(index=index, truth=truth, prediction=prediction)
            progress(done, max(done, share))
    model.train(was_training)
    counts = group.sum_counts(histogram.counts) if group.world > 1 else histogram.by_cell
    loss = group.sum(loss.to(group.device) if group.device.type != "mps" else loss.float()).cpu()
    bands = BandHistogram(catalog, rule="edge", counts=counts)
    return Validation(bands.total(), bands, float(loss[0] / loss[1].clamp(min=1)), recipe.band_px)


def _read_grid(coarse: Tensor, frame: NetworkFrame, *, align_corners: bool) -> Tensor:
    """(1, C, h, w) logits of a padded canvas at the image's pixels, as inference reads them: padding is cropped exactly."""
    for axis in (0, 1):
        taps = axis_taps(
            image=frame.image[axis], scaled=frame.scaled[axis], canvas=frame.canvas[axis], grid=coarse.shape[2 + axis],
            align_corners=align_corners,
        )  # fmt: skip
        lower, upper, weight = (torch.from_numpy(values).to(coarse.device) for values in (taps.lower, taps.upper, taps.weight))
        weight = weight.view(-1, 1) if axis == 0 else weight
        coarse = torch.lerp(coarse.index_select(2 + axis, lower), coarse.index_select(2 + axis, upper), weight)
    return coarse


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)
