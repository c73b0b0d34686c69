"""Convolutions from halves in bf16: float32's numbers up to 1e-5, by tiles and without, and an engine that a trial may choose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.backends import compiled, engines
from deeplab_core.backends import tiles as backend
from deeplab_core.backends.compiled import CompiledNetwork
from deeplab_core.backends.tiles import TileConv, TileGraph
from deeplab_core.errors import ComputeError
from deeplab_core.inference import PredictOptions, Predictor, engine_trial, prepare_for_inference
from deeplab_core.kernels import compiled as loops
from deeplab_core.kernels import tiles as kernels
from deeplab_core.kernels.compiled import multiplies_tiles
from deeplab_core.nn import create_model
from tests.unit.core.inference.networks import TinyNet, card, photograph


@pytest.fixture(params=[False, True], ids=["plain", "amx"])
def tiles(request: pytest.FixtureRequest) -> bool:
    """Without tiles, and with them where the processor has some."""
    if request.param and not multiplies_tiles():
        pytest.skip("this processor multiplies no tiles")
    return bool(request.param)


def made(conv: nn.Conv2d, tiles: bool, *, threads: int = 1, limits: tuple[float, float] = (-np.inf, np.inf)) -> TileConv:
    return TileConv(conv, backend._Workspace(), backend._Threads(threads), limits, tiles=tiles)


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("channels", "kernel", "rate", "stride", "size", "batch"),
    [
        ((32, 32), 1, 1, 1, (8, 8), 1), ((40, 21), 1, 1, 1, (9, 31), 2), ((64, 96), 1, 1, 2, (33, 35), 1),
        ((16, 48), 3, 1, 1, (9, 11), 2), ((70, 33), 3, 2, 1, (17, 13), 1), ((32, 64), 3, 18, 1, (33, 20), 1),
        ((48, 17), 3, 1, 1, (41, 40), 1), ((1056, 32), 1, 1, 1, (25, 23), 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
def test_a_convolution_from_halves_is_that_of_float32(
    tiles: bool, channels: tuple[int, int], kernel: int, rate: int, stride: int, size: tuple[int, int], batch: int, bias: bool
) -> None:
    conv = nn.Conv2d(*channels, kernel, stride=stride, padding=rate * (kernel // 2), dilation=rate, bias=bias)
    assert TileConv.fits(conv)
    x = numbers(batch, channels[0], *size)
    with torch.inference_mode():
        expected = functional.conv2d(
            x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), stride, conv.padding, rate
        )
        got = made(conv, tiles)(x)
    assert float((got - expected).abs().max()) <= 2e-5 * float(expected.abs().max())


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_shortcut_is_added_before_the_limits(tiles: bool, kernel: int) -> None:
    conv = nn.Conv2d(32, 40, kernel, padding=kernel // 2)
    x, shortcut = numbers(2, 32, 12, 10), numbers(2, 40, 12, 10, seed=2)
    with torch.inference_mode():
        expected = (conv(x) + shortcut).clamp(0, 0.5)
        got = made(conv, tiles, limits=(0.0, 0.5))(x, shortcut)
        assert float((got - expected).abs().max()) <= 1e-4
        few = made(conv, tiles, limits=(0.0, 0.5))(x[..., :3, :4], shortcut[..., :3, :4])  # too few positions for tiles
        torch.testing.assert_close(few, (conv(x[..., :3, :4]) + shortcut[..., :3, :4]).clamp(0, 0.5))


@pytest.mark.parametrize("kernel", [1, 3])
def test_threads_give_the_same_bits(tiles: bool, kernel: int) -> None:
    conv, x = nn.Conv2d(64, 70, kernel, padding=kernel // 2), numbers(1, 64, 41, 39)
    with torch.inference_mode():
        assert torch.equal(made(conv, tiles, threads=3)(x), made(conv, tiles)(x))


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FFFFFFF, -1, 0x7F800001, 0x7F800000])
def test_what_is_not_a_number_stays_so(tiles: bool, bits: int) -> None:
    """Rounding carried NaN of all bits to zero. Infinity has no halves: it gives NaN."""
    x = numbers(1, 32, 10, 10)
    x[0, 3, 4, 5] = torch.tensor(bits, dtype=torch.int32).view(torch.float32)
    with torch.inference_mode():
        got = made(nn.Conv2d(32, 32, 1), tiles, limits=(0.0, 6.0))(x)
    assert got[0, :, 4, 5].isnan().all()
    assert int(got.isnan().sum()) == 32


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_numbers_of_float32_have_halves(tiles: bool, sign: float) -> None:
    """Rounding made them infinite, and the rest minus infinity."""
    conv, most = nn.Conv2d(32, 32, 1, bias=False), sign * float(np.finfo(np.float32).max)
    with torch.inference_mode():
        conv.weight.mul_(1e-3)
        large, ones = torch.full((1, 32, 9, 9), most), torch.full((1, 32, 9, 9), 1e-3)
        expected = conv(large.double().float())
        torch.testing.assert_close(made(conv, tiles)(large), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        conv.weight.fill_(most)
        torch.testing.assert_close(made(conv, tiles)(ones), conv(ones), rtol=1e-4, atol=0.0)


def test_a_rate_beyond_the_map(tiles: bool) -> None:
    """The last block read behind the memory, or found too little."""
    conv, x = nn.Conv2d(33, 47, 3, padding=100, dilation=100), numbers(1, 33, 10, 7)
    with torch.inference_mode():
        torch.testing.assert_close(made(conv, tiles)(x), conv(x), rtol=0.0, atol=1e-4)


def test_images_side_by_side_share_a_graph(tiles: bool) -> None:
    model = prepare_for_inference(lively(create_model("deeplabv3plus", num_classes=3, **FORMS["basic"])))
    graph = TileGraph(model, 2, tiles=tiles)
    inputs = [{"image": numbers(1, 3, 97 + 16 * number, 129, seed=number).numpy()} for number in range(4)]
    expected = [graph.run(given) for given in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for got, alone in zip(pool.map(graph.run, inputs), expected, strict=True):
                assert np.array_equal(got, alone)


def test_llvm_that_knows_no_tiles_is_not_asked_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end the process."""
    monkeypatch.setattr(kernels, "get_host_cpu_features", lambda: "+avx512f,-amx-bf16,-amx-tile")
    with pytest.raises(RuntimeError, match="no tiles"):
        kernels._tile_products()


def test_machine_code_is_kept_for_one_set_of_features() -> None:
    """A cache that machines share must not give one without tiles the code of one with them."""
    from numba.core.registry import cpu_target

    from deeplab_core.kernels.tiles import split

    key = split._cache._index_key((), cpu_target.target_context.codegen())
    assert kernels.get_host_cpu_features() in key[1]


@pytest.mark.parametrize("conv", [
    nn.Conv2d(32, 32, 3, padding=1, groups=2), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3, stride=2, padding=1),
    nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect"), nn.Conv2d(32, 32, 3, padding="same"), nn.Conv2d(3, 64, 1),
    nn.Conv2d(32, 32, 1, padding=1),
    nn.Conv2d(32, 32, 3, padding=(2, 3), dilation=(2, 3)), nn.Conv2d(32, 32, 5, padding=2), nn.Conv2d(32, 2, 1), nn.ReLU(),
])  # fmt: skip
def test_other_layers_stay_torchs(conv: nn.Module) -> None:
    assert not TileConv.fits(conv)


def lively(model: Any) -> Any:
    """Batch norms with statistics of their own, of which none amplifies."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 1)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
    return model.eval()


FORMS: dict[str, dict[str, Any]] = {
    "tf": {"backbone": "mobilenet_v2"},
    "VainF": {
        "backbone": "mobilenet_v2", "backbone_options": {"pad_before": "expansion", "stem_padding": 0}, "decoder_convs": 1,
        "decoder_order": "low_level_first", "align_corners": False,
    },
    "resnet": {"backbone": "resnet50"},
    "basic": {"backbone": "resnet18", "separable": True},
    "pool first": {"backbone": "resnet18", "branch_order": "pool_first"},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "norms"])
def test_logits_are_those_of_torch(form: str, fold: bool) -> None:
    torch.manual_seed(3)
    model = prepare_for_inference(lively(create_model("deeplabv3plus", num_classes=21, **FORMS[form])), fold=fold)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graph = TileGraph(model, 1)
    assert any(isinstance(module, TileConv) for module in graph._model.modules())
    for size in ((97, 129), (130, 66)):
        x = numbers(1, 3, *size)
        with torch.inference_mode():
            expected = model.coarse_logits(x).numpy()
        got = graph.run({"image": x.numpy()})
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= 1e-4 * np.ptp(expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "the network stays as it was"


def test_the_context_may_be_given_and_memory_goes_back() -> None:
    model = prepare_for_inference(TinyNet(pooling=True, decoder=True))
    graph = TileGraph(model, 2)
    x, pooled = numbers(1, 3, 70, 61), torch.ones(1, 16, 1, 1)
    with torch.inference_mode():
        expected = model.coarse_logits(x, pooled).numpy()
    inputs = {"image": x.numpy(), "pooled": pooled.numpy()}
    first = graph.run(inputs)
    assert np.abs(first - expected).max() <= 1e-4 * np.ptp(expected)
    graph.give_back_memory()
    assert np.array_equal(graph.run(inputs), first)


def test_onednn_computes_the_same_after_tiles_of_ours() -> None:
    """It remembers which shapes of tiles it set in a thread."""
    if not multiplies_tiles():
        pytest.skip("this processor multiplies no tiles")
    theirs, ours = nn.Conv2d(64, 24, 3, padding=1).bfloat16(), made(nn.Conv2d(32, 32, 1), True)
    x = numbers(1, 64, 31, 29).bfloat16().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        before = theirs(x)
        ours(numbers(1, 32, 20, 20))
        assert torch.equal(theirs(x), before)


@pytest.fixture
def possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine as where the processor has tiles; its numbers are the same without."""
    for module in (engines, compiled):
        monkeypatch.setattr(module, "multiplies_tiles", lambda: True)


@pytest.mark.usefixtures("possible")
def test_predictions_by_the_engine_and_their_key() -> None:
    rgb = photograph(150, 131)
    predictor = Predictor(TinyNet(pooling=True, decoder=True), replace(card(), sha256="ab" * 32), device="cpu")
    for changes in ({}, {"tile": 64}, {"flip": True, "scales": (0.5, 1.0)}):
        options = PredictOptions(**changes)  # type: ignore[arg-type]
        expected = predictor(rgb, options=options)
        got = predictor(rgb, options=replace(options, engine="amx"))
        assert (got.labels == expected.labels).mean() >= 0.9999
        assert "AMX by numba" in got.report.device
        assert got.report.precision == "fp32"
    assert PredictOptions(engine="amx").cache_key() != PredictOptions().cache_key()
    assert predictor.choose_engine(rgb, PredictOptions(engine="amx")) == "amx"


@pytest.mark.usefixtures("possible")
def test_a_trial_refuses_halves_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    real = TileConv.forward
    monkeypatch.setattr(TileConv, "forward", lambda self, *given, **more: 1.1 * real(self, *given, **more))
    predictor = Predictor(TinyNet(), replace(card(), sha256="ab" * 32), device="cpu")
    got = predictor(photograph(90, 96), options=PredictOptions(engine="amx"))
    assert any("amx is not used" in note for note in got.report.notes)
    assert got.report.device == "cpu"


def test_an_engine_that_is_not_possible_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engines, compiled):
        monkeypatch.setattr(module, "multiplies_tiles", lambda: False)
    assert "amx" not in engines.installed_engines()
    got = Predictor(TinyNet(), card(), device="cpu")(photograph(64, 64), options=PredictOptions(engine="amx"))
    assert any("amx is not used" in note and "no AMX" in note for note in got.report.notes)


def test_a_trial_counts_where_tiles_are_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that computers share named amx for one of the same processor that does not allow it."""
    chooser = engine_trial.EngineChooser(prepare_for_inference(TinyNet()), "ab" * 32, engine_trial.TrialRecord())
    keys = set()
    for possible in (False, True):
        monkeypatch.setattr(engine_trial, "multiplies_tiles", lambda possible=possible: possible)
        keys.add(chooser._key("auto", "fp32", (64, 64), "cpu"))
    assert len(keys) == 2


@pytest.mark.usefixtures("possible")
def test_it_computes_in_fp32_only() -> None:
    assert "amx" in engines.installed_engines()
    with pytest.raises(ComputeError, match="bf16"):
        CompiledNetwork(prepare_for_inference(TinyNet()), "amx", "bf16")


@pytest.mark.parametrize(("text", "system"), [
    ("flags : fpu avx512f amx_bf16", "linux"), ("flags : amx_tile amx_bf16 avx512f", "win32"), ("", "linux"), (None, "linux"),
])  # fmt: skip
def test_processors_and_systems_without_tiles(monkeypatch: pytest.MonkeyPatch, text: str | None, system: str) -> None:
    def read(_path: Path, **_how: object) -> str:
        if text is None:
            raise OSError
        return text

    monkeypatch.setattr(loops.sys, "platform", system)
    monkeypatch.setattr(loops.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(loops.Path, "read_text", read)
    assert not multiplies_tiles.__wrapped__()
