"""A decoder learns what its own network says at several scales; before its first step it changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.weights import load_model, save_model
from tools.distil import Maker, Picture, Plan, View, distil, draw_points, images_of, logits_of, main, read_at

SIDE = 65


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeepLabv3 of random weights, as Google's is built."""
    torch.manual_seed(0)
    model = create_model(
        "deeplabv3", backbone="mobilenet_v2", num_classes=21, output_stride=16, backbone_options={"folded_norm": True},
        atrous_rates=(), branch_order="pool_first", folded_norm=True, align_corners=True,
    )  # fmt: skip
    gray = (127.5, 127.5, 127.5)
    how = Preprocessing(mean=gray, std=gray, resize=f"long_side:{SIDE}", padding=f"canvas:{SIDE}", pad_value=gray)
    for module in model.modules():  # without norms, features vanish under smaller weights
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    card = ModelCard(
        id="", name="start", architecture=model.architecture, catalog=get_catalog("voc21"), preprocessing=how, align_corners=True,
        output_stride=16,
    )  # fmt: skip
    save_model(path, model.eval(), card)
    return path


def picture(seed: int = 0) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    drawn = np.random.default_rng(seed)
    coarse = Image.fromarray(drawn.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((80, 60), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def made(checkpoint: Path) -> tuple[Maker, Picture]:
    maker = Maker(checkpoint, 16, (1.0, 1.5), 8)
    return maker, maker.make(picture(), "a")


def whole(view: View) -> tuple[int, int, int, int]:
    return (0, 0, *view.grid)


def test_before_the_first_step_the_decoder_says_what_the_network_says(checkpoint: Path, made: tuple[Maker, Picture]) -> None:
    from deeplab_core.inference import Predictor

    maker, kept = made
    rows, columns = (part.ravel() for part in np.mgrid[:60, :80])
    view = kept.views[0]
    with torch.no_grad():
        labels = read_at(logits_of(maker.network, view, whole(view)), whole(view), *view.places(rows, columns)).argmax(dim=1)
    plain = Predictor(*load_model(checkpoint), device="cpu")(picture()).labels
    assert len(np.unique(plain)) > 1
    assert np.mean(labels.numpy().reshape(60, 80) == plain) > 0.99


def test_the_views_agree_on_where_a_pixel_lies(made: tuple[Maker, Picture]) -> None:
    """The low-level features of a pixel are alike in the whole, mirrored and enlarged view."""
    _, kept = made
    rows, columns = np.array([30.0]), np.array([20.0])
    mirrored = kept.views[1]
    y, x = mirrored.places(rows, columns)
    assert (y[0], x[0]) == pytest.approx(((30.5 * 49 / 60 - 0.5) / 4, (64 - (20.5 * 65 / 80 - 0.5)) / 4))
    top, left, height, width = kept.views[2].window
    y, x = kept.views[2].places(np.array([top - 5.0, top + height + 5.0]), np.array([left - 5.0, left + width + 5.0]))
    assert sorted(y.tolist()) == [0.0, (kept.views[2].scaled[0] - 1) / 4]
    assert sorted(x.tolist()) == [0.0, (kept.views[2].scaled[1] - 1) / 4]


def test_a_crop_has_the_logits_of_the_whole(made: tuple[Maker, Picture]) -> None:
    maker, kept = made
    view = kept.views[0]
    crop = (2, 3, 10, 12)
    with torch.no_grad():
        all_of_it, part = (logits_of(maker.network, view, place) for place in (whole(view), crop))
    torch.testing.assert_close(part, all_of_it[..., 2:10, 3:12], rtol=1e-4, atol=1e-4)


def test_half_of_the_points_lie_near_edges_and_all_in_the_crop(made: tuple[Maker, Picture]) -> None:
    _, kept = made
    view = kept.views[1]
    crop = (2, 2, 11, 11)
    rows, columns = draw_points(kept, view, crop, Plan(points=400, near=3), np.random.default_rng(0))
    assert len(rows) == 400
    near = kept.edge[rows, columns]
    assert np.sum((near > 0) & (near <= 3)) == 200
    y, x = view.places(rows, columns)
    assert 2 <= y.min() <= y.max() <= 10
    assert 2 <= x.min() <= x.max() <= 10


def test_what_is_kept_comes_back(made: tuple[Maker, Picture], tmp_path: Path) -> None:
    _, kept = made
    kept.save(tmp_path / "a.npz")
    back = Picture.load(tmp_path / "a.npz")
    assert np.array_equal(back.probabilities, kept.probabilities)
    assert np.array_equal(back.edge, kept.edge)
    assert back.channels.tolist() == kept.channels.tolist()
    for one, other in zip(back.views, kept.views, strict=True):
        assert (one.window, one.scaled, one.grid, one.whole, one.mirrored) == (
            other.window, other.scaled, other.grid, other.whole, other.mirrored)  # fmt: skip
        assert np.array_equal(one.high, other.high)
        assert np.array_equal(one.low, other.low)


def test_the_decoder_comes_closer_to_the_teacher_and_nothing_else_changes(checkpoint: Path) -> None:
    maker = Maker(checkpoint, 16, (1.0, 1.5), 8)
    kept = maker.make(picture(), "a")
    before = {name: value.clone() for name, value in maker.network.state_dict().items()}
    losses = [loss for _, loss in distil(maker.network, [kept], Plan(steps=30, batch=2, rate=1e-3, points=500))]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    changed = {name.split(".")[0] for name, value in maker.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"decoder", "classifier"}


def test_the_command_writes_a_model_with_its_origin(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    given = ["--init", str(checkpoint), "--images", str(folder), "--scales", "1", "--steps", "2", "--batch", "1",
             "--output-stride", "8", "--name", "taught", "--cache", str(tmp_path / "cache")]  # fmt: skip
    for number in range(2):  # the second run reads what the first has kept
        main([*given, "-o", str(tmp_path / f"{number}.safetensors")])
    assert "2 images" in capsys.readouterr().out
    (one, card), (other, _) = (load_model(tmp_path / f"{number}.safetensors") for number in range(2))
    assert (card.name, card.output_stride) == ("taught", 8)
    assert card.extra["training"]["lineage"]["start"] == "start"
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SystemExit, match="x occurs twice"):
        images_of([tmp_path])
    with pytest.raises(SystemExit, match="no images"):
        images_of([tmp_path / "none"])
