"""CRF parameters: what is in range, and reading them from a file. Light: no engine is imported."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
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
