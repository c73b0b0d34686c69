"""``atrous ablate`` as a user calls it: settings of one model, and several models."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import ablate as ablate_module
from app.cli import run
from app.cli.ablate import mean_without_first
from deeplab_core.analysis import verdicts
from deeplab_core.analysis.error_comparison import ErrorComparison
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.masks import read_mask
from deeplab_core.masks.png import write_mask
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

CATALOG = ClassCatalog("tiny", "Tiny", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Seven photographs, ground truth of five classes, and a small model."""
    (tmp_path / "images").mkdir()
    (tmp_path / "truth").mkdir()
    (tmp_path / "classes.yaml").write_text(
        "name: tiny\nclasses:\n"
        + "".join(f"  - {{id: {i}, name: class {i}, color: [{i}, {2 * i}, {3 * i}]}}\n" for i in range(5))
    )
    for seed in range(7):
        save_photograph(tmp_path / "images" / f"{seed}.jpg", 64, 80, seed)
        labels = np.kron(np.random.default_rng(seed).integers(0, 5, (4, 5)), np.ones((16, 16))).astype(np.uint8)
        write_mask(tmp_path / "truth" / f"{seed}.png", labels, CATALOG)
    save_tiny_model(tmp_path / "net.safetensors")
    return tmp_path


def ablate(folders: Path, *more: str) -> int:
    arguments = [str(folders / "images"), "--model", str(folders / "net.safetensors"), "--truth", str(folders / "truth")]
    return run(["ablate", *arguments, "--catalog", str(folders / "classes.yaml"), "--resamples", "200", "--device", "cpu", *more])


def test_every_row_is_compared_and_has_the_masks_of_predict(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, files = folders / "rows", [folders / f"a.{ending}" for ending in ("json", "csv", "html")]
    more = [part for name in ("flip", "scales:0.75,1", "os8+flip", "crf:v2") for part in ("--variant", name)]
    written = [part for file in files for part in (f"--{file.suffix[1:]}", str(file))]
    assert ablate(folders, *more, "-o", str(out), *written) == 0
    text = capsys.readouterr().out
    assert "Compared with Tiny" in text
    assert "[4] Tiny crf:v2: " in text
    assert "by size" in text
    data = json.loads(files[0].read_text())
    assert [row["variant"] for row in data["rows"]] == ["", "flip", "scales:0.75,1", "os8+flip", "crf:v2"]
    assert all(row["images"] == 7 and row["seconds_per_image"] > 0 for row in data["rows"])
    assert all(row["cpu_seconds_per_image"] > 0 for row in data["rows"])
    assert data["rows"][0]["comparison"] is None
    assert data["correction"].startswith("p is corrected by Holm's method over all rows at once: ")
    assert {row["comparison"]["correction"] for row in data["rows"][1:]} == {data["correction"]}
    assert {row["verdict"] for row in data["rows"][1]["comparison"]["overall"]} <= {"better", "worse", "unclear"}
    rows = list(csv.DictReader(files[1].read_text().splitlines()))
    assert {row["family"] for row in rows} == {"overall", "class", "slice"}
    assert {row["verdict"] for row in rows} <= {"helps", "hurts", "cannot tell", "too few"}
    page = files[2].read_text("utf-8")
    assert "largest errors" in page
    assert 'href="images/' in page
    # The rows share passes of the network; each has the labels of its own run.
    options = {
        "Tiny-plain": [], "Tiny-flip": ["--flip"], "Tiny-scales-0.75-1": ["--scales", "0.75,1"],
        "Tiny-os8-flip": ["--output-stride", "8", "--flip"], "Tiny-crf-v2": ["--crf", "v2"],
    }  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == sorted(options)
    for name, given in options.items():
        alone = folders / "alone" / name
        arguments = [str(folders / "images"), "--model", str(folders / "net.safetensors"), "-o", str(alone), "--device", "cpu"]
        assert run(["predict", *arguments, *given]) == 0
        for mask in sorted(alone.glob("*.png")):
            assert np.array_equal(read_mask(mask, CATALOG), read_mask(out / name / mask.name, CATALOG)), name
    capsys.readouterr()
    assert ablate(folders, "--variant", "flip", "-o", str(out)) == 2
    assert "already there" in capsys.readouterr().err


def test_masks_of_an_earlier_run_are_taken(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, first, second = folders / "rows", folders / "1.json", folders / "2.json"
    assert ablate(folders, "--variant", "flip", "-o", str(out), "--json", str(first)) == 0
    (out / "Tiny-flip" / "3.png").unlink()
    masks = {path: path.read_bytes() for path in out.rglob("*.png")}
    predicted: list[str] = []
    before = ablate_module._one_image

    def counting(tasks: Any, *more: Any) -> int:
        predicted.append(tasks[0].name)
        return before(tasks, *more)

    monkeypatch.setattr(ablate_module, "_one_image", counting)
    assert ablate(folders, "--variant", "flip", "-o", str(out), "--resume", "--json", str(second)) == 0
    assert [Path(name).stem for name in predicted] == ["3"]
    assert {path: path.read_bytes() for path in masks} == masks
    assert "masks of 6 images are taken as they are" in capsys.readouterr().err
    one, two = (json.loads(file.read_text())["rows"] for file in (first, second))
    assert [row["comparison"] for row in one] == [row["comparison"] for row in two]
    assert [row["images"] for row in two] == [7, 7]
    assert all(row["seconds_per_image"] > 0 for row in two)
    for record in out.rglob("atrous-row.json"):  # as a run that was killed leaves it
        record.write_text(json.dumps(json.loads(record.read_text()) | {"seconds": {}}))
    assert ablate(folders, "--variant", "flip", "-o", str(out), "--resume", "--json", str(second), "--overwrite") == 0
    assert [row["images"] for row in json.loads(second.read_text())["rows"]] == [7, 7]
    assert ablate(folders, "--variant", "flip", "--resume") == 2
    assert ablate(folders, "--variant", "flip", "-o", str(out), "--resume", "--output-stride", "8") == 2
    assert "another model or setting" in capsys.readouterr().err
    (out / "Tiny-flip" / "atrous-row.json").unlink()
    assert ablate(folders, "--variant", "flip", "-o", str(out), "--resume") == 2
    assert "does not say what made its masks" in capsys.readouterr().err


def test_p_is_corrected_over_all_rows(folders: Path) -> None:
    def corrected(*variants: str) -> list[dict[str, float]]:
        file = folders / f"{len(variants)}.json"
        assert ablate(folders, *(part for name in variants for part in ("--variant", name)), "--json", str(file)) == 0
        return [
            {row["name"]: row["p"] for row in entry["comparison"]["overall"]}
            for entry in json.loads(file.read_text())["rows"][1:]
        ]

    alone, both = corrected("flip")[0], corrected("flip", "scales:0.5")[0]
    assert set(alone) == set(both)
    assert all(both[name] >= alone[name] for name in alone)
    assert any(both[name] > alone[name] for name in alone)


def test_a_second_model_and_a_broken_image(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_model(folders / "other.safetensors", seed=4, name="Other")
    (folders / "images" / "3.jpg").write_bytes(b"no image")
    assert ablate(folders, "--model", str(folders / "other.safetensors"), "--json", str(folders / "a.json")) == 1
    found = capsys.readouterr()
    assert "3.jpg" in found.err
    rows = json.loads((folders / "a.json").read_text())["rows"]
    assert [(row["model"], row["images"]) for row in rows] == [("Tiny", 6), ("Other", 6)]
    assert "[1] Other: " in found.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "there is nothing to compare"),
        (["--variant", "os7"], "output stride 7 is not possible"),
        (["--variant", "osx"], "'osx' is no variant"),
        (["--variant", "magic"], "'magic' is no variant"),
        (["--variant", "scales:9"], "between 0.1 and 4"),
        (["--variant", "crf:nothing"], "nothing"),
        (["--variant", "engine:warp"], "engine is one of"),
        (["--variant", "threshold:0.4"], "takes no threshold"),
        (["--variant", "flip", "--variant", "flip"], "has the same settings as 'flip'"),
        (["--variant", "scales:1"], "has the same settings as the plain run"),
    ],
)
def test_bad_variants(folders: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate(folders, *more) == 2
    assert says in capsys.readouterr().err


def test_draws_suffice_for_the_correction_over_all_rows(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, drawn = [], []
    whole = ErrorComparison.of

    def needed(tests: int) -> int:
        asked.append(tests)
        return 10_000 + tests

    def of(*args: Any, **options: Any) -> ErrorComparison:
        drawn.append(options["resamples"])
        return whole(*args, **{**options, "resamples": 0})

    monkeypatch.setattr(verdicts, "needed_draws", needed)
    monkeypatch.setattr(ErrorComparison, "of", of)
    arguments = [str(folders / "images"), "--model", str(folders / "net.safetensors"), "--truth", str(folders / "truth")]
    arguments += ["--catalog", str(folders / "classes.yaml"), "--device", "cpu", "--variant", "flip", "--variant", "scales:0.75"]
    assert run(["ablate", *arguments]) == 0
    classes, slices = asked
    assert classes == 2 * 5
    assert slices > 0
    assert slices % 2 == 0  # the same slices in both rows
    assert drawn == [10_000 + slices] * 2
    assert run(["ablate", *arguments, "--resamples", "150"]) == 0
    assert drawn[2:] == [150, 150]


def test_the_first_image_counts_only_alone() -> None:
    assert mean_without_first([9.0, 1.0, 3.0]) == 2.0
    assert mean_without_first([9.0]) == 9.0
    assert math.isnan(mean_without_first([]))
