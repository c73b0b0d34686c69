"""What a run takes from a checkpoint: the same features, whatever form the checkpoint has, and a true list of what was taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training import Recipe, SegmentationDataset
from deeplab_core.training.network import build_network, frozen_parts, parameter_groups
from deeplab_core.training.transfer import layers
from deeplab_core.weights import load_model, save_model
from deeplab_core.weights.families.tensorflow import _RULES
from tests.unit.core.training.made_data import CATALOG, RECIPE, dataset, make_folder
from tests.unit.core.training.test_trainer import Notes, trainer

INCEPTION = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3, pad_value=(127.5,) * 3, resize="long_side:65", padding="canvas:65")
FOLDED: dict[str, Any] = {
    "name": "deeplabv3", "backbone": "mobilenet_v2", "num_classes": 3, "output_stride": 16,
    "backbone_options": {"folded_norm": True, "width": 0.25}, "atrous_rates": [], "branch_order": "pool_first",
    "folded_norm": True, "align_corners": True, "aspp_channels": 12,
}  # fmt: skip
#: A new head on the folded network's encoder.
HEAD = {"separable": True, "aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8}


def filled(model: SegmentationModel) -> SegmentationModel:
    """The network with biases and statistics that are not the neutral ones."""
    random = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.data = torch.randn(module.bias.shape, generator=random) * 0.3
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=random) * 0.2
            module.running_var = torch.rand(module.num_features, generator=random) + 0.5
            module.weight.data = torch.rand(module.num_features, generator=random) + 0.5
    return model.eval()


def saved(path: Path, architecture: dict[str, Any], catalog: ClassCatalog = CATALOG, **card: Any) -> Path:
    """A checkpoint with its card."""
    torch.manual_seed(5)
    model = filled(create_model(**{**architecture, "num_classes": len(catalog)}))
    facts: dict[str, Any] = {"licence": "Apache-2.0", "source": "https://example.org/net", "preprocessing": INCEPTION} | card
    facts["output_stride"] = model.output_stride
    save_model(path, model, ModelCard(id="", name="Start", architecture={}, catalog=catalog, **facts))
    return path


def pictures(how: Preprocessing, count: int = 8, side: tuple[int, int] = (49, 65)) -> Iterator[Tensor]:
    """Images of smooth colours as network inputs, two at a time."""
    random = torch.Generator().manual_seed(7)
    for _ in range(count // 2):
        small = torch.rand(2, 3, 5, 6, generator=random) * 255
        x = nn.functional.interpolate(small, size=side, mode="bilinear") + torch.randn(2, 3, *side, generator=random) * 4
        yield (x - torch.tensor(how.mean).view(1, 3, 1, 1)) / torch.tensor(how.std).view(1, 3, 1, 1)


def largest_difference(one: SegmentationModel, other: SegmentationModel, how: Preprocessing) -> float:
    """Of the encoders' features over eight images, over their standard deviation."""
    worst = 0.0
    with torch.no_grad():
        for x in pictures(how):
            for mine, theirs in zip(one.encoder.levels(x), other.encoder.levels(x), strict=True):
                worst = max(worst, float((mine - theirs).abs().max() / mine.std()))
    return worst


def published(path: Path) -> Path:
    """A checkpoint as Google publishes MobileNetV2 for deployment: TensorFlow's names, no batch norm."""
    torch.manual_seed(5)
    architecture = {**FOLDED, "num_classes": 21, "aspp_channels": 256, "backbone_options": {"folded_norm": True}}
    model = filled(create_model(**architecture))
    save_file({_RULES(key): tensor.half().contiguous() for key, tensor in model.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("options", [{}, HEAD], ids=["its own head", "another head"])
@pytest.mark.parametrize("form", ["card", "tensorflow"])
def test_norms_that_were_folded_are_made_again_with_the_same_features(form: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "folded.safetensors"
    catalog = CATALOG if form == "card" else get_catalog("voc21")
    path = saved(path, FOLDED) if form == "card" else published(path)
    source, card = load_model(path)
    recipe = Recipe(init=str(path), network="deeplabv3plus" if options else "", options=options)
    start = build_network(recipe, catalog, pictures)
    norms = [module for module in start.model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 51, "every convolution of MobileNetV2 but none left out"
    assert start.lineage["unfolded"] == {"norms": 51 if options else 54, "images": 8}
    start.model.eval()
    assert largest_difference(source, start.model, card.preprocessing) < 1e-4
    # In training mode a batch's own statistics are used: near the start, not noise.
    start.model.train()
    with torch.no_grad():
        x = torch.cat(list(pictures(card.preprocessing)))
        after, before = start.model.encoder.levels(x), source.encoder.levels(x)
    assert all(float((one - other).abs().mean() / other.std()) < 0.02 for one, other in zip(after, before, strict=True))
    if not options:
        start.model.eval()
        with torch.no_grad():
            assert torch.allclose(start.model(x), source(x), atol=1e-3 * float(source(x).std()))


@pytest.mark.parametrize("values", [{"norm": "frozen"}, {"freeze_norms": ("encoder",)}], ids=["norm", "freeze_norms"])
def test_frozen_norms_keep_the_folded_encoder_as_it_is(values: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "folded.safetensors", FOLDED)
    recipe = Recipe(init=str(path), network="deeplabv3plus", options=HEAD, **values)
    start = build_network(recipe, CATALOG, None)
    assert start.model.architecture["backbone_options"] == {"folded_norm": True, "width": 0.25}
    assert largest_difference(load_model(path)[0], start.model.eval(), INCEPTION) == 0
    assert not frozen_parts(start.model, recipe, start.taken).norms, "norms of the new head have no statistics yet"


def test_the_published_network_is_unfolded_exactly(shared_real: Path) -> None:
    path = shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
    photographs = sorted((shared_real / "coco" / "images").glob("*.jpg"))[:8]
    assert len(photographs) == 8

    def real(how: Preprocessing) -> Iterator[Tensor]:
        for photograph in photographs:
            rgb = np.asarray(Image.open(photograph).convert("RGB").resize((225, 161)))
            yield (torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() - how.mean[0]) / how.std[0]

    source, card = load_model(path)
    start = build_network(Recipe(init=str(path)), get_catalog("voc21"), real)
    start.model.eval()
    with torch.no_grad():
        for x in real(card.preprocessing):
            for one, other in zip(start.model.encoder.levels(x), source.encoder.levels(x), strict=True):
                assert float((one - other).abs().max() / other.std()) < 1e-4


def counted(model: nn.Module) -> int:
    return sum(tensor.numel() for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked"))


def test_the_list_of_what_was_taken_adds_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", {**FOLDED, "folded_norm": False, "backbone_options": {"width": 0.25}})
    source, _ = load_model(path)
    start = build_network(Recipe(init=str(path), network="deeplabv3plus", options=HEAD), CATALOG)
    line = start.lineage
    values = {key: {part: count["values"] for part, count in line[key].items()} for key in ("taken", "new", "left")}
    assert set(values["taken"]) == {"encoder"}
    assert set(values["new"]) == {"aspp", "decoder", "classifier"}
    assert set(values["left"]) == {"aspp", "classifier"}
    assert sum(values["taken"].values()) + sum(values["new"].values()) == counted(start.model)
    assert sum(values["taken"].values()) + sum(values["left"].values()) == counted(source)
    assert (line["start"], line["licence"], line["source"]) == ("Start", "Apache-2.0", "https://example.org/net")
    assert line["fresh"].startswith("aspp.branches.0.conv.weight, ")
    said = "\n".join(start.lines)
    for words in ("Start, Apache-2.0 (old.safetensors)", "taken: encoder (", "new: aspp (", "left: aspp (", "mean 127.5"):
        assert words in said
    # The very same head is taken too, classifier included.
    whole = build_network(Recipe(init=str(path)), CATALOG)
    assert "fresh" not in whole.lineage
    assert all(torch.equal(tensor, source.state_dict()[key]) for key, tensor in whole.model.state_dict().items())


def test_pyramid_and_decoder_are_taken_where_names_and_shapes_agree(tmp_path: Path) -> None:
    plus = {"name": "deeplabv3plus", "backbone": "mobilenet_v2", "backbone_options": {"width": 0.25}, **HEAD}
    path = saved(tmp_path / "old.safetensors", plus)
    old = load_model(path)[0].state_dict()
    start = build_network(Recipe(init=str(path), options={**HEAD, "decoder_channels": 16}), CATALOG)
    new = start.model.state_dict()
    assert all(torch.equal(old[key], new[key]) for key in old if key.startswith(("encoder.", "aspp.", "decoder.reduce.")))
    fresh = start.lineage["fresh"].split(", ")
    assert {key.rsplit(".", 3)[0] for key in fresh if key.startswith("decoder")} == {
        "decoder.convs.0", "decoder.convs.1"
    }  # fmt: skip
    assert {"classifier.weight", "classifier.bias"} <= set(fresh), "its features are not those of before"
    # The depthwise half of the first convolution has the shape of before.
    assert "decoder.convs.0.depthwise.conv.weight" not in fresh
    # With other classes of the same number only the classifier is new.
    other = ClassCatalog("other", "Other", tuple(replace(info, name=f"{info.name} 2") for info in CATALOG.classes))
    assert build_network(Recipe(init=str(path)), other).lineage["fresh"] == "classifier.bias, classifier.weight"


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "deeplabv3plus", "backbone": "resnet18", "aspp_channels": 8, "decoder_channels": 8},
        {"name": "deeplabv3", "backbone": "xception41", "aspp_channels": 8, "backbone_options": {}},
        {"name": "lraspp"},
        {"name": "unet", "backbone": "resnet18"},
        {"name": "segnet"},
        {"name": "deeplabv3plus", "backbone": "mobilenet_v2", "multi_scale": [0.5], **HEAD},
    ],
    ids=lambda architecture: str(architecture["name"]) + str(architecture.get("backbone", "")),
)
def test_a_network_of_any_kind_goes_on_as_it_was(architecture: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", architecture)
    source, _ = load_model(path)
    start = build_network(Recipe(init=str(path)), CATALOG)
    assert start.model.architecture == source.architecture
    assert start.taken == frozenset(layers(start.model))
    x = next(pictures(INCEPTION, side=(33, 33)))
    with torch.no_grad():
        torch.testing.assert_close(start.model.eval()(x), source(x), rtol=1e-4, atol=1e-4)


def test_an_encoder_that_means_something_else_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", FOLDED)
    for values, named in (
        ({"backbone": "resnet18"}, "backbone is 'resnet18', not 'mobilenet_v2'"),
        ({"backbone_options": {"width": 0.5}}, "width is 0.5, not 0.25"),
        ({"backbone_options": {"rate_onset": "whole_stage"}}, "rate_onset"),
        ({"network": "segnet"}, "no form over 'mobilenet_v2'"),
        ({"network": "segnet", "backbone": "basic"}, "the encoder of the recipe is not that of init"),
    ):
        with pytest.raises(AtrousError, match=named):
            build_network(Recipe(init=str(path), **values), CATALOG, pictures)
    build_network(Recipe(init=str(path), backbone_options={"norm_momentum": 0.01}), CATALOG, pictures)


def test_input_is_prepared_as_the_encoder_knows_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", FOLDED)
    start = build_network(Recipe(init=str(path)), CATALOG, pictures)
    assert start.preprocessing == replace(INCEPTION, resize="native", padding="grid:16"), "a canvas belongs to its own scale"
    assert start.model.align_corners
    same = build_network(Recipe(init=str(path), resize="long_side:65"), CATALOG, pictures)
    assert same.preprocessing == INCEPTION
    with pytest.raises(AtrousError, match=r"mean is \(1.0, 2.0, 3.0\), but init was trained with \(127.5"):
        build_network(Recipe(init=str(path), mean=(1.0, 2.0, 3.0)), CATALOG, pictures)
    build_network(Recipe(init=str(path), mean=(127.5,) * 3), CATALOG, pictures)


@pytest.mark.parametrize("name", ["fcn", "unet", "deeplabv3", "deeplabv2"])
@pytest.mark.parametrize("align", [False, True])
def test_a_new_head_keeps_stride_and_corners_of_any_checkpoint(name: str, align: bool, tmp_path: Path) -> None:
    small = {"deeplabv3": {"aspp_channels": 8}}.get(name, {})
    try:
        path = saved(tmp_path / "old.safetensors", {"name": name, "backbone": "resnet18", "align_corners": align, **small})
    except AtrousError:
        path = saved(tmp_path / "old.safetensors", {"name": name, "backbone": "resnet18", **small})  # it has no choice of corners
    source, _ = load_model(path)
    start = build_network(Recipe(init=str(path), network="deeplabv3plus", options={"aspp_channels": 8}), CATALOG)
    assert (start.model.align_corners, start.model.output_stride) == (source.align_corners, source.output_stride)
    assert largest_difference(source, start.model.eval(), INCEPTION) < 1e-5
    named = {"aspp_channels": 8, "align_corners": not source.align_corners}
    other = build_network(Recipe(init=str(path), network="deeplabv3plus", options=named), CATALOG)
    assert other.model.align_corners is not source.align_corners


@pytest.fixture
def data(tmp_path: Path) -> SegmentationDataset:
    return dataset(make_folder(tmp_path / "data"))


def test_crops_and_validation_follow_channel_order_and_padding(data: SegmentationDataset, tmp_path: Path) -> None:
    caffe = Preprocessing(channel_order="BGR", mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0), pad_value=(10.0, 20.0, 30.0))
    path = saved(tmp_path / "old.safetensors", {"name": "deeplabv3plus", "backbone": "mobilenet_v2", **HEAD}, preprocessing=caffe)
    part = trainer(replace(RECIPE, network="", options={}, init=str(path), steps=1, padding="grid:16"), data, tmp_path / "run")
    batch = next(data.batches(part.recipe, 0, preprocessing=part.preprocessing))
    blue_first = (batch.pixels[0, :, :, ::-1].astype(np.float32) - [10, 20, 30]) / np.float32([2, 4, 8])
    assert torch.allclose(batch.input()[0], torch.from_numpy(blue_first).permute(2, 0, 1).float())
    outcome = trainer(part.recipe, data, tmp_path / "run", val=data).run()
    assert outcome.card is not None
    assert outcome.card.preprocessing == replace(caffe, padding="grid:16")
    # Validation and inference see the same canvas.
    from deeplab_core.inference import Predictor

    model, card = load_model(tmp_path / "run" / "model.safetensors")
    predictor = Predictor(model, card, device="cpu")
    right = known = 0
    for number in range(len(data)):
        rgb, channels = data.pair(number)
        predicted = CATALOG.index_lut()[predictor(rgb).labels]
        right += int((predicted == channels)[channels >= 0].sum())
        known += int((channels >= 0).sum())
    assert outcome.card.extra["training"]["validation"]["pixel_accuracy"] == pytest.approx(right / known, abs=0.002)


def test_old_and_new_layers_have_their_own_rates(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", FOLDED)
    recipe = Recipe(init=str(path), network="deeplabv3plus", options=HEAD, init_rate=0.1, backbone_rate=0.5)
    start = build_network(recipe, CATALOG, pictures)
    names = {id(parameter): name for name, parameter in start.model.named_parameters()}
    factors: dict[float, set[str]] = {}
    for group in parameter_groups(start.model, recipe, start.taken):
        factors.setdefault(group["factor"], set()).update(names[id(p)].split(".")[0] for p in group["params"])
    assert factors == {0.05: {"encoder"}, 1.0: {"aspp", "decoder", "classifier"}}


def test_frozen_layers_stay_and_the_rest_moves(data: SegmentationDataset, tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", {**FOLDED, "folded_norm": False, "backbone_options": {"width": 0.25}})
    recipe = replace(
        RECIPE, network="deeplabv3plus", init=str(path), steps=2, freeze=("encoder.stem", "encoder.blocks.?"),
        freeze_norms=("encoder",),
    )  # fmt: skip
    part = trainer(recipe, data, tmp_path / "run")
    before = {key: tensor.clone() for key, tensor in part.model.state_dict().items()}
    part.run()
    moved = {key for key, tensor in part.model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert not any(key.startswith(("encoder.stem", *(f"encoder.blocks.{n}." for n in range(10)))) for key in moved)
    assert not any(".norm." in key for key in moved if key.startswith("encoder."))
    assert "encoder.blocks.12.expand.conv.weight" in moved
    assert "aspp.project.norm.running_mean" in moved, "norms of the new head learn"
    with pytest.raises(AtrousError, match=r"'encoder.bloks.\*', which is not a module.*encoder.stem"):
        trainer(replace(recipe, freeze=("encoder.bloks.*",)), data, tmp_path / "x")
    with pytest.raises(AtrousError, match="nothing to train"):
        trainer(replace(recipe, freeze=("*",)), data, tmp_path / "x")


def test_norms_that_were_taken_stay_frozen_and_new_ones_learn(data: SegmentationDataset, tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", {**FOLDED, "folded_norm": False, "backbone_options": {"width": 0.25}})
    part = trainer(replace(RECIPE, network="deeplabv3plus", init=str(path), norm="frozen", steps=2), data, tmp_path / "run")
    before = {key: tensor.clone() for key, tensor in part.model.state_dict().items()}
    part.run()
    moved = {key for key, tensor in part.model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert not any(key.startswith("encoder.") and ".norm." in key for key in moved)
    assert {"aspp.pooling.norm.bias", "decoder.reduce.norm.running_var"} <= moved


def test_a_run_says_and_records_what_it_began_with(data: SegmentationDataset, tmp_path: Path) -> None:
    path = saved(tmp_path / "old.safetensors", FOLDED)
    notes = Notes()
    recipe = replace(RECIPE, network="deeplabv3plus", init=str(path), steps=1)
    outcome = trainer(recipe, data, tmp_path / "one", notes).run()
    assert [line.split(":")[0] for line in notes.said] == ["init", "taken", "new", "left", "unfolded", "as init"]
    kept = json.loads((tmp_path / "one" / "start.json").read_text())
    assert outcome.card is not None
    lineage = outcome.card.extra["training"]["lineage"]
    assert kept["lineage"] == lineage
    assert lineage["unfolded"]["images"] >= 32
    assert kept["preprocessing"]["mean"] == [127.5] * 3
    again = trainer(replace(RECIPE, network="", options={}, init=str(tmp_path / "one" / "model.safetensors")), data, tmp_path)
    assert again.lineage["before"]["start"] == "Start", "where the encoder came from stays known"


def test_a_graph_and_damaged_statistics_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "folded.safetensors", FOLDED)

    def nonsense(how: Preprocessing) -> Iterator[Tensor]:
        for x in pictures(how):
            yield x * float("inf")

    with pytest.raises(WeightsError, match=r"norm of.*not finite.*frozen"):
        build_network(Recipe(init=str(path)), CATALOG, nonsense)
    with pytest.raises(WeightsError, match="no image reached it"):
        build_network(Recipe(init=str(path)), CATALOG, lambda _how: iter(()))


# A decoder that starts as identity

DECODERS: list[dict[str, Any]] = [
    {},
    {"decoder_separable": True, "decoder_channels": 16},
    {"decoder_order": "low_level_first", "decoder_convs": 1},
    {"decoder_separable": True, "separable_inner": "none"},
]


@pytest.mark.parametrize("options", DECODERS)
@pytest.mark.parametrize("frozen", [{}, {"norm": "frozen"}, {"freeze_norms": ("encoder",)}])
def test_a_decoder_that_starts_as_identity_keeps_the_scores(
    tmp_path: Path, options: dict[str, Any], frozen: dict[str, Any]
) -> None:
    path = saved(tmp_path / "start.safetensors", FOLDED)
    recipe = Recipe(init=str(path), decoder_start="identity", options=options, **frozen)
    start = build_network(recipe, CATALOG, pictures)
    source, _ = load_model(path)
    model = start.model.eval()
    assert model.architecture["name"] == "deeplabv3plus"
    with torch.no_grad():
        for x in pictures(start.preprocessing):
            expected = source(x)
            assert float((model(x) - expected).abs().max() / expected.std()) < 1e-4
    parts = {name.split(".")[0] for name in start.taken}
    assert parts == {"encoder", "aspp", "classifier"}
    assert start.lineage["decoder"] == "starts as identity"


@pytest.mark.parametrize("ours", [0, 8, 4])
def test_an_auxiliary_head_does_not_keep_a_decoder_from_starting_as_identity(tmp_path: Path, ours: int) -> None:
    path = saved(tmp_path / "start.safetensors", {**FOLDED, "auxiliary": 8, "auxiliary_level": 2})
    options = {"auxiliary": ours, "auxiliary_level": 2, "decoder_channels": 16}
    start = build_network(Recipe(init=str(path), decoder_start="identity", options=options), CATALOG, pictures)
    source, model = load_model(path)[0], start.model.eval()
    with torch.no_grad():
        for x in pictures(start.preprocessing, count=1):
            expected = source(x)
            assert float((model(x) - expected).abs().max() / expected.std()) < 1e-4
    assert not any(name.startswith("auxiliary.") for name in start.taken), "it begins new"


def test_a_folded_auxiliary_head_begins_new(tmp_path: Path) -> None:
    path = saved(tmp_path / "start.safetensors", {**FOLDED, "auxiliary": 8, "auxiliary_level": 2})
    start = build_network(Recipe(init=str(path)), CATALOG, pictures)
    parts = {name.split(".")[0] for name in start.taken}
    assert parts == {"encoder", "aspp", "classifier"}, "images reach it in training only: its norms cannot be made again"


def test_all_of_an_identity_decoder_learns(tmp_path: Path) -> None:
    path = saved(tmp_path / "start.safetensors", FOLDED)
    options = {"decoder_channels": 16, "decoder_dropout": 0.0}
    start = build_network(Recipe(init=str(path), decoder_start="identity", options=options), CATALOG, pictures)
    model = start.model.train()
    alive = torch.zeros(12, dtype=torch.bool)
    for x in pictures(start.preprocessing, count=4):
        model(x).square().mean().backward()
        alive |= model.get_submodule("aspp")(model.get_submodule("encoder").levels(x)[-1]).amax((0, 2, 3)) > 0
    assert bool(alive.any())
    first = model.get_submodule("decoder.convs.0.conv")
    assert isinstance(first, nn.Conv2d)
    gradient = first.weight.grad
    assert gradient is not None
    reached = gradient[:12, 12:].abs().sum((1, 2, 3)) > 0
    assert bool(reached[alive].all()), "channels that copy the pyramid take in low-level features from the first step on"


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        ({**FOLDED, "name": "deeplabv3plus"}, {}, "without a decoder"),
        ({**FOLDED, "pyramid": False}, {}, "with a pyramid"),
        (FOLDED, {"options": {"decoder_channels": 8}}, "too narrow"),
        (FOLDED, {"options": {"decoder": "bilinear"}}, "DeepLabv3\\+'s decoder"),
        (FOLDED, {"options": {"atrous_rates": [6]}}, "not that of init"),
    ],
)
def test_an_identity_decoder_names_what_does_not_fit(
    tmp_path: Path, source: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    path = saved(tmp_path / "start.safetensors", source)
    with pytest.raises(WeightsError, match=words) as caught:
        build_network(Recipe(init=str(path), decoder_start="identity", **changes), CATALOG, pictures)
    assert caught.value.path == path


def test_an_identity_decoder_needs_a_start(tmp_path: Path) -> None:
    recipe = Recipe(decoder_start="identity")  # a flag may still name init
    with pytest.raises(AtrousError, match="needs init"):
        trainer(recipe, dataset(make_folder(tmp_path / "data")), tmp_path / "run")
