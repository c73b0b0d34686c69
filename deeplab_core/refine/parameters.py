"""CRF parameters: what is in range, and reading them from a file. Light: no engine is imported."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

from deeplab_core.errors import AtrousError
from deeplab_core.records import CRFParams


def check_params(params: CRFParams) -> None:
    """AtrousError that names the parameter that is out of range."""
    positive = ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "temperature", "clip")
    for name in positive:
        value = getattr(params, name)
        if not (math.isfinite(value) and value > 0):
            raise AtrousError(f"CRF parameter {name} is {value}", remedy="Give a number above 0")
    for name in ("gaussian_compat", "bilateral_compat"):
        if not math.isfinite(getattr(params, name)):
            raise AtrousError(f"CRF parameter {name} is {getattr(params, name)}", remedy="Give a finite number")
    if params.iterations < 0:
        raise AtrousError(f"CRF parameter iterations is {params.iterations}", remedy="Give 0 or more; 10 is usual")
    if params.normalization not in ("symmetric", "after", "none"):
        raise AtrousError(f"CRF normalisation '{params.normalization}' is unknown", remedy="Choose symmetric, after or none")


def read_params(path: Path) -> CRFParams:
    """Parameters from a JSON object, or from the ``params`` of a search's report.

    Raises:
        AtrousError: the file is no such object, or a value is out of range.
    """
    remedy = "Give the file that 'atrous refine --search' wrote, or a preset's name"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data = data.get("params", data)
        unknown = sorted(set(data) - {field.name for field in fields(CRFParams)})
        if unknown:
            raise AtrousError(f"unknown CRF parameters: {', '.join(unknown)}", remedy=remedy, path=path)
        params = CRFParams(**data)
        check_params(params)
    except AtrousError as error:
        raise AtrousError(error.what, why=error.why, remedy=error.remedy, path=path) from error
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise AtrousError("not a file of CRF parameters", why=str(error), remedy=remedy, path=path) from error
    return params
