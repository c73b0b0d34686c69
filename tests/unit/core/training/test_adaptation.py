"""Learning from corrections: what is gained, what stays, and that it is the same every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, Cancelled, ImageReadError, StorageError
from deeplab_core.inference import Predictor
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.nn import SegmentationModel
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation import Adapted, Corrected, LearnOptions, LearnReport, adapt
from deeplab_core.training.adaptation.views import FeatureStore
from deeplab_core.weights import load_model, save_model
from tests.unit.core.training.learner_world import CATALOG, LAMP, WITH_LAMPS, corrected, room, taught_network, untouched


def score(model: SegmentationModel, card: ModelCard, *things: str, catalog: ClassCatalog = CATALOG) -> ConfusionMatrix:
    """On rooms that no network has learned from."""
    predictor, found = Predictor(model, card), ConfusionMatrix(catalog)
    for seed in range(50, 53):
        rgb, truth = room(seed, *things)
        found.update(truth=truth, prediction=predictor(rgb).labels)
    return found


def mean(matrix: ConfusionMatrix) -> float:
    return float(matrix.mean_iou("truth").value)


@pytest.fixture(scope="module", autouse=True)
def _fewer_steps() -> Iterator[None]:
    """Rectangles are learned in fewer steps than images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("deeplab_core.training.adaptation.adapt"), "_STEPS", (20, 40))
        yield


@pytest.fixture(scope="module")
def taught() -> tuple[SegmentationModel, ModelCard]:
    torch.set_num_threads(1)
    return taught_network()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, for what does not depend on how well it was learned."""
    monkeypatch.setattr(import_module("deeplab_core.training.adaptation.adapt"), "_STEPS", (3, 3))


@pytest.fixture(scope="module")
def blue(taught: tuple[SegmentationModel, ModelCard]) -> Adapted:
    """The network after four rooms with blue sofas were corrected; it knew green ones only."""
    rooms = [corrected(seed, "chair", "blue sofa") for seed in range(20, 24)]
    known = [untouched(seed, "chair", "sofa") for seed in (30, 31)]
    return adapt(*taught, rooms, known, options=LearnOptions(strength="strong"))


def test_corrections_help_on_uncorrected_images(taught, blue) -> None:
    before, after = (score(*one, "chair", "blue sofa") for one in (taught, (blue.model, blue.card)))
    assert mean(after) > mean(before) + 0.05
    assert blue.report.verdict == "better"
    assert blue.report.held_out is not None
    assert blue.report.held_out[1] > blue.report.held_out[0] + 0.02
    assert blue.report.corrected[1] > blue.report.corrected[0]
    change = blue.report.change
    assert change is not None
    assert change.low is not None
    assert change.low > 0
    assert change.images == 4
    assert change.gain == pytest.approx(blue.report.held_out[1] - blue.report.held_out[0], abs=2e-5)
    assert LearnReport.from_dict(json.loads(json.dumps(blue.report.to_dict()))) == blue.report


def test_nothing_is_forgotten(taught, blue) -> None:
    before, after = (score(*one, "chair", "sofa") for one in (taught, (blue.model, blue.card)))
    assert mean(after) >= mean(before) - 0.02
    assert blue.report.kept is not None
    assert blue.report.kept > 0.93


def test_only_the_layers_behind_the_encoder_change(taught, blue) -> None:
    before, after = taught[0].state_dict(), blue.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert not any(key.startswith("encoder.") for key in changed)
    norms = {name for name, module in taught[0].named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    assert not any(key.rpartition(".")[0] in norms for key in changed)
    assert not any(parameter.requires_grad for parameter in taught[0].parameters())


def test_the_report_counts_what_was_corrected(blue) -> None:
    report = blue.report
    assert (report.images, report.background) == (4, 2)
    assert report.pixels == sum(row.pixels for row in report.classes) == 4 * 64 * 80
    assert {row.name: row.images for row in report.classes} == {"floor": 4, "chair": 4, "sofa": 4}
    assert LearnReport.from_dict(report.to_dict()) == report
    assert report.layers == "everything behind the encoder"
    assert {pair.name for pair in blue.pairs} == {f"room {seed}" for seed in range(20, 24)}
    assert all(pair.held_out and pair.before.shape == pair.after.shape == (64, 80) for pair in blue.pairs)


def test_the_card_names_its_parent_and_survives_the_file(taught, blue, tmp_path: Path) -> None:
    (entry,) = blue.card.extra["lineage"]
    assert entry["parent"] == "toy-id"
    assert entry["corrected"] == [f"room {seed}" for seed in range(20, 24)]
    assert entry["held_out_mean_iou"] == list(blue.report.held_out)
    saved = save_model(tmp_path / "learned.safetensors", blue.model, blue.card)
    model, card = load_model(tmp_path / "learned.safetensors")
    assert card == saved
    assert card.id != taught[1].id
    assert card.name == "Toy · learned from 4 images"
    rgb, _ = room(60, "chair", "blue sofa")
    np.testing.assert_array_equal(Predictor(model, card)(rgb).labels, Predictor(blue.model, blue.card)(rgb).labels)


def test_a_decoder_learns_in_windows(taught, monkeypatch) -> None:
    """On images that are large enough for windows, as well as over the whole grid."""
    adapting, deeplab = import_module("deeplab_core.training.adaptation.adapt"), import_module("deeplab_core.nn.models.deeplab")
    asked = []
    original = deeplab.DeepLab.window_logits
    monkeypatch.setattr(deeplab.DeepLab, "window_logits", lambda self, x, w: asked.append(len(w)) or original(self, x, w))

    def enlarged(seed: int) -> Corrected:
        one = corrected(seed, "chair", "blue sofa")
        return Corrected(one.name, lambda: tuple(part.repeat(3, 0).repeat(3, 1) for part in one.read()))

    monkeypatch.setattr(adapting, "_BUDGET", 1.0)
    learned = adapt(*taught, [enlarged(seed) for seed in (20, 21)], options=LearnOptions(strength="strong"))
    assert asked
    assert set(asked) == {adapting._WINDOWS}
    assert learned.report.steps == adapting._STEPS[0]
    assert learned.report.corrected[1] > learned.report.corrected[0] + 0.03


@pytest.mark.usefixtures("brief")
def test_learning_again_lengthens_the_lineage(blue) -> None:
    again = adapt(blue.model, replace(blue.card, id="second"), [corrected(40, "chair", "blue sofa")])
    assert [entry["parent"] for entry in again.card.extra["lineage"]] == ["toy-id", "second"]
    assert again.card.name == "Toy · learned from 1 image (round 2)"


@pytest.mark.usefixtures("brief")
def test_the_same_corrections_give_the_same_model(taught) -> None:
    rooms = [corrected(seed, "chair", "blue sofa") for seed in (20, 21)]
    one, other = (adapt(*taught, rooms, [untouched(30, "sofa")]) for _ in range(2))
    for key, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[key]), key
    assert replace(one.report, seconds=0.0) == replace(other.report, seconds=0.0)


@pytest.mark.usefixtures("brief")
def test_one_image_cannot_be_checked_and_little_of_it_is_taken(taught) -> None:
    adapted = adapt(*taught, [corrected(20, "chair", "blue sofa")])
    assert adapted.report.verdict == "not sure"
    assert adapted.report.held_out is None
    assert adapted.report.blend <= 0.5
    assert "second" in adapted.report.summary
    assert not adapted.pairs[0].held_out


@pytest.mark.usefixtures("brief")
def test_what_is_said_of_images_left_out_belongs_to_the_share_that_is_taken(taught, monkeypatch) -> None:
    """Where too little would be kept elsewhere, less is taken; the figures, the advice and the pictures follow."""
    adapting, choosing = (import_module(f"deeplab_core.training.adaptation.{name}") for name in ("adapt", "choosing"))
    rooms = [corrected(seed, "chair", "blue sofa") for seed in range(20, 23)]

    def learned(kept: float, *blends: float) -> Adapted:
        monkeypatch.setattr(adapting, "_KEPT", kept)
        monkeypatch.setattr(choosing, "BLENDS", blends)
        return adapt(*taught, rooms, [untouched(30, "chair", "sofa")], options=LearnOptions(strength="strong"))

    free, limited, little = learned(0.0, 1.0), learned(1.01, 1.0), learned(0.0, 0.0625)
    assert free.report.held_out != limited.report.held_out
    assert limited.report.blend == little.report.blend == 0.0625
    assert replace(limited.report, seconds=0.0) == replace(little.report, seconds=0.0)
    assert limited.card.extra["lineage"] == little.card.extra["lineage"]
    for one, other in zip(limited.pairs, little.pairs, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.after, other.after)
    for key, tensor in limited.model.state_dict().items():
        assert torch.equal(tensor, little.model.state_dict()[key]), key


@pytest.mark.usefixtures("brief")
def test_unconfirmed_pixels_of_a_reviewed_mask_are_not_scored(taught) -> None:
    """Void that the old model filled would be right before, and wrong after every change."""

    def reviewed(seed: int, filled: int) -> Corrected:
        rgb, truth = room(seed, "chair", "blue sofa")
        known, mask = truth.copy(), truth.copy()
        known[:20], mask[:20] = CATALOG.ignore, filled
        return Corrected(f"room {seed}", lambda: (rgb, known, mask))

    one, other = (adapt(*taught, [reviewed(seed, filled) for seed in (20, 21)]) for filled in (0, 7))
    assert one.report.held_out == other.report.held_out
    assert one.report.corrected == other.report.corrected


@pytest.mark.usefixtures("brief")
def test_corrections_that_contradict_themselves_are_not_recommended(taught) -> None:
    def nonsense(seed: int) -> Corrected:
        rgb, truth = room(seed, "chair", "sofa")
        noise = np.random.default_rng(seed).choice([0, 3, 7], truth.shape).astype(np.uint8)
        noise[24:] = CATALOG.ignore  # touched up, not reviewed: judged by the whole mask
        return Corrected(f"noise {seed}", lambda: (rgb, noise, truth))

    adapted = adapt(*taught, [nonsense(seed) for seed in range(6)])
    assert adapted.report.verdict in ("worse", "not sure")
    assert ("discard" in adapted.report.summary) == (adapted.report.verdict == "worse")
    assert adapted.report.change is not None


def test_a_few_dabs_count_and_the_rest_of_the_image_stays(taught) -> None:
    def dabbed(seed: int) -> Corrected:
        _, truth = room(seed, "chair", "blue sofa")
        known = np.zeros(truth.shape, bool)
        rows, columns = np.nonzero(truth == 7)
        known[rows[::7], columns[::7]] = True
        return corrected(seed, "chair", "blue sofa", known=known)

    adapted = adapt(*taught, [dabbed(seed) for seed in range(20, 24)], options=LearnOptions(strength="strong"))
    (row,) = [row for row in adapted.report.classes if row.pixels]
    assert row.name == "sofa"
    sofa = 2
    before, after = (score(*one, "chair", "blue sofa") for one in (taught, (adapted.model, adapted.card)))
    assert after.iou()[sofa] > before.iou()[sofa] + 0.05


# -- classes ------------------------------------------------------------------------------------------------------------------


def test_a_class_that_the_network_never_knew(taught) -> None:
    rooms = [corrected(seed, "lamp", "sofa", catalog=WITH_LAMPS) for seed in range(20, 23)]
    adapted = adapt(
        *taught, rooms, [untouched(30, "chair", "sofa")], labels=WITH_LAMPS, options=LearnOptions(new_classes=(LAMP.id,))
    )
    assert adapted.card.catalog.names == ("floor", "chair", "sofa", "lamp")
    assert adapted.card.catalog.by_id(LAMP.id).color == LAMP.color
    assert adapted.model.num_classes == 4
    found = score(adapted.model, adapted.card, "lamp", "sofa", catalog=WITH_LAMPS)
    assert found.iou()[3] > 0.3
    (row,) = [row for row in adapted.report.classes if row.new]
    assert row.name == "lamp"


def test_a_new_class_may_take_what_was_background_everywhere(taught) -> None:
    """Of a class that fills images, most pixels lie where the old model was sure of background: that is not a forgetting."""
    rooms = [corrected(seed, "lamp", "lamp", "lamp", catalog=WITH_LAMPS) for seed in range(20, 23)]
    others = [untouched(seed, "lamp", "lamp", "lamp") for seed in range(30, 34)]
    adapted = adapt(*taught, rooms, others, labels=WITH_LAMPS, options=LearnOptions(new_classes=(LAMP.id,)))
    found = score(adapted.model, adapted.card, "lamp", "lamp", "lamp", catalog=WITH_LAMPS)
    assert found.iou()[3] > 0.3
    assert adapted.report.kept > 0.93


@pytest.mark.usefixtures("brief")
def test_a_class_that_is_not_wanted_is_left_out(taught) -> None:
    adapted = adapt(*taught, [corrected(20, "lamp", "sofa", catalog=WITH_LAMPS)], labels=WITH_LAMPS)
    assert adapted.card.catalog == CATALOG
    assert "lamp" not in {row.name for row in adapted.report.classes if row.pixels}


def test_labels_may_be_coarser_than_the_model(taught) -> None:
    furniture = ClassCatalog("coarse", "Coarse", (ClassInfo(1, "ground", (0, 0, 0)), ClassInfo(2, "furniture", (9, 9, 9))))

    def coarse(seed: int) -> Corrected:
        rgb, truth = room(seed, "chair", "blue sofa")
        labels = np.where(truth == 0, 1, 2).astype(np.uint8)
        return Corrected(f"coarse {seed}", lambda: (rgb, labels, labels))

    adapted = adapt(*taught, [coarse(seed) for seed in range(20, 23)], labels=furniture, pairs={0: 1, 3: 2, 7: 2})
    assert adapted.card.catalog == CATALOG
    assert adapted.report.corrected[1] > adapted.report.corrected[0]


# -- networks and trouble -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["classifier", "all"])
@pytest.mark.usefixtures("brief")
def test_other_layers(taught, layers) -> None:
    adapted = adapt(*taught, [corrected(20, "chair", "blue sofa")], options=LearnOptions(layers=layers))
    before, after = taught[0].state_dict(), adapted.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert (
        changed <= {"classifier.weight", "classifier.bias"}
        if layers == "classifier"
        else any("encoder" in key for key in changed)
    )


@pytest.mark.usefixtures("brief")
def test_bad_images_are_named_and_the_rest_is_learned(taught) -> None:
    def broken() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raise ImageReadError("it is truncated", path="a.jpg")

    rgb, truth = room(1, "chair")
    resized = Corrected("other size", lambda: (rgb[:-1], truth, truth))
    adapted = adapt(*taught, [Corrected("broken", broken), resized, corrected(20, "chair", "blue sofa")])
    assert [name for name, _ in adapted.report.skipped] == ["broken", "other size"]
    assert adapted.report.images == 1


#: Bytes of the encoder's features of a room: 64 channels at stride 4 and 512 at stride 16, in half precision.
ROOM_BYTES = 2 * (64 * 16 * 20 + 512 * 4 * 5)


def bounded(monkeypatch: pytest.MonkeyPatch, memory: int, disk: int) -> None:
    adapting = import_module("deeplab_core.training.adaptation.adapt")
    monkeypatch.setattr(adapting, "FeatureStore", lambda: FeatureStore(memory, disk))


@pytest.mark.usefixtures("brief")
def test_where_not_all_fit_as_many_as_do_are_learned_from(taught, monkeypatch) -> None:
    bounded(monkeypatch, 4 * ROOM_BYTES, 4 * ROOM_BYTES)
    rooms = [corrected(seed, "chair", "blue sofa") for seed in range(20, 26)]
    adapted = adapt(*taught, rooms, [untouched(seed, "chair") for seed in range(30, 36)])
    assert (adapted.report.images, adapted.report.background) == (3, 2)
    assert len(adapted.report.skipped) == 3
    assert all("no room" in why for _, why in adapted.report.skipped)
    assert adapted.card.extra["lineage"][0]["corrected"] == ["room 20", "room 21", "room 25"]


@pytest.mark.usefixtures("brief")
def test_larger_images_than_the_first_end_the_reading_and_not_the_learning(taught, monkeypatch) -> None:
    bounded(monkeypatch, 9 * ROOM_BYTES, 0)
    small, large = corrected(20, "chair", "blue sofa"), corrected(21, "chair", "blue sofa")
    doubled = Corrected("large", lambda: tuple(part.repeat(2, 0).repeat(2, 1) for part in large.read()))
    adapted = adapt(*taught, [small, doubled, large], [untouched(30, "chair")])
    assert adapted.report.images == 1
    assert [name for name, _ in adapted.report.skipped] == ["large", "room 21"]


@pytest.mark.usefixtures("brief")
def test_not_even_one_image_fits(taught, monkeypatch) -> None:
    bounded(monkeypatch, 0, ROOM_BYTES)
    with pytest.raises(StorageError, match="temporary folder") as caught:
        adapt(*taught, [corrected(20, "chair", "blue sofa")])
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.usefixtures("brief")
def test_nothing_to_learn_from_says_what_to_do(taught) -> None:
    empty = corrected(20, "chair", known=np.zeros((64, 80), bool))
    with pytest.raises(AtrousError, match="nothing to learn from") as caught:
        adapt(*taught, [empty])
    assert "Correct" in caught.value.remedy


@pytest.mark.usefixtures("brief")
def test_cancel_is_heard_everywhere(taught) -> None:
    rooms = [corrected(seed, "chair", "blue sofa") for seed in (20, 21)]
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    adapt(*taught, rooms, cancel=count)
    total = asked
    for share in (0.0, 0.3, 0.6, 0.9):
        asked, limit = 0, int(share * total)

        def late(limit: int = limit) -> bool:
            nonlocal asked
            asked += 1
            return asked > limit

        with pytest.raises(Cancelled):
            adapt(*taught, rooms, cancel=late)


@pytest.mark.usefixtures("brief")
def test_progress_never_falls_and_ends_at_one(taught) -> None:
    told: list[float] = []
    adapt(*taught, [corrected(20, "chair")], progress=lambda fraction, _text: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0
