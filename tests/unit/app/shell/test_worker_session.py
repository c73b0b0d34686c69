"""What the compute process does, without the process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.worker.messages import (
    PROTOCOL,
    Failed,
    Inspected,
    InspectModel,
    LoadModel,
    Predict,
    Predicted,
    PrepareRefine,
    RefineBase,
    Request,
)
from app.worker.session import ComputeSession
from deeplab_core.errors import AtrousError, Cancelled, ComputeError, ImageReadError, WeightsError
from deeplab_core.records import CRFParams, PredictOptions
from tests.fakes.inprocess import InProcessService
from tests.unit.app.tiny_model import save_photograph, save_tiny_model


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_photograph(tmp_path / "photo.png", 90, 120)


@pytest.fixture
def service(model_file: Path) -> InProcessService:
    service = InProcessService()
    service.load(str(model_file), device="cpu")
    return service


def test_load_answers_with_card_and_device(model_file: Path) -> None:
    loaded = InProcessService().load(str(model_file), device="cpu", output_stride=8)
    assert (loaded.card.name, loaded.device, loaded.note) == ("Tiny", "cpu", "")
    assert loaded.card.output_stride == 8


def test_a_model_is_tried_while_the_one_in_use_stays(
    service: InProcessService, model_file: Path, image: Path, tmp_path: Path
) -> None:
    session = service._session
    answer = session.answer(InspectModel(request_id=7, path=str(model_file)))
    assert isinstance(answer, Inspected)
    assert answer.card.name == "Tiny"
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    failed = session.answer(InspectModel(request_id=8, path=str(tmp_path / "broken.pth")))
    assert isinstance(failed, Failed)
    assert failed.error["kind"] == "WeightsError"
    assert service.predict(str(image)).prediction.labels.shape == (90, 120)


def test_predict_reads_the_image_and_keeps_its_scores(service: InProcessService, image: Path) -> None:
    steps: list[float] = []
    predicted = service.predict(str(image), "key", progress=lambda fraction, _text: steps.append(fraction))
    labels = predicted.prediction.labels
    assert labels.shape == (90, 120)
    assert predicted.prediction.source_key == "key"
    assert steps[-1] == 1.0
    for x, y in ((0, 0), (119, 89), (60, 40)):
        scores = service.ask_scores("key", x, y, top=3)
        assert scores.class_ids[0] == labels[y, x]
        assert len(scores.class_ids) == 3
    assert service.ask_scores("another", 0, 0).class_ids == ()
    assert service.ask_scores("key", 120, 0).class_ids == ()


def test_scores_are_bounded_and_belong_to_the_model(model_file: Path, image: Path) -> None:
    service = InProcessService(score_bytes=0)
    service.load(str(model_file), device="cpu")
    service.predict(str(image), "key")
    assert service.ask_scores("key", 0, 0).class_ids == ()
    service = InProcessService()
    service.load(str(model_file), device="cpu")
    service.predict(str(image), "key")
    service.load(str(model_file), device="cpu")
    assert service.ask_scores("key", 0, 0).class_ids == ()


def test_the_image_in_its_oriented_frame(service: InProcessService, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, exif=exif)
    assert service.predict(str(path)).prediction.labels.shape == (60, 40)


def test_errors_are_those_of_the_core(service: InProcessService, tmp_path: Path, image: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(ImageReadError) as caught:
        service.predict(str(broken))
    assert caught.value.path == broken
    with pytest.raises(ComputeError, match="no model is loaded"):
        InProcessService().predict(str(image))
    with pytest.raises(AtrousError, match="output stride 7"):
        service.predict(str(image), options=PredictOptions(output_stride=7))
    with pytest.raises(Cancelled):
        service.predict(str(image), cancel=lambda: True)


def test_a_checkpoint_that_fails_leaves_the_model_before_in_use(service: InProcessService, tmp_path: Path, image: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        service.load(str(bad))
    assert service.predict(str(image)).prediction.labels.shape == (90, 120)


def test_another_engine_computes_and_its_trial_is_remembered(model_file: Path, image: Path, tmp_path: Path) -> None:
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library, reason=f"{library} is not installed: only torch can run a network")
    session, file = ComputeSession(), tmp_path / "engines.json"
    session.answer(LoadModel(request_id=1, path=str(model_file), device="cpu", trials=str(file)))
    plain = session.answer(Predict(request_id=2, image=str(image), source_key="k"))
    assert isinstance(plain, Predicted)
    assert not file.exists()
    answer = session.answer(Predict(request_id=3, image=str(image), source_key="k", options=PredictOptions(engine="onnx")))
    assert isinstance(answer, Predicted)
    assert "onnxruntime" in answer.prediction.report.device
    assert "onnxruntime" not in plain.prediction.report.device
    assert answer.prediction.options.cache_key() != plain.prediction.options.cache_key()
    assert (answer.prediction.labels == plain.prediction.labels).mean() > 0.999
    assert file.is_file()


def test_a_bug_is_answered_with_its_traceback(model_file: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ComputeSession()
    session.answer(LoadModel(request_id=1, path=str(model_file), device="cpu"))

    def bug(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("app.worker.state.read_image", bug)
    answer = session.answer(Predict(request_id=2, image=str(image), source_key=""))
    assert isinstance(answer, Failed)
    assert answer.request_id == 2
    assert "KeyError: 'oops'" in answer.traceback
    assert answer.error["kind"] == "ComputeError"
    assert answer.error["path"] == str(image)
    unknown = session.answer(Request(request_id=3))
    assert isinstance(unknown, Failed)
    assert "has no attribute 'handler'" in unknown.traceback


def test_answers_unpickle_without_torch(service: InProcessService, model_file: Path, image: Path, tmp_path: Path) -> None:
    """What crosses the pipe is plain: one stray class of torch would import it into the window's process."""
    answers = [service.hello(), service.load(str(model_file), device="cpu"), service.predict(str(image), "k")]
    answers.append(service.ask_scores("k", 1, 1))
    assert isinstance(answers[2], Predicted)
    assert service.hello().protocol == PROTOCOL
    dump = tmp_path / "answers.pickle"
    dump.write_bytes(pickle.dumps(answers))
    code = (
        "import pathlib, pickle, sys\n"
        f"pickle.loads(pathlib.Path({str(dump)!r}).read_bytes())\n"
        "sys.exit(any(module in sys.modules for module in ('torch', 'numba')))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_a_package_that_cannot_be_imported_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CRF's loops need numba, which is imported with the first request that wants them."""

    def broken(*_: object) -> None:
        raise ImportError("Numba needs NumPy 2.2 or less. Got 2.4.", name="numba")

    session = ComputeSession()
    monkeypatch.setattr("app.worker.session.import_module", broken)
    request = PrepareRefine(request_id=4, base=RefineBase(image="a.png", source_key="k"), params=CRFParams())
    answer = session.answer(request)
    assert isinstance(answer, Failed)
    assert "numba cannot be imported" in answer.error["what"]
    assert "install --upgrade numba numpy" in answer.error["remedy"]
    assert answer.traceback == ""


def test_every_request_names_a_handler_that_exists() -> None:
    """A new request needs its message, a module of handlers and a caller: nothing else lists it."""
    session = ComputeSession()
    requests = [kind for kind in Request.__subclasses__() if kind.__module__ == Request.__module__]
    assert Predict in requests
    for kind in requests:
        assert callable(session.handler(kind.handler).answer), kind
