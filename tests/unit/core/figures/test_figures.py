"""The papers' figures: their numbers against arithmetic by hand, and files that are the same again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.errors import AtrousError
from deeplab_core.figures import FIGURES, FigureInputs, NamedModel, TruthPair, make_figure
from deeplab_core.figures.layers import reach, valid_weights
from deeplab_core.masks.export.masks import color_table
from deeplab_core.nn import create_model
from tests.unit.core.inference.networks import card, catalog, photograph

CLASSES = 3


@pytest.fixture(scope="module")
def network() -> NamedModel:
    torch.manual_seed(0)
    model = create_model(
        "deeplabv3plus", backbone="mobilenet_v2", num_classes=CLASSES, backbone_options={"width": 0.25}, aspp_channels=16,
        decoder_channels=16, low_level_channels=8, separable=True,
    )  # fmt: skip
    with torch.no_grad():
        model.classifier.weight.mul_(3)
    return NamedModel("tiny", model.eval(), card(CLASSES, output_stride=16))


def pairs(count: int = 4) -> Iterator[TruthPair]:
    for number in range(count):
        rgb = photograph(48, 64, seed=number)
        truth = np.zeros((48, 64), np.uint8)
        truth[10:30, 8 + number : 40] = 1
        truth[25:45, 30:60] = 2
        truth[24:26] = 255
        yield TruthPair(f"{number}.png", rgb, truth)


@pytest.fixture
def inputs(network: NamedModel) -> FigureInputs:
    return FigureInputs(
        image=photograph(48, 64), image_name="blobs", models=(network,), pairs=pairs, pair_count=4, catalog=catalog(CLASSES),
        scales=(0.75, 1.0), steps=2,
    )  # fmt: skip


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((folder / f"{name}.json").read_text())["rows"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_writes_the_same_files_again(name: str, inputs: FigureInputs, tmp_path: Path) -> None:
    written = make_figure(name, inputs, tmp_path / "a")
    make_figure(name, inputs, tmp_path / "b")
    assert {path.name for path in written.files} >= {f"{name}.{ending}" for ending in ("png", "svg", "csv", "json")}
    for path in written.files:
        if not path.name.endswith(".times.json"):
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    about = json.loads((tmp_path / "a" / f"{name}.json").read_text())
    assert about["caption"]
    assert "arXiv" in about["source"]
    with (tmp_path / "a" / f"{name}.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(about["rows"]) > 0
    assert list(table[0]) == list(about["rows"][0])


def test_a_stack_of_rates_sees_what_the_paper_says(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("receptive-field", inputs, tmp_path)
    assert [row["span_px"] for row in rows_of(tmp_path, "receptive-field")] == [3, 7, 15]
    assert [row["pixels_seen"] for row in rows_of(tmp_path, "receptive-field")] == [9, 49, 225]


def test_a_network_is_walked_layer_by_layer(network: NamedModel, tmp_path: Path) -> None:
    make_figure("receptive-field", FigureInputs(network=network), tmp_path)
    rows = rows_of(tmp_path, "receptive-field")
    assert rows[0]["name"] == "encoder.stem.conv"
    assert rows[0]["span_px"] == 3
    assert max(row["radius_px"] for row in rows) >= network.model.receptive_radius() - 4


def test_equal_rates_leave_three_quarters_unseen(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("gridding", inputs, tmp_path)
    equal, grid = rows_of(tmp_path, "gridding")
    assert (equal["span_px"], equal["pixels_seen"]) == (13, 49)
    assert (grid["span_px"], grid["pixels_seen"], grid["unseen_share"]) == (15, 225, 0.0)


@settings(max_examples=30, deadline=None)
@given(rates=st.lists(st.integers(1, 4), min_size=1, max_size=3), kernel=st.sampled_from([1, 3, 5]))
def test_paths_equal_a_convolution_of_ones(rates: list[int], kernel: int) -> None:
    found = reach(rates, kernel)[-1]
    assert found.sum() == kernel ** (2 * len(rates))
    side = 1 + sum(rate * (kernel - 1) for rate in rates)
    stack = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, kernel, dilation=rate, bias=False) for rate in rates)).double()
    for layer in stack:
        torch.nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(x).sum(), x)
    np.testing.assert_array_equal(found, gradient[0, 0].numpy().round().astype(np.int64))


@settings(max_examples=30, deadline=None)
@given(rate=st.integers(1, 70), side=st.integers(1, 65))
def test_valid_weights_equal_a_convolution_over_ones(rate: int, side: int) -> None:
    ones = torch.ones(1, 1, side, side)
    want = torch.nn.functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)[0, 0]
    np.testing.assert_array_equal(valid_weights(rate, side), want.numpy().astype(np.int64))


def test_only_the_central_weight_is_left_at_rates_of_the_map_s_size(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("large-rates", inputs, tmp_path)
    rows = {row["rate"]: row for row in rows_of(tmp_path, "large-rates")}
    assert rows[1]["share_9_valid"] == pytest.approx((63 / 65) ** 2, abs=1e-6)
    assert rows[65]["share_1_valid"] == 1.0
    assert rows[64]["share_1_valid"] < 1.0
    for row in rows.values():
        assert sum(value for key, value in row.items() if key.startswith("share")) == pytest.approx(1.0, abs=1e-5)


def test_unpooling_leaves_15_of_16_places_empty(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("upsampling", inputs, tmp_path)
    shares = {row["map"]: row["filled_share"] for row in rows_of(tmp_path, "upsampling")}
    assert shares["unpooled twice"] == pytest.approx(1 / 16)
    assert shares["transposed convolution, twice"] == 1.0


def test_a_stride_keeps_a_quarter_of_the_responses(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("atrous-or-downsample", inputs, tmp_path)
    responses = [row["responses"] for row in rows_of(tmp_path, "atrous-or-downsample")]
    assert responses[0] == responses[1] == responses[2] // 4


def test_every_stride_of_the_network_is_a_row(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("output-stride", inputs, tmp_path)
    rows = rows_of(tmp_path, "output-stride")
    assert [row["output_stride"] for row in rows] == [32, 16, 8, 4]
    costs = [row["multiply_adds_g"] for row in rows]
    assert costs == sorted(costs)
    assert set(json.loads((tmp_path / "output-stride.times.json").read_text())) == {
        f"output stride {stride}, s per image" for stride in (32, 16, 8, 4)
    }


def test_the_pyramid_has_a_map_for_each_branch(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("pyramid", inputs, tmp_path)
    rows = rows_of(tmp_path, "pyramid")
    assert [row["branch"] for row in rows] == ["1x1", "3x3, rate 6", "3x3, rate 12", "3x3, rate 18", "image pooling"]
    assert rows[-1]["std_over_positions"] == pytest.approx(0.0, abs=1e-5)


def test_designs_differ_in_size_as_their_names_say(inputs: FigureInputs, tmp_path: Path) -> None:
    make_figure("decoder-design", inputs, tmp_path)
    rows = {(row["question"], row["design"]): row["decoder_parameters"] for row in rows_of(tmp_path, "decoder-design")}
    channels = [rows["low-level channels", str(number)] for number in (8, 16, 32, 48, 64)]
    assert channels == sorted(channels)
    assert rows["3x3 structure", "[3x3, 16]"] < rows["3x3 structure", "[3x3, 16] x 2"] < rows["3x3 structure", "[3x3, 16] x 3"]


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("nonsense", {}, "no figure 'nonsense'"),
        ("pyramid", {}, "image is missing"),
        ("output-stride", {"image": photograph(8, 8)}, "folder is missing"),
    ],
)
def test_what_is_missing_is_named(name: str, given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(AtrousError, match=says):
        make_figure(name, FigureInputs(**given), tmp_path)
    assert not list(tmp_path.iterdir())


def test_networks_without_the_asked_part_are_refused(tmp_path: Path) -> None:
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=CLASSES, pyramid=False, decoder="bilinear").eval()
    inputs = FigureInputs(
        image=photograph(32, 32), models=(NamedModel("bare", model, card(CLASSES, output_stride=16)),), pairs=pairs, pair_count=4,
        catalog=catalog(CLASSES),
    )  # fmt: skip
    with pytest.raises(AtrousError, match="bare has no atrous spatial pyramid"):
        make_figure("pyramid", inputs, tmp_path)
    with pytest.raises(AtrousError, match="bare has no decoder to vary"):
        make_figure("decoder-design", inputs, tmp_path)


def test_other_classes_than_the_ground_truth_s_are_refused(inputs: FigureInputs, tmp_path: Path) -> None:
    other = FigureInputs(models=inputs.models, pairs=pairs, pair_count=4, catalog=catalog(5))
    with pytest.raises(AtrousError):
        make_figure("output-stride", other, tmp_path)


def test_colours_are_looked_up_by_class_id() -> None:
    classes = catalog(3, first_id=7)
    table = color_table(classes)
    assert table.shape == (256, 3)
    assert table[8].tolist() == list(classes.classes[1].color)
