"""The list of published checkpoints says nothing that is malformed, and agrees with what its publishers' own packages say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.hub import PublishedModel, click_networks, find_published, published_models
from deeplab_core.hub.published import _entry

MODELS = published_models()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_entry_is_complete_enough_to_be_used(model: PublishedModel) -> None:
    assert model.page.startswith(("https://", "http://"))
    assert model.licence
    assert model.data_licence
    assert model.classes in (len(get_catalog(model.catalog)), len(get_catalog(model.catalog)) + 1)
    assert (model.miou is None) == (not model.miou_on) == (not model.miou_source)
    assert model.miou is None or 30 < model.miou < 90
    assert not model.member or model.file.endswith(".tar.gz")
    assert not model.url or model.url.endswith(f"/{model.file}")
    assert re.fullmatch(r"|[0-9a-f]{8}", model.sha256_prefix)
    assert model.sha256_prefix in model.file


@pytest.mark.parametrize("model", click_networks(), ids=lambda model: model.id)
def test_every_click_network_is_a_pair_with_a_licence(model: PublishedModel) -> None:
    assert model.for_clicks
    assert model.decoder is not None
    assert model.licence
    assert model.data_licence
    assert (model.catalog, model.classes, model.miou) == ("", 0, None)
    for file, url, digest in (
        (model.file, model.url, model.sha256_prefix),
        (model.decoder.file, model.decoder.url, model.decoder.sha256_prefix),
    ):
        assert file.endswith(".onnx")
        assert url.endswith(f"/{file}")
        assert re.fullmatch(r"|[0-9a-f]{64}", digest)
    assert model.has_checksum or model.download_bytes is not None, "one of the two must identify what was fetched"
    assert find_published(model.id) == model


def test_ids_titles_and_files_are_unique() -> None:
    everything = (*MODELS, *click_networks())
    assert len({model.id for model in everything}) == len(everything)
    assert len({model.installed_name for model in everything}) == len(everything)
    assert len({model.title for model in everything}) == len(everything)
    assert len({model.title for model in MODELS}) == len(MODELS)
    assert len({model.installed_name for model in MODELS}) == len(MODELS)


def test_torchvision_s_entries_are_those_of_torchvision_itself() -> None:
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    models = pytest.importorskip("torchvision.models")
    weights = [
        found
        for name in models.list_models(module=segmentation)
        for found in models.get_model_weights(name)
        if found.name == "COCO_WITH_VOC_LABELS_V1"
    ]
    ours = {model.url: model for model in MODELS if model.publisher == "torchvision"}
    assert set(ours) == {found.url for found in weights}
    for found in weights:
        model = ours[found.url]
        assert model.miou == found.meta["_metrics"]["COCO-val2017-VOC-labels"]["miou"]
        assert model.approximate_bytes == pytest.approx(found.meta["_file_size"] * 2**20, abs=1)
        assert model.classes == len(found.meta["categories"])


def test_a_model_is_found_by_id_or_file_name_whatever_the_case() -> None:
    model = find_published("TORCHVISION-deeplabv3-resnet50")
    assert model is not None
    assert find_published(model.file) == model
    assert find_published("unknown") is None


def test_an_archive_s_member_is_installed_under_the_id() -> None:
    model = next(model for model in MODELS if model.member)
    assert model.installed_name == f"{model.id}.pb"
    assert replace(model, member="").installed_name == model.file


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ({"url": "http://models.example/net.pth"}, "https only"),
        ({"file": "../net.pth"}, "malformed"),
        ({"file": ".."}, "malformed"),
        ({"file": ""}, "malformed"),
        ({"file": "x\\y.pth"}, "malformed"),
        ({"file": "C:evil.pth"}, "malformed"),
        ({"member": "../net.pb"}, "malformed"),
        ({"id": "Net 1"}, "malformed"),
        ({"sice": 3}, "unknown fields"),
        ({"decoder": {"file": "../d.onnx", "url": "https://models.example/d.onnx"}}, "malformed"),
        ({"decoder": {"file": "d.onnx", "url": "http://models.example/d.onnx"}}, "https only"),
    ],
)
def test_a_slip_in_the_list_is_noticed(slip: dict[str, object], said: str) -> None:
    row = {
        "id": "net", "name": "Net", "publisher": "us", "family": "vainf", "file": "net.pth", "page": "https://models.example",
        "licence": "MIT", "data_licence": "none", "catalog": "voc21", "classes": 21,
    }  # fmt: skip
    assert _entry(row).id == "net"
    with pytest.raises(ValueError, match=said):
        _entry(row | slip)
