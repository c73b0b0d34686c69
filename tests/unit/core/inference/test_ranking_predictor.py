"""Ranking scores of a photograph, straight from networks: the labels that count, those that differ, and in which ids."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.errors import CatalogError
from deeplab_core.inference import Predictor
from deeplab_core.inference.ranking_predictor import RankingPredictor
from deeplab_core.metrics.uncertainty import disagreement, score_image
from deeplab_core.networks import Engine
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
    found = RankingPredictor(predictor(crf=crf), second=second)(rgb, truth=own.labels).analysis
    assert found.wrong_px == 0  # the model's own labels are judged, not those of the CRF
    assert found.scores["disagreement"] == differing(own.labels, second(rgb).labels) > 0
    refined = plain(rgb, options=PredictOptions(device="cpu", crf=crf)).labels
    assert found.scores["crf"] == differing(own.labels, refined)
    assert (refined != own.labels).any()
    assert "passes" not in found.scores


def test_passes_disagree_only_where_there_are_several() -> None:
    found = RankingPredictor(predictor(flip=True, scales=(1.0, 1.5)))(photograph()).analysis
    assert 0 < found.scores["passes"] <= 1
    assert "crf" not in found.scores
    assert "disagreement" not in found.scores
    assert found.wrong_px is None


def test_classes_of_both_models_are_mapped_by_name() -> None:
    rgb = photograph()
    meter = RankingPredictor(predictor(first_id=10), catalog(), predictor())
    truth = predictor()(rgb).labels.copy()
    truth[:8] = (truth[:8] + 1) % 5
    # Equal networks, one with ids from 10 on: once mapped they agree everywhere.
    found = meter(rgb, truth=truth).analysis
    assert meter.unmatched == {"Tiny": ()}
    assert found.scores["disagreement"] == 0
    assert found.wrong_px == 8 * rgb.shape[1]


def test_a_class_without_a_partner_becomes_void_and_is_named() -> None:
    meter = RankingPredictor(predictor(), catalog(3))
    assert meter.unmatched == {"Tiny": ("class 3", "class 4")}
    truth = np.zeros(photograph().shape[:2], np.uint8)
    own = predictor()(photograph()).labels
    assert meter(photograph(), truth=truth).analysis.wrong_px == np.count_nonzero(own != 0)


def test_no_class_in_common_is_refused() -> None:
    from deeplab_core.catalogs import get_catalog

    with pytest.raises(CatalogError, match="no class in common"):
        RankingPredictor(predictor(), get_catalog("voc21"))


def test_a_graph_of_labels_only_has_no_confidence_to_order_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyNet, "engine", property(lambda _model: Engine(name="a graph", labels_only=True)))
    meter = RankingPredictor(predictor(), second=predictor(decoder=True))
    assert meter.labels_only
    truth = np.zeros(photograph().shape[:2], np.uint8)
    found = meter(photograph(), truth=truth).analysis
    assert set(found.scores) == {"disagreement"}
    assert found.issues == ()
    assert found.wrong_px is not None
