"""What a run takes over from a checkpoint: the encoder whole, other layers where name and shape agree. The rest starts new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.networks import GraphNetwork
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import ConvNormAct
from deeplab_core.nn.models.deeplab import DeepLabOptions
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training.decoder_start import with_identity_decoder
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.unfolding import can_unfold, unfold
from deeplab_core.weights import load_model

#: Gives training images as (n, 3, h, w) network inputs, prepared as the argument says.
Pictures = Callable[[Preprocessing], Iterable[Tensor]]

#: Options of a backbone that change no feature in eval mode.
_FREE = {"norm_momentum", "folded_norm"}
#: Options of a DeepLab head that say what channels mean; a new one takes them over unless the recipe names them, and from any
#: checkpoint the rule for corners.
_MEANINGS = ("branch_order", "decoder_order", "norm_eps")
_DEEPLABS = ("deeplabv3", "deeplabv3plus")
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Start:
    """The network that a run begins with.

    Attributes:
        model: with its weights, float32.
        preprocessing: how its input is prepared, and what its card will say.
        lineage: where the weights come from: JSON values for the card.
        taken: names of the layers that a checkpoint gave; empty from scratch.
        lines: what was taken, what is new and what was left, in words.
    """

    model: SegmentationModel
    preprocessing: Preprocessing
    lineage: dict[str, Any]
    taken: frozenset[str] = frozenset()
    lines: tuple[str, ...] = field(default=())


def start_from(recipe: Recipe, catalog: ClassCatalog, pictures: Pictures | None) -> Start:
    """Build the network of a recipe and give it what fits of ``recipe.init``.

    Where the recipe names neither network nor backbone nor options, the network is the checkpoint's own. Norms that were folded
    into the convolutions are made again with statistics of training images, except where they are not trained: with
    ``norm = "frozen"``, and in the encoder where ``freeze`` or ``freeze_norms`` names it.

    Args:
        catalog: classes of the new network.
        pictures: training images, for these statistics; None where the weights come from a state anyway.

    Raises:
        WeightsError: the checkpoint cannot be read or cannot be trained, or others to be averaged with it do not fit.
        AtrousError: the recipe's encoder, or the preprocessing that it names, is not the checkpoint's.
    """
    path = Path(recipe.init)
    source, card = load_model(path, options=recipe.init_options)
    if isinstance(source, GraphNetwork):
        raise WeightsError(
            message("a graph for another engine cannot be trained"),
            why=message("{engine} runs it as it is", engine=source.engine.name),
            remedy=message("Start from a file of weights: safetensors, .pth, .pt, or TensorFlow's"),
            path=path,
        )
    lineage: dict[str, Any] = {"start": card.name, "id": card.id, "sha256": card.sha256}
    lineage |= {key: value for key, value in (("source", card.source), ("licence", card.licence)) if value}
    before = card.extra.get("training")
    if isinstance(before, Mapping) and isinstance(before.get("lineage"), Mapping):
        lineage["before"] = dict(before["lineage"])
    if recipe.average_with:
        lineage["averaged_with"] = ", ".join(
            average(source, card, [Path(name) for name in recipe.average_with], recipe.init_options)
        )
    channels = 1 if recipe.sigmoid or (source.sigmoid and len(catalog) == 2) else len(catalog)
    architecture = _architecture(recipe, source, channels)
    model = create_model(**architecture)
    _demand_same_encoder(model, source, path)
    demand_trainable_input(model)
    preprocessing = _preprocessing(recipe, model, card)
    same_classes = card.catalog.names == catalog.names
    grows = recipe.decoder_start == "identity"
    giver = with_identity_decoder(source, architecture, path) if grows else source
    taken, folded = _take(model, giver, same_classes=same_classes)
    if not taken and not folded:
        raise WeightsError(
            message("nothing of these weights fits the network of the recipe"), remedy=message("Leave init out"), path=path
        )
    if folded and pictures is not None:
        lineage["unfolded"] = {"norms": len(folded), "images": unfold(giver, model, folded, pictures(preprocessing), path)}
    taken |= set(folded)
    if grows:
        lineage["decoder"] = "starts as identity"
        taken = {name for name in taken if not name.startswith("decoder.")}
    report = _Report.of(model, source, taken, folded)
    lineage |= report.to_dict()
    lineage["input"] = _input_words(preprocessing)
    lines = (
        f"init: {card.name}, {card.licence or 'no licence named'} ({path.name})",
        *report.lines(),
        *_origin_lines(model, lineage),
    )
    return Start(model, preprocessing, lineage, frozenset(taken), lines)


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers that are taken whole or not at all, by name: a convolution with its norm, or whatever else holds tensors itself."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        ancestors = name.split(".")
        if any(".".join(ancestors[:count]) in found for count in range(1, len(ancestors))):
            continue
        holds = next(module.parameters(recurse=False), None) is not None or next(module.buffers(recurse=False), None) is not None
        if holds or isinstance(module, ConvNormAct):
            found[name] = module
    return found


def average(
    model: SegmentationModel, card: ModelCard, others: Sequence[Path], options: Mapping[str, Any] | None = None
) -> list[str]:
    """Give ``model`` the mean of its weights and those of the files; returns their digests. Counters stay the model's own.

    Raises:
        WeightsError: a file is of another network or of other classes.
    """
    total = {name: tensor.double() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    digests = []
    for path in others:
        other, its = load_model(path, options=options)
        state = {} if isinstance(other, GraphNetwork) else other.state_dict()
        same = its.catalog.names == card.catalog.names and state.keys() == model.state_dict().keys()
        if not same or any(state[name].shape != tensor.shape for name, tensor in total.items()):
            raise WeightsError(
                message("these weights cannot be averaged with those of init"),
                why=message("their network or their classes differ"),
                remedy=message("Average only what was trained from one start"),
                path=path,
            )
        for name, tensor in total.items():
            tensor += state[name]
        digests.append(its.sha256)
    model.load_state_dict({name: tensor / (len(others) + 1) for name, tensor in total.items()}, strict=False)
    return digests


def _architecture(recipe: Recipe, source: SegmentationModel, classes: int) -> dict[str, Any]:
    """Arguments of ``create_model``: the checkpoint's, or the recipe's head on the checkpoint's encoder."""
    theirs = source.architecture
    stride: int | None = recipe.output_stride if recipe.output_stride in source.output_strides else source.output_stride
    options = {key: value for key, value in theirs.items() if key not in ("name", "backbone", "backbone_options")}
    name, backbone = recipe.network or theirs["name"], recipe.backbone or theirs["backbone"]
    inner = dict(theirs["backbone_options"])
    if backbone != theirs["backbone"]:
        inner, stride = {}, None
    if recipe.decoder_start == "identity":
        name = recipe.network or "deeplabv3plus"
        pyramid = {key: value for key, value in options.items() if key not in ("decoder", "decoder_channels")}
        width = pyramid.get("aspp_channels", DeepLabOptions().aspp_channels)
        options = {"decoder_channels": width, **pyramid, **recipe.options}
    elif recipe.network or recipe.backbone or recipe.options or recipe.backbone_options:
        kept = _MEANINGS if name in _DEEPLABS and theirs["name"] in _DEEPLABS else ()
        options = {key: value for key, value in options.items() if key in kept or key == "in_channels"}
        if name in _DEEPLABS:
            options["align_corners"] = source.align_corners
        options |= recipe.options
    if recipe.norm != "frozen":
        options.pop("folded_norm", None)
        if not any(fnmatchcase("encoder", pattern) for pattern in (*recipe.freeze_norms, *recipe.freeze)):
            inner.pop("folded_norm", None)
    inner |= recipe.backbone_options
    return {
        **options, "name": name, "backbone": backbone, "backbone_options": inner, "num_classes": classes, "output_stride": stride,
    }  # fmt: skip


def demand_trainable_input(model: SegmentationModel) -> None:
    """Raise WeightsError unless training images have the channels that the network takes: training reads their colours."""
    if model.in_channels not in (1, 3):
        raise WeightsError(
            message("this network takes {channels} channels and cannot be trained here", channels=model.in_channels),
            why=message("training images are read as colours, three channels"),
            remedy=message("Train a network of 1 (gray) or 3 channels"),
        )


def _demand_same_encoder(model: SegmentationModel, source: SegmentationModel, path: Path) -> None:
    """Raise AtrousError unless both networks compute the same features with the same weights."""

    def described(network: SegmentationModel) -> dict[str, Any]:
        encoder = getattr(network, "encoder", None)
        if not isinstance(encoder, Encoder):
            return {"network": network.architecture["name"]}
        given = getattr(encoder, "options", None)
        options = asdict(given) if is_dataclass(given) and not isinstance(given, type) else dict(
            network.architecture["backbone_options"])  # fmt: skip
        return {"backbone": network.architecture["backbone"]} | {key: options[key] for key in options.keys() - _FREE}

    mine, theirs = described(model), described(source)
    differing = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    if differing:
        key = differing[0]
        raise AtrousError(
            message(
                "the encoder of the recipe is not that of init: {key} is {wanted}, not {given}",
                key=key,
                wanted=repr(mine.get(key)),
                given=repr(theirs.get(key)),
            ),
            why=message("With another encoder its weights would mean something else"),
            remedy=message("Leave backbone and backbone_options out of the recipe, or train without init"),
            path=path,
        )


def _preprocessing(recipe: Recipe, model: SegmentationModel, card: ModelCard) -> Preprocessing:
    """The checkpoint's input side with the recipe's scale: features mean the same only under the same preprocessing."""
    theirs, usual = card.preprocessing, Recipe()
    for key in ("mean", "std"):
        named, given = getattr(recipe, key), getattr(theirs, key)
        if named not in (getattr(usual, key), given):
            raise AtrousError(
                message("training recipe: {key} is {now}, but init was trained with {given}", key=key, now=named, given=given),
                why=message("Its features mean the same only under the same preprocessing"),
                remedy=message("Leave {key} out of the recipe", key=key),
            )
    padding = recipe.padding or theirs.padding
    if not recipe.padding and padding.startswith("canvas") and recipe.resize != theirs.resize:
        # The canvas belongs to the checkpoint's own scale; what it is for, corners that fall on features, the grid gives too.
        padding = f"grid:{model.output_stride}" if model.align_corners else "none"
    return replace(theirs, resize=recipe.resize, padding=padding)


def _take(model: SegmentationModel, source: SegmentationModel, *, same_classes: bool) -> tuple[set[str], list[str]]:
    """Copy what fits; returns the names of the layers that were copied, and of those with norms that must be unfolded first."""
    old = layers(source)
    new = layers(model)
    classifiers = {name for name in classifier_names(model) if name in new}
    taken: set[str] = set()
    folded: list[str] = []
    extra = model.auxiliary_key_prefix
    for name, layer in new.items():
        other = old.get(name)
        if other is None or name in classifiers:
            continue
        if _alike(layer, other):
            taken.add(name)
        elif can_unfold(layer, other) and not (extra and name.startswith(extra)):  # images reach that head in training only
            folded.append(name)
    # Scores of old weights on new features would be noise, and large.
    lacking = new.keys() - classifiers - taken - set(folded)
    if same_classes and all(extra and name.startswith(extra) for name in lacking):
        fresh = (extra,) if lacking else ()
        taken |= {name for name in classifiers if name in old and _alike(new[name], old[name]) and not name.startswith(fresh)}
    for name in taken:
        new[name].load_state_dict(old[name].state_dict())
    for name in classifiers - taken:
        start_even(new[name])
    return taken, folded


def _alike(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(mine[key].shape == theirs[key].shape for key in mine)


def start_even(layer: nn.Module) -> None:
    """Small weights for a classifier (standard deviation 0.01 as in the authors' code): at first all classes are as likely."""
    assert isinstance(layer, nn.Conv2d)
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def classifier_names(model: SegmentationModel) -> tuple[str, ...]:
    """Names of the modules with the classes as output channels."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.out_channels == model.num_classes and not name.startswith("encoder.")
    )


@dataclass(frozen=True, slots=True)
class _Report:
    """Tensors and values by part of the network (its top-level module); counters of batch norm are left out.

    Attributes:
        taken: of the checkpoint, in the new network.
        new: of the new network, not from the checkpoint.
        left: of the checkpoint, not used.
        fresh: names of the new tensors.
        unfolded: number of norms made again.
    """

    taken: dict[str, tuple[int, int]]
    new: dict[str, tuple[int, int]]
    left: dict[str, tuple[int, int]]
    fresh: tuple[str, ...]
    unfolded: int

    @staticmethod
    def of(model: SegmentationModel, source: SegmentationModel, taken: set[str], folded: Sequence[str]) -> _Report:
        """Count."""
        mine, theirs = layers(model), layers(source)
        fresh = sorted(
            f"{name}.{key}" for name in mine.keys() - taken for key in mine[name].state_dict() if not key.endswith(_COUNTER)
        )
        return _Report(
            _counted({name: theirs[name] for name in theirs if name in taken}),
            _counted({name: mine[name] for name in mine if name not in taken}),
            _counted({name: theirs[name] for name in theirs if name not in taken}),
            tuple(fresh),
            len(folded),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values for the lineage."""
        counts = {
            key: {part: {"tensors": tensors, "values": values} for part, (tensors, values) in getattr(self, key).items()}
            for key in ("taken", "new", "left")
        }
        return counts | ({"fresh": ", ".join(self.fresh)} if self.fresh else {})

    def lines(self) -> list[str]:
        """One line for each of taken, new and left."""
        found = []
        for key in ("taken", "new", "left"):
            parts: dict[str, tuple[int, int]] = getattr(self, key)
            words = [f"{part} ({tensors} tensors, {values:,} values)" for part, (tensors, values) in parts.items()]
            found.append(f"{key}: {', '.join(words) or 'nothing'}")
        return found


def _counted(found: Mapping[str, nn.Module]) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for name, module in sorted(found.items(), key=lambda item: not item[0].startswith("encoder.")):
        part = name.split(".")[0]
        for key, tensor in module.state_dict().items():
            if not key.endswith(_COUNTER):
                tensors, values = counts.get(part, (0, 0))
                counts[part] = tensors + 1, values + tensor.numel()
    return counts


def _input_words(p: Preprocessing) -> str:
    def figures(values: tuple[float, ...]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    return f"{p.channel_order}, mean {figures(p.mean)}, std {figures(p.std)}, resize {p.resize}, padding {p.padding}"


def _origin_lines(model: SegmentationModel, lineage: Mapping[str, Any]) -> list[str]:
    lines = []
    if "unfolded" in lineage:
        count = lineage["unfolded"]
        lines.append(f"unfolded: {count['norms']} batch norms, with statistics of {count['images']} training images")
    corners = "aligned" if model.align_corners else "not aligned"
    lines.append(f"as init: {lineage['input']}; corners {corners}, output stride {model.output_stride}")
    return lines
