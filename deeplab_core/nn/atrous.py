"""Which layers stride and which dilate at a given output stride.

Removing the stride of a layer and dilating everything behind it by the lost factor computes the undecimated features of the
same weights (DeepLab v1, section 3.1). Implementations differ in *where* the rate sets in; the three placements seen in the
field are named here, so that one network runs everybody's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Where a rate sets in, in a stage without its stride:
#: ``after_first_unit``: the first unit keeps the rate before it, as in the undecimated network (TensorFlow, torchvision, VainF);
#: ``whole_stage``: every unit takes the new rate (segmentation_models.pytorch, kazuto1011, ResNets with multi-grid);
#: ``next_stage``: the stage keeps the old rate and only its successors dilate (jfzhang95's MobileNetV2);
#: ``first_unit_only``: only the first unit of each stage dilates (SegmenTron's MobileNetV2);
#: ``not_first_unit``: the first unit of each stage never dilates (DRN-A).
RateOnset = Literal["after_first_unit", "whole_stage", "next_stage", "first_unit_only", "not_first_unit"]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Stride of a stage's first unit, atrous rate of that unit and of the others."""

    stride: int
    first_rate: int
    rest_rate: int


def plan_stages(
    strides: Sequence[int], *, entry_stride: int, output_stride: int, onset: RateOnset = "after_first_unit"
) -> list[StagePlan]:
    """Plan the stages of an encoder.

    Args:
        strides: nominal stride of each stage (of its first unit), in order.
        entry_stride: input pixels per feature before the first stage.
        output_stride: input pixels per feature wanted at the end.
        onset: see :data:`RateOnset`.
    """
    plans: list[StagePlan] = []
    current, rate = entry_stride, 1
    for stride in strides:
        before = rate
        if stride > 1 and current * stride > output_stride:
            rate *= stride
            stride = 1
        current *= stride
        first, rest = {
            "after_first_unit": (before, rate),
            "whole_stage": (rate, rate),
            "next_stage": (before, before),
            "first_unit_only": (rate, 1),
            "not_first_unit": (1, rate),
        }[onset]
        plans.append(StagePlan(stride, first, rest))
    return plans
