"""What the compute process hands over for correction tools: regions of an image, and scores in the window's classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.worker.correction_messages import PrepareRegions, RegionsReady, catalog_planes
from app.worker.messages import LoadModel, Predict
from app.worker.session import ComputeSession
from deeplab_core.catalogs import get_catalog
from tests.unit.app.tiny_model import save_tiny_model

VOC = get_catalog("voc21")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 200
    Image.fromarray(pixels).save(tmp_path / "two.png")
    return tmp_path / "two.png"


def test_regions_come_without_a_model_and_scores_with_one(picture: Path, tmp_path: Path) -> None:
    session = ComputeSession()
    request = PrepareRegions(image=str(picture), source_key="k", catalog=VOC, channel_ids=(0, 15, 9, 9, 255))
    bare = session.answer(request)
    assert isinstance(bare, RegionsReady)
    assert bare.scores is None
    assert bare.hierarchy.size == (40, 60)
    again = session.answer(request)
    assert isinstance(again, RegionsReady)
    assert again.hierarchy is bare.hierarchy
    session.answer(LoadModel(path=str(save_tiny_model(tmp_path / "tiny.safetensors")), device="cpu"))
    session.answer(Predict(image=str(picture), source_key="k"))
    full = session.answer(request)
    assert isinstance(full, RegionsReady)
    assert full.scores is not None
    assert full.scores.shape == (21, 10, 15)
    assert np.allclose(full.scores.astype(np.float32).sum(axis=0), 1, atol=5e-3)
    other = session.answer(PrepareRegions(image=str(picture), source_key="k", catalog=VOC, channel_ids=(0, 1)))
    assert isinstance(other, RegionsReady)
    assert other.scores is None  # the scores are those of other classes


def test_planes_of_one_class_add_up_and_those_without_a_partner_are_left_out() -> None:
    planes = np.array([[[0.5]], [[0.2]], [[0.2]], [[0.1]]], np.float32)
    found = catalog_planes(planes, (9, 18, 9, 255), VOC)
    assert found[9, 0, 0] == pytest.approx(0.7 / 0.9, abs=1e-3)
    assert found[18, 0, 0] == pytest.approx(0.2 / 0.9, abs=1e-3)
    assert found.sum() == pytest.approx(1, abs=2e-3)
