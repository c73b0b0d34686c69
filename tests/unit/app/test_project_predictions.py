"""Kept predictions and folder runs."""

import os
from dataclasses import replace

import numpy as np
import pytest

from app.state.image_record import ImageFlag, ImageStatus
from app.state.predictions import PredictionCache
from app.state.project import Project
from app.state.runs import ItemState
from deeplab_core.errors import StorageError
from deeplab_core.records import CRFParams, Prediction, PredictOptions, RunReport
from tests.unit.app.folders import image_id, make_folder

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
        doubt={"margin": 0.25},
    )


def equal(one, other):
    return (
        np.array_equal(one.labels, other.labels)
        and np.array_equal(one.confidence, other.confidence)
        and (one.card_id, one.options) == (other.card_id, other.options)
        and (one.source_key, one.report, one.doubt) == (other.source_key, other.report, other.doubt)
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


def flipped(data):
    return data[:900] + bytes([data[900] ^ 1]) + data[901:]


@pytest.mark.parametrize("harm", [lambda data: data[:-40], lambda data: b"", flipped])
def test_a_damaged_entry_is_dropped(tmp_path, harm):
    cache = PredictionCache(tmp_path / "p")
    prediction = make_prediction()
    cache.put(prediction)
    (path,) = (tmp_path / "p").glob("??/*.npz")
    path.write_bytes(harm(path.read_bytes()))
    assert get(cache, prediction) is None
    assert not path.exists()
    cache.put(prediction)
    assert equal(get(cache, prediction), prediction)


def test_the_least_recently_used_make_room(tmp_path):
    size = PredictionCache(tmp_path / "probe")
    size.put(make_prediction())
    cache = PredictionCache(tmp_path / "p", limit=size.nbytes() * 3 + 200)
    predictions = [make_prediction(seed, key=f"image {seed}") for seed in range(5)]
    for prediction in predictions[:3]:
        cache.put(prediction)
    for age, path in enumerate(sorted((tmp_path / "p").glob("??/*.npz"))):
        os.utime(path, (1000 + age, 1000 + age))
    get(cache, predictions[0])  # now the most recently used
    cache.put(predictions[3])
    assert cache.nbytes() <= size.nbytes() * 3 + 200
    assert get(cache, predictions[0]) is not None
    assert get(cache, predictions[3]) is not None
    assert sum(get(cache, prediction) is not None for prediction in predictions) == 2


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
