"""``atrous adapt`` before it learns: what it says about corrections that are not used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.cli.adapt import _corrections
from app.state.label_import import store_labels
from app.state.project import Project
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """Three images that the user corrected."""
    for number in range(3):
        Image.new("RGB", (20, 16), (number, 0, 0)).save(tmp_path / f"{number}.png")
    with Project.open(tmp_path, catalog=VOC) as project:
        for record in project.images:
            store_labels(project, record.id, np.full((16, 20), 3, np.uint8), "Brush", overwrite=True)
    return tmp_path


def test_images_that_are_not_learned_from_are_counted(
    corrected: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = SimpleNamespace(catalog=VOC, id="card")
    assert len(_corrections(corrected, None, card).images) == 3  # type: ignore[arg-type]
    assert "left out" not in capsys.readouterr().err
    monkeypatch.setattr("app.state.corrections.MOST_IMAGES", 2)
    assert len(_corrections(corrected, None, card).images) == 2  # type: ignore[arg-type]
    assert "2 of 3 corrected images are used, sampled evenly; the rest is left out" in capsys.readouterr().err
