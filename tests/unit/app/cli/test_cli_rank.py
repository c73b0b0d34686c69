"""``atrous rank`` on the command line, with a tiny network of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.analysis import measure_ranking
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.records import PredictOptions
from deeplab_core.weights import load_model
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "random": save_tiny_model(folder / "random.safetensors"),
        "other": save_tiny_model(folder / "other.safetensors", sure_of=1),
        "sure": save_tiny_model(folder / "sure.safetensors", sure_of=2),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs; the truth of 'a' and 'b' is class 2, but for a block of class 1 in 'b'."""
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "deep/c.png")):
        save_photograph(tmp_path / "images" / name, HEIGHT, WIDTH, seed)
    truth = np.full((HEIGHT, WIDTH), 2, np.uint8)
    (tmp_path / "truth").mkdir()
    Image.fromarray(truth).save(tmp_path / "truth" / "a.png")
    truth[10:40, 20:50] = 1
    Image.fromarray(truth).save(tmp_path / "truth" / "b.png")
    return tmp_path


def rank(folder: Path, model: Path, *more: str) -> int:
    file = ["--json", str(folder / "out" / "rank.json")]
    return run(["rank", str(folder / "images"), "--model", str(model), "--device", "cpu", *file, *more])


def written(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out" / "rank.json").read_text())


def scores(data: dict[str, Any], order: str) -> dict[str, float]:
    return {row["image"]: row["score"] for row in data["rankings"][order]["images"]}


def test_every_order_without_truth(folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert rank(folder, models["random"], "--second-model", str(models["other"]), "--crf", "--flip", "--top", "2") == 0
    out = capsys.readouterr().out
    data = written(folder)
    assert data["format"] == "atrous-ranking-1"
    assert list(data["rankings"]) == [
        "confidence", "least_certain", "expected_wrong", "margin", "entropy", "passes", "disagreement", "crf"
    ]  # fmt: skip
    assert (data["images"], data["truth"], data["without_truth"], data["not_measured"]) == (3, [], [], [])
    assert "label_errors" not in data
    assert data["options"]["flip"] is True
    assert data["options"]["crf"]["iterations"] == 10
    for order, rows in data["rankings"].items():
        values = [row["score"] for row in rows["images"]]
        assert values == sorted(values, reverse=True)
        assert rows["gain"] is None
        assert f"Worst first by {order}: {rows['text']}\n" in out
    assert out.count("Worst first by") == 8
    assert sum(line.endswith((".png",)) for line in out.splitlines()) == 16


def test_figures_are_those_of_the_window(folder: Path, models: dict[str, Path]) -> None:
    """The same measure on the same prediction; the other model's pixels are counted by hand."""
    assert rank(folder, models["random"], "--second-model", str(models["other"]), "--truth", str(folder / "truth")) == 0
    data = written(folder)
    predictor = Predictor(*load_model(models["random"]), options=PredictOptions(device="cpu"))
    for name in ("a.png", "b.png", "deep/c.png"):
        prediction = predictor(read_image(folder / "images" / name).rgb)
        other = np.ones_like(prediction.labels)
        expected = measure_ranking(
            prediction.labels, prediction.confidence, predictor.card.catalog, model=prediction.uncertainty, others=[other]
        ).scores
        for order in ("confidence", "entropy", "disagreement"):
            assert scores(data, order)[name] == pytest.approx(expected[order])
        if name == "a.png":
            wrong = {row["image"]: row["wrong_px"] for row in data["truth"]}
            assert wrong[name] == np.count_nonzero(prediction.labels != 2)
    assert data["without_truth"] == ["deep/c.png"]


def test_truth_says_how_well_an_order_finds_the_errors(
    folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rank(folder, models["sure"], "--truth", str(folder / "truth"), "--ranking", "confidence") == 0
    captured = capsys.readouterr()
    assert "3 images, 2 with truth, 900 of 6,144 labelled px wrong" in captured.out
    assert captured.out.count("Worst first by") == 1
    gain = written(folder)["rankings"]["confidence"]["gain"]
    rows = [line.split() for line in captured.out.splitlines()]
    assert ["confidence", f"{gain['found_in_first_tenth']:.1%}", f"{gain['area']:.3f}", f"{gain['skill']:.2f}"] in rows
    assert ["(a", "random", "order)", "10.0%", "0.500", "0.00"] in rows
    assert 0 <= gain["found_in_first_tenth"] <= 0.2
    assert 0.25 <= gain["area"] <= gain["best_area"] == 0.75


def test_a_wrong_label_is_listed_with_its_place(
    folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rank(folder, models["sure"], "--truth", str(folder / "truth"), "--label-errors") == 0
    out = capsys.readouterr().out
    assert "576 px  given class 1, likely class 2  b.png  x 23..46, y 13..36" in out
    found = written(folder)["label_errors"]
    assert [row["image"] for row in found["quality"]] == ["b.png", "a.png"]
    assert found["quality"][0]["quality"] < 0.1 < 0.9 < found["quality"][1]["quality"]
    (region,) = found["regions"]
    assert (region["given"], region["likely"], region["box"], region["pixels"]) == (1, 2, [23, 13, 24, 24], 576)
    assert found["regions_found"] == 1


def test_what_was_marked_ambiguous_is_no_error(folder: Path, models: dict[str, Path]) -> None:
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[10:40, 20:50] = True
    marks = AmbiguousMarks(width=WIDTH, height=HEIGHT).marked(inside)
    (folder / "marks").mkdir()
    (folder / "marks" / "b.ambiguous.json").write_text(json.dumps(marks.to_dict()))
    more = ["--truth", str(folder / "truth"), "--ambiguous", str(folder / "marks"), "--label-errors"]
    assert rank(folder, models["sure"], *more) == 0
    data = written(folder)
    assert data["label_errors"]["regions"] == []
    assert [row["wrong_px"] for row in data["truth"]] == [0, 0]
    assert data["rankings"]["confidence"]["gain"] is None


def test_damaged_files_are_named_and_the_rest_goes_on(
    folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "images" / "a.png").write_bytes(b"no picture")
    (folder / "truth" / "b.png").write_bytes(b"no mask")
    assert rank(folder, models["random"], "--truth", str(folder / "truth")) == 1
    error = capsys.readouterr().err
    assert f"failed: {folder / 'images' / 'a.png'}" in error
    assert f"failed: {folder / 'truth' / 'b.png'}" in error
    assert "2 files could not be measured" in error
    data = written(folder)
    assert sorted(scores(data, "confidence")) == ["b.png", "deep/c.png"]
    assert len(data["not_measured"]) == 2


def test_another_catalog_maps_classes_by_name(folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    classes = [{"id": number, "name": name, "color": [number, 0, 0]} for number, name in ((7, "class 2"), (9, "class 1"))]
    (folder / "own.json").write_text(json.dumps({"name": "own", "classes": classes}))
    for name in ("a.png", "b.png"):
        values = np.asarray(Image.open(folder / "truth" / name))
        Image.fromarray(np.where(values == 2, 7, 9).astype(np.uint8)).save(folder / "truth" / name)
    more = ["--truth", str(folder / "truth"), "--catalog", str(folder / "own.json"), "--label-errors"]
    assert rank(folder, models["sure"], *more) == 0
    captured = capsys.readouterr()
    assert "given class 1, likely class 2  b.png" in captured.out
    assert "Tiny's class 0, class 3, class 4" in captured.err
    assert written(folder)["label_errors"]["regions"][0]["likely"] == 7


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--ranking", "crf"], "--ranking crf needs --crf"),
        (["--ranking", "passes"], "--ranking passes needs --flip or several --scales"),
        (["--ranking", "second_model"], "--ranking disagreement needs --second-model"),
        (["--ranking", "mood"], "is not a ranking score; these are: confidence"),
        (["--label-errors"], "need --truth"),
        (["--catalog", "voc21"], "need --truth"),
        (["--truth", "empty"], "no ground truth mask was found"),
        (["--truth", "truth", "--catalog", "voc21"], "no class in common"),
        (["--truth", "truth", "--truth", "more"], "two true masks"),
        (["--second-model", "nothing"], "no known model 'nothing'"),
        (["--scales", "0,1"], "between 0.1 and 4"),
        (["--top", "0"], "--top"),
    ],
)
def test_bad_usage(folder: Path, models: dict[str, Path], more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    (folder / "more").mkdir()
    (folder / "more" / "a.png").write_bytes((folder / "truth" / "a.png").read_bytes())
    given = [str(folder / part) if part in ("truth", "empty", "more") else part for part in more]
    assert rank(folder, models["random"], *given) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_graph_of_labels_only_doubts_no_label(
    folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deeplab_core.inference.ranking_predictor.RankingPredictor.labels_only", True)
    assert rank(folder, models["random"], "--truth", str(folder / "truth"), "--label-errors") == 2
    assert "this graph gives labels only" in capsys.readouterr().err


def test_names_of_the_last_version_still_work(folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--model", str(models["random"]), "--second-model", str(models["other"]), "--device", "cpu"]
    assert run(["rank", str(folder / "images"), *more, "--ranking", "disagreement"]) == 0
    out = capsys.readouterr().out
    file = folder / "old.json"
    assert run(["doubt", str(folder / "images"), *more, "--order", "second_model", "--json", str(file)]) == 0
    assert capsys.readouterr().out == out
    data = json.loads(file.read_text())
    assert data["format"] == "atrous-doubt-1"
    assert data["orders"] == data["rankings"]
    assert run(["rank", "--help"]) == 0
    assert "--order" not in capsys.readouterr().out
    assert run(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ") and line.split()]
    assert "rank" in listed
    assert "doubt" not in listed


def test_a_folder_without_images(folder: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none").mkdir()
    assert run(["rank", str(folder / "none"), "--model", str(models["random"])]) == 2
    assert "no image found" in capsys.readouterr().err
