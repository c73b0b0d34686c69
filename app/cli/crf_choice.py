"""From the user's argument to CRF parameters: a preset's name, or a file that a search wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deeplab_core.records import CRFParams

CRF_HELP = (
    "Refine with a fully connected CRF: v1 (without a value), v1-msc, v1-coco, v2, readme, "
    "or the JSON file of 'atrous refine --search'."
)
crf_engine_option = click.option(
    "--crf-engine",
    type=click.Choice(["auto", "native", "torch", "pydensecrf"]),
    default="auto",
    show_default=True,
    help="What computes the CRF: ours (torch on a GPU), or pydensecrf where the extra 'crf' is installed.",
)


def parse_crf(_context: click.Context, _parameter: click.Parameter, value: str | None) -> CRFParams | None:
    """Parameters from a preset's name or a JSON file; BadParameter names the fault."""
    if value is None:
        return None
    from deeplab_core.errors import AtrousError
    from deeplab_core.refine.parameters import PRESETS, preset, read_params

    try:
        if value in PRESETS:
            return preset(value)
        path = Path(value)
        if path.is_file():
            return read_params(path)
    except AtrousError as error:
        raise click.BadParameter(str(error)) from None
    raise click.BadParameter(f"'{value}' is neither a file nor one of {', '.join(PRESETS)}")
