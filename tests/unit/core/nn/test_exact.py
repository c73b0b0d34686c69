"""Savings of arithmetic give the numbers of the plain layers, for every family of decoders, corner rule, stride and size."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.inference import prepare_for_inference
from deeplab_core.inference.prepare import SAVING_TOLERANCE
from deeplab_core.nn import SegmentationModel, create_model, exact
from deeplab_core.nn.exact import ConvOverUpsampled, save_arithmetic
from tests.unit.core.inference.networks import TinyNet

_SMALL: dict[str, Any] = {"aspp_channels": 16, "decoder_channels": 12, "low_level_channels": 6}
_PADDED = {"pad_before": "expansion", "width": 0.5}

#: Heads of the field, by the code that they come from; the encoder is small, since every saving but one is in the head.
FAMILIES: dict[str, dict[str, Any]] = {
    "VainF": {
        "backbone_options": {**_PADDED, "stem_padding": 0}, "decoder_convs": 1, "decoder_order": "low_level_first",
        "align_corners": False,
    },
    "jfzhang95": {"backbone_options": {**_PADDED, "rate_onset": "next_stage"}, "align_corners": True},
    "bubbliiiing": {"backbone_options": {"width": 0.5}, "head_bias": True, "align_corners": True},
    "TensorFlow": {
        "backbone_options": {"width": 0.5}, "separable": True, "branch_order": "pool_first", "align_corners": True,
    },
    "TensorFlow, dense": {"backbone_options": {"width": 0.5}, "branch_order": "pool_first", "align_corners": True},
    "segmentation_models.pytorch": {
        "backbone_options": {"width": 0.5, "rate_onset": "whole_stage"}, "separable": True, "separable_inner": "none",
        "after_aspp": "separable", "decoder_convs": 1, "align_corners": False,
    },
    "folded": {
        "backbone_options": {**_PADDED, "folded_norm": True}, "folded_norm": True, "align_corners": False,
    },
    "no decoder": {"backbone_options": _PADDED, "decoder": "bilinear"},
    "depthwise tap": {"backbone_options": {**_PADDED, "level_tap": "depthwise"}, "align_corners": False},
}  # fmt: skip


def calibrated(**arguments: Any) -> SegmentationModel:
    """Random weights with batch norms that have seen a batch, and with biases of every sign."""
    torch.manual_seed(1)
    model = create_model(**arguments).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.bias, -0.5, 1.0)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        model(torch.randn(2, 3, 65, 65))
    return model.eval()


@cache
def pair(family: str, stride: int) -> tuple[SegmentationModel, SegmentationModel]:
    """The plain network, and the same with its savings."""
    if family == "LR-ASPP":
        plain = calibrated(name="lraspp", num_classes=5, output_stride=stride)
    else:
        plain = calibrated(
            name="deeplabv3plus", backbone="mobilenet_v2", num_classes=5, output_stride=stride, **{**_SMALL, **FAMILIES[family]}
        )
    plain = plain.double()  # in float32 the plain layers alone round by up to 1.5e-5 of the range of such random networks
    cheaper = copy.deepcopy(plain).requires_grad_(False)
    assert save_arithmetic(cheaper)
    return plain, cheaper


def assert_same(got: Tensor, expected: Tensor) -> None:
    """Within the tolerance, and of the same largest class wherever the two best are further apart than that."""
    slack = SAVING_TOLERANCE * float(expected.max() - expected.min())
    assert float((got - expected).abs().max()) <= slack
    best = expected.topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > 2 * slack
    assert bool((got.argmax(1) == expected.argmax(1))[clear].all())


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("family", [*FAMILIES, "LR-ASPP"])
@settings(deadline=None, max_examples=4)
@given(height=st.integers(33, 130), width=st.integers(33, 130), seed=st.integers(0, 99))
def test_logits_stay_the_same(family: str, stride: int, height: int, width: int, seed: int) -> None:
    plain, cheaper = pair(family, stride)
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed)).double()
    with torch.inference_mode():
        assert_same(cheaper.coarse_logits(x), plain.coarse_logits(x))


@pytest.mark.parametrize("family", FAMILIES)
def test_which_heads_skip_the_upsampling(family: str) -> None:
    """Depthwise convolutions, and heads without low-level features, have nothing to gain."""
    decoder = pair(family, 16)[1].decoder
    has_dense_decoder = family not in ("TensorFlow", "segmentation_models.pytorch", "no decoder")
    assert (decoder is not None and decoder.first is not None) == has_dense_decoder


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_convolution_over_upsampled_features(data: st.DataObject) -> None:
    """The operation by itself: any sizes, also coarse sides of one and fine ones below the coarse; several images; blocks."""
    fine_size = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    coarse_size = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    align, bias, first = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.booleans())
    batch, block = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([4, 64]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    conv = nn.Conv2d(3 + 4, 5, 3, padding=1, bias=bias).requires_grad_(False)
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
    fine = torch.randn(batch, 3, *fine_size, generator=generator)
    coarse = torch.randn(batch, 4, *coarse_size, generator=generator)
    upsampled = functional.interpolate(coarse, size=fine_size, mode="bilinear", align_corners=align)
    expected = conv(torch.cat([fine, upsampled] if first else [upsampled, fine], dim=1))
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(exact, "_BLOCK", block)
        saving = ConvOverUpsampled(conv, slice(0, 3) if first else slice(-3, None), align)
        saving.by_convolution = data.draw(st.booleans())
        got = saving(fine, coarse)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5 * float(expected.abs().max() + 1))


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(("fine", "coarse"), [(9, 27), (90, 3), (17, 60), (40, 41)])
def test_blocks_hold_all_that_their_taps_read(fine: int, coarse: int, align: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the fine side is shorter than the coarse, blocks lacked a position."""
    monkeypatch.setattr(exact, "_BLOCK", 4)
    weights = exact._taps(fine, coarse, align, torch.device("cpu"))
    for start, stop, low, high in exact._blocks(fine, coarse):
        assert not weights[:, start:stop, :low].any()
        assert not weights[:, start:stop, high:].any()


@pytest.mark.parametrize("change", [{"stride": 2}, {"dilation": 2, "padding": 2}, {"padding": 0}, {"padding_mode": "reflect"}])
def test_other_convolutions_are_left_alone(change: dict[str, Any]) -> None:
    assert ConvOverUpsampled.fits(nn.Conv2d(4, 4, 3, padding=1))
    assert not ConvOverUpsampled.fits(nn.Conv2d(4, 4, 3, **{"padding": 1, **change}))
    assert not ConvOverUpsampled.fits(nn.Conv2d(4, 4, 1))


@pytest.mark.parametrize("family", [*FAMILIES, "LR-ASPP"])
def test_weights_and_gradients_are_the_plain_ones(family: str) -> None:
    plain, cheaper = pair(family, 16)
    assert plain.state_dict().keys() == cheaper.state_dict().keys()
    assert all(torch.equal(value, cheaper.state_dict()[key]) for key, value in plain.state_dict().items())
    assert copy.deepcopy(plain).float().receptive_radius() == copy.deepcopy(cheaper).float().receptive_radius()
    gradients = []
    for model in (plain, cheaper):
        x = torch.randn(1, 3, 49, 49, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
        gradients += torch.autograd.grad(model.coarse_logits(x)[..., 2, 2].sum(), x)
    assert torch.equal(*gradients)


def test_the_stride_can_change_afterwards() -> None:
    plain, cheaper = (copy.deepcopy(model) for model in pair("VainF", 16))
    plain.output_stride = cheaper.output_stride = 8
    x = torch.randn(1, 3, 97, 65).double()
    with torch.inference_mode():
        assert_same(cheaper.coarse_logits(x), plain.coarse_logits(x))


class Careless(TinyNet):
    """Its cheaper way is another function."""

    wrong = False

    def save_arithmetic(self) -> None:
        self.wrong = True

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        logits = super().coarse_logits(x, pooled)
        return logits * 1.001 if self.wrong else logits


def test_a_saving_that_changes_the_answer_is_not_taken() -> None:
    net = Careless()
    prepared = prepare_for_inference(net)
    x = torch.randn(1, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(prepared.coarse_logits(x), net.coarse_logits(x), rtol=1e-4, atol=1e-4)
    assert not prepared.wrong
