"""Doubt of a photograph, straight from networks: whose labels count, whose differ, and in which ids."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.errors import CatalogError
from deeplab_core.inference import Predictor
from deeplab_core.inference.doubt_meter import DoubtMeter
from deeplab_core.metrics.uncertainty import disagreement, score_image
from deeplab_core.nn.engine import Engine
from deeplab_core.records import CRFParams, PredictOptions
from tests.unit.core.inference.networks import TinyNet, card, catalog


def photograph(seed: int = 0) -> np.ndarray:
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.kron(blobs, np.ones((16, 16, 1), np.uint8))


def predictor(*, first_id: int = 0, decoder: bool = False, **options: object) -> Predictor:
    chosen = PredictOptions(device="cpu", **options)  # type: ignore[arg-type]
    return Predictor(TinyNet(decoder=decoder), card(first_id=first_id), options=chosen)


def differing(one: np.ndarray, other: np.ndarray) -> float:
    return score_image(disagreement(one, other, 255), one, 255).expected_wrong


def test_disagreement_of_model_second_model_and_crf() -> None:
    rgb, crf = photograph(), CRFParams(bilateral_srgb=20, iterations=5)
    plain, second = predictor(), predictor(decoder=True)
    own = plain(rgb)
    found = DoubtMeter(predictor(crf=crf), second=second)(rgb, truth=own.labels).doubt
    assert found.wrong_px == 0  # the model's own labels are judged, not those of the CRF
    assert found.scores["other"] == differing(own.labels, second(rgb).labels) > 0
    refined = plain(rgb, options=PredictOptions(device="cpu", crf=crf)).labels
    assert found.scores["crf"] == differing(own.labels, refined)
    assert (refined != own.labels).any()
    assert "model_passes" not in found.scores


def test_passes_disagree_only_where_there_are_several() -> None:
    found = DoubtMeter(predictor(flip=True, scales=(1.0, 1.5)))(photograph()).doubt
    assert 0 < found.scores["model_passes"] <= 1
    assert "crf" not in found.scores
    assert "other" not in found.scores
    assert found.wrong_px is None


def test_classes_of_both_models_are_mapped_by_name() -> None:
    rgb = photograph()
    meter = DoubtMeter(predictor(first_id=10), catalog(), predictor())
    truth = predictor()(rgb).labels.copy()
    truth[:8] = (truth[:8] + 1) % 5
    # Equal networks, one with ids from 10 on: once mapped they agree everywhere.
    found = meter(rgb, truth=truth).doubt
    assert meter.unmatched == {"Tiny": ()}
    assert found.scores["other"] == 0
    assert found.wrong_px == 8 * rgb.shape[1]


def test_a_class_without_a_partner_becomes_void_and_is_named() -> None:
    meter = DoubtMeter(predictor(), catalog(3))
    assert meter.unmatched == {"Tiny": ("class 3", "class 4")}
    truth = np.zeros(photograph().shape[:2], np.uint8)
    own = predictor()(photograph()).labels
    assert meter(photograph(), truth=truth).doubt.wrong_px == np.count_nonzero(own != 0)


def test_no_class_in_common_is_refused() -> None:
    from deeplab_core.catalogs import get_catalog

    with pytest.raises(CatalogError, match="no class in common"):
        DoubtMeter(predictor(), get_catalog("voc21"))


def test_a_graph_of_labels_only_has_no_confidence_to_order_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyNet, "engine", property(lambda _model: Engine(name="a graph", labels_only=True)))
    meter = DoubtMeter(predictor(), second=predictor(decoder=True))
    assert meter.labels_only
    truth = np.zeros(photograph().shape[:2], np.uint8)
    found = meter(photograph(), truth=truth).doubt
    assert set(found.scores) == {"other"}
    assert found.issues == ()
    assert found.wrong_px is not None
