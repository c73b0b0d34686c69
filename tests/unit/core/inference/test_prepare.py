"""Preparing a network changes its speed, never its answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deeplab_core.inference import prepare_for_inference
from deeplab_core.nn import create_model
from tests.unit.core.inference.networks import TinyNet


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_folding_is_exact_and_complete() -> None:
    net = TinyNet(pooling=True, decoder=True)
    prepared = prepare_for_inference(net)
    assert (norms(net), norms(prepared)) == (3, 0)
    x = torch.randn(1, 3, 75, 90)
    with torch.inference_mode():
        expected, got = net(x), prepared(x)
    assert (got - expected).abs().max() <= 1e-4 * (expected.max() - expected.min())
    assert not any(parameter.requires_grad for parameter in prepared.parameters())


def test_folding_keeps_the_stride_switchable() -> None:
    torch.manual_seed(0)
    net = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=4, output_stride=16).eval()
    prepared = prepare_for_inference(net)
    assert norms(prepared) == 0
    x = torch.randn(1, 3, 65, 65)
    for stride in (16, 8):
        net.output_stride = prepared.output_stride = stride
        with torch.inference_mode():
            expected, got = net(x), prepared(x)
        assert (got - expected).abs().max() <= 1e-4 * (expected.max() - expected.min())


class TwoUses(TinyNet):
    """The stem's first convolution also feeds the network around its batch norm: folding it would be wrong."""

    def coarse_logits(self, x: torch.Tensor, pooled: torch.Tensor | None = None) -> torch.Tensor:
        raw = self.stem[0](x)
        low = self.stem[1:](raw)
        return self.classifier(torch.relu(self.atrous(self.deep(low)))) + raw.mean()


def test_a_network_that_folding_would_change_keeps_its_norms() -> None:
    net = TwoUses()
    prepared = prepare_for_inference(net)
    assert norms(prepared) == 3
    x = torch.randn(1, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(prepared.coarse_logits(x), net.coarse_logits(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fold", [True, False])
def test_weights_are_channels_last(fold: bool) -> None:
    prepared = prepare_for_inference(TinyNet(), fold=fold)
    assert norms(prepared) == (0 if fold else 3)
    assert prepared.deep[0].weight.is_contiguous(memory_format=torch.channels_last)
