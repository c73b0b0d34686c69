"""The sums over a folder: after any history of additions, replacements and removals those of a fresh count."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import (
    RANKINGS,
    FolderAnalysis,
    ImageAnalysis,
    count_labels,
    inspect_image,
    measure_ranking,
    slice_objects,
)
from deeplab_core.analysis.image import iou_score
from deeplab_core.analysis.ranking import rank, ranking_name
from deeplab_core.analysis.record import CONFIDENCE_LEVELS, CONFUSION, ERROR_PIXELS, band_name
from deeplab_core.analysis.slices import ObjectAxis
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.analysis.summary import ranking_to_dict
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError, ProjectError
from deeplab_core.metrics import ConfusionMatrix, PixelDelta
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.records import TrimapBand
from tests.unit.core.metrics.maps import catalog_of

CATALOG = catalog_of(0, 9, 18)
BANDS = (TrimapBand(rule="edge"), TrimapBand(rule="void"))


def maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth, prediction and confidence of 24 x 30 px."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.choice(np.array([0, 9, 18, 255], np.uint8), (4, 5)), np.ones((6, 6), np.uint8))
    prediction = np.roll(truth, (1, 2), axis=(0, 1))
    prediction[random.random(truth.shape) < 0.1] = 9
    return truth, prediction, random.integers(0, 256, truth.shape, dtype=np.uint8)


def record_of(seed: int, parts: str) -> ImageAnalysis:
    """A record with some parts: c(ounts), e(rrors), r(anking)."""
    truth, prediction, confidence = maps(seed)
    record = ImageAnalysis(catalog=CATALOG)
    if "c" in parts:
        record = record.with_parts(count_labels(prediction, CATALOG, truth=truth, band=BANDS[seed % 2]))
    if "e" in parts:
        rgb = np.repeat(confidence[..., None], 3, axis=2) if seed % 3 else None
        things = frozenset((9, 18))
        record = record.with_parts(
            inspect_image(truth=truth, prediction=prediction, catalog=CATALOG, things=things, rgb=rgb, exclude=truth == seed % 20)
        )
    if "r" in parts:
        record = record.with_parts(measure_ranking(prediction, confidence if seed % 4 else None, CATALOG, truth=truth))
    return record


def assert_same(one: FolderAnalysis, other: FolderAnalysis) -> None:
    assert set(one) == set(other)
    names = {name for folder in (one, other) for image in folder for name in folder.get(image).counts}
    for name in names | {CONFUSION, ERROR_PIXELS}:
        np.testing.assert_array_equal(one.total(name), other.total(name))
        assert one.measured(name) == other.measured(name)
    assert one.matrix == other.matrix
    for band in BANDS:
        assert one.band(band.rule) == other.band(band.rule)
    assert [(r.pixels, r.instances, r.images) for r in one.failures()] == [
        (r.pixels, r.instances, r.images) for r in other.failures()
    ]
    assert one.scored() == other.scored()
    for name in RANKINGS:
        assert one.ranking(name) == other.ranking(name)
        assert sorted(one.ranking(name)) == sorted(one)
    assert one.issues() == other.issues()
    assert sorted(row.tobytes() for row in one.objects) == sorted(row.tobytes() for row in other.objects)
    for axis in ObjectAxis:
        assert repr(slice_objects(one.objects, axis)) == repr(slice_objects(other.objects, axis))
    for axis, slices in one.slices.items():
        assert repr(slices.rows()) == repr(other.slices[axis].rows())
    assert one.errors.components() == other.errors.components()
    assert one.errors.images(truth=9, prediction=18) == other.errors.images(truth=9, prediction=18)


steps = st.lists(
    st.tuples(
        st.sampled_from(["update", "replace", "remove"]),
        st.sampled_from("abc"),
        st.integers(0, 40),
        st.sampled_from(["", "c", "e", "r", "ce", "cr", "er", "cer"]),
    ),
    max_size=10,
)


@given(steps)
@settings(max_examples=30, deadline=None)
def test_any_history_gives_the_sums_of_a_fresh_count(history: list[tuple[str, str, int, str]]) -> None:
    folder, expected = FolderAnalysis(CATALOG), {}
    for verb, image, seed, parts in history:
        record = record_of(seed, parts)
        if verb == "remove":
            folder.remove(image)
            expected.pop(image, None)
        else:
            getattr(folder, verb)(image, record)
            known = expected.get(image)
            expected[image] = record if verb == "replace" or known is None else known.with_parts(record)
    fresh = FolderAnalysis(CATALOG)
    for image in sorted(expected, reverse=True):
        fresh.update(image, expected[image])
    assert_same(folder, fresh)
    for image, record in expected.items():
        assert folder.get(image) is record or folder.get(image).to_bytes() == record.to_bytes()


@given(st.integers(0, 100), st.integers(0, 20), st.integers(0, 20), st.integers(1, 9), st.sampled_from([0, 9, 18, 255]))
@settings(max_examples=30, deadline=None)
def test_a_stroke_counted_by_its_delta_is_the_image_counted_again(seed: int, y: int, x: int, size: int, cls: int) -> None:
    truth, before, _ = maps(seed)
    after = before.copy()
    after[y : y + size, x : x + size] = cls
    band = BANDS[0]
    folder = FolderAnalysis(CATALOG)
    folder.update("a", record_of(seed, "ce"))
    other = record_of(seed + 1, "ce")
    folder.update("b", other)
    folder.update("a", count_labels(before, CATALOG, truth=truth, band=band))
    matrix, histogram = folder.get("a").matrix, folder.get("a").band(band.rule)
    delta = PixelDelta.between(truth=truth, before=before, after=after, catalog=CATALOG)
    matrix.apply(delta)
    histogram.apply(delta, index=band_map(truth=truth, rule="edge"))
    counts = {CONFUSION: SparseCounts.of(matrix.counts), band_name("edge"): SparseCounts.of(histogram.counts)}
    errors = folder.error_cells()[0]
    folder.update("a", ImageAnalysis(catalog=CATALOG, counts=counts))
    again = FolderAnalysis(CATALOG)
    again.update("a", count_labels(after, CATALOG, truth=truth, band=band))
    again.update("b", other)
    assert folder.matrix == again.matrix
    assert folder.band("edge") == again.band("edge")
    np.testing.assert_array_equal(folder.error_cells()[0], errors)  # components stay those that were found


def test_the_parts_are_what_the_images_say() -> None:
    truth, prediction, _confidence = maps(3)
    folder = FolderAnalysis(CATALOG)
    for part in "cer":
        folder.update("a", record_of(3, part))
    expected = ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction)
    assert folder.matrix == expected
    band = BANDS[1]
    assert folder.band(band.rule) == folder.get("a").band(band.rule)
    assert folder.band("edge") == BandHistogram(CATALOG, rule="edge")
    assert folder.get("a").wrong_px == int(((truth != prediction) & (truth != 255)).sum())
    assert folder.get("a").labelled_px == int((truth != 255).sum())
    assert folder.total(CONFIDENCE_LEVELS).sum() == int(((truth != 255) & (prediction != 255)).sum())
    assert folder.get("a").class_names == tuple(
        name for name, i in zip(CATALOG.names, CATALOG.ids, strict=True) if (prediction == i).any()
    )
    assert iou_score(folder.get("a")) == {"iou": pytest.approx(1 - expected.mean_iou("truth").value)}


def test_other_classes_are_refused_and_change_nothing() -> None:
    folder = FolderAnalysis(CATALOG)
    folder.update("a", record_of(1, "cer"))
    before = folder.total(CONFUSION)
    with pytest.raises(CatalogError):
        folder.update("a", ImageAnalysis(catalog=get_catalog("voc21")))
    np.testing.assert_array_equal(folder.total(CONFUSION), before)


@given(st.integers(0, 60), st.sampled_from(["", "c", "e", "r", "cer"]), st.data())
@settings(max_examples=25, deadline=None)
def test_a_record_comes_back_from_its_bytes_and_damage_is_said(seed: int, parts: str, data: st.DataObject) -> None:
    record = record_of(seed, parts)
    stored = record.to_bytes()
    again = ImageAnalysis.from_bytes(stored, CATALOG)
    assert again.to_bytes() == stored
    one, other = FolderAnalysis(CATALOG), FolderAnalysis(CATALOG)
    one.update("a", record)
    other.update("a", again)
    assert_same(one, other)
    place = data.draw(st.integers(0, len(stored) - 1))
    broken = stored[:place] + bytes([stored[place] ^ data.draw(st.integers(1, 255))]) + stored[place + 1 :]
    for spoilt in (broken, stored[:place], stored + b"x"):
        try:
            found = ImageAnalysis.from_bytes(spoilt, CATALOG)
        except ProjectError:
            continue
        FolderAnalysis(CATALOG).update("a", found)  # what is read can be used


def test_means_belong_to_the_confusion_that_they_were_measured_with() -> None:
    record = replace(record_of(1, "c"), means={"davis_f": 0.5}, truth_sha256="ab" * 32)
    again = ImageAnalysis.from_bytes(record.to_bytes(), CATALOG)
    assert (again.means, again.truth_sha256) == (record.means, record.truth_sha256)
    ranked = record.with_parts(ImageAnalysis(catalog=CATALOG, scores={"margin": 0.5}))
    assert (ranked.means, ranked.truth_sha256) == (record.means, record.truth_sha256)
    recounted = record.with_parts(record_of(2, "c"))
    assert (recounted.means, recounted.truth_sha256) == (None, "")


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: b"junk" + data[4:], lambda data: data[:40], lambda _: b""]
)
def test_damaged_bytes_are_refused(spoil) -> None:
    with pytest.raises(ProjectError, match="damaged"):
        ImageAnalysis.from_bytes(spoil(record_of(1, "cer").to_bytes()), CATALOG)


def test_bytes_of_other_classes_are_refused() -> None:
    with pytest.raises(ProjectError, match="other classes"):
        ImageAnalysis.from_bytes(record_of(1, "cer").to_bytes(), get_catalog("camvid11"))


def test_counts_are_kept_small_and_negative_ones_refused() -> None:
    counts = SparseCounts.of(np.array([[0, 3], [70_000, 0]]))
    assert (counts.places.dtype, counts.values.dtype) == (np.uint8, np.uint32)
    assert counts.whole().tolist() == [[0, 3], [70_000, 0]]
    assert counts.total() == 70_003
    assert (counts.at(1), counts.at(0)) == (3, 0)
    assert counts.same(SparseCounts.of(counts.whole()))
    with pytest.raises(ValueError, match="negative"):
        SparseCounts.of(np.array([1, -1]))


def scored(score: float, wrong: int | None = None, *weights: float) -> ImageAnalysis:
    """A record of a prediction with ``wrong`` of 100 pixels wrong."""
    record = measure_ranking(np.zeros((2, 2), np.uint8), None, CATALOG)
    counts = {} if wrong is None else {CONFUSION: SparseCounts.of(np.array([[100 - wrong, wrong, 0, 0], [0] * 4, [0] * 4]))}
    scores = {"confidence": score, "disagreement": 10 * score}
    template = measure_issue()
    issues = tuple(replace(template, weight=weight) for weight in weights)
    return replace(record, counts=counts, scores=scores if wrong is None else scores | {"label_errors": score / 2}, issues=issues)


def measure_issue():
    labels = np.zeros((40, 40), np.uint8)
    truth = labels.copy()
    truth[10:30, 10:30] = 9
    (issue,) = measure_ranking(labels, np.full(labels.shape, 250, np.uint8), CATALOG, truth=truth).issues
    return issue


def test_rankings_gain_and_quality_of_a_folder() -> None:
    folder = FolderAnalysis(CATALOG)
    for name, record in {"a": scored(0.1, 0), "b": scored(0.9, 30), "c": scored(0.5), "d": scored(0.2, 10, 5.0, 7.0)}.items():
        folder.update(name, record)
    folder.update("z", ImageAnalysis(catalog=CATALOG))
    assert folder.ranking("confidence") == ["b", "c", "d", "a", "z"]
    assert folder.ranking("crf") == ["a", "b", "c", "d", "z"]
    gain = folder.gain("confidence")
    assert gain is not None
    assert gain.found_after(1 / 3) == pytest.approx(0.75)  # of a, b and d: those with ground truth
    assert gain.skill == pytest.approx(1)
    assert folder.gain("crf") is None
    data = json.loads(json.dumps(ranking_to_dict(folder, [], label_errors=True), allow_nan=False))
    assert list(data["rankings"]) == ["confidence", "disagreement"]
    assert data["truth"] == [
        {"image": "a", "pixels": 100, "wrong_px": 0}, {"image": "b", "pixels": 100, "wrong_px": 30},
        {"image": "d", "pixels": 100, "wrong_px": 10},
    ]  # fmt: skip
    assert data["rankings"]["confidence"]["gain"]["found_in_first_tenth"] == pytest.approx(0.225)
    assert data["rankings"]["confidence"]["images"][-1] == {"image": "z", "score": None}
    errors = data["label_errors"]
    assert [(row["image"], row["quality"]) for row in errors["quality"]] == [("b", 0.55), ("d", 0.9), ("a", 0.95)]
    assert errors["regions_found"] == 2
    assert [row["weight"] for row in errors["regions"]] == [7.0, 5.0]
    assert (errors["regions"][0]["given"], errors["regions"][0]["likely"]) == (9, 0)
    assert "label_errors" not in ranking_to_dict(folder, [], label_errors=False)


def test_every_score_has_one_name_and_old_names_lead_to_it() -> None:
    aliases = [alias for score in RANKINGS.values() for alias in score.aliases]
    assert len({*aliases, *RANKINGS}) == len(aliases) + len(RANKINGS)
    old = ("model_margin", "model_entropy", "model_passes", "other", "second_model", "labels")
    assert [ranking_name(name) for name in old] == [
        "margin", "entropy", "passes", "disagreement", "disagreement", "label_errors",
    ]  # fmt: skip
    assert all(score.title and score.text and score.needs for score in RANKINGS.values())
    with pytest.raises(KeyError):
        ranking_name("beauty")


@given(st.dictionaries(st.text(max_size=3), st.floats(allow_infinity=False)), st.sets(st.text(max_size=3)))
def test_no_image_drops_out_of_a_ranking(scores: dict[str, float], images: set[str]) -> None:
    ranked = rank(scores, images)
    assert sorted(ranked) == sorted({*scores, *images})
    known = [scores[name] for name in ranked if name in scores and scores[name] == scores[name]]
    assert known == sorted(known, reverse=True)
    assert [name for name in ranked if name in scores and scores[name] == scores[name]] == ranked[: len(known)]
