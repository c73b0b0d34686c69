"""``benchmarks/learn.py`` scores the network that has learned, whatever of it has."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import torch

from deeplab_core.inference import Predictor
from deeplab_core.learning import LearnOptions
from tests.benchmark_scripts import load_script
from tests.unit.core.training.learner_world import CATALOG, room, taught_network


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    return load_script("learn")


@pytest.mark.parametrize("layers", ["decoder", "all"])
def test_the_score_is_that_of_the_network_that_has_learned(benchmark_module, monkeypatch, layers) -> None:
    adapting = import_module("deeplab_core.training.adaptation.adapt")
    monkeypatch.setattr(adapting, "_STEPS", (6, 6))
    torch.set_num_threads(1)
    model, card = taught_network()
    photos = [benchmark_module.Photo(str(seed), *room(seed, "chair", "blue sofa")) for seed in range(20, 24)]
    bench = benchmark_module.Bench(model, card, CATALOG, photos)
    adapted = bench.learn([0], [1, 2, 3], "reviewed", LearnOptions(layers=layers, strength="strong"))
    predictor = Predictor(adapted.model, adapted.card)
    found = bench.predict(adapted.model, adapted.card, [1, 2, 3])
    for place in (1, 2, 3):
        expected = predictor(photos[place].rgb).labels
        assert np.mean(expected != bench.before[place]) > 0.01
        assert np.mean(found[place] == expected) > 0.98  # features in half precision


def test_verdicts_are_counted_against_what_the_other_images_say(benchmark_module) -> None:
    def row(
        verdict: str, gain: float, lost: tuple[str, ...] = (), unnamed: tuple[str, ...] = (), k: int = 10
    ) -> dict[str, object]:
        return {"k": k, "verdict": verdict, "gain": gain, "lost": lost, "unnamed": unnamed}

    rows = [
        row("better", 3.0, ("bus",)), row("better", -1.0, ("bus", "cat"), ("cat",)), row("worse", -2.0), row("worse", 0.5),
        row("not sure", 4.0), row("not sure", -9.0, k=1),
    ]  # fmt: skip
    assert benchmark_module.tally(rows) == (
        "verdicts: 2 of 4 hold, 1 of 5 are not sure; 3 classes lost more than their interval, the report named 2 of them"
    )


def test_streets_teach_a_voc_network_nine_classes(benchmark_module) -> None:
    _, catalog, _, new, pairs = benchmark_module.setting("streets", "no such sequence")
    assert len(new) == 9
    assert {catalog.by_id(partner).name for partner in pairs.values() if partner is not None} == {"car", "pedestrian"}
