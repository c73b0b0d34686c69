"""The parts of learning from corrections: halves, grown classes, losses at single pixels, folds."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import StorageError, WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.learning import PackedLabels, background_images, groups_of
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.nn import create_model
from deeplab_core.nn.models.deeplab import GridWindow
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training.adaptation.choosing import ChosenShare, folds_of, largest_share
from deeplab_core.training.adaptation.classes import grow, plan_classes
from deeplab_core.training.adaptation.examples import PixelPool, TrainingExample, never_predicted
from deeplab_core.training.adaptation.fit import replay_loss, taught_loss
from deeplab_core.training.adaptation.frozen_split import BehindEncoder, LastLayer, WholeNetwork, multiply_adds, split_network
from deeplab_core.training.adaptation.left_out import LeftOut
from deeplab_core.training.adaptation.validator import Kept
from deeplab_core.training.adaptation.views import FeatureStore, View, encode, label_map, network_scores
from deeplab_core.training.adaptation.windows import LearningWindows

SMALL = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8}


def network(name: str, backbone: str | None = None, classes: int = 4, **options: object):
    torch.manual_seed(0)
    return create_model(name, backbone=backbone, num_classes=classes, **options).eval()


@pytest.fixture(scope="module")
def fcn():
    """A network with last layers that mix the classes. It has 134 million weights: no test changes it."""
    return network("fcn", "vgg16", classes=2)


NETWORKS = [
    ("deeplabv3plus", "mobilenet_v2", {**SMALL, "separable": True}, BehindEncoder),
    ("deeplabv3", "mobilenet_v2", {"aspp_channels": 8, "folded_norm": True}, BehindEncoder),
    ("lraspp", "mobilenet_v3_large", {}, BehindEncoder),
    ("deeplabv2", "resnet18", {}, BehindEncoder),
    ("fcn", "resnet18", {}, BehindEncoder),
    ("segnet", "basic", {}, LastLayer),
    ("fc_densenet", "fc_densenet56", {}, LastLayer),
    ("fcn", "vgg16", {}, WholeNetwork),
]


@pytest.mark.parametrize(("name", "backbone", "options", "kind"), NETWORKS, ids=[f"{n}-{b}" for n, b, _, _ in NETWORKS])
def test_two_halves_make_the_network(name, backbone, options, kind, fcn) -> None:
    model = network(name, backbone, **options) if (name, backbone) != ("fcn", "vgg16") else fcn
    split = split_network(model, "decoder")
    assert isinstance(split, kind)
    x = torch.randn(1, 3, 49, 65)
    with torch.no_grad():
        expected = model.coarse_logits(x)
        found = split.logits(split.encode(x), (49, 65))
    torch.testing.assert_close(found, expected, atol=1e-3 * float(expected.abs().max()), rtol=0)
    assert multiply_adds(split, split.encode(x), (49, 65)) > 0
    with torch.no_grad():
        for parameter in split.parameters():
            parameter.add_(0.01)
    joined = split.joined()
    assert {key for key, value in joined.state_dict().items() if not torch.equal(value, model.state_dict()[key])}
    with torch.no_grad():
        torch.testing.assert_close(
            joined.coarse_logits(x), split.logits(split.encode(x), (49, 65)), atol=1e-3 * float(expected.abs().max()), rtol=1e-3
        )


def test_only_the_levels_that_a_decoder_reads_are_kept() -> None:
    split = split_network(network("deeplabv3plus", "resnet18", **SMALL), "decoder")
    features = split.encode(torch.zeros(1, 3, 64, 64))
    assert [tuple(level.shape[1:]) for level in features] == [(64, 16, 16), (512, 4, 4)]


def test_features_beyond_the_memory_bound_lie_in_files_and_vanish(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    features = (torch.randn(1, 4, 8, 8), torch.full((1, 2, 4, 4), 1e6))
    with FeatureStore(memory_bytes=600) as store:
        kept = store.keep(features)
        assert isinstance(kept[1], np.ndarray)
        np.testing.assert_array_equal(kept[0], features[0].half().numpy())
        np.testing.assert_array_equal(kept[1], np.full((1, 2, 4, 4), 65504, np.float16))
        more = store.keep(features)
        np.testing.assert_array_equal(more[0], kept[0])
        assert list(tmp_path.rglob("*.f16"))
        del more
    assert not list(tmp_path.rglob("*.f16"))


def test_features_that_do_not_fit_are_refused_with_a_remedy(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    features = (torch.zeros(1, 4, 8, 8),)
    with FeatureStore(memory_bytes=600, disk_bytes=600) as store:
        assert store.room == 1200
        store.keep(features)
        store.keep(features)
        assert store.room == 1200 - 2 * 512
        assert not store.full
        with pytest.raises(StorageError, match="too little room") as caught:
            store.keep(features)
        assert store.full
        assert caught.value.path == tmp_path
        assert "TMPDIR" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_temporary_folder_leaves_half_of_what_is_free_to_others(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with FeatureStore(memory_bytes=0) as store:
        monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=2000))
        assert store.room == 1000
        store.keep((torch.zeros(1, 4, 8, 8),))
        monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=2000 - 512))
        assert store.room == 1000 - 512


def test_a_temporary_folder_that_cannot_be_written_is_no_bug_of_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with FeatureStore(memory_bytes=0) as store:
        assert store.room == 0
        with pytest.raises(StorageError, match="cannot be kept") as caught:
            store.keep((torch.zeros(1, 4, 8, 8),))
    assert "No such file" in caught.value.why


def test_half_a_file_is_removed_where_the_disk_is_full(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(path: Path, _data: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with FeatureStore(memory_bytes=0) as store:
        with pytest.raises(StorageError, match="No space left"):
            store.keep((torch.zeros(1, 4, 8, 8),))
        assert not list(tmp_path.rglob("*.f16"))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("resize_rule", ["native", "long_side:97"])
def test_taps_read_what_inference_shows(mirrored, resize_rule) -> None:
    model = network("deeplabv3plus", "mobilenet_v2", **SMALL)
    catalog = ClassCatalog("four", "Four", tuple(ClassInfo(i, str(i), (i, i, i)) for i in range(4)))
    preprocessing = Preprocessing(resize=resize_rule)
    card = ModelCard(id="x", name="x", architecture=model.architecture, catalog=catalog, preprocessing=preprocessing,
                     align_corners=model.align_corners)  # fmt: skip
    rgb = np.random.default_rng(0).integers(0, 256, (60, 83, 3), dtype=np.uint8)
    split, device = split_network(model, "decoder"), torch.device("cpu")
    with FeatureStore() as store:
        encoded = encode(
            split, rgb, preprocessing, store, device, align_corners=model.align_corners, mirrored=mirrored
        )  # fmt: skip
    grid = network_scores(split, encoded, device)
    indices = np.arange(60 * 83)
    read = View(encoded, grid).taps(indices).read(torch.from_numpy(grid.values).float().permute(2, 0, 1))
    ids, _ = label_map(grid, catalog)
    assert np.mean(read.argmax(1).numpy() == ids.ravel()) > 0.999
    if not mirrored:
        assert np.mean(Predictor(model, card)(rgb).labels == ids) > 0.98  # features in half precision


@pytest.mark.parametrize("options", [{}, {"separable": True}, {"decoder_order": "low_level_first"}], ids=str)
def test_windows_have_the_scores_of_the_whole_grid(options) -> None:
    model = network("deeplabv3plus", "mobilenet_v2", **SMALL, **options)
    x = torch.randn(1, 3, 97, 145)
    margin = model.window_margin
    assert margin == 2
    with torch.no_grad():
        whole = model.coarse_logits(x)[0]
        rows, columns = whole.shape[1:]
        windows = [GridWindow(0, 0, 12, 13), GridWindow(7, 9, 12, 13), GridWindow(rows - 12, columns - 13, 12, 13)]
        found = model.window_logits(x, windows)
    for one, logits in zip(windows, found, strict=True):
        expected = whole[:, one.rows, one.columns]
        top, left = (margin if start else 0 for start in (one.top, one.left))
        bottom = 12 - (margin if one.top + 12 < rows else 0)
        right = 13 - (margin if one.left + 13 < columns else 0)
        inner = (slice(None), slice(top, bottom), slice(left, right))
        torch.testing.assert_close(logits[inner], expected[inner])
        assert not torch.equal(logits, expected) or (top, left, bottom, right) == (0, 0, 12, 13)
    assert network("deeplabv3", "mobilenet_v2", aspp_channels=8).window_margin is None


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("layers", ["decoder", "all"])
def test_pixels_are_read_from_windows_as_from_the_whole_grid(mirrored, layers) -> None:
    model = network("deeplabv3plus", "mobilenet_v2", **SMALL)
    rgb = np.random.default_rng(0).integers(0, 256, (150, 203, 3), dtype=np.uint8)
    split, device, random = split_network(model, layers), torch.device("cpu"), np.random.default_rng(1)
    with FeatureStore() as store:
        encoded = encode(
            split, rgb, Preprocessing(), store, device, align_corners=model.align_corners, mirrored=mirrored
        )  # fmt: skip
    view = View(encoded, network_scores(split, encoded, device))
    features = encoded.tensors(device)
    pixels = [0, 150 * 203 - 1, 70 * 203 + 101]
    assert split.window_margin is not None
    found = LearningWindows.around(view, pixels, 12, split.window_margin, random)
    assert found is not None
    assert LearningWindows.around(view, pixels, 40, 2, random) is None
    everywhere = np.arange(150 * 203)
    inside = everywhere[found.of_pixels(everywhere, 203) >= 0]
    assert set(pixels) <= set(inside.tolist())
    assert 3000 < inside.size < everywhere.size / 2
    with torch.no_grad():
        whole = view.taps(inside).read(split.logits(features, encoded.frame.canvas)[0])
        parts = found.read(split.window_logits(features, encoded.frame.canvas, found.windows), view, inside)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_a_pool_within_a_part_of_the_image() -> None:
    random = np.random.default_rng(0)
    places = np.zeros((400, 400), np.int64)
    places[:, 300:] = 1
    pool = PixelPool.of(places, np.ones_like(places, bool), random)
    left = pool.within(lambda flat: flat % 400 < 150)
    assert list(left.groups) == [0]
    assert left.counts[0] == pytest.approx(60_000, rel=0.03)
    assert (left.groups[0] % 400 < 150).all()
    assert not pool.within(lambda flat: flat < 0).pixels


# -- classes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "backbone"), [("deeplabv3plus", "mobilenet_v2"), ("lraspp", "mobilenet_v3_large"), ("drn", "drn_d_22")]
)
def test_new_classes_share_their_parents_probability(name, backbone) -> None:
    model = network(name, backbone, **(SMALL if name == "deeplabv3plus" else {}))
    larger = grow(model, (2, 2, 0))
    assert larger.num_classes == 7
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before, after = (torch.softmax(net.coarse_logits(x), 1) for net in (model, larger))
    if name == "drn":
        return  # its transposed convolution upsamples the scores of each class: shares hold before it
    torch.testing.assert_close(after[:, 2] + after[:, 4] + after[:, 5], before[:, 2])
    torch.testing.assert_close(after[:, 0] + after[:, 6], before[:, 0])
    torch.testing.assert_close(after[:, 1], before[:, 1])


def test_a_network_that_mixes_the_classes_refuses_new_ones(fcn) -> None:
    with pytest.raises(WeightsError, match="cannot learn new classes"):
        grow(fcn, (0,))


def test_ids_and_names_of_new_classes_never_collide() -> None:
    model = ClassCatalog("m", "M", (ClassInfo(0, "a", (0, 0, 0)), ClassInfo(5, "b", (1, 1, 1))))
    labels = ClassCatalog("l", "L", (ClassInfo(0, "x", (2, 2, 2)), ClassInfo(5, "b", (3, 3, 3)), ClassInfo(6, "y", (4, 4, 4))))
    plan = plan_classes(model, labels, {0: None, 5: 5}, new=(0, 6, 5))
    assert [(info.id, info.name) for info in plan.catalog.classes] == [(0, "a"), (5, "b"), (1, "x"), (6, "y")]
    assert plan.means.tolist() == [-1, 1, 0, 2]
    np.testing.assert_array_equal(plan.decided(np.array([[0, 5, 1, 6, 255]], np.uint8)), [[255, 5, 0, 6, 255]])


# -- losses and pools ---------------------------------------------------------------------------------------------------------


def test_taught_loss_is_cross_entropy_over_groups() -> None:
    logits, places = torch.randn(50, 4), torch.randint(0, 3, (50,))
    members = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).bool()
    probabilities = torch.softmax(logits, 1)
    joined = torch.stack([probabilities[:, 0], probabilities[:, 1] + probabilities[:, 3], probabilities[:, 2]], 1)
    expected = functional.nll_loss(joined.log(), places)
    torch.testing.assert_close(taught_loss(logits, members, places), expected)


def test_replay_loss_is_zero_for_the_same_and_blind_within_a_family() -> None:
    teacher = torch.randn(30, 4)
    itself = torch.arange(4)
    assert float(replay_loss(teacher, teacher, itself)) == pytest.approx(0, abs=1e-6)
    logits = torch.randn(30, 4)
    expected = functional.kl_div(torch.log_softmax(logits, 1), torch.softmax(teacher, 1), reduction="batchmean")
    torch.testing.assert_close(replay_loss(logits, teacher, itself), expected)
    # A child of class 1 may take all of its parent's probability.
    parents = torch.tensor([0, 1, 2, 1])
    moved = teacher.clone()
    moved[:, 3], moved[:, 1] = torch.logaddexp(teacher[:, 1], teacher[:, 3]), -40.0
    assert float(replay_loss(moved, teacher, parents)) == pytest.approx(0, abs=1e-5)
    assert float(replay_loss(moved, teacher, itself)) > 0.1


def test_rare_classes_are_drawn_at_least_a_little() -> None:
    places = np.zeros((100, 100), np.int64)
    places[0, :3] = 4
    random = np.random.default_rng(0)
    pool = PixelPool.of(places, np.ones_like(places, bool), random)
    assert pool.pixels == 10_000
    indices, drawn = pool.draw(2000, random, floor=0.05)
    assert 60 < np.count_nonzero(drawn == 4) < 140
    np.testing.assert_array_equal(places.ravel()[indices], drawn)


def test_a_power_draws_rare_classes_more_often() -> None:
    places = np.zeros((100, 100), np.int64)
    places[:10, :10] = 4  # a hundredth
    pool = PixelPool.of(places, np.ones_like(places, bool), np.random.default_rng(0))

    def share(power: float) -> float:
        return float(np.mean(pool.draw(20_000, np.random.default_rng(1), power=power)[1] == 4))

    assert share(1.0) == pytest.approx(0.01, abs=0.004)
    assert share(0.5) == pytest.approx(math.sqrt(100) / (math.sqrt(100) + math.sqrt(9900)), abs=0.01)
    assert share(0.0) == pytest.approx(0.5, abs=0.02)


@given(st.integers(0, 40), st.integers(0, 5))
def test_folds_leave_each_image_out_and_never_learn_from_it(count: int, seed: int) -> None:
    folds = folds_of(count, seed)
    assert bool(folds) == (count >= 2)
    for inside, outside in folds:
        assert inside
        assert outside
        assert not set(inside) & set(outside)
        assert sorted(inside + outside) == list(range(count))
    assert len(folds) == groups_of(count)
    if count >= 2:
        assert sorted(place for _, outside in folds for place in outside) == list(range(count))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([np.uint8, np.uint16]))
def test_packed_labels_come_back(height: int, width: int, dtype: type) -> None:
    labels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width)).astype(dtype)
    back = PackedLabels.of(labels.T).unpacked()
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, labels.T)
    back[0, 0] = 1


def judged(wrong: int) -> ConfusionMatrix:
    """Two classes of 1000 pixels, this many of each called the other."""
    catalog = ClassCatalog("two", "Two", (ClassInfo(0, "a", (0, 0, 0)), ClassInfo(1, "b", (9, 9, 9))))
    truth = np.repeat(np.array([[0], [1]], np.uint8), 1000, axis=1)
    said_ = truth.copy()
    said_[0, :wrong], said_[1, :wrong] = 1, 0
    return ConfusionMatrix(catalog).update(truth=truth, prediction=said_)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((100, 100, 100, 100), (50, 52, 49, 51), "better"),
        ((100, 100, 100, 100), (150, 152, 149, 151), "worse"),
        ((100, 100), (50, 90), "not sure"),  # both gained, as two images that change by chance do every fourth time
        ((100, 100, 100, 100), (50, 90, 110, 100), "not sure"),
        ((100, 100, 100, 100), (100, 100, 100, 100), "not sure"),
        ((100,), (50,), "not sure"),
    ],
)
def test_a_verdict_needs_an_interval_without_0(before: tuple[int, ...], after: tuple[int, ...], verdict: str) -> None:
    left_out = LeftOut(tuple(map(judged, before)), tuple(map(judged, after)))
    assert ChosenShare(1.0, left_out, ()).verdict == verdict


def test_nothing_left_out_says_nothing() -> None:
    assert ChosenShare(0.5, None, ()).verdict == "not sure"


@pytest.mark.parametrize("images", [2, 3, 5, 11, 21])
def test_changes_by_chance_are_seldom_called_better_or_worse(images: int) -> None:
    random = np.random.default_rng(images)
    called = 0
    for _ in range(300):
        before, after = random.integers(100, 400, (2, images)).tolist()
        verdict = LeftOut(tuple(map(judged, before)), tuple(map(judged, after))).verdict
        called += verdict != "not sure"
    assert called / 300 < 0.085  # 5 % by construction, and what chance adds; a percentile bootstrap of two images: half of them


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_interval_is_the_jackknife_written_out(wrong: list[tuple[int, int]]) -> None:
    before, after = (tuple(judged(pair[side]) for pair in wrong) for side in (0, 1))
    left_out = LeftOut(before, after)

    def gain(places: list[int]) -> float:
        pools = [sum((side[i] for i in places[1:]), side[places[0]].copy()) for side in (before, after)]
        return pools[1].mean_iou("truth").value - pools[0].mean_iou("truth").value

    everything = list(range(len(wrong)))
    without = np.array([gain([i for i in everything if i != out]) for out in everything])
    number = len(wrong)
    error = math.sqrt((number - 1) / number * ((without - without.mean()) ** 2).sum())
    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}[number]
    found = left_out.gain
    assert found.gain == pytest.approx(gain(everything))
    assert (found.low, found.high) == pytest.approx((found.gain - t * error, found.gain + t * error))
    assert found.images == number


def test_a_class_of_one_image_has_a_change_without_bounds() -> None:
    catalog = ClassCatalog("two", "Two", tuple(ClassInfo(i, f"c{i}", (i, 0, 0)) for i in range(3)))
    sides = []
    for wrong in (10, 30):
        images = []
        for second in (1, 0):
            counts = np.zeros((3, 4), dtype=np.int64)
            counts[0, 0], counts[0, 1] = 100, wrong
            counts[1, 1] = 50 * second
            images.append(ConfusionMatrix(catalog, counts))
        sides.append(tuple(images))
    left_out = LeftOut(*sides)
    found = left_out.class_gain(1)
    assert found is not None
    assert found.gain < 0
    assert (found.low, found.high, found.images) == (None, None, 1)
    assert left_out.class_gain(2) is None
    both = left_out.class_gain(0)
    assert both is not None
    assert both.certain


# -- how much of the change ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quarter", "whole", "share"),
    [
        ((90, 90, 90, 90), (50, 50, 50, 50), 1.0),  # the best
        ((90, 90, 90, 90), (60, 60, 60, 260), 1.0),  # behind the best because of one image: not clearly worse
        ((90, 90, 90, 90), (140, 141, 139, 140), 0.25),  # clearly worse
    ],
)
def test_all_of_a_change_is_taken_unless_it_is_clearly_worse(quarter, whole, share) -> None:
    before = tuple(map(judged, (100, 100, 100, 100)))
    results = {0.25: LeftOut(before, tuple(map(judged, quarter))), 1.0: LeftOut(before, tuple(map(judged, whole)))}
    assert largest_share(results) == share


@pytest.mark.parametrize(("right", "expected"), [(0, (1,)), (1, (1,)), (5, ())])
def test_a_class_that_is_listed_and_never_predicted_is_found(right: int, expected: tuple[int, ...]) -> None:
    labels = ClassCatalog("two", "Two", tuple(ClassInfo(i, f"c{i}", (i, 0, 0)) for i in range(3)))
    plan = plan_classes(labels, labels)
    known = np.zeros((20, 10), np.int64)
    known[10:] = 1  # 100 pixels, of which this many are predicted
    before = np.zeros((20, 10), np.uint8)
    before[10, :right] = 1
    pools = [PixelPool.of(known, np.full(known.shape, wanted), np.random.default_rng(0)) for wanted in (True, False)]
    example = TrainingExample("a", (), pools[1], before, pools[0], before)
    assert never_predicted([example], [], plan) == expected
    alone = PixelPool.of(known, known == 1, np.random.default_rng(0))
    assert never_predicted([TrainingExample("c", (), pools[1], before, alone, before)], [], plan) == ()
    sure = TrainingExample("b", (), pools[0], before)  # it is predicted there: a class that is known, but looks different here
    assert never_predicted([example], [sure], plan) == ()


def test_classes_of_which_fewer_predictions_stay_are_named() -> None:
    kept = Kept(np.array([990, 300, 10, 700]), np.array([1000, 1000, 100, 1000]))
    assert kept.share == pytest.approx(2000 / 3100)
    assert kept.faded() == (1, 3)  # of the third, too few pixels were looked at
    assert Kept(np.zeros(2, np.int64), np.zeros(2, np.int64)).share is None


@given(st.lists(st.frozensets(st.integers(0, 6), max_size=4), max_size=40), st.integers(0, 20))
def test_as_many_background_images_are_chosen_as_asked_for(classes: list[frozenset[int]], most: int) -> None:
    chosen = background_images(classes, {}, most)
    assert len(chosen) == min(most, len(classes))
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(len(classes)))


def test_background_images_show_classes_that_no_corrected_image_shows() -> None:
    classes = [{0}] * 40
    classes[5], classes[23] = {0, 7}, {0, 8}
    assert {5, 23} <= set(background_images(classes, {0: 10}, 8))
    assert background_images([set()] * 40, {}, 8) == [0, 6, 11, 17, 22, 28, 33, 39]  # nothing is known: evenly
