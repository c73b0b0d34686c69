"""Comparing models and looking at receptive fields in the compute process, without the process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.worker.handlers.compare import Handler as CompareHandler
from app.worker.messages import (
    AskReceptive,
    Compare,
    Compared,
    EndCompare,
    Failed,
    Loaded,
    LoadModel,
    Predict,
    Predicted,
    Receptive,
)
from app.worker.session import ComputeSession
from app.worker.state import WorkerState
from deeplab_core.errors import WeightsError
from deeplab_core.records import PredictOptions
from tests.unit.app.tiny_model import save_photograph, save_tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    first = save_tiny_model(folder / "a.safetensors")
    return [first, *(_copy(first, folder / f"{name}.safetensors") for name in "bc")]


def _copy(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes())
    card = source.with_name(source.name + ".card.json")
    if card.is_file():
        target.with_name(target.name + ".card.json").write_bytes(card.read_bytes())
    return target


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_photograph(tmp_path / "photo.png", 70, 90)


def ask(number: int, model: Path, image: Path) -> Compare:
    return Compare(request_id=number, model=str(model), image=str(image), source_key="key", options=PredictOptions(device="cpu"))


def test_models_beside_the_one_in_use(models: list[Path], image: Path) -> None:
    session = ComputeSession()
    answer = session.answer(ask(1, models[0], image))  # nothing is loaded yet
    assert isinstance(answer, Compared)
    assert answer.prediction is not None
    assert isinstance(session.answer(LoadModel(request_id=2, path=str(models[1]), device="cpu")), Loaded)
    plain = session.answer(Predict(request_id=3, image=str(image), source_key="key"))
    assert isinstance(plain, Predicted)
    assert session.handler("compare").loaded == (str(models[0]),)
    same = session.answer(ask(4, models[1], image))  # the one in use: not loaded a second time
    assert session.handler("compare").loaded == (str(models[0]),)
    assert isinstance(same, Compared)
    assert same.prediction is not None
    np.testing.assert_array_equal(same.prediction.labels, plain.prediction.labels)
    ended = session.answer(EndCompare(request_id=5))
    assert isinstance(ended, Compared)
    assert ended.prediction is None
    assert session.handler("compare").loaded == ()
    pickle.loads(pickle.dumps(answer))


def test_one_model_at_a_time_where_memory_is_short(models: list[Path], image: Path) -> None:
    session = CompareHandler(WorkerState(1 << 20), room=1)
    assert session.answer(ask(1, models[0], image), None, None).note == ""
    second = session.answer(ask(2, models[1], image), None, None)
    assert "removed from memory" in second.note
    assert session.loaded == (str(models[1]),)
    assert session.answer(ask(3, models[1], image), None, None).note == ""


def test_models_stay_loaded_where_they_fit(models: list[Path], image: Path) -> None:
    session = CompareHandler(WorkerState(1 << 20), room=1 << 40)
    for number, model in enumerate((*models, models[0])):
        assert session.answer(ask(number, model, image), None, None).note == ""
    assert session.loaded == (str(models[1]), str(models[2]), str(models[0]))


def test_a_file_that_is_no_model_fails_alone(models: list[Path], image: Path, tmp_path: Path) -> None:
    session = ComputeSession()
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    failed = session.answer(ask(1, tmp_path / "broken.pth", image))
    assert isinstance(failed, Failed)
    assert failed.error["kind"] == WeightsError.__name__
    assert isinstance(session.answer(ask(2, models[0], image)), Compared)
    lost = session.answer(ask(3, models[0], tmp_path / "gone.png"))
    assert isinstance(lost, Failed)
    assert lost.error["path"] == str(tmp_path / "gone.png")


def test_a_receptive_field_comes_as_plain_values(models: list[Path], image: Path) -> None:
    session = ComputeSession()
    request = AskReceptive(request_id=1, image=str(image), source_key="key", x=10, y=20)
    early = session.answer(request)
    assert isinstance(early, Failed)
    assert "no model" in early.error["what"]
    session.answer(LoadModel(request_id=2, path=str(models[0]), device="cpu"))
    answer = session.answer(request)
    assert isinstance(answer, Receptive)
    assert (answer.found.x, answer.found.y) == (10, 20)
    assert answer.found.gradient.shape == (70, 90)
    assert [reach.name for reach in answer.found.theoretical] == ["network", "1×1", "rate 6", "rate 12"]
    code = "import sys, pickle; pickle.loads(sys.stdin.buffer.read()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], input=pickle.dumps(answer), check=False).returncode == 0
