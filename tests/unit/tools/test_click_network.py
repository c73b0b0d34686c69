"""The trainer of the click network: simulated clicks, loss, a run that resumes exactly, and the exported graph."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from deeplab_core.backends import load_click_model
from deeplab_core.nn import create_model
from deeplab_core.nn.base import Encoder
from deeplab_core.regions import find_regions
from tools.click_network.data import Labelled, Sources, cut
from tools.click_network.export import export
from tools.click_network.loss import normalised_focal_loss
from tools.click_network.network import LEVELS, RADIUS, ClickGraph, ClickHead, disks
from tools.click_network.recipe import ClickRecipe, SetPlan
from tools.click_network.simulate import correction_task, errors_of, next_click, object_task, objects_of, spoiled
from tools.click_network.training import Run, averaged_head, maps_of, save_head, train

SIDE = 65


class Shades(nn.Module):
    """Stands for the encoder: the colours around each point, repeated in all channels, at its five strides."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for channels, stride in zip(LEVELS, (2, 4, 8, 16, 16), strict=True):
            mean = nn.functional.avg_pool2d(x, stride + 1, stride, stride // 2, count_include_pad=False)
            found.append(mean.repeat(1, -(-channels // 3), 1, 1)[:, :channels])
        return tuple(found)


def shapes(seed: int) -> Labelled:
    """Ellipses of three classes on ground, each class with its own colour, and labels that miss some of them."""
    drawn = np.random.default_rng(seed)
    truth = np.zeros((90, 110), np.uint8)
    labels = np.zeros_like(truth)
    for _ in range(5):
        cls = int(drawn.integers(1, 4))
        middle, axes = drawn.integers(10, 90, 2).tolist(), drawn.integers(6, 22, 2).tolist()
        cv2.ellipse(truth, middle, axes, 0, 0, 360, cls, -1)
        if drawn.random() < 0.6:
            cv2.ellipse(labels, middle, axes, 0, 0, 360, cls, -1)
    colours = np.array([[40, 40, 40], [220, 60, 60], [60, 220, 60], [60, 60, 220]], np.uint8)
    noise = drawn.integers(0, 30, (*truth.shape, 3), dtype=np.uint8)
    return Labelled(colours[truth] + noise, truth, labels, 255, 0)


class Toys(Sources):
    """Sources without files."""

    def __init__(self) -> None:
        self.sets = [[shapes(seed) for seed in range(12)]]
        self._share = np.ones(1)


def recipe(**changes: object) -> ClickRecipe:
    plan = {"encoder": "", "sets": (SetPlan(images="", masks=""),), "steps": 40, "batch": 4, "side": SIDE, "fresh": 2, "pool": 8,
            "warmup": 5, "rate": 2e-3, "bf16": False}  # fmt: skip
    return ClickRecipe(**{**plan, **changes})  # type: ignore[arg-type]


def run(**changes: object) -> Run:
    encoder = Shades().eval()
    return Run(recipe(**changes), encoder, Toys())  # type: ignore[arg-type]


def test_the_loss_by_hand() -> None:
    """Right answers have p = 1/2 and 3/4: ((1/4) ln 2 + (1/16) ln 4/3) / (1/4 + 1/16) = 0.61205; one more has no weight."""
    logits = torch.tensor([0.0, np.log(3.0), -9.0]).view(1, 1, 1, 3)
    target, weight = torch.ones(1, 1, 1, 3), torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    assert normalised_focal_loss(logits, target, weight).item() == pytest.approx(0.61205, abs=2e-5)
    first = torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 1, 3)
    assert normalised_focal_loss(logits, target, first).item() == pytest.approx(np.log(2), abs=1e-5)


def test_every_image_of_a_batch_weighs_the_same() -> None:
    logits = torch.cat([torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 3.0)])
    target, weight = torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    both = normalised_focal_loss(logits, target, weight)
    apart = [normalised_focal_loss(logits[i : i + 1], target[:1], weight[:1]) for i in range(2)]
    assert both.item() == pytest.approx((apart[0] + apart[1]).item() / 2, rel=1e-6)


def blobs(seed: int) -> NDArray[np.bool_]:
    drawn = np.random.default_rng(seed)
    coarse = cv2.resize(drawn.normal(size=(5, 6)).astype(np.float32), (40, 30), interpolation=cv2.INTER_CUBIC)
    return np.asarray(coarse > 0.2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_a_click_lies_in_the_largest_error(seed: int, random: bool) -> None:
    target, answer, counts = blobs(seed), blobs(seed + 1), blobs(seed + 2) | blobs(seed + 3)
    drawn = np.random.default_rng(seed) if random else None
    click = next_click(answer.astype(np.float32), target, counts, drawn)
    wrong = (answer != target) & counts
    if click is None:
        assert not wrong.any()
        return
    row, column, positive = click
    found = find_regions(target.astype(np.uint8), wrong)
    number = int(found.numbers[row, column])
    assert number > 0
    assert found.pixels[number - 1] == found.pixels.max()
    assert positive == target[row, column]
    assert positive != answer[row, column]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_correction_asks_for_the_clicked_error_only(seed: int) -> None:
    one = shapes(seed)
    assert one.labels is not None
    drawn = np.random.default_rng(seed)
    task = correction_task(one.truth, one.labels, 255, errors_of(one.truth, one.labels, 255), drawn)
    if task is None:
        return
    row, column, positive = task.points[0]
    assert positive == task.target[row, column]
    assert positive != (task.mask[row, column] > 0.5)
    assert task.weight[row, column] >= 1
    wrong = (task.mask > 0.5) != task.target
    assert 0 < task.weight[~wrong].min() < task.weight[~wrong].max() == 1  # far and near
    numbers = find_regions(np.ones_like(one.truth), wrong & (task.weight > 0)).numbers
    assert numbers[row, column] > 0


def test_an_object_begins_empty_and_leaves_its_class_out() -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[5:20, 5:20] = truth[5:20, 35:55] = 3
    truth[30:, :] = 255
    task = object_task(truth, 255, objects_of(truth, 255, 0), np.random.default_rng(0))
    assert task is not None
    row, column, positive = task.points[0]
    assert positive
    assert task.target[row, column]
    assert not task.mask.any()
    other = (truth == 3) & ~task.target
    assert task.target.sum() in (225, 300)
    assert not task.weight[other | (truth == 255)].any()
    assert task.weight[truth == 0].all()


def test_spoiled_labels_are_those_of_the_image_and_wrong_in_places() -> None:
    one = shapes(3)
    truth = one.truth.copy()
    truth[:8] = 255
    wrong = [spoiled(truth, 255, np.random.default_rng(seed)) for seed in range(8)]
    for labels in wrong:
        assert set(np.unique(labels)) <= set(np.unique(one.truth))
        assert 0 < np.mean(labels[8:] != truth[8:]) < 0.6


def test_crops_keep_image_and_labels_together() -> None:
    """Each class has a colour, so the brightest channel tells whether mask and image moved alike."""
    for seed in range(10):
        crop = cut(shapes(seed), SIDE, np.random.default_rng(seed))
        assert crop.rgb.shape == (SIDE, SIDE, 3)
        assert crop.labels is not None
        assert crop.labels.shape == crop.truth.shape == (SIDE, SIDE)
        inside = cv2.erode(np.isin(crop.truth, (1, 2, 3)).astype(np.uint8), np.ones((7, 7))).astype(bool)
        assert np.mean(crop.rgb.argmax(axis=2)[inside] + 1 == crop.truth[inside]) > 0.95 or not inside.any()


def test_clicks_are_drawn_as_disks() -> None:
    points = torch.tensor([[[10.0, 20.0, 0.0], [-1, -1, -1], [30.0, 5.0, 1.0], [-1, -1, -1]]])
    positive, negative = disks(points, 40, 50)[0].numpy()
    rows, columns = np.mgrid[:40, :50]
    np.testing.assert_array_equal(positive, (rows - 10) ** 2 + (columns - 20) ** 2 <= RADIUS**2)
    np.testing.assert_array_equal(negative, (rows - 30) ** 2 + (columns - 5) ** 2 <= RADIUS**2)


def test_the_loss_falls_on_simple_shapes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = run(steps=80, batch=4, pool=4, fresh=1, rounds=1)
    rows = list(train(made, tmp_path, every=1e9))
    assert [row["step"] for row in rows] == [20, 40, 60, 80]
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    assert rows[-1]["iou"] > rows[0]["iou"] + 0.05
    assert (tmp_path / "log.csv").read_text().startswith("step,loss,iou,rate,seconds\n20,")


def test_a_run_resumes_exactly(tmp_path: Path) -> None:
    whole = run(steps=6)
    for _ in range(4):
        whole.advance()
    first = run(steps=6)
    for _ in range(2):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second = run(steps=6)
    second.load(tmp_path / "state.safetensors")
    for _ in range(2):
        second.advance()
    assert second.step == whole.step == 4
    for name, value in whole.head.state_dict().items():
        assert torch.equal(value, second.head.state_dict()[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name
    whole.save(tmp_path / "whole.safetensors")
    head = averaged_head(tmp_path / "whole.safetensors")
    assert torch.equal(head.logits.weight, whole.average["logits.weight"])
    save_head(head, tmp_path / "head.safetensors")
    alone = averaged_head(tmp_path / "head.safetensors")
    assert torch.equal(alone.logits.weight, head.logits.weight.half().float())


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    run(steps=6).save(tmp_path / "state.safetensors")
    with pytest.raises(SystemExit, match="recipe differs"):
        run(rate=1e-4).load(tmp_path / "state.safetensors")


def test_sets_leave_out_what_must_stay_unseen(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for seed in range(4):
        one = shapes(seed)
        Image.fromarray(one.rgb).save(tmp_path / "images" / f"{seed}.jpg")
        Image.fromarray(one.truth if seed != 2 else one.truth[:9]).save(tmp_path / "masks" / f"{seed}.png")
    (tmp_path / "unseen.txt").write_text("1\n")
    (tmp_path / "r.toml").write_text(
        f'encoder = "e"\n[[sets]]\nimages = "{tmp_path}/images"\nmasks = "{tmp_path}/masks"\nskip = ["{tmp_path}/unseen.txt"]\n'
    )
    plan = ClickRecipe.read(tmp_path / "r.toml").sets[0]
    assert [image.stem for image, _ in plan.pairs()] == ["0", "2", "3"]
    found = Sources([plan], tmp_path / "predictions").sets[0]
    assert [one.truth.shape for one in found] == [(90, 110)] * 2  # the mask of number 2 has another size
    (tmp_path / "r.toml").write_text('encoder = "e"\nsteps = 3\nbatches = 2\nsets = []\n')
    with pytest.raises(SystemExit, match="batches"):
        ClickRecipe.read(tmp_path / "r.toml")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClickGraph, Path]:
    """Encoder and head of random weights that half precision holds exactly, and their graph."""
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=2, output_stride=16,
                         backbone_options={"folded_norm": True}, atrous_rates=(), folded_norm=True)  # fmt: skip
    head = ClickHead()
    encoder = model.encoder
    assert isinstance(encoder, Encoder)
    for module in (*encoder.modules(), *head.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    made = run(steps=1)
    made.head.load_state_dict(head.state_dict())
    made.advance()  # norms with statistics of their own
    head.load_state_dict(made.head.state_dict())
    graph = ClickGraph(encoder, head).eval()
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.copy_(parameter.half().float())
    path = tmp_path_factory.mktemp("graph") / "clicks.onnx"
    export(encoder, head, path)
    return graph, path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "clicks"), [((96, 128), 1), ((160, 64), 3)])
def test_the_exported_graph_says_what_the_module_says(
    exported: tuple[ClickGraph, Path], size: tuple[int, int], clicks: int
) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession(str(exported[1]), providers=["CPUExecutionProvider"])
    torch.manual_seed(1)
    image = torch.rand(1, 4, *size)
    points = torch.full((1, 2 * clicks, 3), -1.0)
    points[0, :clicks] = torch.tensor([[20.0 + 9 * number, 30.0, number] for number in range(clicks)])
    with torch.no_grad():
        expected = exported[0](image, points)
    found = session.run(None, {"image": image.numpy(), "points": points.numpy()})[0]
    assert found.shape == (1, 1, *size)
    scale = float(expected.std())
    assert scale > 1e-3
    # Folded norms are rounded to half precision, the rest is exact.
    assert np.abs(found - expected.numpy()).max() < 0.02 * scale


def test_the_click_tool_recognises_the_graph(exported: tuple[ClickGraph, Path]) -> None:
    assert exported[1].stat().st_size < 8_000_000
    model = load_click_model(exported[1])
    assert model.title.startswith("click network")
    assert model.notes == ()  # it normalises inside: colours go in as RITM's do
    rgb = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    masks = model.masks(rgb, np.array([[20.5, 30.5]]), np.array([True]), None, np.zeros((70, 90), np.bool_))
    assert masks
    assert masks[0].shape == (70, 90)


def test_maps_hold_clicks_by_sign_and_the_mask() -> None:
    one = shapes(0)
    task = object_task(one.truth, 255, objects_of(one.truth, 255, 0), np.random.default_rng(0))
    assert task is not None
    task.points.append((3, 4, False))
    maps = maps_of([task])
    assert maps.shape == (1, 3, 90, 110)
    row, column, _ = task.points[0]
    assert maps[0, 0, row, column] == 1 == maps[0, 1, 3, 4]
    assert maps[0, 1, row, column] == 0 == maps[0, 2].max()
