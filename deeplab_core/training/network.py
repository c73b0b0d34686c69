"""The network of a run: built or loaded, its parameters grouped, its moving average."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.models.deeplab import ASPP
from deeplab_core.training.recipe import Recipe
from deeplab_core.weights import ModelCard, load_model

#: Backbones where the recipe names none: what a processor can train.
_LIGHT = {"deeplabv3plus": "mobilenet_v2", "deeplabv3": "mobilenet_v2"}
#: Prefix of the backbone's parameters in every network with an encoder.
_BACKBONE = "encoder."


def build_network(recipe: Recipe, catalog: ClassCatalog) -> tuple[SegmentationModel, dict[str, Any]]:
    """The network to train and its lineage for the card.

    With ``recipe.init`` the checkpoint's architecture is taken. Where its classes are not the catalog's, name by name and in
    order, the layers whose shape or meaning depends on the classes start afresh.

    Raises:
        WeightsError: a checkpoint cannot be read, or has its norms folded away and cannot be trained whole, or is to be averaged
            with others and is of another network or other classes.
    """
    if not recipe.init:
        model = create_model(
            recipe.network,
            backbone=recipe.backbone or _LIGHT.get(recipe.network),
            num_classes=len(catalog),
            output_stride=recipe.output_stride or None,
            backbone_options=recipe.backbone_options,
            **recipe.options,
        )
        _start_even(model)
        return model, {"start": "scratch"}
    source, card = load_model(Path(recipe.init))
    if recipe.norm == "train" and not any(isinstance(module, nn.BatchNorm2d) for module in source.modules()):
        raise WeightsError(
            "these weights have no batch norm to train",
            why="their norms were folded into the convolutions",
            remedy='Set norm = "frozen" to fine-tune them as they are, or start from other weights',
            path=Path(recipe.init),
        )
    lineage = {"start": card.name, "id": card.id, "sha256": card.sha256}
    if recipe.average_with:
        lineage["averaged_with"] = ", ".join(_average(source, card, [Path(name) for name in recipe.average_with]))
    same = [info.name for info in card.catalog.classes] == [info.name for info in catalog.classes]
    if same:
        model = source
    else:
        model = create_model(**{**source.architecture, "num_classes": len(catalog)})
        kept = copy_fitting(source.state_dict(), model, without=classifier_names(source))
        lineage["fresh"] = ", ".join(kept)
    if recipe.output_stride in model.output_strides:
        model.output_stride = recipe.output_stride
    return model.requires_grad_(True), lineage


def _average(model: SegmentationModel, card: ModelCard, others: Sequence[Path]) -> list[str]:
    """Give ``model`` the mean of its weights and those of the files; returns their digests. Counters stay the model's own."""
    total = {name: tensor.double() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    digests = []
    for path in others:
        other, its = load_model(path)
        state = other.state_dict()
        same = its.catalog.names == card.catalog.names and state.keys() == model.state_dict().keys()
        if not same or any(state[name].shape != tensor.shape for name, tensor in total.items()):
            raise WeightsError(
                "these weights cannot be averaged with those of init",
                why="their network or their classes differ",
                remedy="Average only what was trained from one start",
                path=path,
            )
        for name, tensor in total.items():
            tensor += state[name]
        digests.append(its.sha256)
    model.load_state_dict({name: tensor / (len(others) + 1) for name, tensor in total.items()}, strict=False)
    return digests


def _start_even(model: SegmentationModel) -> None:
    """Small weights for the classifier (standard deviation 0.01 as in the authors' code): at first all classes are as likely."""
    for name in classifier_names(model):
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def classifier_names(model: SegmentationModel) -> tuple[str, ...]:
    """Names of the modules whose output channels are the classes."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.out_channels == model.num_classes and not name.startswith(_BACKBONE)
    )


def copy_fitting(state: dict[str, Tensor], model: nn.Module, *, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Load what fits in name and shape and does not belong to ``without``; returns the names that stayed fresh."""
    target = model.state_dict()
    taken = {
        name: tensor
        for name, tensor in state.items()
        if name in target and target[name].shape == tensor.shape and not any(name.startswith(f"{head}.") for head in without)
    }
    model.load_state_dict({**target, **taken})
    return tuple(sorted(set(target) - set(taken)))


def freeze_norms(model: nn.Module) -> None:
    """Batch norms keep their statistics and affine parameters. To be called again after every ``model.train()``."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)


def demand_enough_images(model: SegmentationModel, recipe: Recipe, world: int) -> None:
    """Raise AtrousError where batch norm would see one value only: the image-level branch of atrous spatial pyramid pooling gives
    it one value per image and channel. Networks without that branch may take single images.

    Args:
        world: number of processes.
    """
    images = recipe.micro_batch if recipe.sync_norm else recipe.micro_batch // world
    pools = any(
        isinstance(norm, nn.BatchNorm2d)
        for module in model.modules()
        if isinstance(module, ASPP) and module.pooling is not None
        for norm in module.pooling.modules()
    )
    if recipe.norm == "train" and images < 2 and pools:
        raise AtrousError(
            f"batch norm cannot be trained on rounds of {images} image",
            why="The network pools over each image, so a single one leaves its norm nothing to compare",
            remedy='Set norm = "frozen" (with init), or choose a larger batch or a smaller accumulate',
        )


def parameter_groups(model: SegmentationModel, recipe: Recipe) -> list[dict[str, Any]]:
    """SGD's groups: backbone and head, with and without decay; ``factor`` multiplies the scheduled rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim <= 1 and not recipe.decay_norms
            groups.setdefault((name.startswith(_BACKBONE), plain), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if plain else recipe.weight_decay,
            "factor": recipe.backbone_rate if backbone else 1.0,
        }
        for (backbone, plain), parameters in groups.items()
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
