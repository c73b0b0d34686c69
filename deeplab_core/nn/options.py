"""Options records of networks and encoders, filled from plain values; every name and every value is checked."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from deeplab_core.errors import AtrousError, message
from deeplab_core.reading import shorten

#: What papers and other code call a value, by option, in lower case without spaces, hyphens and underscores.
_ALIASES: Mapping[str, Mapping[str, Any]] = {
    "decoder": {
        "naive": "bilinear", "none": "bilinear", "proposed": "deeplabv3plus", "v3plus": "deeplabv3plus", "v3+": "deeplabv3plus",
        "deeplabv3+": "deeplabv3plus",
    },
    "variant": {
        "32": "32s", "16": "16s", "8": "8s", "fcn32s": "32s", "fcn16s": "16s", "fcn8s": "8s", "fcn32": "32s", "fcn16": "16s",
        "fcn8": "8s", "8satonce": "8s_at_once", "atonce": "8s_at_once", "fcn8satonce": "8s_at_once",
    },
    "context": {"none": None, "frontend": None, "off": None},
    "upsampling": {
        "deconv": "transposed", "deconvolution": "transposed", "convtranspose": "transposed", "learned": "transposed",
        "upsample": "bilinear",
    },
    "interpolation": {"nn": "nearest", "nearestneighbour": "nearest", "nearestneighbor": "nearest", "linear": "bilinear"},
    "after_aspp": {"none": None, "off": None, "convolution": "conv", "depthwiseseparable": "separable"},
    "separable_inner": {"off": "none", "bn": "norm", "bnrelu": "norm_relu"},
    "dense_prediction_cell": {"none": None, "off": None, "dpc": "cityscapes_top1"},
    "branch_order": {"poolinglast": "pool_last", "poolingfirst": "pool_first"},
    "multi_grid": {"none": None, "off": None},
    "stride_in": {"caffe": "1x1", "msra": "1x1", "torchvision": "3x3", "pytorch": "3x3"},
    "form": {"vgg": "vgg16", "full": "vgg16"},
}  # fmt: skip

#: Bounds of numbers by the option's name: least, most. Whole numbers are at least 1 otherwise, others finite.
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "aspp_dropout": (0, 0.99), "decoder_dropout": (0, 0.99), "drop_path_rate": (0, 0.99),
    "norm_eps": (1e-12, 1), "norm_momentum": (0, 1), "width": (0.05, 4096), "final_rate": (0.01, 16),
    "auxiliary": (0, 65_536), "auxiliary_level": (0, 4), "low_level": (0, 4), "stem_padding": (0, 3), "decoder_convs": (0, 16),
}  # fmt: skip
_MOST = 65_536


def build_options(record: type[Any], values: Mapping[str, Any], owner: str) -> Any:
    """Fill an options dataclass from plain (JSON) values; see :func:`check_options`."""
    return record(**check_options(record, values, owner))


def check_options(record: type[Any], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Options in the form that a record keeps: lists become tuples, words of the papers what they mean.

    Args:
        record: the dataclass.
        values: by field name: ``{"decoder": "naive", "multi_grid": "1,2,4"}``.
        owner: the owner of the options, for messages: ``"network 'fcn'"``.

    Raises:
        AtrousError: an option that the record does not have, or a value that it cannot take, with the choices.
    """
    hints: Mapping[str, Any] = _hints(record)  # type: ignore[arg-type]  # a class is hashable
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise AtrousError(
            message("{owner} has no option {options}", owner=owner, options=", ".join(repr(name) for name in unknown)),
            why=message("its options are {options}", options=", ".join(sorted(hints)) or "none"),
            remedy=message("Leave the option out or correct its name"),
        )
    return {name: check_option(name, value, hints[name], owner) for name, value in values.items()}


@cache
def _hints(record: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def check_option(name: str, value: object, hint: object, owner: str) -> Any:
    """A value in the form that an option keeps.

    Args:
        name: of the option.
        value: as a program, a recipe, a card or a command line gives it.
        hint: the option's type: a ``Literal``, ``bool``, ``int``, ``float``, ``tuple[int, ...]``, or one of these or None.
        owner: the owner of the option, for the message.

    Raises:
        AtrousError: the option cannot have this value; it names the possible ones.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    aliases = _ALIASES.get(name, {})
    folded = re.sub(r"[\s_-]", "", str(value).lower()) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if folded in aliases and not any(get_origin(kind) is Literal and value in get_args(kind) for kind in kinds):
        value = aliases[folded]
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is type(None):
            continue
        found = _fitting(name, value, kind)
        if found is not None:
            return found
    raise AtrousError(
        message("{owner} has no {name} {value}", owner=owner, name=name, value=shorten(value)),
        why=message("{name} is {choices}", name=name, choices=_choices(name, kinds)),
        remedy=message("Choose one of these values")
        if any(get_origin(kind) is Literal for kind in kinds)
        else message("Correct the value"),
    )


def _fitting(name: str, value: object, kind: object) -> Any:
    """The value as one type of an option, or None."""
    if get_origin(kind) is Literal:
        folded = re.sub(r"[\s_-]", "", str(value).lower())
        return next((one for one in get_args(kind) if re.sub(r"[\s_-]", "", str(one).lower()) == folded), None)
    if get_origin(kind) is tuple:
        return _whole_numbers(value)
    if kind is bool:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    least, most = _BOUNDS.get(name, (1 if kind is int else -math.inf, _MOST))
    if not math.isfinite(value) or not least <= value <= most or (kind is int and value != int(value)):
        return None
    return int(value) if kind is int else float(value)


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    """``[1, 2, 4]``, ``"1,2,4"`` or the papers' ``"mg 1,2,4"`` and ``"MG(1, 2, 4)"`` as a tuple of whole numbers from 1 up."""
    if isinstance(value, str):
        numbers = r"[\[(]?\s*(\d{1,4}(?:\s*,\s*\d{1,4})*)\s*,?\s*[\])]?"
        match = re.fullmatch(rf"(?:mg|multi-?grid|rates?)?\s*=?\s*{numbers}", value.strip().lower())
        if match is None:
            return None
        value = [int(number) for number in match[1].split(",")]
    if not isinstance(value, (list, tuple)):
        return None
    whole = all(isinstance(part, int) and not isinstance(part, bool) and 1 <= part <= _MOST for part in value)
    return tuple(value) if whole and len(value) <= 64 else None


def _choices(name: str, kinds: tuple[Any, ...]) -> str:
    texts = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            texts += [repr(one) for one in get_args(kind)]
        elif get_origin(kind) is tuple:
            texts.append("a list of whole numbers from 1 up")
        elif kind is bool:
            texts.append("true or false")
        elif kind in (int, float):
            least, most = _BOUNDS.get(name, (1 if kind is int else -math.inf, _MOST))
            number = "a whole number" if kind is int else "a number"
            texts.append(f"{number} from {least:g} to {most:g}" if least > -math.inf else f"{number} up to {most:g}")
        else:
            texts.append("None")
    words = [repr(word) for word in _ALIASES.get(name, {})]
    return ", ".join(texts) + (f" (also {', '.join(words)})" if words else "")


def check_count(value: object, what: str, remedy: str) -> int:
    """A number of classes or channels: a whole number from 1 up, or its digits as text. Raises AtrousError with ``remedy``."""
    digits = re.fullmatch(r"\d{1,5}", value.strip()) if isinstance(value, str) else None
    number = int(digits[0]) if digits is not None else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST:
        said = number if isinstance(number, int) and abs(number) < 10**12 else shorten(value)
        raise AtrousError(
            message("a network cannot have {number} {what}", number=said, what=what),
            why=message("It is a whole number from 1 to {most}", most=_MOST),
            remedy=remedy,
        )
    return number


def check_stride(value: object, choices: tuple[int, ...], owner: str) -> int:
    """An output stride: 16, ``"16"``, ``"16s"`` or ``"os16"``.

    Raises:
        AtrousError: none of the network's strides, with the choices.
    """
    match = re.fullmatch(r"(?:(?:output[_ -]?stride|os)\s*[=:_-]?\s*)?(\d{1,4})s?", str(value).strip().lower())
    if isinstance(value, bool) or match is None or int(match[1]) not in choices:
        allowed = ", ".join(map(str, choices))
        raise AtrousError(
            message(
                "output stride {stride} is not possible for {owner}",
                stride=value if isinstance(value, int) else shorten(value),
                owner=owner,
            ),
            why=message("its layers allow {allowed}", allowed=allowed),
            remedy=message("Choose one of {allowed}", allowed=allowed),
        )
    return int(match[1])
