"""Every value of every option is checked: what cannot be is refused with the choices, the papers' words mean what they mean."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.errors import AtrousError
from deeplab_core.nn import create_model
from deeplab_core.nn.backbones import backbone_names, backbone_record
from deeplab_core.nn.factory import _MODELS, check_architecture, options_record
from deeplab_core.nn.options import _hints, build_options, check_option
from deeplab_core.training.recipe import Recipe


def records() -> dict[str, type[Any]]:
    found = {f"backbone {name}": backbone_record(name) for name in (*backbone_names(), "timm:any")}
    for name, spec in _MODELS.items():
        if spec.record is not None:
            found[name] = spec.record
        found |= {f"{name} {whole}": options_record(name, whole) for whole in spec.whole}
    return found


EVERY = [(owner, record, field.name) for owner, record in records().items() for field in fields(record)]


@pytest.mark.parametrize(("owner", "record", "name"), EVERY, ids=[f"{owner}-{name}" for owner, _, name in EVERY])
def test_every_option_of_every_network_refuses_what_cannot_be(owner: str, record: type[Any], name: str) -> None:
    hint = _hints(record)[name]  # type: ignore[arg-type]
    for value in ("nonsense", object(), float("nan"), -1, [0], {"a": 1}, [1.5], ["a"], float("inf"), b"x", 10**9):
        with pytest.raises(AtrousError) as caught:
            build_options(record, {name: value}, owner)
        assert name in caught.value.what
        assert caught.value.why
    # What it has by itself, and every literal, is taken as it is.
    default = next(field.default for field in fields(record) if field.name == name)
    assert getattr(build_options(record, {name: default}, owner), name) == default
    for kind in (hint, *get_args(hint)):
        for literal in get_args(kind) if get_origin(kind) is Literal else ():
            assert getattr(build_options(record, {name: literal}, owner), name) == literal


@pytest.mark.parametrize(
    ("network", "backbone", "option", "word", "means"),
    [
        ("deeplabv3plus", "resnet18", "decoder", "naive", "bilinear"),
        ("deeplabv3plus", "resnet18", "decoder", "proposed", "deeplabv3plus"),
        ("deeplabv3plus", "resnet18", "decoder", "DeepLabv3+", "deeplabv3plus"),
        ("fcn", "vgg16", "variant", "fcn16s", "16s"),
        ("fcn", "vgg16", "variant", "FCN-32s", "32s"),
        ("fcn", "vgg16", "variant", 8, "8s"),
        ("fcn", "vgg16", "variant", "8s at once", "8s_at_once"),
        ("dilatednet", "vgg16", "context", "none", None),
        ("dilatednet", "vgg16", "context", "front_end", None),
        ("unet", "classic", "upsampling", "deconvolution", "transposed"),
        ("unet", "resnet18", "interpolation", "linear", "bilinear"),
        ("deeplabv3plus", "resnet18", "atrous_rates", "6,12,18", [6, 12, 18]),
        ("deeplabv3plus", "resnet18", "separable", "true", True),
    ],
)
def test_words_of_the_papers(network: str, backbone: str, option: str, word: Any, means: Any) -> None:
    with torch.device("meta"):
        model = create_model(network, backbone=backbone, num_classes=2, **{option: word})
        plain = create_model(network, backbone=backbone, num_classes=2, **{option: means})
    assert model.architecture == plain.architecture
    assert model.architecture[option] == means
    assert model.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("grid", ["1,2,4", "mg 1,2,4", "MG(1, 2, 4)", "multi-grid = 1,2,4", [1, 2, 4], (1, 2, 4)])
@pytest.mark.parametrize("stride", [16, "16", "16s", "os16", "OS=16", "output_stride 16"])
def test_multi_grid_and_stride_as_people_write_them(grid: Any, stride: Any) -> None:
    with torch.device("meta"):
        model = create_model("deeplabv3", backbone="resnet50", output_stride=stride, backbone_options={"multi_grid": grid})
    assert model.architecture["backbone_options"] == {"multi_grid": [1, 2, 4]}
    assert model.output_stride == 16


@pytest.mark.parametrize("stride", [5, "os5", 0, -8, True, "fine", 16.5, None])
def test_strides_that_cannot_be(stride: Any) -> None:
    if stride is None:
        assert create_model("deeplabv1", output_stride=None).output_stride
        return
    with pytest.raises(AtrousError, match=r"output stride .* is not possible"):
        create_model("deeplabv3", backbone="resnet18", output_stride=stride)


@settings(max_examples=200)
@given(st.sampled_from(EVERY), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_value_is_taken_or_refused_by_name(option: tuple[str, type[Any], str], value: Any) -> None:
    owner, record, name = option
    with contextlib.suppress(AtrousError):
        kept = check_option(name, value, _hints(record)[name], owner)  # type: ignore[arg-type]
        assert check_option(name, kept, _hints(record)[name], owner) == kept  # type: ignore[arg-type]


def test_recipes_check_the_options_of_their_network() -> None:
    Recipe(network="deeplabv3plus", backbone="resnet18", options={"decoder": "naive"})
    for values in (
        {"options": {"decoder": "nonsense"}},
        {"options": {"separable": "perhaps"}},
        {"backbone": "resnet50", "backbone_options": {"multi_grid": "a"}},
        {"options": {"no_such": 1}},
        {"options": {"multi_scale": "x"}},
    ):
        with pytest.raises(AtrousError, match="training recipe"):
            Recipe(network="deeplabv3plus", **values)  # type: ignore[arg-type]


def test_architectures_are_checked_without_building() -> None:
    options, inner = check_architecture("deeplabv3", "", {"atrous_rates": [1, 2], "multi_scale": [0.5]}, {"multi_grid": "1,2,4"})
    assert options == {"atrous_rates": (1, 2), "multi_scale": (0.5,)}
    assert inner == {"multi_grid": (1, 2, 4)}


@pytest.mark.parametrize("value", [0, -1, 2.5, True, None, "two", "0", 10**9, [3]])
@pytest.mark.parametrize("name", ["num_classes", "in_channels"])
def test_numbers_of_classes_and_channels_that_cannot_be(name: str, value: Any) -> None:
    with pytest.raises(AtrousError, match="a network cannot have"):
        create_model("deeplabv3plus", backbone="resnet18", **{name: value})


def test_numbers_and_backbones_as_text() -> None:
    with torch.device("meta"):
        model = create_model("deeplabv3plus", backbone="resnet18", num_classes="4", in_channels=" 1")  # type: ignore[arg-type]
    assert (model.num_classes, model.in_channels) == (4, 1)
    with pytest.raises(AtrousError, match="unknown backbone '3'"):
        create_model("deeplabv3plus", backbone=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["os8", "8", "8s", 8])
def test_recipes_take_the_stride_as_people_write_it(word: Any) -> None:
    assert Recipe.from_dict({"output_stride": word}).output_stride == 8


@pytest.mark.parametrize("value", [7, -8, True, "x", None, [8]])
def test_recipes_refuse_strides_that_no_network_has(value: Any) -> None:
    with pytest.raises(AtrousError, match="training recipe: output stride"):
        Recipe.from_dict({"output_stride": value})
