"""``atrous figures`` on the sample project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import run
from app.paths import SAMPLE_PROJECT
from deeplab_core.figures import FIGURES


def test_the_list_names_every_figure_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["figures", "--list"]) == 0
    shown = capsys.readouterr().out
    for spec in FIGURES.values():
        assert f"{spec.name}\n" in shown
        assert spec.source in shown


def test_a_figure_without_inputs_uses_the_rates_that_are_given(tmp_path: Path) -> None:
    assert run(["figures", "receptive-field", "--rates", "2,2", "-o", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "receptive-field.json").read_text())["rows"]
    assert [row["span_px"] for row in rows] == [5, 9]


def test_a_network_is_walked_at_the_stride_that_is_given(tmp_path: Path) -> None:
    arguments = ["figures", "receptive-field", "--network", "rooms-voc", "--output-stride", "8", "-o", str(tmp_path)]
    assert run(arguments) == 0
    about = json.loads((tmp_path / "receptive-field.json").read_text())
    assert about["parameters"]["output_stride"] == 8
    assert about["rows"][0]["kind"] == "Conv2d"


def test_a_folder_is_measured_by_its_ground_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, truth = SAMPLE_PROJECT / "images", SAMPLE_PROJECT / "truth"
    arguments = ["figures", "decoders", "--images", str(images), "--truth", str(truth), "--limit", "1", "-o", str(tmp_path)]
    assert run(arguments) == 0
    about = json.loads((tmp_path / "decoders.json").read_text())
    assert about["parameters"]["images"] == 1
    assert about["rows"][-1]["width_px"] == 20
    assert 0 < about["rows"][-1]["rooms-voc"] <= 100
    assert "decoders.svg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["figures", "-o", "out"], "name a figure"),
        (["figures", "gridding"], "-o DIR"),
        (["figures", "matrix", "-o", "out"], "no figure 'matrix'"),
        (["figures", "gridding", "--rates", "1,x", "-o", "out"], "whole numbers"),
        (["figures", "gridding", "--rates", "99", "-o", "out"], "from 1 to 32"),
    ],
)
def test_bad_usage_says_what_to_do(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
