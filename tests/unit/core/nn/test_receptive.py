from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.errors import AtrousError
from deeplab_core.nn import create_model, effective_radius, receptive_layers, receptive_radius
from deeplab_core.nn.receptive import on_meta


class Chain(nn.Module):
    """A few operations with a support that can be measured by a gradient."""

    def __init__(self, *layers: nn.Module, scale: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.scale = scale

    def coarse_logits(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        if self.scale != 1:
            y = functional.interpolate(y, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return y


def measured_radius(model: Chain, side: int) -> int:
    for parameter in model.parameters():
        parameter.data.abs_().add_(0.1)
    x = torch.rand(1, 3, side, side, requires_grad=True)
    y = model.coarse_logits(x)
    middle = y.shape[-1] // 2
    (gradient,) = torch.autograd.grad(y[..., middle, middle].sum(), x)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    return -(-int(columns.max() - columns.min()) // 2)


@pytest.mark.parametrize(
    "model",
    [
        Chain(nn.Conv2d(3, 4, 3, padding=1)),
        Chain(nn.Conv2d(3, 4, 3, padding=6, dilation=6), nn.Conv2d(4, 2, 1)),
        Chain(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.Conv2d(4, 2, 3, padding=2, dilation=2)),
        Chain(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.AvgPool2d(2, 2), nn.Conv2d(4, 2, 3, padding=1)),
        Chain(nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)),
    ],
)
def test_layer_arithmetic_equals_the_measured_support(model: Chain) -> None:
    assert receptive_radius(model, 65) == pytest.approx(measured_radius(model, 65), abs=1)


def test_layer_arithmetic_never_underestimates_upsampling() -> None:
    model = Chain(nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.Conv2d(4, 2, 3, padding=1), scale=2)
    assert receptive_radius(model, 64) >= measured_radius(model, 64)


def test_receptive_field_of_resnet_101_by_hand() -> None:
    """Stem 3 + 2, then per 3x3 convolution the jump at its input: 3 x 4, 4 + 3 x 8, 8 + 22 x 16, 16 + 2 x 32."""
    model = create_model("deeplabv2", backbone="resnet101", output_stride=32, atrous_rates=[])
    assert model.receptive_radius() == 3 + 2 + 12 + 28 + 360 + 80


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeplabv3plus", {"backbone": "mobilenet_v2"}),
        ("deeplabv3plus", {"backbone": "resnet50"}),
        ("deeplabv3", {"backbone": "resnet18", "output_stride": 8}),
        ("deeplabv2", {"backbone": "resnet101"}),
    ],
)
def test_shapes_are_those_that_torch_gives(name: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model(name, **options)  # type: ignore[arg-type]
    fields = receptive_layers(model, 129)
    monkeypatch.setattr("deeplab_core.nn.receptive._shape", lambda *_: None)
    assert receptive_layers(model, 129) == fields


class InPlace(nn.Module):
    """Goes on with what an operation has changed, and not with what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 7, padding=3), nn.BatchNorm2d(4)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        near = self.norm(self.near(x))
        near.add_(self.drop(self.far(near)))
        self.relu(near)
        return near


def test_sums_in_place_are_seen() -> None:
    """The radius was 1: that of the map before the sum."""
    assert receptive_radius(InPlace()) == 4


def test_the_radius_needs_no_compiler_of_torch() -> None:
    """Its shapes of convolutions import 800 modules, which takes the first receptive field of a session 1.6 s."""
    code = (
        "import sys; from deeplab_core.nn import create_model; model = create_model('deeplabv3plus', backbone='mobilenet_v2'); "
        "before = 'sympy' in sys.modules; print(model.receptive_radius(), before or 'sympy' not in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "True"


def test_image_pooling_does_not_count_and_stride_does() -> None:
    pooled = create_model("deeplabv3", backbone="resnet18")
    plain = create_model("deeplabv3", backbone="resnet18", image_pooling=False)
    assert pooled.receptive_radius() == plain.receptive_radius()
    # The widest branch looks 18 features of 16 px, and 36 of 8 px.
    assert pooled.receptive_radius() >= 288
    naive = create_model("deeplabv3", backbone="resnet18", atrous_rates=[])
    assert pooled.receptive_radius() - naive.receptive_radius() == 288


def test_the_effective_radius_is_inside_the_theoretical_one() -> None:
    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="resnet18", atrous_rates=[], image_pooling=False)
    assert 0 < effective_radius(model, side=129, mass=0.5) < effective_radius(model, side=129, mass=0.95) <= 64
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_stacked_rates_see_2_to_the_n_plus_1_minus_1_pixels_layer_by_layer() -> None:
    """Rates 1, 2, 4 of 3x3 convolutions see 3, 7, 15 pixels (Yu and Koltun 2015, arXiv 1511.07122, figure 1)."""
    stack = nn.Sequential(*(nn.Conv2d(2 if rate > 1 else 5, 2, 3, padding=rate, dilation=rate) for rate in (1, 2, 4)))
    fields = receptive_layers(stack, 65)
    assert [field.name for field in fields] == ["0", "1", "2", ""]
    assert [field.span for field in fields] == [3, 7, 15, 15]
    assert receptive_radius(stack, 65) == 7


@pytest.mark.parametrize("rate", [1, 2, 3, 6, 12])
def test_a_3x3_kernel_at_rate_r_spans_2r_plus_1(rate: int) -> None:
    assert receptive_layers(nn.Conv2d(3, 1, 3, dilation=rate), 65)[-1].span == 2 * rate + 1


class Watched(nn.Module):
    """Says in each pass whether the network that it belongs to is as it was, as a pass in another thread would find it."""

    def __init__(self, network: list[nn.Conv2d], found: list[tuple[bool, int]]) -> None:
        super().__init__()
        self.look = lambda: found.append((network[0].weight.is_meta, len(network[0]._forward_hooks)))

    def forward(self, x: Tensor) -> Tensor:
        self.look()
        return x


def test_the_network_is_not_touched_while_its_field_is_found() -> None:
    """Its weights were shapes meanwhile, and other threads computed with them: numbers that are not finite, or errors."""
    conv, found = nn.Conv2d(3, 4, 3), list[tuple[bool, int]]()
    model = nn.Sequential(conv, nn.BatchNorm2d(4), Watched([conv], found)).train()
    model[1].eval()  # frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[Tensor] = []
    handle = conv.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    assert receptive_radius(model) == 1
    handle.remove()
    assert found == [(False, 0)]
    assert all(one.is_meta for one in seen)
    assert [part.training for part in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_with_a_lock_has_a_field() -> None:
    """Of another program: a lock cannot be copied."""
    inner = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 3))
    inner.lock, inner.names = threading.Lock(), ["a"]
    model = nn.Sequential(inner)
    assert receptive_radius(model) == 3
    copied = on_meta(model)
    assert all(value.is_meta for value in copied.parameters())
    assert copied[0].lock is inner.lock
    assert copied[0].names is not inner.names


def test_weights_that_a_hook_computes_are_no_obstacle() -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        conv = torch.nn.utils.weight_norm(nn.Conv2d(3, 4, 5))
    assert receptive_radius(nn.Sequential(conv)) == 2


def test_any_module_has_a_field() -> None:
    models = pytest.importorskip("torchvision.models.segmentation")
    theirs = models.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=4)
    ours = create_model("deeplabv3", backbone="resnet50", num_classes=4, output_stride=8, after_aspp="conv")
    # Torchvision's output is upsampled to the input, which looks one more feature of 8 px away.
    assert receptive_radius(theirs, 129) == ours.receptive_radius() + 8
    assert effective_radius(theirs.eval(), side=65) <= 32
    (stem, *_) = receptive_layers(theirs, 129)
    assert (stem.name, stem.kind, stem.jump, stem.radius) == ("backbone.conv1", "Conv2d", 2, 3)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        return (tokens @ (tokens.transpose(1, 2) @ tokens)).reshape(x.shape)


class Shuffle(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 1, 3, padding=1))


def test_pixel_shuffle_halves_the_distance_of_features() -> None:
    assert receptive_layers(Shuffle(), 64)[-1].jump == 2
    assert receptive_radius(Shuffle(), 64) == 3


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Attention(), "joins distant positions"),
        (nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(), nn.Linear(900, 4)), "joins distant positions"),
        (nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 4)), "no map of features"),
    ],
)
def test_networks_without_a_theoretical_field_are_refused(model: nn.Module, says: str) -> None:
    with pytest.raises(AtrousError, match=says):
        receptive_radius(model, 32)
