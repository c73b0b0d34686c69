"""The models that are shipped: small, ours, described, and as good as their pages say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from app.paths import BUNDLED_MODELS, FIRST_MODEL, SAMPLE_PROJECT
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.find import find_images
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.weights import list_models, load_model

NAMES = ("camvid", "photos-voc", "rooms-voc")
CATALOGS = {"camvid": "camvid11", "photos-voc": "voc21", "rooms-voc": "voc21"}
#: Share of the labelled pixels of nine photographs that is right.
GOLDEN_PHOTOGRAPHS = 0.923


def test_all_are_found_and_the_first_one_is_among_them() -> None:
    entries = list_models([BUNDLED_MODELS])
    assert tuple(sorted(entry.path.stem for entry in entries)) == NAMES
    assert FIRST_MODEL.is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_is_small_and_says_what_it_knows(name: str) -> None:
    path = BUNDLED_MODELS / f"{name}.safetensors"
    assert path.stat().st_size < 8_000_000
    (entry,) = (entry for entry in list_models([BUNDLED_MODELS]) if entry.path == path)
    card = entry.card
    assert card is not None
    assert card.name == name
    assert [info.name for info in card.catalog.classes] == [info.name for info in get_catalog(CATALOGS[name]).classes]
    assert 20 < len(card.summary) < 120
    assert "\n" not in card.summary
    assert card.licence


def test_the_camvid_model_is_for_research_only() -> None:
    (entry,) = (entry for entry in list_models([BUNDLED_MODELS]) if entry.path.stem == "camvid")
    assert entry.card is not None
    assert "research" in entry.card.licence


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_are_half_precision(name: str) -> None:
    with (BUNDLED_MODELS / f"{name}.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kinds = {entry["dtype"] for key, entry in header.items() if key != "__metadata__"}
    assert kinds <= {"F16", "I64"}


def test_the_rooms_model_makes_the_masks_that_lie_beside_the_sample_images() -> None:
    """A change of the network's numbers, or a forgotten step after training, would show here."""
    predictor = Predictor(*load_model(FIRST_MODEL), device="cpu")
    catalog = predictor.card.catalog
    matrix = ConfusionMatrix(catalog)
    for name in find_images(SAMPLE_PROJECT)[::4]:
        image = read_image(SAMPLE_PROJECT / name)
        labels = predictor(image.rgb).labels
        stem = name.removeprefix("images/").removesuffix(".jpg")
        kept = read_mask(SAMPLE_PROJECT / "masks" / f"{stem}.png", catalog, image.info)
        assert np.mean(labels == kept) > 0.995
        matrix.update(truth=read_mask(SAMPLE_PROJECT / "truth" / f"{stem}.png", catalog, image.info), prediction=labels)
    assert matrix.pixel_accuracy() > 0.6


def test_the_photographs_model_keeps_googles_encoder_and_teaches_the_rest(shared_real: Path) -> None:
    """The encoder was frozen in training: its features are those of Google's release in half precision; the head is ours."""
    ours, _ = load_model(BUNDLED_MODELS / "photos-voc.safetensors")
    theirs, _ = load_model(shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    start = theirs.state_dict()
    for key, value in ours.state_dict().items():
        same = torch.equal(value, start[key].half().float())
        assert same is key.startswith("encoder."), key


def test_the_photographs_model_knows_photographs(shared_real: Path) -> None:
    """Nine photographs of PASCAL VOC, as its card reads them."""
    predictor = Predictor(*load_model(BUNDLED_MODELS / "photos-voc.safetensors"), device="cpu")
    catalog = predictor.card.catalog
    matrix = ConfusionMatrix(catalog)
    for path in sorted((shared_real / "voc" / "images").glob("20*.jpg")):
        image = read_image(path)
        truth = read_mask(shared_real / "voc" / "labels" / f"{path.stem}.png", catalog, image.info)
        matrix.update(truth=truth, prediction=predictor(image.rgb).labels)
    assert matrix.pixel_accuracy() == pytest.approx(GOLDEN_PHOTOGRAPHS, abs=0.003)


def test_the_card_says_where_the_photographs_model_comes_from() -> None:
    (entry,) = (entry for entry in list_models([BUNDLED_MODELS]) if entry.path.stem == "photos-voc")
    assert entry.card is not None
    assert entry.card.licence.startswith("Research use")
    assert "Apache-2.0" in entry.card.licence
    lineage = entry.card.extra["training"]["lineage"]
    assert lineage["source"].startswith("https://github.com/tensorflow/models")
    assert lineage["new"] == {}
    assert entry.card.extra["figures"]["miou"] == 0.678
