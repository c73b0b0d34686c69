"""The CRF's half of the compute process: what it answers is what the engine computes from the kept scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.worker.handlers import refine as refine_session
from app.worker.messages import LoadModel, Predict, PrepareRefine, Refine, RefineBase, RefineBox, Refined, WasCancelled
from app.worker.session import ComputeSession
from deeplab_core.geometry import Box
from deeplab_core.images import read_image
from deeplab_core.inference import Scores
from deeplab_core.records import CRFParams, PredictOptions
from deeplab_core.refine import DenseCRF, ProbabilitySource, refine_region
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

PARAMS = CRFParams(bilateral_sxy=20, bilateral_srgb=20, bilateral_compat=4, iterations=3)
IDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


class Desk:
    """A compute process that has predicted one photograph."""

    def __init__(self, model_file: Path, image: Path) -> None:
        self.session, self.image = ComputeSession(), image
        self.session.answer(LoadModel(request_id=1, path=str(model_file), device="cpu"))
        self.predict()

    def predict(self) -> None:
        self.session.answer(Predict(request_id=2, image=str(self.image), source_key="key", options=PredictOptions()))

    @property
    def scores(self) -> Scores:
        found = self.session.state.scores.find("key")
        assert found is not None
        return found

    def base(self, **rest: object) -> RefineBase:
        return RefineBase(**{"image": str(self.image), "source_key": "key", "channel_ids": IDS} | rest)

    def refine(self, base: RefineBase | None = None, **rest: object) -> Refined:
        answer = self.session.answer(Refine(request_id=3, base=base or self.base(), params=PARAMS, **rest))
        assert isinstance(answer, Refined), answer
        return answer


@pytest.fixture
def desk(model_file: Path, tmp_path: Path) -> Desk:
    return Desk(model_file, save_photograph(tmp_path / "photo.png", 90, 120))


def test_the_exact_result_is_the_engines(desk: Desk) -> None:
    expected = DenseCRF(read_image(str(desk.image)).rgb, PARAMS).marginals(ProbabilitySource.of_scores(desk.scores)).labels()
    answer = desk.refine()
    assert answer.labels is not None
    assert answer.labels.dtype == np.uint8
    np.testing.assert_array_equal(answer.labels, expected)
    assert not answer.no_scores


def test_lattices_are_kept_between_requests(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.refine()
    from deeplab_core.refine import lattice

    def refuse(*_: object) -> None:
        raise AssertionError("a lattice was built again")

    monkeypatch.setattr(lattice.Lattice, "build", refuse)
    monkeypatch.setattr(refine_session, "read_image", refuse)
    answer = desk.refine()
    assert answer.labels is not None


def test_a_quick_result_is_close_to_the_exact_one_and_smaller_for_a_large_image(desk, monkeypatch) -> None:
    exact = desk.refine().labels
    monkeypatch.setattr(refine_session, "QUICK_FIELD", 90 * 120 // 4)
    quick = desk.refine(quick=True).labels
    assert quick.shape == exact.shape
    assert (quick == exact).mean() > 0.95
    monkeypatch.setattr(refine_session, "QUICK_PIXELS", 90 * 120 // 4)
    desk.session.handlers.clear()
    small = desk.refine(quick=True).labels
    assert small.shape == (45, 60)
    grown = small.repeat(2, axis=0).repeat(2, axis=1)
    assert (grown == exact).mean() > 0.9


def test_scores_that_are_gone_are_asked_for(desk: Desk) -> None:
    desk.session.state.scores.clear()
    answer = desk.refine()
    assert answer.no_scores
    assert answer.labels is None


def test_strokes_stay_what_they_are(desk: Desk) -> None:
    strokes = np.full((90, 120), 255, np.uint8)
    strokes[10:20, 10:100] = 3
    for quick in (False, True):
        labels = desk.refine(strokes=strokes, quick=quick).labels
        assert (labels[10:20, 10:100] == 3).all()


def test_labels_come_in_the_windows_ids_and_like_classes_are_added_up(desk: Desk) -> None:
    scores = desk.scores.probabilities()
    merged = np.stack([scores[0] + scores[3], scores[1], scores[2] + scores[4]])
    rgb = read_image(str(desk.image)).rgb
    expected = np.array([7, 255, 2], np.uint8)[DenseCRF(rgb, PARAMS).marginals(np.ascontiguousarray(merged)).labels()]
    labels = desk.refine(desk.base(channel_ids=(7, 255, 2, 7, 2))).labels
    np.testing.assert_array_equal(labels, expected)


def test_a_class_that_the_model_does_not_know_can_be_drawn(desk: Desk) -> None:
    strokes = np.full((90, 120), 255, np.uint8)
    strokes[40:50, 40:50] = 19
    assert (desk.refine(strokes=strokes).labels[40:50, 40:50] == 19).all()


def test_a_box_is_the_engines_region(desk: Desk) -> None:
    strokes = np.full((90, 120), 255, np.uint8)
    strokes[40:46, 50:70] = 2
    context, box = Box.between(20, 10, 110, 80), Box.between(40, 30, 80, 60)
    request = RefineBox(
        request_id=4, base=desk.base(), params=PARAMS, box=box, context=context,
        strokes=strokes[context.slices], reach=12.0,
    )  # fmt: skip
    answer = desk.session.answer(request)
    assert isinstance(answer, Refined)
    probabilities = np.ascontiguousarray(desk.scores.probabilities())
    rgb = read_image(str(desk.image)).rgb
    expected = refine_region(rgb, probabilities, box, PARAMS, clamp=strokes, margin=20, reach=12.0).labels()
    assert answer.labels is not None
    assert answer.labels.shape == (30, 40)
    assert (answer.labels == expected).mean() > 0.98  # the context reaches a little farther
    assert (answer.labels[10:16, 10:30] == 2).all()


def test_a_mask_without_a_network_follows_the_picture(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, 40:] = 220
    Image.fromarray(rgb).save(tmp_path / "two.png")
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 36:] = 15
    mask[5, 5] = 255
    session = ComputeSession()
    base = RefineBase(image=str(tmp_path / "two.png"), source_key="", labels=mask, certainty=0.7)
    params = CRFParams(gaussian_compat=1, bilateral_sxy=30, bilateral_srgb=10, bilateral_compat=10)
    answer = session.answer(Refine(request_id=1, base=base, params=params))
    assert isinstance(answer, Refined), answer
    truth = np.where(np.arange(80) < 40, 0, 15)
    assert (answer.labels == truth).all()


def test_a_mask_of_one_class_stays(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "one.png")
    base = RefineBase(image=str(tmp_path / "one.png"), source_key="", labels=np.zeros((6, 8), np.uint8))
    answer = ComputeSession().answer(Refine(request_id=1, base=base, params=PARAMS))
    assert isinstance(answer, Refined)
    assert (answer.labels == 0).all()
    assert "one class" in answer.note


def test_preparing_and_cancelling(desk: Desk) -> None:
    prepared = desk.session.answer(PrepareRefine(request_id=5, base=desk.base(), params=PARAMS))
    assert isinstance(prepared, Refined)
    assert prepared.labels is None
    assert not prepared.no_scores
    stopped = desk.session.answer(Refine(request_id=6, base=desk.base(), params=PARAMS), lambda: True)
    assert isinstance(stopped, WasCancelled)


def test_only_the_last_images_keep_their_lattices(desk: Desk, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 10:] = 1
    for number in range(4):
        photo = save_photograph(tmp_path / f"{number}.png", 20, 30, seed=number)
        desk.refine(RefineBase(image=str(photo), source_key=str(number), labels=mask))
    assert len(desk.session.handler("refine")._kept) == 2


@pytest.mark.parametrize("way", ["exact", "quick", "box"])
def test_where_the_user_gave_another_class_the_scores_speak_of_that_one(desk: Desk, way: str) -> None:
    """With one class read as another everywhere, the result has the other one in its place."""
    old, new = np.full((90, 120), 255, np.uint8), np.full((90, 120), 255, np.uint8)
    labels = desk.refine().labels
    assert labels is not None
    values, counts = np.unique(labels, return_counts=True)
    common = int(values[counts.argmax()])
    old[:], new[:] = common, 7  # a class that the network does not have
    if way == "box":
        strokes = np.full((60, 80), 255, np.uint8)
        strokes[30, 40] = 7
        place = slice(10, 70), slice(20, 100)
        answer = desk.session.answer(
            RefineBox(
                request_id=5, base=desk.base(renamed=(old[place], new[place])), params=PARAMS, box=Box.between(30, 20, 90, 60),
                context=Box.between(20, 10, 100, 70), strokes=strokes, reach=4.0,
            )
        )  # fmt: skip
        assert isinstance(answer, Refined)
        found = answer.labels
    else:
        found = desk.refine(desk.base(renamed=(old, new)), quick=way == "quick").labels
    assert found is not None
    assert common not in found
    assert 7 in found
