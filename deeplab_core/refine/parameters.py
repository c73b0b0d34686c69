"""CRF parameters: what is in range, files, and published presets. Light: no engine is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deeplab_core.errors import AtrousError, message
from deeplab_core.reading import expecting, read_json, shorten, whole
from deeplab_core.records import CRFParams


def check_params(params: CRFParams) -> None:
    """AtrousError that names the parameter that is out of range."""
    positive = ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "temperature", "clip")
    for name in positive:
        value = getattr(params, name)
        if not (math.isfinite(value) and value > 0):
            raise AtrousError(
                message("CRF parameter {name} is {value}", name=name, value=value), remedy=message("Give a number above 0")
            )
    for name in ("gaussian_compat", "bilateral_compat"):
        if not math.isfinite(getattr(params, name)):
            raise AtrousError(
                message("CRF parameter {name} is {value}", name=name, value=getattr(params, name)),
                remedy=message("Give a finite number"),
            )
    if params.iterations < 0:
        raise AtrousError(
            message("CRF parameter iterations is {iterations}", iterations=params.iterations),
            remedy=message("Give 0 or more; 10 is usual"),
        )
    if params.normalization not in ("symmetric", "after", "none"):
        raise AtrousError(
            message("CRF normalisation '{normalisation}' is unknown", normalisation=params.normalization),
            remedy=message("Choose symmetric, after or none"),
        )


def read_params(path: Path) -> CRFParams:
    """Parameters from a JSON object, or from the ``params`` of a search's report.

    Raises:
        AtrousError: the file is no such object, or a value is out of range.
    """
    remedy = "Give the file that 'atrous refine --search' wrote, or a preset's name"
    data = read_json(path, what="the file of CRF parameters", remedy=remedy, error=AtrousError)
    with expecting("not a file of CRF parameters", path=path, remedy=remedy, error=AtrousError):
        return build_params(data.get("params", data))


def build_params(data: Any) -> CRFParams:
    """Parameters from plain values. Raises AtrousError for unknown names and values out of range, TypeError for other values."""
    unknown = sorted(set(data) - {field.name for field in fields(CRFParams)})
    if unknown:
        raise AtrousError(
            message("unknown CRF parameters: {names}", names=shorten(", ".join(unknown))), remedy=message("Leave them out")
        )
    params = CRFParams(**data)
    check_params(params)
    whole(params.iterations)
    return params


@dataclass(frozen=True, slots=True)
class Preset:
    """Parameters and where they come from.

    Attributes:
        name: what a command line takes.
        title: what a menu shows.
        params: the parameters.
        source: who found them, for which network.
    """

    name: str
    title: str
    params: CRFParams
    source: str


def _authors(w1: float, sxy: float, srgb: float) -> CRFParams:
    return CRFParams(
        gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=sxy, bilateral_srgb=srgb, bilateral_compat=w1, normalization="after"
    )


_AUTHORS = "authors' evaluation scripts (SetupEnv.m), PASCAL VOC 2012"
_ALL = (
    Preset("v1", "DeepLab v1", _authors(5, 50, 10), f"DeepLab, VGG-16: {_AUTHORS}"),
    Preset("v1-msc", message("DeepLab v1, multi-scale"), _authors(3, 95, 3), f"DeepLab-MSc, VGG-16: {_AUTHORS}"),
    Preset("v1-coco", "DeepLab v1, COCO", _authors(5, 67, 3), f"DeepLab-COCO, VGG-16: {_AUTHORS}"),
    Preset(
        "v2",
        "DeepLab v2",
        CRFParams(gaussian_sxy=1, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4),
        "DeepLab v2, ResNet-101, as re-run with pydensecrf by kazuto1011/deeplab-pytorch (configs/voc12.yaml): 76.65 -> 77.93",
    ),
    Preset(
        "readme",
        message("pydensecrf example"),
        CRFParams(gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=80, bilateral_srgb=13, bilateral_compat=10, iterations=5),
        "the example of pydensecrf's README: no network in particular",
    ),
)

#: Presets by name, in the order of menus. Weights belong to a normalisation: the authors' library divides by the kernel's mass
#: after filtering (``after``), pydensecrf's default is symmetric. A preset has the one that its numbers were found with.
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})


def preset(name: str) -> CRFParams:
    """Parameters of a preset.

    Raises:
        AtrousError: no such preset; lists the names.
    """
    try:
        return PRESETS[name].params
    except KeyError:
        raise AtrousError(
            message("no CRF preset '{name}'", name=name), remedy=message("Choose one of {presets}", presets=", ".join(PRESETS))
        ) from None
