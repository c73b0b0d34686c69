"""From what a person types to CRF parameters: a preset's name, or a file that a search wrote."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deeplab_core.records import CRFParams

CRF_HELP = (
    "Refine with a fully connected CRF: v1 (without a value), v1-msc, v1-coco, v2, readme, "
    "or the JSON file of 'atrous refine --search'."
)


def parse_crf(_context: click.Context, _parameter: click.Parameter, value: str | None) -> CRFParams | None:
    """Parameters from a preset's name or a JSON file; BadParameter says what is wrong."""
    if value is None:
        return None
    from deeplab_core.errors import AtrousError
    from deeplab_core.refine.presets import PRESETS, preset

    try:
        if value in PRESETS:
            return preset(value)
        path = Path(value)
        if path.is_file():
            return read_params(path)
    except AtrousError as error:
        raise click.BadParameter(str(error)) from None
    raise click.BadParameter(f"'{value}' is neither a file nor one of {', '.join(PRESETS)}")


def read_params(path: Path) -> CRFParams:
    """Parameters from a JSON object, or from the ``params`` of a search's report.

    Raises:
        AtrousError: the file is no such object, or a value is out of range.
    """
    from deeplab_core.errors import AtrousError
    from deeplab_core.records import CRFParams
    from deeplab_core.refine.dense_crf import check_params

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
