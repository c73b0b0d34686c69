"""Click networks in the compute process, without the process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.worker.messages import Answer, AskClicks, Clicked, EndClicks, Failed, PrepareClicks, WasCancelled
from app.worker.session import ComputeSession
from deeplab_core.backends.click_models import OnnxGraph
from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import Corrector
from deeplab_core.errors import WeightsError
from deeplab_core.images import read_image
from deeplab_core.learning import PackedLabels
from tests.fakes.compute import FakeComputeClient
from tests.unit.app.tiny_model import save_photograph
from tests.unit.core.backends.click_graphs import decoder, disk, encoder, ritm

SIZE = (96, 128)
NOTHING = PackedLabels.of(np.zeros(SIZE, np.uint8))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_photograph(tmp_path / "photo.png", *SIZE)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return ritm(tmp_path / "clicks.onnx")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of the graphs that ran."""
    found: list[str] = []
    run = OnnxGraph.run

    def noted(self: OnnxGraph, *args: Any, **rest: Any) -> Any:
        found.append(self.path.name)
        return run(self, *args, **rest)

    monkeypatch.setattr(OnnxGraph, "run", noted)
    return found


def ask(model: tuple[Path, ...], image: Path, **rest: Any) -> AskClicks:
    wanted: dict[str, Any] = {"points": ((40.5, 50.5),), "positive": (True,), "previous": NOTHING, "device": "cpu"}
    return AskClicks(request_id=3, model=tuple(map(str, model)), image=str(image), source_key="key", **(wanted | rest))


def unpacked(answer: Answer) -> list[np.ndarray]:
    assert isinstance(answer, Clicked), answer
    return [mask.unpacked().astype(bool) for mask in answer.masks]


def test_masks_come_packed_and_are_merged_by_the_window(network: Path, image: Path) -> None:
    answer = pickle.loads(pickle.dumps(ComputeSession().answer(ask((network,), image))))
    assert np.array_equal(unpacked(answer)[0], disk(SIZE, [(40, 50)]))
    assert answer.title.startswith("click network, onnxruntime")
    catalog = get_catalog("voc21")
    corrector = Corrector(read_image(image).rgb, np.zeros(SIZE, np.uint8), catalog=catalog)
    found = corrector.merge_clicks(unpacked(answer), [(40.5, 50.5)], [True], 9)
    assert [int(proposal.mask.sum()) for proposal in found] == [int(mask.sum()) for mask in unpacked(answer)]


def test_features_are_computed_once_and_ahead(image: Path, tmp_path: Path, runs: list[str]) -> None:
    pair = encoder(tmp_path / "sam.encoder.onnx"), decoder(tmp_path / "sam.decoder.onnx")
    session = ComputeSession()
    texts: list[str] = []
    prepare = PrepareClicks(request_id=1, model=tuple(map(str, pair)), image=str(image), source_key="key", device="cpu")
    answer = session.answer(prepare, None, lambda _fraction, text: texts.append(text))
    assert isinstance(answer, Clicked)
    assert answer.masks == ()
    assert texts == ["reading the click network", "encoding the image"]
    assert len(unpacked(session.answer(ask(pair, image)))) == 3
    assert len(unpacked(session.answer(ask(pair, image, points=(), positive=(), box=(10, 10, 60, 70))))) >= 1
    assert runs.count("sam.encoder.onnx") == 1
    session.answer(EndClicks(request_id=9))
    assert not session.handler("clicks").loaded  # type: ignore[attr-defined]


def test_a_file_that_changed_is_loaded_again(network: Path, image: Path) -> None:
    session = ComputeSession()
    session.answer(ask((network,), image))
    ritm(network, radius=20)
    assert np.array_equal(unpacked(session.answer(ask((network,), image)))[0], disk(SIZE, [(40, 50)], 20))


def test_a_cancelled_request_stops(network: Path, image: Path) -> None:
    assert isinstance(ComputeSession().answer(ask((network,), image), lambda: True), WasCancelled)


def failure(answer: Answer) -> dict[str, Any]:
    assert isinstance(answer, Failed), answer
    assert not answer.traceback, "it is not a bug"
    return answer.error


def test_what_goes_wrong_names_its_file(network: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ComputeSession()
    error = failure(session.answer(ask((tmp_path / "missing.onnx",), image)))
    assert (error["kind"], Path(error["path"]).name) == ("WeightsError", "missing.onnx")
    error = failure(session.answer(ask((network,), tmp_path / "missing.png")))
    assert Path(error["path"]).name == "missing.png"
    error = failure(session.answer(ask((network,), image, previous=PackedLabels.of(np.zeros((4, 4), np.uint8)))))
    assert Path(error["path"]).name == "photo.png"

    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError("failed to allocate")

    monkeypatch.setattr(OnnxGraph, "run", full)
    error = failure(session.answer(ask((network,), image)))
    assert (error["kind"], Path(error["path"]).name) == ("DeviceOutOfMemory", "clicks.onnx")
    assert not session.handler("clicks").loaded  # type: ignore[attr-defined]
    monkeypatch.undo()
    assert unpacked(session.answer(ask((network,), image))), "the next request loads it again"


def test_a_window_asks_without_torch_and_onnx_runtime() -> None:
    code = "import app.worker.messages, deeplab_core.correction, sys; print({'torch', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_imagined_service_answers_alike(image: Path, qtbot: QtBot) -> None:
    client = FakeComputeClient(get_catalog("voc21"))
    client.start()
    answers: list[Any] = []
    client.submit(ask((Path("net.onnx"),), image)).on(done=answers.append)
    qtbot.waitUntil(lambda: len(answers) == 1)
    small, large = unpacked(answers[0])
    assert small[50, 40]
    assert small.sum() < large.sum()
    client.errors["net.onnx"] = WeightsError("no network")
    client.submit(ask((Path("net.onnx"),), image)).on(failed=answers.append)
    client.crash()
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert isinstance(answers[1], WeightsError)
    client.paused = True
    call = client.submit(EndClicks()).on(cancelled=lambda: answers.append(None))
    call.cancel()
    qtbot.waitUntil(lambda: len(answers) == 3)
    client.stop()
