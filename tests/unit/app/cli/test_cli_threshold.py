"""``--threshold`` of predict, doubt and evaluate, and what they say of a network of one channel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.worker.messages import Predict, Predicted
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.records import PredictOptions
from deeplab_core.weights import load_model
from tests.fakes.inprocess import InProcessService
from tests.unit.app.tiny_model import save_one_channel_model, save_photograph, save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_one_channel_model(tmp_path_factory.mktemp("models") / "one.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "truth").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        save_photograph(tmp_path / "images" / name, 48, 64, seed)
        truth = np.zeros((48, 64), np.uint8)
        truth[10:30, 8:40] = 1
        Image.fromarray(truth).save(tmp_path / "truth" / name)
    classes = [{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 1, "name": "square", "color": [255, 0, 0]}]
    (tmp_path / "two.json").write_text(json.dumps({"name": "two", "classes": classes, "background": 0}))
    return tmp_path


def predict(folder: Path, model: Path, *more: str, out: str = "out") -> int:
    return run(["predict", str(folder / "images"), "--model", str(model), "-o", str(folder / out), "--device", "cpu", *more])


def share(folder: Path, out: str = "out") -> float:
    return float(np.mean([np.asarray(Image.open(path)) == 1 for path in (folder / out).glob("?.png")]))


def test_a_threshold_moves_the_masks_and_is_recorded(folder: Path, model: Path) -> None:
    assert predict(folder, model) == 0
    assert predict(folder, model, "--threshold", "0.2", out="low") == 0
    assert predict(folder, model, "--threshold", "0.8", out="high") == 0
    assert share(folder, "high") < share(folder) < share(folder, "low")
    records = {out: json.loads((folder / out / "atrous-run.json").read_text()) for out in ("out", "low")}
    assert records["out"]["threshold"] == 0.5
    assert records["low"]["threshold"] == 0.2
    assert records["out"]["options"] != records["low"]["options"]
    network, card = load_model(model)
    rgb = read_image(folder / "images" / "a.png").rgb
    expected = Predictor(network, card)(rgb, options=PredictOptions(threshold=0.2)).labels
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "low" / "a.png")), expected)


def test_resuming_with_another_threshold_is_refused(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(folder, model, "--threshold", "0.2") == 0
    assert predict(folder, model, "--resume", "--threshold", "0.2") == 0
    assert predict(folder, model, "--resume", "--threshold", "0.3") == 2
    assert "threshold was 0.2 and is 0.3" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "2", "x", "nan"])
def test_thresholds_out_of_range_are_bad_usage(value: str, folder: Path, model: Path) -> None:
    assert predict(folder, model, "--threshold", value) == 2
    assert not (folder / "out").exists()


def test_a_network_of_several_classes_takes_none(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several = save_tiny_model(tmp_path / "several.safetensors")
    assert predict(folder, several, "--threshold", "0.4") == 2
    assert run(["rank", str(folder / "images"), "--model", str(several), "--threshold", "0.4", "--device", "cpu"]) == 2
    assert "--threshold is for models of one channel (sigmoid)" in capsys.readouterr().err


def test_the_order_of_doubt_follows_the_threshold(folder: Path, model: Path) -> None:
    values = []
    for threshold in ("0.5", "0.9"):
        file = folder / f"doubt{threshold}.json"
        arguments = ["rank", str(folder / "images"), "--model", str(model), "--device", "cpu", "--json", str(file)]
        assert run([*arguments, "--threshold", threshold]) == 0
        rows = json.loads(file.read_text())["rankings"]["margin"]["images"]
        values.append([row["score"] for row in rows])
    assert values[0] != values[1]


def test_evaluate_gives_the_curve_and_another_threshold(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(folder, model, "--save-confidence", "--threshold", "0.4") == 0
    file, page = folder / "e.json", folder / "e.html"
    masks = ["--prediction", str(folder / "out"), "--truth", str(folder / "truth"), "--catalog", str(folder / "two.json")]
    capsys.readouterr()
    assert run(["evaluate", *masks, "--json", str(file), "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "average precision of the object" in printed
    assert "at the threshold 0.4" in printed
    data = json.loads(file.read_text())["precision_recall"]
    assert data["threshold"] == 0.4
    assert data["object"] == "square"
    assert 0 < data["average_precision"] < 1
    assert "Precision and recall" in page.read_text()
    best = data["best_by_iou"]
    again = folder / "again.json"
    assert run(["evaluate", *masks, "--threshold", str(best["threshold"]), "--json", str(again)]) == 0
    measured = json.loads(again.read_text())["precision_recall"]
    assert measured["threshold"] == best["threshold"]
    assert measured["predicted"]["iou"] == pytest.approx(best["iou"])
    assert run(["evaluate", *masks, "--threshold", "1.5"]) == 2


def test_models_show_names_the_threshold(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "show", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "threshold  0.5, of the one channel (sigmoid)" in printed
    assert "background, square" in printed


def test_kept_scores_answer_another_threshold_without_a_forward_pass(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = InProcessService()
    service.load(str(model), device="cpu")
    session, image = service._session, str(folder / "images" / "a.png")

    def ask(threshold: float, key: str = "k", **options: object) -> Predicted:
        wanted = PredictOptions(threshold=threshold, **options)  # type: ignore[arg-type]
        answer = session.answer(Predict(request_id=1, image=image, source_key=key, options=wanted))
        assert isinstance(answer, Predicted)
        return answer

    first = ask(0.5)
    passes: list[int] = []
    honest = Predictor.scores

    def scores(self: Predictor, *arguments: object, **options: object) -> object:
        passes.append(1)
        return honest(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "scores", scores)
    low = ask(0.2)
    assert not passes
    assert (low.prediction.labels == 1).sum() > (first.prediction.labels == 1).sum()
    assert low.prediction.options.threshold == 0.2
    np.testing.assert_array_equal(ask(0.5).prediction.labels, first.prediction.labels)
    ask(0.2, flip=True)
    assert len(passes) == 1
    ask(0.2, key="other")
    assert len(passes) == 2
