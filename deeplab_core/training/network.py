"""The network of a run: built or loaded, what of it is trained and how fast, its moving average."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.model_cards import preprocessing_for
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.models.deeplab import ASPP
from deeplab_core.records import Preprocessing
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.transfer import Pictures, Start, classifier_names, demand_trainable_input, start_even, start_from
from deeplab_core.wording import name_some

#: The network where neither the recipe nor a checkpoint names one, and backbones that a processor can train.
_USUAL = "deeplabv3plus"
_LIGHT = {"deeplabv3plus": "mobilenet_v2", "deeplabv3": "mobilenet_v2"}
#: Prefix of the backbone's parameters in every network with an encoder.
_BACKBONE = "encoder."


def build_network(recipe: Recipe, catalog: ClassCatalog, pictures: Pictures | None = None) -> Start:
    """The network to train: from scratch, or with what fits of ``recipe.init``.

    Args:
        pictures: as in :func:`deeplab_core.training.transfer.start_from`.

    Raises:
        WeightsError, AtrousError: as there.
    """
    if recipe.init:
        start = start_from(recipe, catalog, pictures)
        start.model.requires_grad_(True)
        return start
    name = recipe.network or _USUAL
    model = create_model(
        name,
        backbone=recipe.backbone or _LIGHT.get(name),
        num_classes=1 if recipe.sigmoid else len(catalog),
        output_stride=recipe.output_stride or None,
        backbone_options=recipe.backbone_options,
        **recipe.options,
    )
    for layer in classifier_names(model):
        start_even(model.get_submodule(layer))
    mean, std = recipe.mean, recipe.std
    preprocessing = Preprocessing(mean=mean, std=std, resize=recipe.resize, padding=recipe.padding or "none", pad_value=mean)
    demand_trainable_input(model)
    preprocessing = preprocessing_for(preprocessing, model.in_channels)
    return Start(model, preprocessing, {"start": "scratch"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """What of a network stays as it is.

    Attributes:
        modules: whole modules, without any parameter that learns.
        norms: batch norms that keep statistics and affine parameters, those inside ``modules`` among them.
    """

    modules: tuple[nn.Module, ...]
    norms: tuple[nn.Module, ...]

    def apply(self) -> None:
        """Eval mode and no gradients for all of it. To be called again after every ``model.train()``."""
        for module in (*self.modules, *self.norms):
            module.eval().requires_grad_(False)


def frozen_parts(model: SegmentationModel, recipe: Recipe, taken: frozenset[str]) -> Frozen:
    """What ``freeze``, ``freeze_norms`` and ``norm`` of a recipe say of a network.

    Args:
        taken: names of the layers that came from a checkpoint.

    Raises:
        AtrousError: a pattern names no module, or nothing is left to train.
    """
    whole = tuple(module for _, module in _matching(model, recipe.freeze, "freeze"))
    places = [name for name, _ in _matching(model, recipe.freeze_norms, "freeze_norms")]
    if recipe.norm == "frozen":
        places += taken if recipe.init else [""]
    inside = {id(part) for module in whole for part in module.modules()}
    norms = tuple(
        module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and (id(module) in inside or any(_within(name, place) for place in places))
    )
    if all(any(id(module) in inside for module in _holders(model, name)) for name, _ in model.named_parameters()):
        raise AtrousError(
            message("training recipe: freeze leaves nothing to train"),
            remedy=message("Name fewer modules, e.g. only those of the encoder"),
        )
    return Frozen(whole, norms)


def freeze_norms(model: nn.Module) -> None:
    """Batch norms keep their statistics and affine parameters. To be called again after every ``model.train()``."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)


def _matching(model: nn.Module, patterns: Sequence[str], key: str) -> Iterator[tuple[str, nn.Module]]:
    names = dict(model.named_modules())
    del names[""]
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            outer = [name for name in names if name.count(".") < 2]
            raise AtrousError(
                message(
                    "training recipe: {key} names '{pattern}', which is not a module of the network", key=key, pattern=pattern
                ),
                remedy=message("Modules are {modules}", modules=name_some(outer, 24)),
            )
        yield from ((name, names[name]) for name in found)


def _within(name: str, place: str) -> bool:
    return not place or name == place or name.startswith(f"{place}.")


def _holders(model: nn.Module, parameter: str) -> Iterator[nn.Module]:
    """The modules that contain a parameter, innermost first."""
    names = parameter.split(".")[:-1]
    while names:
        yield model.get_submodule(".".join(names))
        names.pop()


def demand_enough_images(model: SegmentationModel, recipe: Recipe, world: int) -> None:
    """Raise AtrousError where batch norm would see one value only: the image-level branch of atrous spatial pyramid pooling gives
    it one value per image and channel. Networks without that branch may take single images.

    Args:
        model: in the modes that it is trained in.
        world: number of processes.
    """
    images = recipe.micro_batch if recipe.sync_norm else recipe.micro_batch // world
    pools = any(
        isinstance(norm, _BatchNorm) and norm.training
        for module in model.modules()
        if isinstance(module, ASPP) and module.pooling is not None
        for norm in module.pooling.modules()
    )
    if images < 2 and pools:
        raise AtrousError(
            message("batch norm cannot be trained on rounds of {images} image", images=images),
            why=message("The network pools over each image, so a single one leaves its norm nothing to compare"),
            remedy=message('Set norm = "frozen" (with init), or choose a larger batch or a smaller accumulate'),
        )


def parameter_groups(model: SegmentationModel, recipe: Recipe, taken: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The optimiser's groups: backbone and head, taken and new, with and without decay; ``factor`` multiplies the scheduled rate.

    Args:
        taken: names of the layers that came from a checkpoint.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    places = tuple(f"{name}." for name in taken) if recipe.init_rate != 1 else ()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim <= 1 and not recipe.decay_norms
            groups.setdefault((name.startswith(_BACKBONE), name.startswith(places), plain), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if plain else recipe.weight_decay,
            "factor": (recipe.backbone_rate if backbone else 1.0) * (recipe.init_rate if old else 1.0),
        }
        for (backbone, old, plain), parameters in groups.items()
    ]


class MovingAverage:
    """Exponential moving average of a network's parameters and statistics (Polyak averaging).

    The decay rises as ``(1 + step) / (10 + step)`` up to its value, so that the first steps do not linger.

    Attributes:
        model: the averaged network, in eval mode.
    """

    def __init__(self, model: SegmentationModel, decay: float) -> None:
        self.model: SegmentationModel = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: SegmentationModel, step: int) -> None:
        """Take in the network after an optimiser step."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floats], [theirs[name] for name in floats], weight)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])
