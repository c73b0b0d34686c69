"""Kept predictions and folder runs."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest

from app.state.image_record import ImageFlag, ImageStatus
from app.state.predictions import PredictionCache
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.runs import ItemState
from app.state.samples import load_sample
from deeplab_core.errors import ProjectError, StorageError
from deeplab_core.records import CRFParams, Prediction, PredictOptions, RunReport
from tests.unit.app.folders import SHAPE, image_id, make_folder, stroke

OPTIONS = PredictOptions(output_stride=8, scales=(0.5, 1.0), flip=True, crf=CRFParams(iterations=3))


def make_prediction(seed=0, key="k", options=OPTIONS, shape=(40, 60)):
    rng = np.random.default_rng(seed)
    return Prediction(
        labels=rng.integers(0, 21, size=shape).astype(np.uint8),
        confidence=rng.integers(0, 256, size=shape).astype(np.uint8),
        card_id="abc-net",
        options=options,
        source_key=key,
        report=RunReport(device="cpu", milliseconds=12.5, notes=("one", "two")),
        uncertainty={"margin": 0.25},
    )


def equal(one, other):
    return (
        np.array_equal(one.labels, other.labels)
        and np.array_equal(one.confidence, other.confidence)
        and (one.card_id, one.options) == (other.card_id, other.options)
        and (one.source_key, one.report, one.uncertainty) == (other.source_key, other.report, other.uncertainty)
    )


def get(cache, prediction):
    return cache.get(prediction.source_key, prediction.card_id, prediction.options.cache_key())


def test_a_prediction_comes_back_as_it_was(tmp_path):
    cache = PredictionCache(tmp_path / "p")
    prediction = make_prediction()
    assert get(cache, prediction) is None
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)
    assert equal(get(PredictionCache(tmp_path / "p"), prediction), prediction)
    assert cache.has("k", "abc-net", OPTIONS.cache_key())


def test_a_prediction_of_more_than_254_classes_comes_back(tmp_path):
    cache = PredictionCache(tmp_path / "p")
    prediction = replace(make_prediction(), labels=np.arange(2400, dtype=np.uint16).reshape(40, 60))
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)


@pytest.mark.parametrize("other", [{"source_key": "x"}, {"card_id": "x"}, {"options": PredictOptions()}])
def test_another_image_model_or_option_is_another_prediction(tmp_path, other):
    cache = PredictionCache(tmp_path / "p")
    cache.put(make_prediction())
    assert get(cache, replace(make_prediction(), **other)) is None


def files(cache_folder, ending):
    return sorted(path for path in cache_folder.glob("??/*") if path.name.endswith(ending))


def labels_file(cache_folder):
    (path,) = [path for path in files(cache_folder, ".png") if not path.name.endswith(".confidence.png")]
    return path


def flipped(data):
    return data[:900] + bytes([data[900] ^ 1]) + data[901:]


HARMS = [
    lambda data: data[:-40],
    lambda data: b"",
    flipped,
    lambda data: data[:60] + b"tEXt" + data[64:],
    lambda data: b"{" * 9000,
]


@pytest.mark.parametrize("harm", HARMS)
def test_damaged_labels_are_named_and_set_aside(tmp_path, harm):
    cache = PredictionCache(tmp_path / "p")
    prediction = make_prediction()
    cache.put(prediction)
    path = labels_file(tmp_path / "p")
    damaged = harm(path.read_bytes())
    path.write_bytes(damaged)
    found = cache.look("k", "abc-net", OPTIONS.cache_key())
    assert found.prediction is None
    assert found.problem
    assert not path.exists()
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == damaged
    assert cache.kept() == {}
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_confidence_costs_no_labels(tmp_path, harm):
    cache = PredictionCache(tmp_path / "p")
    prediction = make_prediction()
    cache.put(prediction)
    (path,) = files(tmp_path / "p", ".confidence.png")
    path.write_bytes(harm(path.read_bytes()))
    found = get(cache, prediction)
    assert np.array_equal(found.labels, prediction.labels)
    assert found.known_confidence is None
    assert found.uncertainty == prediction.uncertainty
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)


@pytest.mark.parametrize("what", ["labels", "confidence"])
def test_a_prediction_is_written_over_damage_that_was_never_read(tmp_path, what):
    cache = PredictionCache(tmp_path / "p")
    cache.put(make_prediction())
    path = labels_file(tmp_path / "p") if what == "labels" else files(tmp_path / "p", ".confidence.png")[0]
    path.write_bytes(path.read_bytes()[:30])
    cache.put(make_prediction())
    assert equal(get(cache, make_prediction()), make_prediction())


def test_labels_stay_for_as_long_as_the_project_and_confidence_makes_room(tmp_path):
    """More predictions than the bound has room for: every label map is there, the newest confidences too."""
    size = PredictionCache(tmp_path / "probe")
    size.put(make_prediction())
    limit = size.nbytes() * 4
    cache = PredictionCache(tmp_path / "p", limit=limit)
    predictions = [make_prediction(seed, key=f"image {seed}") for seed in range(30)]
    for prediction in predictions:
        cache.put(prediction)
        assert cache.nbytes() <= limit
    assert sum(path.stat().st_size for path in files(tmp_path / "p", ".confidence.png")) == cache.nbytes()
    again = PredictionCache(tmp_path / "p", limit=limit)
    found = [get(again, prediction) for prediction in predictions]
    assert all(np.array_equal(one.labels, other.labels) for one, other in zip(found, predictions, strict=True))
    assert all((one.card_id, one.report, one.uncertainty) == (other.card_id, other.report, other.uncertainty)
               for one, other in zip(found, predictions, strict=True))  # fmt: skip
    confident = [one.known_confidence is not None for one in found]
    assert 2 <= sum(confident) <= 4
    assert confident[-1]
    assert len(again.kept()) == 30


def test_the_least_recently_used_confidence_makes_room(tmp_path):
    size = PredictionCache(tmp_path / "probe")
    size.put(make_prediction())
    cache = PredictionCache(tmp_path / "p", limit=size.nbytes() * 3 + 200)
    predictions = [make_prediction(seed, key=f"image {seed}") for seed in range(5)]
    for prediction in predictions[:3]:
        cache.put(prediction)
    for age, path in enumerate(files(tmp_path / "p", ".confidence.png")):
        os.utime(path, (1000 + age, 1000 + age))
    get(cache, predictions[0])  # now the most recently used
    cache.put(predictions[3])
    known = [get(cache, prediction).known_confidence is not None for prediction in predictions[:4]]
    assert known[0]
    assert known[3]
    assert sum(known) == 2


# -- caches of 8f62d5b -------------------------------------------------------------------------------------------------------


def write_archive(folder, prediction, note=None, members=()):
    """The file that 8f62d5b wrote for a prediction."""
    cache = PredictionCache(folder)
    path = cache._path(prediction.source_key, prediction.card_id, prediction.options.cache_key()).with_suffix(".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "card_id": prediction.card_id, "source_key": prediction.source_key, "options": asdict(prediction.options),
        "report": asdict(prediction.report), "doubt": prediction.uncertainty,
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("note.json", json.dumps(said if note is None else note))
        for name, array in (("labels", prediction.labels), ("confidence", prediction.confidence)):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    return path


@pytest.mark.parametrize("wide", [False, True])
def test_a_cache_of_an_earlier_version_is_read(tmp_path, wide):
    prediction = make_prediction()
    if wide:
        prediction = replace(prediction, labels=np.arange(2400, dtype=np.uint16).reshape(40, 60))
    write_archive(tmp_path / "p", prediction)
    cache = PredictionCache(tmp_path / "p")
    assert equal(get(cache, prediction), prediction)
    assert cache.has("k", "abc-net", OPTIONS.cache_key())
    assert cache.has_confidence("k", "abc-net", OPTIONS.cache_key())
    assert cache.kept() == {"k": [("abc-net", OPTIONS.cache_key())]}
    assert cache.missing([("k", "abc-net", OPTIONS.cache_key()), ("x", "y", "z")]) == [("x", "y", "z")]
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)
    assert files(tmp_path / "p", ".npz") == []


def test_a_full_cache_of_an_earlier_version_keeps_its_labels_when_it_makes_room(tmp_path):
    old = [make_prediction(seed, key=f"old {seed}") for seed in range(12)]
    paths = [write_archive(tmp_path / "p", prediction) for prediction in old]
    for age, path in enumerate(paths):
        os.utime(path, (1000 + age, 1000 + age))
    paths[2].write_bytes(b"damaged")
    limit = 6 * paths[0].stat().st_size
    cache = PredictionCache(tmp_path / "p", limit=limit)
    new = [make_prediction(seed, key=f"new {seed}") for seed in range(20, 26)]
    for prediction in new:
        cache.put(prediction)
    assert cache.nbytes() <= limit
    for number, prediction in enumerate(old):
        found = get(cache, prediction)
        assert found is None if number == 2 else np.array_equal(found.labels, prediction.labels)
    assert all(np.array_equal(get(cache, prediction).labels, prediction.labels) for prediction in new)
    assert list(paths[2].parent.glob("*.damaged-*"))


def bomb():
    return bytes(10_000_000)


@pytest.mark.parametrize("member", ["note.json", "labels.npy", "confidence.npy"])
@pytest.mark.parametrize("claims", [False, True], ids=["behind the end", "claimed"])
def test_a_kept_prediction_that_unpacks_without_end_is_refused(tmp_path, member, claims):
    """Bytes behind the end of an array, and an array that claims to be larger than any image: some 300 KB of 300 MB."""
    prediction = make_prediction()
    path = write_archive(tmp_path / "p", prediction)
    small, huge = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(small, prediction.labels)
    np.lib.format.write_array_header_1_0(huge, {"descr": "|u1", "fortran_order": False, "shape": (30_000, 30_000)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("note.json", "labels.npy", "confidence.npy"):
            with archive.open(name, "w") as stream:
                start = b'{"card_id": "' if name == "note.json" else small.getvalue()
                stream.write(huge.getvalue() if claims and name == member != "note.json" else start)
                for _ in range(30 if name == member else 0):
                    stream.write(bomb())
    cache = PredictionCache(tmp_path / "p")
    tracemalloc.start()
    assert get(cache, prediction) is None
    assert cache.kept() == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_a_picture_that_claims_to_be_larger_than_any_image_is_refused(tmp_path):
    cache = PredictionCache(tmp_path / "p")
    cache.put(make_prediction())
    path = labels_file(tmp_path / "p")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(bytes(data))
    assert cache.look("k", "abc-net", OPTIONS.cache_key()).problem


def test_links_in_a_cache_are_not_followed(tmp_path):
    """A stranger's cache that leads elsewhere: nothing is read, written or removed there."""
    outside = tmp_path / "outside"
    cache = PredictionCache(outside)
    cache.put(make_prediction())
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    (tmp_path / "project").mkdir()
    (tmp_path / "project/p").symlink_to(outside, target_is_directory=True)
    linked = PredictionCache(tmp_path / "project/p", limit=1)
    found = linked.look("k", "abc-net", OPTIONS.cache_key())
    assert found.prediction is None
    assert found.hidden
    with pytest.raises(ProjectError, match="link"):
        linked.put(make_prediction())
    assert linked.kept() == {}
    (tmp_path / "project/p").unlink()
    (tmp_path / "project/p").mkdir()
    for folder in outside.iterdir():
        (tmp_path / "project/p" / folder.name).symlink_to(folder, target_is_directory=True)
    linked = PredictionCache(tmp_path / "project/p", limit=1)
    assert get(linked, make_prediction()) is None
    other = make_prediction(1, key="other")
    linked.put(other)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    cache = PredictionCache(tmp_path / "p")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="disk is full"):
        cache.put(make_prediction())
    monkeypatch.undo()
    assert get(cache, make_prediction()) is None
    assert list((tmp_path / "p").rglob("*.*")) == []


def test_a_project_remembers_which_prediction_is_the_newest(tmp_path):
    folder = make_folder(tmp_path / "photos", "a.png", "b.png")
    with Project.open(folder) as project:
        a = image_id(project, "a.png")
        assert project.prediction_of(a) is None
        prediction = make_prediction(key=project.content_key(a))
        record = project.keep_prediction(a, prediction)
        assert (record.status, record.flags) == (ImageStatus.PREDICTED, ImageFlag.NONE)
        newer = make_prediction(1, key=project.content_key(a), options=PredictOptions())
        project.set_status(a, ImageStatus.TOUCHED)
        record = project.keep_prediction(a, newer, suggestion=True)
        assert (record.status, record.flags) == (ImageStatus.TOUCHED, ImageFlag.SUGGESTED)
    with Project.open(folder) as project:
        assert equal(project.prediction_of(a), newer)
        assert project.dismiss_suggestion(a).flags == ImageFlag.NONE
        assert project.prediction_of(image_id(project, "b.png")) is None


# -- what the project reports about them
# -------------------------------------------------------------------------------------------


def predicted(tmp_path, *, steps=False, status=None):
    """A folder with one predicted image; (folder, its id)."""
    folder = make_folder(tmp_path / "photos", "a.png", "b.png")
    with Project.open(folder) as project:
        a = image_id(project, "a.png")
        project.keep_prediction(a, make_prediction(key=project.content_key(a), shape=SHAPE))
        if steps:
            stroke(project, a, project.load(a).document, 1, Provenance.MODEL)
        if status is not None:
            project.set_status(a, status)
    return folder, a


@pytest.mark.parametrize("how", ["damaged", "gone"])
@pytest.mark.parametrize("found_by", ["reading", "opening"])
def test_an_image_is_never_called_predicted_without_a_prediction(tmp_path, how, found_by):
    folder, a = predicted(tmp_path)
    path = labels_file(folder / ".atrous/predictions")
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        path.unlink()
    with Project.open(folder) as project:
        told, lost = [], []
        project.record_changed.connect(told.append)
        project.kept_predictions.lost.connect(lost.append)
        assert project.record(a).status is ImageStatus.PREDICTED
        if found_by == "opening" and how == "damaged":
            assert project.check_predictions() == (), "the file is there: whether it is sound shows when it is read"
        if found_by == "opening" and how == "gone":
            (record,) = project.check_predictions()
        else:
            assert project.prediction_of(a) is None
            (record,) = lost
        assert record == project.record(a) == told[-1]
        assert (record.status, record.prediction) == (ImageStatus.NEW, "")
        assert "Run the model" in record.note
        assert ("damaged" in record.note) == (how == "damaged")
        assert project.prediction_of(a) is None
        assert project.check_predictions() == ()
        assert len(lost) == (found_by == "reading" or how == "damaged")
        again = make_prediction(2, key=project.content_key(a), shape=SHAPE)
        assert project.keep_prediction(a, again).status is ImageStatus.PREDICTED
        assert project.record(a).note == ""
        assert equal(project.prediction_of(a), again)


@pytest.mark.parametrize("case", ["its mask holds the model's labels", "corrected", "reviewed"])
def test_a_lost_prediction_takes_no_work_back(tmp_path, case):
    status = {"corrected": ImageStatus.TOUCHED, "reviewed": ImageStatus.REVIEWED}.get(case)
    folder, a = predicted(tmp_path, steps=True, status=status)
    labels_file(folder / ".atrous/predictions").unlink()
    with Project.open(folder) as project:
        before = project.record(a).status
        project.check_predictions()
        assert project.record(a).status is before
        assert project.record(a).prediction == ""
        assert len(project.load(a).steps) == 1


def test_a_prediction_without_its_confidence_is_a_prediction(tmp_path):
    folder, a = predicted(tmp_path)
    for path in files(folder / ".atrous/predictions", ".confidence.png"):
        path.unlink()
    with Project.open(folder) as project:
        assert project.check_predictions() == ()
        assert project.prediction_of(a).known_confidence is None
        assert project.record(a).status is ImageStatus.PREDICTED
        sample = load_sample(project, a, truth=False)
        assert sample.confidence is None
        assert sample.prediction is not None


def test_a_disk_that_cannot_be_read_now_loses_nothing(tmp_path, monkeypatch):
    folder, a = predicted(tmp_path)

    def broken(*_args, **_kwargs):
        raise OSError(5, "Input/output error")

    with Project.open(folder) as project:
        monkeypatch.setattr("app.state.predictions.read_plain", broken)
        monkeypatch.setattr(os, "scandir", broken)
        assert project.prediction_of(a) is None
        assert project.check_predictions() == ()
        monkeypatch.undo()
        assert project.record(a).status is ImageStatus.PREDICTED
        assert project.prediction_of(a) is not None


def test_a_reader_says_none_and_changes_nothing(tmp_path):
    folder, a = predicted(tmp_path)
    path = labels_file(folder / ".atrous/predictions")
    path.write_bytes(b"damaged")
    with Project.open(folder, read_only=True) as project:
        assert project.prediction_of(a) is None
        assert project.record(a).status is ImageStatus.PREDICTED
    assert path.read_bytes() == b"damaged"


def test_a_run_can_be_resumed_where_it_stopped(tmp_path):
    folder = make_folder(tmp_path / "photos", "a.png", "b.png", "c.png")
    with Project.open(folder) as project:
        a, b, c = (record.id for record in project.images)
        assert project.runs.unfinished() is None
        run = project.runs.start("All images", "abc-net", "{}", [a, b, c])
        project.runs.finish_item(run, a, ItemState.DONE)
        project.runs.finish_item(run, b, ItemState.FAILED, "not an image")
    with Project.open(folder) as project:
        unfinished = project.runs.unfinished()
        assert (unfinished.id, unfinished.title, unfinished.card_id) == (run, "All images", "abc-net")
        assert unfinished.counts == {ItemState.WAITING: 1, ItemState.DONE: 1, ItemState.FAILED: 1}
        assert project.runs.waiting(run) == [c]
        assert project.runs.failures(run) == [(b, "not an image")]
        project.runs.finish_item(run, c, ItemState.SUGGESTED)
        assert project.runs.unfinished() is None
        assert project.runs.get(run).finished is not None
        project.runs.start("again", "abc-net", "{}", [a])
        project.runs.start("and again", "abc-net", "{}", [b])
        assert project.runs.unfinished().title == "and again"
        project.runs.close(project.runs.unfinished().id)
        assert project.runs.unfinished() is None


def test_the_cache_says_what_it_keeps_of_an_image(tmp_path) -> None:
    cache = PredictionCache(tmp_path / "p")
    assert cache.kept() == {}
    one, other = make_prediction(), make_prediction(key="other")
    cache.put(one)
    cache.put(other)
    (tmp_path / "p" / "aa").mkdir(exist_ok=True)
    (tmp_path / "p" / "aa" / "broken.npz").write_bytes(b"no zip")
    key = (one.card_id, one.options.cache_key())
    assert cache.kept() == {"k": [key], "other": [key]}
