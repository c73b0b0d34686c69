"""Any network of the timm library as an encoder: ``backbone="timm:NAME"`` (optional; nothing is ever downloaded).

timm decides strides and rates when it builds a network, here they change at run time on the same weights. So a network is built
once per output stride, all but one without memory, and what differs between the builds (strides, rates, paddings of
convolutions; poolings that vanish) is kept as a recipe that turns one into the other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from deeplab_core.errors import AtrousError, message
from deeplab_core.nn.base import Encoder

PREFIX = "timm:"

_STRIDES = (8, 16, 32)
_LEVELS = (2, 4, 8, 16, 32)
#: Attribute values that make up a layer's geometry; anything else (modules, functions, feature tables) is not compared.
_PLAIN = (bool, int, float, str, tuple, list, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmOptions:
    """What may be chosen of a timm network.

    Attributes:
        drop_path_rate: stochastic depth in training, 0..1.
    """

    drop_path_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where builds differ: an attribute of a module, or (``attribute`` empty) a module without weights as a whole."""

    path: str
    attribute: str = ""


_Recipe = dict[_Place, Any]


class _Unlike(Exception):
    """Two builds have different weights."""


def _timm() -> ModuleType:
    try:
        return import_module("timm")
    except ImportError as error:
        raise AtrousError(
            message("backbones of timm need the timm library"),
            why=str(error),
            remedy=message('Install it: pip install "atrous[timm]"'),
        ) from error


class TimmEncoder(Encoder):
    """A timm network that gives features and knows ``output_stride``; key ``network``.

    Levels: the features of strides 2 to 32. A network that starts at stride 4 (ConvNeXt) gives its first level twice.

    Args:
        name: ``timm:NAME`` with a name of ``timm.list_models()``; a pretrained tag behind a dot is understood and not loaded.

    Raises:
        AtrousError: timm is not installed, there is no such network, or it cannot give features or change its stride.
    """

    #: Patchifying stems and strided 2x2 convolutions need a pixel of stride 32 to exist.
    minimum_side = 32

    def __init__(self, name: str, options: TimmOptions | None = None) -> None:
        super().__init__()
        self.name = _known(name.removeprefix(PREFIX))
        self.options = options or TimmOptions()
        with torch.device("meta"):
            table = self._build(32).feature_info
        reductions = list(table.reduction())
        if 4 not in reductions or reductions[-1] != 32:
            raise AtrousError(
                message(
                    "timm's '{name}' has features of strides {strides}", name=self.name, strides=", ".join(map(str, reductions))
                ),
                why=message("an encoder needs strides 4 and 32"),
                remedy=message("Choose a convolutional network such as timm:resnet50 or timm:convnext_tiny"),
            )
        usable = [stride for stride in _LEVELS if stride in reductions]
        self._indices = tuple(reductions.index(stride) for stride in usable)
        self._doubled = len(_LEVELS) - len(usable)
        self.network = self._build(32, self._indices)
        self._compute_fixed_buffers()
        self._recipes = self._find_recipes()
        self.output_strides = tuple(self._recipes)
        channels = list(table.channels())
        chosen = [channels[index] for index in self._indices]
        self.level_channels = (*chosen[:1] * self._doubled, *chosen)

    def _build(self, output_stride: int, indices: tuple[int, ...] | None = None) -> Any:
        """A fresh network.

        Raises:
            AtrousError: it cannot be built in this form.
        """
        arguments: dict[str, Any] = {} if indices is None else {"out_indices": indices}
        if self.options.drop_path_rate:
            arguments["drop_path_rate"] = self.options.drop_path_rate
        try:
            return _timm().create_model(self.name, pretrained=False, features_only=True, output_stride=output_stride, **arguments)
        except (TypeError, AssertionError, RuntimeError, NotImplementedError, ValueError, KeyError, AttributeError) as error:
            raise AtrousError(
                message("timm's '{name}' cannot change its output stride", name=self.name),
                why=str(error).splitlines()[0] if str(error) else message("it was written for stride 32 only"),
                remedy=message(
                    "Choose one that can, such as timm:resnet50, timm:efficientnet_b0, timm:convnext_tiny or timm:xception65"
                ),
            ) from error

    def _compute_fixed_buffers(self) -> None:
        """Give buffers that no file stores (kernels of blurring poolings) their values where the network is built without memory,
        as loading does: nothing would fill them later.
        """
        stored = self.network.state_dict().keys()
        fixed = [name for name, value in self.network.named_buffers() if name not in stored and value.is_meta]
        if not fixed:
            return
        with torch.device("cpu"):
            real = dict(self._build(32, self._indices).named_buffers())
        for name in fixed:
            owner, _, last = name.rpartition(".")
            self.network.get_submodule(owner)._buffers[last] = real[name]

    def _find_recipes(self) -> dict[int, _Recipe]:
        """For every possible stride the value of every place where any two builds differ.

        Raises:
            AtrousError: no other stride than 32 is possible.
        """
        base, refusal = self.network, None
        recipes: dict[int, _Recipe] = {}
        for stride in _STRIDES[:-1]:
            try:
                with torch.device("meta"):
                    other = self._build(stride, self._indices)
                if other.feature_info.reduction()[-1] != stride:
                    raise _Unlike("it ignores the stride asked for")
                recipes[stride] = _differences(base, other)
            except AtrousError as error:
                refusal = error
            except _Unlike as error:
                refusal = AtrousError(
                    message("timm's '{name}' cannot change its output stride", name=self.name),
                    why=str(error),
                    remedy=message("Choose another network, such as timm:resnet50"),
                )
        if refusal is not None and not recipes:
            raise refusal
        recipes[32] = {}
        places = {place for recipe in recipes.values() for place in recipe}
        for recipe in recipes.values():
            swapped = tuple(f"{place.path}." for place in recipe if not place.attribute)
            for place in places - recipe.keys():
                if not f"{place.path}.".startswith(swapped):
                    recipe[place] = _value(base, place)
        return recipes

    def set_output_stride(self, output_stride: int) -> None:
        """Give every place the value that timm's own build for this stride has."""
        recipe = self._recipes[output_stride]
        # Whole modules first: attributes may belong to what they bring.
        for place in sorted(recipe, key=lambda place: bool(place.attribute)):
            value = recipe[place]
            if place.attribute:
                setattr(self.network.get_submodule(place.path), place.attribute, value)
            else:
                parent, _, name = place.path.rpartition(".")
                owner = self.network.get_submodule(parent)
                owner._modules[name] = value if value is None else value.train(owner.training)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        levels: list[Tensor] = list(self.network(x))
        return (*levels[:1] * self._doubled, *levels)


def _known(name: str) -> str:
    timm = _timm()
    if "/" in name or ":" in name:
        raise AtrousError(
            message("'{name}' is on a hub", name=name),
            why=message("networks are built here, never downloaded"),
            remedy=message("Give a name of timm.list_models()"),
        )
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 5)
        raise AtrousError(
            message("timm has no network '{name}'", name=name),
            why=message("near are {near}", near=", ".join(near))
            if near
            else message("timm {version} knows {count} others", version=timm.__version__, count=len(timm.list_models())),
            remedy=message("Choose a name of timm.list_models()"),
        )
    return name


def _differences(base: nn.Module, other: nn.Module) -> _Recipe:
    """What turns ``base`` into ``other``.

    Raises:
        _Unlike: their weights differ in name or shape.
    """
    ours = {key: value.shape for key, value in base.state_dict().items()}
    theirs = {key: value.shape for key, value in other.state_dict().items()}
    if ours != theirs:
        odd = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
        raise _Unlike(f"its weights depend on the stride: {', '.join(odd[:3])}")
    return dict(_walk(base, other, ""))


def _walk(base: nn.Module, other: nn.Module, path: str) -> Iterator[tuple[_Place, Any]]:
    for name, value in vars(other).items():
        # The padding that convolutions derive from theirs is private and matters; hooks and registries are private and do not.
        if name.startswith("_") and name != "_reversed_padding_repeated_twice":
            continue
        if isinstance(value, _PLAIN) and name != "training" and vars(base).get(name) != value:
            yield _Place(path, name), value
    for name in base._modules.keys() | other._modules.keys():
        inner = f"{path}.{name}" if path else name
        ours, theirs = base._modules.get(name), other._modules.get(name)
        if ours is not None and theirs is not None and type(ours) is type(theirs):
            yield from _walk(ours, theirs, inner)
        elif isinstance(ours, nn.Conv2d) and isinstance(theirs, nn.Conv2d):
            # Padding as TensorFlow's 'SAME' is a class of its own over the same weights; an atrous convolution does not need it.
            yield _Place(inner, "__class__"), type(theirs)
            yield from _walk(ours, theirs, inner)
        elif ours is not None or theirs is not None:
            if any(_has_tensors(module) for module in (ours, theirs) if module is not None):
                raise _Unlike(f"its layer '{inner}' depends on the stride")
            yield _Place(inner), theirs


def _has_tensors(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None or next(module.buffers(), None) is not None


def _value(base: nn.Module, place: _Place) -> Any:
    if place.attribute:
        return getattr(base.get_submodule(place.path), place.attribute)
    parent, _, name = place.path.rpartition(".")
    return base.get_submodule(parent)._modules.get(name)
