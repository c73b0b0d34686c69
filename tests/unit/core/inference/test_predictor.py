"""The Predictor from outside: sizes, tiles, scales, cards, memory, cancellation, notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deeplab_core.errors import AtrousError, Cancelled, ComputeError, DeviceError, DeviceOutOfMemory, WeightsError
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.inference import predictor as predictor_module
from deeplab_core.inference.network import TiledNetwork
from deeplab_core.records import CRFParams
from deeplab_core.refine import DenseCRF
from tests.unit.core.inference.networks import TinyNet, card, photograph


def by_hand(net: TinyNet, rgb: np.ndarray, the_card=None) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """(C, H, W) probabilities at native size, straight through the network."""
    pre = (the_card or card()).preprocessing
    x = torch.from_numpy(rgb.copy()).float()
    x = (x - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    with torch.inference_mode():
        return net(x.permute(2, 0, 1)[None])[0].softmax(0)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (37, 53), (64, 64), (65, 97), (130, 111)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_whole_image_is_the_networks_own_answer(size: tuple[int, int], align_corners: bool) -> None:
    net = TinyNet(align_corners=align_corners, pooling=True, decoder=True)
    rgb = photograph(*size)
    prediction = Predictor(net, card(), device="cpu")(rgb, source_key="k")
    expected = by_hand(net, rgb)
    assert prediction.labels.shape == prediction.confidence.shape == size
    top = expected.sort(0).values
    clear = (top[-1] - top[-2] > 0.02).numpy()
    assert (prediction.labels == expected.argmax(0).numpy())[clear].all()
    assert clear.mean() > 0.8
    assert np.abs(prediction.confidence - 255 * top[-1].numpy()).max() < 2
    assert (prediction.source_key, prediction.card_id, prediction.report.tiles) == ("k", "tiny", 1)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("decoder", [False, True])
def test_tiles_agree_with_the_whole_without_pooling(align_corners: bool, decoder: bool) -> None:
    """Context of the receptive radius gives the scores of the whole image, also at its borders."""
    predictor = Predictor(TinyNet(align_corners=align_corners, decoder=decoder), card(), device="cpu")
    options = PredictOptions(tile=96, overlap=predictor.model.receptive_radius())
    rest = int(align_corners)
    # A decoder resamples features over the whole canvas; only sizes that fit its stride do so alike in parts.
    for height, width in [(320 + rest, 448 + rest)] if decoder else [(320, 448), (323, 411), (97, 500)]:
        rgb = photograph(height, width)
        whole, tiled = predictor(rgb), predictor(rgb, options=options)
        assert (whole.report.tiles, tiled.report.tiles > 5) == (1, True)
        assert (whole.labels == tiled.labels).mean() >= 0.9999
        assert np.abs(whole.confidence.astype(int) - tiled.confidence).mean() < 0.02


def test_tiles_with_a_decoder_at_odd_sizes_and_default_context_stay_close() -> None:
    predictor = Predictor(TinyNet(align_corners=True, decoder=True), card(), device="cpu")
    rgb = photograph(323, 411)
    whole, tiled = predictor(rgb), predictor(rgb, options=PredictOptions(tile=128))
    assert (whole.labels == tiled.labels).mean() >= 0.98


@pytest.mark.parametrize("align_corners", [False, True])
def test_tiles_share_the_pooling_of_the_whole_image(align_corners: bool) -> None:
    predictor = Predictor(TinyNet(align_corners=align_corners, pooling=True, decoder=True), card(), device="cpu")
    rest = int(align_corners)
    rgb = photograph(320 + rest, 448 + rest)
    rgb[:, 224:] //= 4  # halves that a tile's own mean would get wrong
    options = PredictOptions(tile=96, overlap=predictor.model.receptive_radius())
    whole, tiled = predictor(rgb), predictor(rgb, options=options)
    assert (whole.labels == tiled.labels).mean() >= 0.9999

    network = TiledNetwork(predictor.model, predictor.device, "fp32")
    network._context = lambda *_: None  # type: ignore[method-assign]  # each tile pools over itself
    original = predictor_module.TiledNetwork
    predictor_module.TiledNetwork = lambda *_: network  # type: ignore[assignment,misc]
    try:
        alone = predictor(rgb, options=options)
    finally:
        predictor_module.TiledNetwork = original
    assert (whole.labels == alone.labels).mean() < 0.995


def test_padding_is_cropped_exactly_and_pads_with_the_cards_value() -> None:
    net = TinyNet(align_corners=True)
    padded_card = card(padding="canvas:129", pad_value=(10.0, 20.0, 30.0))
    rgb = photograph(70, 101)
    canvas = np.empty((129, 129, 3), np.uint8)
    canvas[:] = (10, 20, 30)
    canvas[:70, :101] = rgb
    scores = Predictor(net, padded_card, device="cpu").scores(rgb)
    expected = by_hand(net, canvas)[:, :70, :101].numpy()
    np.testing.assert_allclose(scores.probabilities(), expected, atol=5e-3)


def test_channel_order_and_normalisation_follow_the_card() -> None:
    net = TinyNet()
    rgb = photograph(48, 56)
    straight = Predictor(net, card(mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 3.0)), device="cpu").scores(rgb)
    bgr_card = card(channel_order="BGR", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 3.0))
    swapped = Predictor(net, bgr_card, device="cpu").scores(np.ascontiguousarray(rgb[..., ::-1]))
    np.testing.assert_array_equal(straight.grids[0].values, swapped.grids[0].values)


def test_resized_predictions_come_back_at_image_size() -> None:
    predictor = Predictor(TinyNet(), card(resize="long_side:96"), device="cpu")
    rgb = photograph(250, 333)
    prediction = predictor(rgb)
    assert prediction.labels.shape == (250, 333)
    assert predictor.scores(rgb).grids[0].values.shape[:2] == (9, 12)
    native = predictor(rgb, options=PredictOptions(resize="native"))
    assert (native.labels != prediction.labels).any()


def test_scales_and_mirroring_average_probabilities() -> None:
    net = TinyNet()
    predictor = Predictor(net, card(), device="cpu")
    rgb = photograph(64, 96)
    scores = predictor.scores(rgb, options=PredictOptions(scales=(1.0,), flip=True))
    straight = by_hand(net, rgb).numpy()
    mirrored = by_hand(net, np.ascontiguousarray(rgb[:, ::-1])).numpy()[..., ::-1]
    np.testing.assert_allclose(scores.probabilities(), (straight + mirrored) / 2, atol=5e-3)

    several = predictor.scores(rgb, options=PredictOptions(scales=(0.5, 1.0, 1.5)))
    assert [grid.frame.scaled for grid in several.grids] == [(32, 48), (64, 96), (96, 144)]
    labels, _ = several.label_map()
    assert labels.shape == (64, 96)


def test_symmetric_image_gives_symmetric_labels_with_mirroring() -> None:
    rgb = photograph(65, 64)
    symmetric = np.concatenate([rgb, rgb[:, ::-1]], axis=1)
    labels = Predictor(TinyNet(), card(), PredictOptions(flip=True), device="cpu")(symmetric).labels
    assert (labels == labels[:, ::-1]).mean() > 0.999


_LITTLE_MEMORY = (
    "Little memory is free: computed in tiles of {} pixels. Labels may differ by a few pixels from those of the whole image."
)


def test_memory_running_out_halves_the_tiles_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    rgb = photograph(800, 960)
    expected = predictor(rgb).labels
    seen = []
    original = TinyNet.coarse_logits

    def small_device(self: TinyNet, x: torch.Tensor, pooled: torch.Tensor | None = None) -> torch.Tensor:
        if x.device.type == "meta":  # layer arithmetic allocates nothing
            return original(self, x, pooled)
        seen.append(max(x.shape[-2:]))
        if x.shape[-1] * x.shape[-2] > 300 * 300:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, x, pooled)

    monkeypatch.setattr(TinyNet, "coarse_logits", small_device)
    prediction = predictor(rgb)
    assert prediction.report.notes == tuple(f"Memory ran out; computed in tiles of {tile} pixels." for tile in (480, 256))
    assert prediction.report.tiles > 10
    assert (prediction.labels == expected).mean() > 0.999
    seen.clear()
    again = predictor(rgb)  # the next image of the folder does not run into the wall first
    assert max(seen) <= 256
    assert again.report.notes == (_LITTLE_MEMORY.format(256),)


def test_an_image_that_fits_is_computed_whole_however_much_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    rgb = photograph(528, 704)
    monkeypatch.setattr(predictor, "usable_bytes", lambda: 1_400_000_000)  # less than a tile of 1024 would take
    plenty = predictor(rgb)
    assert (plenty.report.tiles, plenty.report.notes) == (1, ())
    monkeypatch.setattr(predictor, "usable_bytes", lambda: 500_000_000)
    little = predictor(rgb, options=PredictOptions(flip=True))
    assert little.report.tiles == 8
    assert little.report.notes == (_LITTLE_MEMORY.format(512),)
    chosen = predictor(rgb, options=PredictOptions(tile=256))  # the user asked for tiles
    assert (chosen.report.tiles > 1, chosen.report.notes) == (True, ())


@pytest.mark.parametrize(
    "message", ["[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
                "DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory"]
)  # fmt: skip
def test_memory_that_is_too_small_for_the_smallest_tile(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")

    def no_memory(*_: object) -> torch.Tensor:
        raise RuntimeError(message)

    monkeypatch.setattr(TiledNetwork, "_scores", no_memory)
    with pytest.raises(DeviceOutOfMemory, match="256 x 256"):
        predictor(photograph(700, 300))


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(TinyNet, "coarse_logits", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        predictor(photograph(40, 40))


def test_cancel_stops_between_layers_and_leaves_no_hook() -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    with pytest.raises(Cancelled):
        predictor(photograph(64, 64), cancel=cancel)
    assert asked == 5
    assert not any(module._forward_pre_hooks for module in predictor.model.modules())
    assert predictor(photograph(64, 64)).labels.shape == (64, 64)


def test_progress_rises_to_one_and_names_what_runs() -> None:
    predictor = Predictor(TinyNet(pooling=True), card(), device="cpu")
    steps: list[tuple[float, str]] = []
    predictor(
        photograph(300, 300), options=PredictOptions(scales=(0.5, 1.0), tile=128), progress=lambda f, t: steps.append((f, t))
    )
    fractions = [fraction for fraction, _ in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert fractions[0] < 0.05
    texts = {text for _, text in steps}
    assert {"scale 0.5, context of tile 1 of 4", "scale 1, tile 9 of 16"} <= texts


def test_not_finite_logits_are_an_error_that_names_the_cause() -> None:
    net = TinyNet()
    with torch.no_grad():
        net.classifier.bias[2] = float("nan")
    with pytest.raises(ComputeError, match="not finite"):
        Predictor(net, card(), device="cpu")(photograph(32, 32))


def test_low_precision_that_overflows_is_computed_again_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    original = TinyNet.coarse_logits

    def overflowing(self: TinyNet, x: torch.Tensor, pooled: torch.Tensor | None = None) -> torch.Tensor:
        out = original(self, x, pooled)
        return out * float("inf") if torch.is_autocast_enabled("cpu") else out

    monkeypatch.setattr("deeplab_core.inference.device._cpu_computes_bf16", lambda: True)
    monkeypatch.setattr(TinyNet, "coarse_logits", overflowing)
    report = predictor(photograph(32, 32), options=PredictOptions(precision="bf16")).report
    assert report.precision == "fp32"
    assert report.notes == ("bf16 overflowed; computed in fp32.",)


def test_bf16_on_request_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplab_core.inference.device._cpu_computes_bf16", lambda: True)
    predictor = Predictor(TinyNet(), card(), device="cpu")
    rgb = photograph(96, 96)
    exact, fast = predictor(rgb), predictor(rgb, options=PredictOptions(precision="bf16"))
    assert (exact.report.precision, fast.report.precision) == ("fp32", "bf16")
    assert (exact.labels == fast.labels).mean() > 0.97


def test_the_callers_network_is_left_alone() -> None:
    net = TinyNet().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    Predictor(net, card(), device="cpu")(photograph(40, 40))
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_wrong_pixels_and_cards_are_refused() -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    with pytest.raises(TypeError, match="uint8"):
        predictor(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]
    for shape in ((4, 4), (4, 4, 4), (0, 4, 3)):
        with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
            predictor(np.zeros(shape, np.uint8))
    with pytest.raises(WeightsError, match="card lists 6 classes, the network has 5"):
        Predictor(TinyNet(), card(6), device="cpu")
    with pytest.raises(AtrousError, match="output stride 16"):
        predictor(photograph(8, 8), options=PredictOptions(output_stride=16))


def test_missing_device_falls_back_with_the_reason() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device that the test misses")
    predictor = Predictor(TinyNet(), card(), device="cuda")
    assert predictor.device.type != "cuda"
    (note,) = predictor(photograph(16, 16)).report.notes
    assert note.startswith("cuda cannot be used: ")
    assert note.endswith(f"Computing on {predictor.device} instead.")
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        Predictor(TinyNet(), card(), device="gpu")


@pytest.mark.parametrize("options", [PredictOptions(), PredictOptions(scales=(0.75, 1.0), flip=True)], ids=["plain", "averaged"])
def test_a_crf_that_was_asked_for_refines_the_averaged_probabilities(options: PredictOptions) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    rgb = photograph(40, 52)
    params = CRFParams(bilateral_srgb=20, iterations=3)
    prediction = predictor(rgb, options=replace(options, crf=params))
    probabilities = predictor.scores(rgb, options=options).probabilities()
    refined = DenseCRF(rgb, params).refine(np.ascontiguousarray(probabilities))
    np.testing.assert_array_equal(prediction.labels, refined.argmax(axis=0))
    np.testing.assert_array_equal(prediction.confidence, np.rint(255 * refined.max(axis=0)))
    with pytest.raises(ValueError, match="picture"):
        predictor.decide(predictor.scores(rgb), options=replace(options, crf=params))


def test_options_of_the_predictor_and_of_the_call() -> None:
    predictor = Predictor(TinyNet(), card(), PredictOptions(flip=True), device="cpu")
    rgb = photograph(32, 32)
    assert len(predictor.scores(rgb).grids) == 2
    assert len(predictor.scores(rgb, options=replace(predictor.options, flip=False)).grids) == 1
    assert predictor(rgb).options == PredictOptions(flip=True)
