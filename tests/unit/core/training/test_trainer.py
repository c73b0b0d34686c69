"""The loop: it learns, goes on exactly, stops on nonsense, and what it writes can be loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.training import Recipe, RunFiles, SegmentationDataset, Trainer, TrainingGroup
from deeplab_core.training.network import MovingAverage, freeze_norms
from deeplab_core.training.state import RunState
from deeplab_core.weights import load_model
from tests.unit.core.training.made_data import CATALOG, RECIPE, dataset, make_folder

ALONE = TrainingGroup(0, 1, torch.device("cpu"))


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.said: list[str] = []

    def step(self, step: int, steps: int, loss: float, rate: float) -> None:
        self.losses.append(loss)

    def epoch(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def data(tmp_path: Path) -> SegmentationDataset:
    return dataset(make_folder(tmp_path / "data"))


def trainer(recipe: Recipe, data: SegmentationDataset, out: Path, notes: Notes | None = None, **options: Any) -> Trainer:
    val, stop = options.pop("val", None), options.pop("stop", lambda: False)
    return Trainer(recipe, data, val, RunFiles(out, **options), ALONE, notes or Notes(), stop=stop)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_a_set_that_can_be_learnt(data: SegmentationDataset, tmp_path: Path) -> None:
    notes = Notes()
    recipe = replace(RECIPE, steps=50, rate=0.1, validate_every=0, name="toy", licence="ours", scales=(0.9, 1.1))
    outcome = trainer(recipe, data, tmp_path / "run", notes, val=data).run()
    assert notes.losses[-1] < 0.75 * notes.losses[0]
    assert outcome.card is not None
    assert outcome.card.extra["training"]["validation"]["mean_iou"] > 0.4  # everything floor gives 0.25
    model, card = load_model(tmp_path / "run" / "model.safetensors")
    assert (card.name, card.licence, [info.name for info in card.catalog.classes]) == ("toy", "ours", ["floor", "chair", "sofa"])
    assert card.extra["training"]["recipe"]["steps"] == 50
    assert card.preprocessing.mean == recipe.mean
    assert model.num_classes == 3
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(log) == 1 + len(outcome.history)
    assert "val/mean_iou" in log[0]
    assert "val/iou/chair" in log[0]


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, ema=0.9, validate_every=1, class_weighting="log_1.02"),
        replace(RECIPE, optimizer="adamw", rate=0.001, accumulate=2, jitter=0.4, loss="ohem"),
        replace(RECIPE, norm="frozen", warmup=3, clip=1.0),
    ],
    ids=["sgd", "adamw", "frozen"],
)
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(recipe: Recipe, data: SegmentationDataset, tmp_path: Path) -> None:
    unbroken = Notes()
    trainer(recipe, data, tmp_path / "one", unbroken, val=data).run()
    broken = Notes()
    for stop_after in (1, 4, None):
        part = trainer(
            recipe,
            data,
            tmp_path / "two",
            broken,
            val=data,
            stop=lambda limit=stop_after: limit is not None and len(broken.losses) >= limit,
        )
        if (tmp_path / "two" / "state.safetensors").exists():
            part.resume()
        outcome = part.run()
        assert (outcome.model_path is None) == (stop_after is not None)
    assert len(unbroken.losses) == 6
    assert broken.losses == unbroken.losses
    assert same(weights(tmp_path / "one" / "model.safetensors"), weights(tmp_path / "two" / "model.safetensors"))
    plain = [{k: v for k, v in row.items() if k != "seconds"} for row in unbroken.rows]
    again = [{k: v for k, v in row.items() if k != "seconds"} for row in broken.rows]
    assert {row["epoch"]: row for row in again} == {row["epoch"]: row for row in plain}


def test_two_runs_of_one_seed_are_equal_and_of_another_are_not(data: SegmentationDataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=2)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(replace(recipe, seed=seed), data, tmp_path / name).run()
    one, two, three = (weights(tmp_path / name / "model.safetensors") for name in "abc")
    assert same(one, two)
    assert not same(one, three)


def test_rounds_of_accumulation_take_the_step_of_one_round(data: SegmentationDataset, tmp_path: Path) -> None:
    """With frozen norms (batch norm would see other batches) and no dropout; unequal numbers of void pixels included."""
    recipe = replace(RECIPE, norm="frozen", steps=2, rate=0.01, scales=(0.5, 0.7))
    recipe = replace(recipe, options={**recipe.options, "decoder_dropout": 0.0, "aspp_dropout": 0.0})
    trainer(recipe, data, tmp_path / "one").run()
    trainer(replace(recipe, accumulate=2), data, tmp_path / "two").run()
    one, two = weights(tmp_path / "one" / "model.safetensors"), weights(tmp_path / "two" / "model.safetensors")
    assert all(torch.allclose(one[name], two[name], rtol=1e-4, atol=1e-6) for name in one)


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_batch(data: SegmentationDataset, tmp_path: Path) -> None:
    part = trainer(replace(RECIPE, steps=3), data, tmp_path / "run")
    with torch.no_grad():
        part.model.classifier.bias.fill_(float("nan"))
    before = {name: tensor.clone() for name, tensor in part.model.encoder.state_dict().items() if "running" not in name}
    with pytest.raises(AtrousError, match=r"not|nan") as caught:
        part.run()
    assert "room_" in str(caught.value)
    after = part.model.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "num_batches" not in name)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_gradient_that_is_no_number_ends_the_run_before_its_step(data: SegmentationDataset, tmp_path: Path) -> None:
    part = trainer(replace(RECIPE, steps=3), data, tmp_path / "run")
    weight = part.model.classifier.weight
    weight.register_hook(lambda gradient: gradient * float("nan"))  # the loss itself stays finite
    before = weight.detach().clone()
    with pytest.raises(AtrousError, match=r"gradient.*step 1.*room_"):
        part.run()
    assert torch.equal(before, weight)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not part.state_path.exists()


def test_overflow_in_half_precision_is_borne_until_no_scale_helps(data: SegmentationDataset, tmp_path: Path) -> None:
    notes = Notes()
    # Small, because convolutions in half precision are slow on CPUs.
    thin = {"width": 0.25}
    recipe = replace(RECIPE, steps=60, precision="fp16", validate_every=0, crop=(16, 16), batch=2, backbone_options=thin)
    part = trainer(recipe, data, tmp_path / "run", notes)
    weight = part.model.classifier.weight
    weight.register_hook(lambda gradient: gradient * float("nan"))
    before = weight.detach().clone()
    with pytest.raises(AtrousError, match="gradient"):
        part.run()
    assert 10 < len(notes.losses) < 40, "every step halves the scale"
    assert torch.equal(before, weight)


def test_a_network_that_ran_away_is_not_written(data: SegmentationDataset, tmp_path: Path) -> None:
    """The loss of a step is that of the weights before it: the last step of all is followed by none that could tell."""
    part = trainer(replace(RECIPE, steps=1, rate=1e30), data, tmp_path / "run")
    with pytest.raises(AtrousError, match="spoiled after step 1"):
        part.run()
    assert not part.state_path.exists()
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_state_that_leads_to_nonsense_again_is_called_so(data: SegmentationDataset, tmp_path: Path) -> None:
    trainer(replace(RECIPE, steps=3), data, tmp_path / "run", stop=lambda: True).run()
    again = trainer(replace(RECIPE, steps=3), data, tmp_path / "run")
    again.resume()
    again.model.classifier.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(AtrousError, match="leads here again"):
        again.run()


def test_another_recipe_cannot_continue_a_run(data: SegmentationDataset, tmp_path: Path) -> None:
    trainer(replace(RECIPE, steps=1), data, tmp_path / "run").run()
    with pytest.raises(AtrousError, match="batch"):
        trainer(replace(RECIPE, steps=1, batch=2), data, tmp_path / "run").resume()
    trainer(replace(RECIPE, steps=1, summary="another text is free to change"), data, tmp_path / "run").resume()


def test_other_data_cannot_continue_a_run(data: SegmentationDataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=1)
    trainer(recipe, data, tmp_path / "run", val=data).run()
    *kept, last = CATALOG.classes
    renamed = ClassCatalog("other", "Other", (*kept, replace(last, name="couch bed")))
    with pytest.raises(AtrousError, match="class 3 of the run is 'sofa', not 'couch bed'"):
        trainer(recipe, SegmentationDataset(data.samples, renamed), tmp_path / "run").resume()
    wider = ClassCatalog("more", "More", (*CATALOG.classes, ClassInfo(9, "table", (1, 2, 3))))
    with pytest.raises(AtrousError, match="3 classes, not 4"):
        trainer(recipe, SegmentationDataset(data.samples, wider), tmp_path / "run").resume()
    with pytest.raises(AtrousError, match="6 training images, now there are 5"):
        trainer(recipe, SegmentationDataset(data.samples[1:], CATALOG), tmp_path / "run").resume()
    swapped = (data.samples[1], data.samples[0], *data.samples[2:])
    with pytest.raises(AtrousError, match="other names"):
        trainer(recipe, SegmentationDataset(swapped, CATALOG), tmp_path / "run").resume()
    # Other validation images change no weight: that is only said.
    notes = Notes()
    trainer(recipe, data, tmp_path / "run", notes).resume()
    assert "validation images differ" in notes.said[0]


def test_a_run_of_an_older_version_goes_on(data: SegmentationDataset, tmp_path: Path) -> None:
    """Its state knows neither the data nor the younger keys of a recipe, and names files as they were typed."""
    part = trainer(replace(RECIPE, steps=1), data, tmp_path / "run")
    part.run()
    start = tmp_path / "run" / "model.safetensors"
    state = RunState.read(part.state_path)
    state.data = {}
    del state.recipe["average_with"]
    state.recipe["init"] = "run/model.safetensors"
    state.write(part.state_path)
    again = trainer(replace(RECIPE, steps=1, init=str(start)), data, tmp_path / "run")
    again.resume()
    assert again.state.data["train"]["images"] == 6
    state.recipe["init"] = "other.safetensors"
    state.write(part.state_path)
    with pytest.raises(AtrousError, match="init"):
        again.resume()


@pytest.mark.parametrize("spoil", ["truncate", "foreign", "missing"])
def test_a_damaged_state_is_named(spoil: str, data: SegmentationDataset, tmp_path: Path) -> None:
    part = trainer(replace(RECIPE, steps=1), data, tmp_path / "run")
    part.run()
    path = part.state_path
    if spoil == "truncate":
        path.write_bytes(path.read_bytes()[:5000])
    elif spoil == "foreign":
        path.write_bytes((tmp_path / "run" / "model.safetensors").read_bytes())
    else:
        path.unlink()
    with pytest.raises(WeightsError, match=r"state\.safetensors"):
        RunState.read(path)


def test_fine_tuning_keeps_everything_but_the_classifier(data: SegmentationDataset, tmp_path: Path) -> None:
    trainer(replace(RECIPE, steps=1), data, tmp_path / "first").run()
    start = tmp_path / "first" / "model.safetensors"
    old = weights(start)
    again = trainer(replace(RECIPE, init=str(start)), data, tmp_path / "again")
    card = again.write_model(tmp_path / "travels.safetensors")
    assert card.extra["training"]["recipe"]["init"] == start.name, "the user's folders are private"
    assert same(old, again.model.state_dict())
    other = ClassCatalog("more", "More", (*CATALOG.classes, ClassInfo(9, "table", (1, 2, 3))))
    wider = SegmentationDataset(data.samples, other)
    part = trainer(replace(RECIPE, init=str(start)), wider, tmp_path / "wider")
    new = part.model.state_dict()
    assert new["classifier.weight"].shape[0] == 4
    assert all(torch.equal(old[name], new[name]) for name in old if not name.startswith("classifier"))
    assert part.lineage["fresh"] == "classifier.bias, classifier.weight"


def test_a_run_begins_with_the_mean_of_several(data: SegmentationDataset, tmp_path: Path) -> None:
    paths = []
    for seed in range(3):
        trainer(replace(RECIPE, steps=1, seed=seed), data, tmp_path / str(seed)).run()
        paths.append(str(tmp_path / str(seed) / "model.safetensors"))
    part = trainer(replace(RECIPE, init=paths[0], average_with=tuple(paths[1:])), data, tmp_path / "mean")
    states = [weights(Path(path)) for path in paths]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    for name, tensor in part.model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, sum(state[name] for state in states) / 3)
    training = part.write_model(tmp_path / "mean.safetensors").extra["training"]
    assert training["recipe"]["average_with"] == ["model.safetensors"] * 2
    assert len(training["lineage"]["averaged_with"].split(", ")) == 2
    *kept, last = CATALOG.classes
    renamed = ClassCatalog("other", "Other", (*kept, replace(last, name="something else")))
    trainer(replace(RECIPE, steps=1), SegmentationDataset(data.samples, renamed), tmp_path / "renamed").run()
    other = str(tmp_path / "renamed" / "model.safetensors")
    with pytest.raises(WeightsError, match="cannot be averaged"):
        trainer(replace(RECIPE, init=paths[0], average_with=(other,)), data, tmp_path / "wrong")
    with pytest.raises(AtrousError, match="average_with needs init"):
        trainer(replace(RECIPE, average_with=(other,)), data, tmp_path / "without")


def test_backbone_and_head_have_their_own_rates_and_norms_do_not_decay(data: SegmentationDataset, tmp_path: Path) -> None:
    part = trainer(replace(RECIPE, backbone_rate=0.1), data, tmp_path / "run")
    by_name = {part.names[id(p)]: group for group in part.optimizer.param_groups for p in group["params"]}
    assert by_name["classifier.weight"]["factor"] == 1.0
    assert by_name["classifier.bias"]["weight_decay"] == 0.0
    encoder = [group for name, group in by_name.items() if name.startswith("encoder.")]
    assert {group["factor"] for group in encoder} == {0.1}
    assert {group["weight_decay"] for group in encoder} == {0.0, RECIPE.weight_decay}
    assert len(by_name) == sum(1 for _ in part.model.parameters())


def test_frozen_norms_do_not_move(data: SegmentationDataset, tmp_path: Path) -> None:
    part = trainer(replace(RECIPE, norm="frozen", steps=2), data, tmp_path / "run")
    freeze_norms(part.model)
    before = {k: v.clone() for k, v in part.model.state_dict().items() if ".norm." in k}
    part.run()
    after = part.model.state_dict()
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(part.model.classifier.weight, torch.zeros(()))


def test_the_moving_average_lags_behind(data: SegmentationDataset, tmp_path: Path) -> None:
    model = trainer(RECIPE, data, tmp_path / "run").model
    average = MovingAverage(model, 0.9)
    before = average.model.classifier.weight.clone()
    with torch.no_grad():
        model.classifier.weight.add_(1.0)
    average.update(model, step=1000)
    assert torch.allclose(average.model.classifier.weight, before + 0.1, atol=1e-6)
    average = MovingAverage(model, 0.9)
    with torch.no_grad():
        model.classifier.weight.add_(1.0)
    average.update(model, step=0)  # a decay of 0.1 in the first step
    assert torch.allclose(average.model.classifier.weight, model.classifier.weight - 0.1, atol=1e-6)


def test_auxiliary_heads_and_bf16_train_too(data: SegmentationDataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=1, precision="bf16", options={**RECIPE.options, "auxiliary": 8}, half=True)
    outcome = trainer(recipe, data, tmp_path / "run").run()
    assert outcome.model_path is not None
    assert outcome.model_path.stat().st_size < 6e6


def test_rounds_of_one_image_are_refused_where_the_network_pools_over_it(data: SegmentationDataset, tmp_path: Path) -> None:
    for values in ({"batch": 1}, {"accumulate": 4}):
        with pytest.raises(AtrousError, match=r"rounds of 1 image.*frozen"):
            trainer(replace(RECIPE, **values), data, tmp_path)
    alone = replace(RECIPE, batch=2, sync_norm=False)
    with pytest.raises(AtrousError, match="rounds of 1 image"):
        Trainer(alone, data, None, RunFiles(tmp_path), TrainingGroup(0, 2, torch.device("cpu")), Notes())
    trainer(replace(RECIPE, batch=1, norm="frozen", steps=1), data, tmp_path / "frozen").run()
    without = replace(RECIPE, batch=1, steps=1, options={**RECIPE.options, "image_pooling": False})
    trainer(without, data, tmp_path / "without").run()


def test_a_batch_that_processes_cannot_share_is_refused(data: SegmentationDataset, tmp_path: Path) -> None:
    with pytest.raises(AtrousError, match="3 processes"):
        Trainer(RECIPE, data, None, RunFiles(tmp_path), TrainingGroup(0, 3, torch.device("cpu")), Notes())
