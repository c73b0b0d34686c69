"""``atrous demo``: what ``make run`` does without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app.cli import run


@pytest.mark.e2e
def test_the_sample_project_with_the_bundled_model_and_without_a_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QT_QPA_PLATFORM")
    assert run(["open", "--sample"]) == 0
    said = capfd.readouterr().out
    assert "No screen here" in said
    assert "with rooms-voc.safetensors" in said
    assert "mIoU" in said
    assert len(list((tmp_path / "out" / "masks").rglob("*.png"))) == 24
    assert (tmp_path / "out" / "figures.json").is_file()
    assert (tmp_path / "out" / "report.html").is_file()
    with Image.open(tmp_path / "out" / "window.png") as picture:
        assert picture.width >= 1000
        assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 1000
