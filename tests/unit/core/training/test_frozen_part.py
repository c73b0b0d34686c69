"""Frozen layers: their kept features give the losses that the network itself gives, after any stop, with any cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.errors import AtrousError
from deeplab_core.nn import create_model
from deeplab_core.training import Recipe, SegmentationDataset
from deeplab_core.training.augment import fixed_views
from deeplab_core.training.dataset import Batch
from deeplab_core.training.frozen_part import FrozenPart
from deeplab_core.training.losses import VOID, LossOfNetwork
from deeplab_core.training.network import frozen_parts
from tests.unit.core.training.made_data import RECIPE, dataset, make_folder
from tests.unit.core.training.test_trainer import Notes, same, trainer, weights

#: No dropout: whether features are kept must not change a loss.
STILL = {**RECIPE.options, "decoder_dropout": 0.0, "aspp_dropout": 0.0}
FIXED = replace(
    RECIPE, options=STILL, fixed_scales=(0.75, 1.0), crop=(33, 49), batch=5, steps=12, jitter=0.2, optimizer="adamw", rate=0.005,
    freeze=("encoder.stem", "encoder.blocks.?"), cache_features=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationDataset:
    return dataset(make_folder(tmp_path_factory.mktemp("made") / "data"))


@dataclass(frozen=True)
class Unbroken:
    """A run of :data:`FIXED` that nothing disturbed."""

    folder: Path
    losses: list[float]


@pytest.fixture(scope="module")
def unbroken(data: SegmentationDataset, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    return Unbroken(folder, run(FIXED, data, folder))


@pytest.mark.parametrize(
    ("architecture", "freeze"),
    [
        ({"backbone": "mobilenet_v2"}, ("encoder.stem", "encoder.blocks.0")),
        ({"backbone": "mobilenet_v2"}, ("encoder.stem", "encoder.blocks.?", "encoder.blocks.1[0-2]")),
        ({"backbone": "mobilenet_v2", "auxiliary": 8}, ("encoder.stem", "encoder.blocks.?", "encoder.blocks.1[0-4]")),
        ({"backbone": "mobilenet_v2", "backbone_options": {"level_tap": "depthwise"}}, ("encoder.stem", "encoder.blocks.[0-6]")),
        ({"backbone": "mobilenet_v2", "backbone_options": {"last_channels": 64}}, ("encoder.[sb]*",)),
        ({"backbone": "mobilenet_v2"}, ("encoder",)),
        ({"backbone": "resnet18"}, ("encoder.conv1", "encoder.bn1", "encoder.layer[12]")),
        ({"backbone": "resnet18"}, ("encoder.*",)),
        ({"backbone": "mobilenet_v3_large"}, ("encoder",)),
        ({"name": "unet", "backbone": "resnet18"}, ("encoder.conv1", "encoder.bn1", "encoder.layer1")),
    ],
)  # fmt: skip
def test_going_on_from_features_is_running_the_network(architecture: dict[str, Any], freeze: tuple[str, ...]) -> None:
    torch.manual_seed(4)
    small = {} if architecture.get("name") == "unet" else {"aspp_channels": 8, "decoder_channels": 8}
    model = create_model(**{"name": "deeplabv3plus", "num_classes": 3, **small, **architecture})
    model.train()
    frozen_parts(model, Recipe(freeze=freeze), frozenset()).apply()
    loss = LossOfNetwork(model, Recipe(), None)
    part = FrozenPart(model, loss.scores)
    assert model.training, "modes are as before"
    model.eval()
    x = torch.randn(2, 3, 49, 65)
    features = part.encode(x)
    assert all(not level.requires_grad for level in features)
    with part.replay(features):
        kept, kept_extra = loss.scores(torch.zeros(()).expand(2, 3, 49, 65))
    whole, extra = loss.scores(x)
    torch.testing.assert_close(kept, whole, rtol=1e-5, atol=1e-5)
    if extra is not None:
        assert kept_extra is not None
        torch.testing.assert_close(kept_extra, extra, rtol=1e-5, atol=1e-5)
    kept.sum().backward()
    learned = [p for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert learned
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def run(recipe: Recipe, data: SegmentationDataset, out: Path, notes: Notes | None = None, **options: Any) -> list[float]:
    notes = notes or Notes()
    part = trainer(recipe, data, out, notes, **options)
    if part.state_path.exists():
        part.resume()
    part.run()
    return notes.losses


def test_kept_features_give_the_losses_of_the_network_itself(
    data: SegmentationDataset, unbroken: Unbroken, tmp_path: Path
) -> None:
    kept = unbroken.losses
    plain = run(replace(FIXED, cache_features=False), data, tmp_path / "plain")
    assert len(kept) == 12
    assert kept[0] == pytest.approx(plain[0], rel=1e-4)
    np.testing.assert_allclose(kept, plain, rtol=1e-2)  # the steps of AdamW magnify the last digits
    assert kept != plain, "half precision is not exact: a test that compares a run with itself would be"


@pytest.mark.parametrize("spoil", ["nothing", "cleared", "damaged", "no room"])
def test_a_resumed_run_is_exact_whatever_became_of_the_cache(
    spoil: str, data: SegmentationDataset, unbroken: Unbroken, tmp_path: Path
) -> None:
    broken = Notes()
    options: dict[str, Any] = {"feature_bytes": 0} if spoil == "no room" else {}
    part = trainer(FIXED, data, tmp_path / "two", broken, stop=lambda: len(broken.losses) >= 7, **options)
    part.run()
    files = sorted((tmp_path / "two" / "features").glob("*/*.safetensors"))
    assert bool(files) == (spoil != "no room")
    for number, path in enumerate(files):
        if spoil == "cleared":
            path.unlink()
        elif spoil == "damaged":
            data_of_file = bytearray(path.read_bytes())
            if number % 2:
                data_of_file[-5] ^= 64
            path.write_bytes(data_of_file[: None if number % 2 else 100])
    assert broken.losses + run(FIXED, data, tmp_path / "two", **options) == unbroken.losses
    assert same(weights(unbroken.folder / "model.safetensors"), weights(tmp_path / "two" / "model.safetensors"))


def test_a_full_cache_is_said_once_and_changes_nothing(data: SegmentationDataset, unbroken: Unbroken, tmp_path: Path) -> None:
    size = next((unbroken.folder / "features").glob("*/*.safetensors")).stat().st_size
    notes = Notes()
    assert run(FIXED, data, tmp_path / "two", notes, feature_bytes=3 * size) == unbroken.losses
    said = [line for line in notes.said if "is full" in line]
    assert len(said) == 1
    assert "--feature-gb" in said[0]
    kept = list((tmp_path / "two" / "features").rglob("*.safetensors"))
    assert 1 <= len(kept) <= 4
    assert sum(path.stat().st_size for path in kept) <= 3 * size
    # What belongs to other weights takes room too, and is named.
    notes = Notes()
    shutil.copytree(unbroken.folder / "features", tmp_path / "features")
    part = trainer(replace(FIXED, seed=9, steps=1), data, tmp_path / "x", notes, feature_folder=tmp_path / "features",
                   feature_bytes=size)  # fmt: skip
    part.run()
    assert "belong to other weights" in next(line for line in notes.said if "is full" in line)


def test_a_folder_that_cannot_be_written_fills_the_cache(
    data: SegmentationDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    notes = Notes()
    part = trainer(replace(FIXED, steps=3), data, tmp_path / "run", notes)
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: (full if "features" in str(self) else write)(self, data))
    part.run()
    assert sum("No space left on device" in line for line in notes.said) == 1


def test_features_are_computed_once_for_every_view(data: SegmentationDataset, tmp_path: Path) -> None:
    views = fixed_views(FIXED)
    assert [(view.scale, view.crop, view.mirrored) for view in views] == [
        (0.75, (33, 33), False), (0.75, (33, 33), True), (1.0, (33, 49), False), (1.0, (33, 49), True),
    ]  # fmt: skip
    notes = Notes()
    recipe = replace(FIXED, steps=0, epochs=2)
    part = trainer(recipe, data, tmp_path / "run", notes)
    assert part.per_epoch == 2 * -(-6 * 2 // 5)
    part.run()
    assert part.features is not None
    assert part.features.computed == len(data) * len(views)
    again = trainer(replace(recipe, epochs=1), data, tmp_path / "again", feature_folder=tmp_path / "run" / "features")
    again.run()
    assert again.features is not None
    assert again.features.computed == 0, "the same weights and pixels, another run"
    other = trainer(replace(recipe, seed=2), data, tmp_path / "other", feature_folder=tmp_path / "run" / "features")
    assert other.features is not None
    other.features.open()
    assert other.features.folder != again.features.folder, "other weights"


def test_an_epoch_passes_every_view_of_every_image(data: SegmentationDataset) -> None:
    for epoch in (0, 1):
        places = data.plan(epoch, FIXED)
        views = fixed_views(FIXED)
        assert set(places.ravel().tolist()) == set(range(len(data) * len(views)))
        for row in places:
            assert len({views[code % len(views)].place for code in row}) == 1, "a batch has one size"
    assert not np.array_equal(data.plan(0, FIXED), data.plan(1, FIXED))
    batches = list(data.batches(FIXED, 0))
    again = list(data.batches(FIXED, 0, first=2))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(batches[2:], again, strict=True))
    ranks = [list(data.batches(replace(FIXED, batch=4), 0, rank=rank, world=2)) for rank in (0, 1)]
    alone = list(data.batches(replace(FIXED, batch=4), 0))
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert np.array_equal(
            np.concatenate([part.pixels for part in parts]), np.concatenate([whole.pixels[::2], whole.pixels[1::2]])
        )


def test_a_mirrored_view_mirrors_labels_and_pixels_alike(data: SegmentationDataset) -> None:
    found: dict[tuple[str, int], list[Batch]] = {}
    for batch in data.batches(replace(FIXED, batch=1), 0):
        found.setdefault((batch.names[0], batch.pixels.shape[2]), []).append(batch)
    assert len(found) == 2 * len(data)
    for pair in found.values():
        plain, mirrored = pair
        assert np.array_equal(plain.pixels, mirrored.pixels[:, :, ::-1])
        assert torch.equal(plain.labels, mirrored.labels.flip(2))
        assert bool((plain.labels != VOID).any())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"freeze": ("aspp",)}, "encoder begins with stem, which learns"),
        ({"freeze": ("encoder.blocks.0",)}, "encoder begins with stem"),
        ({"network": "segnet", "backbone": "basic", "options": {}, "freeze": ("classifier",)}, "no encoder of its own"),
    ],
)
def test_a_cache_without_frozen_beginning_is_refused(
    values: dict[str, Any], named: str, data: SegmentationDataset, tmp_path: Path
) -> None:
    with pytest.raises(AtrousError, match=named):
        trainer(replace(FIXED, **values), data, tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"fixed_scales": ()}, "fixed set of views"),
        ({"freeze": ()}, "needs frozen layers"),
        ({"compile": True}, "compile"),
        ({"fixed_scales": (1.0, 1.0)}, "twice"),
        ({"fixed_scales": (0.0,)}, "above 0"),
    ],
)
def test_a_recipe_that_cannot_be_cached_is_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(AtrousError, match=named):
        replace(FIXED, **values)


def test_frozen_norms_inside_the_part_are_needed() -> None:
    """Parameters alone do not make a part still: statistics of its norms must be so too."""
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=3, aspp_channels=8)
    model.train()
    model.encoder.requires_grad_(False)
    run_it: Callable[[torch.Tensor], object] = model
    with pytest.raises(AtrousError, match="which learns"):
        FrozenPart(model, run_it)
