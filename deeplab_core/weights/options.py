"""Options of a network that no tensor tells: what the file's neighbours or the user say about them, and which stay a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, CatalogError, WeightsError, message, plural_message
from deeplab_core.model_cards import numbered_catalog, varied
from deeplab_core.reading import shorten
from deeplab_core.records import INPUT_CHANNELS, ChannelOrder, ModelCard, Preprocessing, size_rule
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.nn import SegmentationModel
    from deeplab_core.weights.families.base import Variant
    from deeplab_core.weights.settings import StoredSettings

#: Options of the network itself, and what each means; the others of :data:`SETTABLE` belong to the card.
NETWORK_OPTIONS: Mapping[str, str] = {
    "output_stride": "input pixels per feature at the encoder's end: 8, 16 or 32",
    "atrous_rates": "rates of the atrous convolutions, e.g. 6,12,18",
    "interpolation": "how a U-Net enlarges features: nearest, bilinear or bicubic",
    "align_corners": "whether bilinear upsampling aligns the corner pixels: true or false",
}
#: Everything that can be set from outside.
SETTABLE: Mapping[str, str] = {
    **NETWORK_OPTIONS,
    "weights": "which weights of a file that holds several: the prefix of their keys, e.g. ema_model",
    "output": "which output of a graph that has several: its name",
    "catalog": "name or file of the classes",
    "channel_order": "RGB, BGR, gray or RGBA",
    "mean": "a number per channel on the 0..255 scale",
    "std": "a number per channel on the 0..255 scale",
    "resize": "native, long_side:N, short_side:N, fit:HxW or stretch:HxW",
    "padding": "none, canvas:N, canvas:HxW, multiple:N or grid:N",
}
#: Options of the input, by the names of :class:`Preprocessing`'s fields.
PREPROCESSING = ("channel_order", "mean", "std", "resize", "padding")


@dataclass(frozen=True, slots=True)
class Settled:
    """A variant with all that is known put in.

    Attributes:
        variant: its architecture names the network's options; ``guessed`` those that nothing tells.
        known: source of each option that something tells: ``{"output_stride": "config.json"}``.
        notes: what was said beside the tensors and cannot be.
        changed: options of the network that differ from what its source usually has.
    """

    variant: Variant
    known: Mapping[str, str]
    notes: tuple[str, ...]
    changed: Mapping[str, Any]


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options as a command line gives them, ``NAME=VALUE`` each.

    Raises:
        WeightsError: an unknown name, or no value, with the choices.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_").lower()
        if not equals:
            raise _no_option(text)
        check_names([name])
        options[name] = value.strip()
    return options


def check_names(names: Iterable[str]) -> None:
    """Refuse names that are not options of a model. Raises WeightsError with the choices."""
    for name in names:
        if name not in SETTABLE:
            raise _no_option(name)


def _no_option(text: str) -> WeightsError:
    choices = "; ".join(f"{key} ({what})" for key, what in SETTABLE.items())
    return WeightsError(
        message("no option of a model: {text}", text=shorten(text)),
        why=message("options are {choices}", choices=choices),
        remedy=message("Write NAME=VALUE"),
    )


def free_options(model: SegmentationModel) -> dict[str, Any]:
    """Options of a network that can be changed without touching a tensor, with their values (JSON values)."""
    from deeplab_core.nn.factory import options_record

    architecture = model.architecture
    free: dict[str, Any] = {}
    if len(model.output_strides) > 1:
        free["output_stride"] = model.output_stride
    record = options_record(architecture["name"], architecture["backbone"])
    defaults = {option.name: option.default for option in fields(record)}
    for name in ("atrous_rates", "interpolation", "align_corners"):
        if name in defaults:
            value = architecture.get(name, defaults[name])
            free[name] = list(value) if isinstance(value, tuple) else value
    no_pyramid = architecture.get("pyramid") is False or architecture.get("dense_prediction_cell") is not None
    if no_pyramid or not free.get("atrous_rates"):
        free.pop("atrous_rates", None)
    return free


def settle(
    variant: Variant, model: SegmentationModel, settings: StoredSettings, sidecar: ModelCard | None, asked: Mapping[str, Any]
) -> Settled:
    """Put in what is known about a network's options: what the user asks for first, then the card beside the file, then facts.

    Args:
        variant: what the tensors say.
        model: the network of the variant, for the options that it has.
        settings: settings beside and inside the file; what cannot be is noted and left out.
        sidecar: the card that the user keeps beside the file.
        asked: values as text or JSON values, by the names of :data:`SETTABLE`.

    Raises:
        WeightsError: ``asked`` names an option that the network does not have, or a value that cannot be.
    """
    architecture = dict(variant.architecture)
    free = free_options(model)
    known: dict[str, str] = {}
    notes = list(settings.notes)
    for name in free:
        architecture.setdefault(name, free[name])
        if name not in variant.guessed and name == "output_stride":
            known[name] = "the network"
    stride = int(architecture.get("output_stride", variant.output_stride))
    for name in (*NETWORK_OPTIONS, "output"):
        if name not in free:
            if name in asked:
                raise _not_an_option(name, free)
            continue
        stored = None if sidecar is None else _of_card(sidecar, name)
        try:
            if name in asked:
                architecture[name], known[name] = _checked(name, asked[name], free[name], model), "you"
            elif stored is not None:
                architecture[name] = _checked(name, stored, free[name], model)
                assert sidecar is not None
                if name not in sidecar.guessed:
                    known[name] = "the card"
            elif name in settings.found:
                value = _checked(name, settings.get(name), free[name], model)
                architecture[name] = _at_sixteen(value, architecture, stride) if name == "atrous_rates" else value
                known[name] = settings.found[name].source
        except ValueError as error:
            if name in asked:
                raise WeightsError(
                    message("{name} cannot be {value}", name=name, value=shorten(asked[name])),
                    why=str(error),
                    remedy=SETTABLE[name],
                ) from error
            source, value = ("the card", stored) if stored is not None else (settings.found[name].source, settings.get(name))
            notes.append(f"{source} says {name} {shorten(value)}, which cannot be: {error}")
        if name == "output_stride":
            stride = int(architecture[name])
    settled = replace(variant, architecture=architecture, output_stride=stride)
    settled = _settle_input(settled, settings, known, notes)
    settled = _settle_catalog(settled, model.num_classes, settings, known, notes)
    guessed = ("catalog", "preprocessing", *free)
    changed = {name: architecture[name] for name in free if architecture[name] != free[name]}
    if sidecar is not None and "output_stride" not in asked:
        changed.pop("output_stride", None)  # a card's stride never was part of its identifier
    return Settled(replace(settled, guessed=tuple(name for name in guessed if name not in known)), known, tuple(notes), changed)


def change_card(card: ModelCard, asked: Mapping[str, Any], classes: int) -> ModelCard:
    """The card with what the user asks for put into its own fields: classes and preprocessing.

    Raises:
        WeightsError: a value that cannot be.
    """
    guessed = set(card.guessed)
    pre = card.preprocessing
    for name in PREPROCESSING:
        if name in asked:
            pre = _changed_input(pre, name, asked[name])
            guessed.discard("preprocessing")
    catalog = card.catalog
    if "catalog" in asked:
        wanted = asked["catalog"]
        catalog = wanted if isinstance(wanted, ClassCatalog) else get_catalog(str(wanted))
        if len(catalog) != max(2, classes):
            why = message("it has {count} classes, the network has {channels}", count=len(catalog), channels=max(2, classes))
            raise WeightsError(
                message("the catalog {catalog} does not fit", catalog=catalog.name), why=why, remedy=message("Choose another one")
            )
        guessed.discard("catalog")
    kept = tuple(name for name in card.guessed if name in guessed)
    changed = {name: getattr(pre, name) for name in PREPROCESSING if getattr(pre, name) != getattr(card.preprocessing, name)}
    return varied(replace(card, preprocessing=pre, catalog=catalog, guessed=kept), changed)


# -- values ----------------------------------------------------------------------------------------------------------------


def _not_an_option(name: str, free: Mapping[str, Any]) -> WeightsError:
    return WeightsError(
        message("this network has no option {name}", name=name),
        why=message("it has {options}; its tensors decide the rest", options=", ".join(free) or "none"),
        remedy=message("Leave the option out"),
    )


def _of_card(card: ModelCard, name: str) -> Any:
    """An option as a card records it: the fields of the card itself come before its list of the architecture."""
    if name == "output_stride":
        return card.output_stride
    if name == "align_corners":
        return card.align_corners
    return card.architecture.get(name)


def _checked(name: str, value: Any, usual: Any, model: SegmentationModel) -> Any:
    """A value of an option as JSON has it. Raises ValueError saying what is allowed."""
    if name == "output_stride":
        from deeplab_core.nn.options import check_stride

        try:
            return check_stride(value, model.output_strides, "this network")
        except AtrousError as error:
            raise ValueError(error.why) from error
    if name == "atrous_rates":
        rates = whole_numbers(value)
        if rates is not None and len(rates) == len(usual) + 1 and rates[0] == 1:
            rates = rates[1:]  # some count the 1x1 branch
        if rates is None or len(rates) != len(usual):
            raise ValueError(f"the network has {len(usual)} rates")
        return rates
    if name == "interpolation":
        if str(value).lower() not in ("nearest", "bilinear", "bicubic"):
            raise ValueError("it is nearest, bilinear or bicubic")
        return str(value).lower()
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError("it is true or false")
    return words[str(value).lower()]


def whole_numbers(value: object) -> list[int] | None:
    """A list of positive whole numbers out of a setting (``[6, 12, 18]``, ``"6,12,18"``, ``"(6, 12, 18)"``), or None."""
    if isinstance(value, str):
        if not re.fullmatch(r"[\[(]?\s*\d{1,4}(\s*[,; ]\s*\d{1,4})*\s*[,]?\s*[\])]?", value):
            return None
        value = [int(number) for number in re.findall(r"\d+", value)]
    if not isinstance(value, (list, tuple)) or not value:
        return None
    numbers = [part for part in value if isinstance(part, int) and not isinstance(part, bool) and 0 < part < 10_000]
    return numbers if len(numbers) == len(value) else None


def _at_sixteen(rates: list[int], architecture: Mapping[str, Any], stride: int) -> list[int]:
    """Rates as they run at a stride, in the form that the network keeps: those of stride 16 where it scales them itself."""
    scaled = architecture.get("scale_rates", True) and architecture["name"] != "deeplabv2"
    return [rate * stride // 16 for rate in rates] if scaled and all(rate * stride % 16 == 0 for rate in rates) else rates


def _numbers(value: object, channels: int) -> tuple[float, ...] | None:
    if isinstance(value, str):
        value = value.strip("()[] ").replace(";", ",").split(",")
    if not isinstance(value, (list, tuple)) or len(value) != channels:
        return None
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _changed_input(pre: Preprocessing, name: str, value: object) -> Preprocessing:
    try:
        if name in ("mean", "std"):
            numbers = _numbers(value, pre.channels)
            if numbers is None or (name == "std" and not all(numbers)):
                raise ValueError(f"it is {pre.channels} numbers, none of std is 0")
            return replace(pre, mean=numbers, pad_value=numbers) if name == "mean" else replace(pre, std=numbers)
        text = str(value)
        if name == "channel_order":
            orders = [order for order, count in INPUT_CHANNELS.items() if count == pre.channels]
            found = next((order for order in orders if order.lower() == text.lower()), None)
            if found is None:
                raise ValueError(f"for a network of {pre.channels} channels it is {' or '.join(orders)}")
            return replace(pre, channel_order=cast("ChannelOrder", found))
        size_rule(text, "resize" if name == "resize" else "padding")
        return replace(pre, resize=text) if name == "resize" else replace(pre, padding=text)
    except (ValueError, WeightsError) as error:
        why = error.remedy if isinstance(error, WeightsError) else str(error)
        raise WeightsError(
            message("{name} cannot be {value}", name=name, value=shorten(value)), why=why, remedy=SETTABLE[name]
        ) from error


def _settle_input(variant: Variant, settings: StoredSettings, known: dict[str, str], notes: list[str]) -> Variant:
    """Mean and deviation as in a settings file: on the scale of 0..1, as most write them, or of 0..255; or a note on them."""
    channels = variant.preprocessing.channels
    mean, std = _numbers(settings.get("mean"), channels), _numbers(settings.get("std"), channels)
    if mean is None or std is None or min(std) <= 0 or settings.found["mean"].source != settings.found["std"].source:
        notes += _unused_input(settings, channels)
        return variant
    scale = 255.0 if max(*mean, *std) <= 1.5 else 1.0
    wide, spread = (tuple(round(value * scale, 6) for value in values) for values in (mean, std))
    known["preprocessing"] = settings.found["mean"].source
    return replace(variant, preprocessing=replace(variant.preprocessing, mean=wide, std=spread, pad_value=wide))


def _unused_input(settings: StoredSettings, channels: int) -> list[str]:
    """Why a mean and a deviation beside the tensors are not used; empty if there are none."""
    said = {name: settings.found[name] for name in ("mean", "std") if name in settings.found}
    wrong = {name: setting for name, setting in said.items() if _numbers(setting.value, channels) is None}
    if wrong:
        return [
            f"{setting.source} says {name} {shorten(setting.value)}, which cannot be: it is {channels} numbers"
            for name, setting in wrong.items()
        ]
    if len(said) == 1:
        ((name, setting),) = said.items()
        other = "std" if name == "mean" else "mean"
        return [f"{setting.source} says {name} {shorten(setting.value)} and no {other}; it was not used"]
    if said and said["mean"].source != said["std"].source:
        return [f"{said['mean'].source} says mean and {said['std'].source} says std; they were not used"]
    return [f"{said['std'].source} says std {shorten(said['std'].value)}, which cannot be: it is above 0"] if said else []


def _settle_catalog(variant: Variant, classes: int, settings: StoredSettings, known: dict[str, str], notes: list[str]) -> Variant:
    """Classes from a list of names or the name of a data set, if their number fits; names that do not are noted."""
    names = settings.get("names")
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        source, wanted = settings.found["names"].source, max(2, classes)
        try:
            if len(names) != wanted:
                raise CatalogError(plural_message("the network has {n} class", "the network has {n} classes", wanted))
            catalog = _named_catalog([name.strip()[:60] for name in names], settings.get("palette"))
        except CatalogError as error:
            notes.append(f"{source} names {count(len(names), 'class', 'classes')}, which cannot be: {error.what}")
        else:
            known["catalog"] = source
            return replace(variant, catalog=catalog)
    dataset = settings.get("dataset")
    if isinstance(dataset, str):
        found = next((catalog for word, catalog in _DATASETS if word in dataset.lower()), None)
        if found is not None and len(get_catalog(found)) == classes:
            known["catalog"] = settings.found["dataset"].source
            return replace(variant, catalog=found)
    return variant


_DATASETS = (
    ("voc", "voc21"), ("pascal", "voc21"), ("cityscapes", "cityscapes19"), ("camvid", "camvid11"), ("ade", "ade20k150"),
)  # fmt: skip


def _named_catalog(names: list[str], palette: object) -> ClassCatalog:
    usual = numbered_catalog(len(names))
    colours = [info.color for info in usual.classes]
    if isinstance(palette, list) and len(palette) == len(names):
        given = [whole_numbers([part + 1 for part in one]) if _is_colour(one) else None for one in palette]
        if all(one is not None for one in given):
            colours = [(one[0] - 1, one[1] - 1, one[2] - 1) for one in given if one is not None]
    infos = tuple(ClassInfo(number, name, colour) for number, (name, colour) in enumerate(zip(names, colours, strict=True)))
    return ClassCatalog(name=usual.name, title=f"{len(names)} classes of the model", classes=infos)


def _is_colour(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return False
    return all(isinstance(part, int) and 0 <= part <= 255 for part in value)
