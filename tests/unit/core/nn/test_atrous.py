from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.nn.atrous import StagePlan, plan_stages
from deeplab_core.nn.backbones import build_backbone

RESNET = (1, 2, 2, 2)


def test_stride_16_of_a_resnet_dilates_the_last_stage_only() -> None:
    plans = plan_stages(RESNET, entry_stride=4, output_stride=16)
    assert plans == [StagePlan(1, 1, 1), StagePlan(2, 1, 1), StagePlan(2, 1, 1), StagePlan(1, 1, 2)]


def test_stride_8_of_a_resnet_doubles_the_rate_twice() -> None:
    plans = plan_stages(RESNET, entry_stride=4, output_stride=8)
    assert [(plan.first_rate, plan.rest_rate) for plan in plans] == [(1, 1), (1, 1), (1, 2), (2, 4)]


@pytest.mark.parametrize(
    ("onset", "rates"),
    [
        ("after_first_unit", [(1, 2), (2, 4)]),
        ("whole_stage", [(2, 2), (4, 4)]),
        ("next_stage", [(1, 1), (2, 2)]),
        ("first_unit_only", [(2, 1), (4, 1)]),
        ("not_first_unit", [(1, 2), (1, 4)]),
    ],
)
def test_every_placement_of_the_rate(onset: str, rates: list[tuple[int, int]]) -> None:
    plans = plan_stages(RESNET, entry_stride=4, output_stride=8, onset=onset)  # type: ignore[arg-type]
    assert [(plan.first_rate, plan.rest_rate) for plan in plans[2:]] == rates


@given(strides=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=8), wanted=st.sampled_from([4, 8, 16, 32]))
def test_strides_multiply_to_what_was_asked_or_to_what_there_is(strides: list[int], wanted: int) -> None:
    plans = plan_stages(strides, entry_stride=2, output_stride=wanted)
    reached, nominal = 2, 2
    for plan, stride in zip(plans, strides, strict=True):
        reached *= plan.stride
        nominal *= stride
    assert reached == min(wanted, nominal)
    assert plans[-1].rest_rate * reached == nominal


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large", "xception41"])
@settings(max_examples=3, deadline=None)
@given(height=st.integers(30, 80), width=st.integers(30, 80))
def test_atrous_features_hold_the_decimated_ones(name: str, height: int, width: int) -> None:
    """Removing a stride and dilating behind it computes the same features, and those between (DeepLabv1, section 3.1)."""
    torch.manual_seed(0)
    options = {"rate_onset": "after_first_unit"}
    encoder = build_backbone(name, options).eval()
    if name == "mobilenet_v3_large":
        # Squeeze-and-excitation sees a mean over more positions: the one part that is not undecimated.
        for block in encoder.blocks:
            block.squeeze = torch.nn.Identity()
    x = torch.randn(1, 3, height, width)
    with torch.no_grad():
        encoder.set_output_stride(32)
        coarse = encoder.levels(x)[-1]
        for stride, step in ((16, 2), (8, 4)):
            encoder.set_output_stride(stride)
            fine = encoder.levels(x)[-1]
            torch.testing.assert_close(fine[..., ::step, ::step], coarse, rtol=1e-4, atol=1e-4)
