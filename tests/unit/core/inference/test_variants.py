"""Variants of a run share passes of the network."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.errors import AtrousError
from deeplab_core.inference import Predictor, VariantPredictor, parse_variant
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, PredictOptions
from deeplab_core.refine.parameters import preset
from tests.unit.core.metrics.maps import catalog_of

PLAIN = PredictOptions(device="cpu")


def test_what_a_variant_says() -> None:
    assert parse_variant("os8", PLAIN).options.output_stride == 8
    assert parse_variant("flip + scales:0.5,1", PLAIN).options == PredictOptions(device="cpu", flip=True, scales=(0.5, 1.0))
    assert parse_variant("crf", PLAIN).options.crf == preset("v1")
    assert parse_variant("CRF:v2", PLAIN).options.crf == preset("v2")
    assert parse_variant("threshold:0.4+precision:bf16", PLAIN).options.threshold == 0.4
    for text in ("", "os", "flip:1", "scales", "scales:0", "threshold:x", "engine:steam", "crf:none.json"):
        with pytest.raises(AtrousError):
            parse_variant(text, PLAIN)


class Counting(Predictor):
    """Counts the passes of the network."""

    passes: int = 0

    def scores(self, *arguments, **options):
        found = super().scores(*arguments, **options)
        self.passes += len(found.grids)
        return found


def test_passes_are_computed_once_and_labels_are_those_of_the_variant() -> None:
    model = create_model(
        "deeplabv3plus", backbone="mobilenet_v2", num_classes=4, output_stride=16, backbone_options={"width": 0.25},
        aspp_channels=16, decoder_channels=16,
    ).eval()  # fmt: skip
    card = ModelCard(id="x", name="x", architecture=dict(model.architecture), catalog=catalog_of(0, 1, 2, 3))
    predictor = Counting(model, card, device="cpu")
    names = ("flip", "scales:0.5,1", "scales:0.5,1+flip", "crf:v2", "crf:v2+flip", "os8")
    variants = [parse_variant(name, PLAIN) for name in names]
    rgb = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    found = VariantPredictor(predictor, variants)(rgb)
    assert predictor.passes == 5  # scales 0.5 and 1, each mirrored too, and stride 8
    for variant, prediction in zip(variants, found, strict=True):
        alone = predictor(rgb, options=variant.options)
        assert np.array_equal(prediction.labels, alone.labels), variant.name
        assert np.array_equal(prediction.confidence, alone.confidence), variant.name
        assert prediction.options == alone.options
        assert prediction.report.tiles == alone.report.tiles
    with pytest.raises(AtrousError, match="output stride 7"):
        VariantPredictor(predictor, [parse_variant("os7", PLAIN)])
