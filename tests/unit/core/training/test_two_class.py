"""Networks of one channel: trained from scratch, gone on with, and learning from corrections."""

from __future__ import annotations

import copy
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.learning import LearnOptions
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training import DataSource, Recipe, RunFiles, SegmentationDataset, Trainer, TrainingGroup
from deeplab_core.training.adaptation import Corrected, Untouched, adapt
from deeplab_core.training.adaptation.frozen_split import main_classifiers
from deeplab_core.weights import load_model, save_model
from tests.unit.core.training.learner_world import COLOURS, room
from tests.unit.core.training.made_data import CATALOG, RECIPE, make_folder
from tests.unit.core.training.test_trainer import Notes

TWO = ClassCatalog("toy two", "Toy", (ClassInfo(0, "floor", (40, 40, 40)), ClassInfo(3, "chair", (200, 30, 30))), background=0)
ALONE = TrainingGroup(0, 1, torch.device("cpu"))


@pytest.fixture
def data(tmp_path: Path) -> SegmentationDataset:
    """Chairs on the floor; sofas are void."""
    from PIL import Image

    folder = make_folder(tmp_path / "data")
    for path in (folder / "labels").iterdir():
        labels = _indices(path)
        labels[labels == 7] = 255
        Image.fromarray(labels).save(path)
    return SegmentationDataset(DataSource(images=folder / "images", truth=folder / "labels").samples(TWO), TWO)


def _indices(path: Path) -> np.ndarray:
    from deeplab_core.masks.read import read_mask

    return read_mask(path, CATALOG)


def trained(recipe: Recipe, data: SegmentationDataset, out: Path, **options: Any) -> Trainer:
    trainer = Trainer(recipe, data, options.pop("val", None), RunFiles(out), ALONE, Notes())
    trainer.run()
    return trainer


def test_one_channel_is_trained_and_validated(data: SegmentationDataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, sigmoid=True, steps=60, rate=0.1, scales=(0.9, 1.1), class_weighting="median_frequency")
    trainer = trained(recipe, data, tmp_path / "run", val=data)
    model, card = load_model(tmp_path / "run" / "model.safetensors")
    assert (model.num_classes, card.catalog, card.threshold) == (1, TWO, 0.5)
    row = trainer.state.history[-1]["val"]
    assert row["classes_truth"] == 2
    assert row["mean_iou"] > 0.6
    rgb, channels = data.pair(0)
    labels = Predictor(model, card)(rgb).labels
    known = channels >= 0
    assert ((labels == 3) == (channels == 1))[known].mean() > 0.8


def test_it_takes_the_steps_of_two_channels_with_the_first_0(data: SegmentationDataset, tmp_path: Path) -> None:
    """Binary cross entropy is the cross entropy of ``(0, z)``: the loss that is logged is that of the definition."""
    recipe = replace(RECIPE, sigmoid=True, steps=1, rate=1e-9)
    trainer = Trainer(recipe, data, None, RunFiles(tmp_path / "run"), ALONE, Notes())
    batch = next(iter(data.batches(recipe, 0, preprocessing=trainer.preprocessing)))
    torch.manual_seed(1)
    total, weight = trainer.forward(batch.input(), batch.labels)
    torch.manual_seed(1)
    z = trainer.model(batch.input())[:, 0]
    known = batch.labels >= 0
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z[known], batch.labels[known].float(), reduction="sum")
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)
    assert int(weight) == int(known.sum())


def test_a_checkpoint_of_one_channel_keeps_it_for_two_classes_only(data: SegmentationDataset, tmp_path: Path) -> None:
    trained(replace(RECIPE, sigmoid=True, steps=1), data, tmp_path / "run")
    start = str(tmp_path / "run" / "model.safetensors")
    again = Trainer(
        replace(RECIPE, network="", backbone="", options={}, init=start, steps=1),
        data,
        None,
        RunFiles(tmp_path / "a"),
        ALONE,
        Notes(),
    )
    assert again.model.num_classes == 1
    assert any(name.startswith("classifier") for name in again.lineage["taken"])
    three = SegmentationDataset(
        DataSource(images=tmp_path / "data" / "images", truth=tmp_path / "data" / "labels").samples(CATALOG), CATALOG
    )
    more = Trainer(
        replace(RECIPE, network="", backbone="", options={}, init=start, steps=1),
        three,
        None,
        RunFiles(tmp_path / "b"),
        ALONE,
        Notes(),
    )
    assert more.model.num_classes == 3


def test_one_channel_needs_two_classes(data: SegmentationDataset, tmp_path: Path) -> None:
    three = SegmentationDataset(data.samples, CATALOG)
    with pytest.raises(AtrousError, match="sigmoid is for two classes"):
        Trainer(replace(RECIPE, sigmoid=True), three, None, RunFiles(tmp_path / "run"), ALONE, Notes())


def test_gray_networks_are_trained_and_four_channels_refused(data: SegmentationDataset, tmp_path: Path) -> None:
    options = {**RECIPE.options, "in_channels": 1}
    trained(replace(RECIPE, options=options, steps=2), data, tmp_path / "run", val=data)
    model, card = load_model(tmp_path / "run" / "model.safetensors")
    assert (model.in_channels, card.preprocessing.channel_order) == (1, "gray")
    with pytest.raises(WeightsError, match="4 channels and cannot be trained"):
        Trainer(replace(RECIPE, options=options | {"in_channels": 4}), data, None, RunFiles(tmp_path / "four"), ALONE, Notes())


# -- learning from corrections -------------------------------------------------------------------------------------------


def chairs(seed: int, *things: str) -> tuple[np.ndarray, np.ndarray]:
    rgb, truth = room(seed, *things)
    return rgb, np.where(truth == 0, 0, 3).astype(np.uint8)


@pytest.fixture(scope="module")
def knows_red() -> tuple[Any, ModelCard]:
    """One channel that finds red things: random features, a classifier that was fitted to them."""
    torch.manual_seed(3)
    torch.set_num_threads(1)
    options = {"aspp_channels": 16, "decoder_channels": 16, "low_level_channels": 8}
    model = create_model("deeplabv3plus", backbone="resnet18", num_classes=1, **options)
    pairs = [chairs(seed, "chair", "chair") for seed in range(4)]
    x = torch.stack([torch.from_numpy(rgb).permute(2, 0, 1).float().sub(127.5).div(64) for rgb, _ in pairs])
    y = torch.stack([torch.from_numpy(truth == 3).float() for _, truth in pairs])
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.train()(x)
        for norm in norms:
            norm.momentum = 0.1
    model.eval()
    head = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    optimizer = torch.optim.Adam(head, lr=1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y).backward()
        optimizer.step()
    card = ModelCard(
        id="red", name="Red", architecture=model.architecture, catalog=TWO, align_corners=model.align_corners,
        output_stride=model.output_stride, sha256="0" * 64, preprocessing=Preprocessing(mean=(127.5,) * 3, std=(64.0,) * 3),
        threshold=0.4,
    )  # fmt: skip
    return model, card


def iou(model: Any, card: ModelCard, *things: str) -> float:
    hits = union = 0
    for seed in range(50, 53):
        rgb, truth = chairs(seed, *things)
        called = Predictor(model, card)(rgb).labels == 3
        hits += int((called & (truth == 3)).sum())
        union += int((called | (truth == 3)).sum())
    return hits / union


def test_corrections_teach_a_network_of_one_channel(knows_red: tuple[Any, ModelCard], tmp_path: Path) -> None:
    assert "blue sofa" in COLOURS
    model, card = knows_red
    before = iou(model, card, "blue sofa", "chair")

    def corrected(seed: int) -> Corrected:
        rgb, truth = chairs(seed, "blue sofa", "chair")
        return Corrected(f"room {seed}", lambda: (rgb, truth, truth))

    known = [Untouched("known", lambda: chairs(30, "chair", "chair")[0])]
    found = adapt(model, card, [corrected(seed) for seed in range(20, 23)], known, options=LearnOptions(strength="strong"))
    assert found.model.num_classes == 1
    assert found.card.threshold == 0.4
    assert iou(found.model, found.card, "blue sofa", "chair") > before
    save_model(tmp_path / "learned.safetensors", found.model, found.card)
    assert load_model(tmp_path / "learned.safetensors")[1].threshold == 0.4


def test_corrections_of_the_background_alone_teach_too(knows_red: tuple[Any, ModelCard]) -> None:
    model, card = knows_red
    rgb, truth = chairs(21, "chair", "sofa")
    background = np.where(truth == 0, 0, 255).astype(np.uint8)
    found = adapt(model, card, [Corrected("room", lambda: (rgb, background, truth))], options=LearnOptions(strength="gentle"))
    assert found.model.num_classes == 1


@pytest.mark.parametrize("said", [0, 3])
def test_a_network_of_one_channel_that_says_one_class_everywhere_learns_the_other(
    knows_red: tuple[Any, ModelCard], said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("deeplab_core.training.adaptation.adapt"), "_STEPS", (40, 40))
    model, card = copy.deepcopy(knows_red[0]), knows_red[1]
    head = model.get_submodule(main_classifiers(model)[-1])
    with torch.no_grad():
        head.weight.mul_(0.01)
        head.bias.fill_(1.0 if said else -1.0)
    assert (Predictor(model, card)(chairs(20, "chair", "chair")[0]).labels == said).all()

    def corrected(seed: int) -> Corrected:
        rgb, truth = chairs(seed, "chair", "chair")
        return Corrected(f"room {seed}", lambda: (rgb, truth, truth))

    found = adapt(model, card, [corrected(20)], options=LearnOptions(strength="strong"))
    assert found.report.corrected[1] > found.report.corrected[0] + 0.05


def test_a_third_class_is_refused_in_words(knows_red: tuple[Any, ModelCard]) -> None:
    three = replace(TWO, name="three", classes=(*TWO.classes, ClassInfo(9, "lamp", (9, 9, 9))))
    rgb, truth = chairs(21, "chair", "lamp")
    labels = truth.copy()
    labels[:9, :9] = 9
    with pytest.raises(WeightsError, match="cannot learn new classes"):
        adapt(*knows_red, [Corrected("room", lambda: (rgb, labels, labels))], labels=three,
              options=LearnOptions(new_classes=(9,)))  # fmt: skip
