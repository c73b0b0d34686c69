"""Options that several commands share. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from app.cli.console import ReportFile
from app.text import read_number
from deeplab_core.errors import message
from deeplab_core.flavour import require_torch

if TYPE_CHECKING:
    from deeplab_core.analysis.own_slices import OwnSlices
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.masks.frames import Frame
    from deeplab_core.records import CRFParams


class Decimal(click.FloatRange):
    """A number of an option, ``0.5`` or ``0,5``, between ``min`` and ``max`` (both included; None leaves an end open)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str):
            try:
                value = read_number(value)
            except ValueError as error:
                self.fail(f"{error}.", param, ctx)
        return super().convert(value, param, ctx)

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthOptions:
    """What the user says about ground truth: one group of options for every command that reads it.

    Attributes:
        folders: ``--truth``; empty if it was not given.
        allow_predicted: ``--allow-predicted-truth``.
        frame: ``--mask-frame``; ``"auto"`` if it was not given.
        catalog_name: ``--catalog``, or None.
    """

    folders: tuple[Path, ...] = ()
    allow_predicted: bool = False
    frame: Frame = "auto"
    catalog_name: str | None = None

    def catalog(self) -> ClassCatalog | None:
        """The classes that the user named, or None. Raises CatalogError."""
        from deeplab_core.catalogs import get_catalog

        return None if self.catalog_name is None else get_catalog(self.catalog_name)


def truth_options(
    truth_help: str, *, catalog_help: str, many: bool = True, existing: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--truth``, ``--allow-predicted-truth``, ``--mask-frame`` and ``--catalog``; the command gets them as ``truth``.

    Args:
        truth_help, catalog_help: what the folders are for, and what is taken without ``--catalog``.
        many: whether ``--truth`` may be repeated.
        existing: whether a folder that is missing is a wrong option at once.
    """
    repeated = "; may be repeated" if many else ""
    folder = FOLDER if existing else click.Path(path_type=Path)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--truth", "truth_folders", metavar="DIR", multiple=True, type=folder, help=f"{truth_help}{repeated}.")
        @click.option(
            "--allow-predicted-truth", is_flag=True, help="Accept masks that 'predict' or 'refine' wrote as ground truth."
        )
        @click.option(
            "--mask-frame",
            type=click.Choice(["stored", "displayed"]),
            help="Frame of masks that fit an image both ways: the stored pixels, or the image as displayed (EXIF) "
            "[default: what Atrous recorded; otherwise such a mask is an error].",
        )
        @click.option("--catalog", "catalog_name", metavar="NAME_OR_FILE", help=f"{catalog_help}.")
        @functools.wraps(command)
        def wrapper(
            *args: object,
            truth_folders: tuple[Path, ...],
            allow_predicted_truth: bool,
            mask_frame: str | None,
            catalog_name: str | None,
            **values: object,
        ) -> object:
            if len(truth_folders) > 1 and not many:
                raise click.UsageError("--truth is given twice; this command reads one folder of ground truth")
            frames: dict[str | None, Frame] = {None: "auto", "stored": "stored", "displayed": "oriented"}
            options = TruthOptions(
                folders=truth_folders,
                allow_predicted=allow_predicted_truth,
                frame=frames[mask_frame],
                catalog_name=catalog_name,
            )
            return command(*args, truth=options, **values)

        return wrapper

    return decorate


def project_option(
    *, text: str = "Where the project's data is, if not in FOLDER/.atrous.", existing: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--project DIR``; the command gets it as ``project_dir``, a path or None.

    Args:
        text: its description in the help.
        existing: whether one that is missing is a wrong option.
    """
    folder = click.Path(exists=existing, file_okay=False, path_type=Path)
    return click.option("--project", "project_dir", metavar="DIR", type=folder, help=text)


#: deeplab_core.records.OUTPUT_STRIDES; written out here because help must not wait for numpy.
OUTPUT_STRIDES = (4, 8, 16, 32)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--output-stride`` (4, 8, 16, 32 or None), ``--device`` and ``--precision``: how a network is run."""
    stride = click.option(
        "--output-stride",
        type=click.Choice(OUTPUT_STRIDES),
        default=None,
        help="Smaller is finer and slower [default: the model's own].",
    )
    precision = click.option(
        "--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True
    )
    return stride(device_option(precision(command)))


def _possible_engine(context: click.Context, parameter: click.Parameter, engine: str | None) -> str | None:
    """The engine. One that was named is refused where it cannot be: without PyTorch, ONNX Runtime alone computes."""
    named = parameter.name is not None and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    if named and engine not in ("auto", "onnx"):
        require_torch(message("The engine {engine}", engine=engine))
    return engine


#: What the options of engines share.
engine_kind: dict[str, Any] = {
    "type": click.Choice(["auto", "torch", "onnx", "openvino", "amx", "cuda-graph"]), "callback": _possible_engine,
}  # fmt: skip
engine_option = click.option(
    "--engine",
    **engine_kind,
    default="torch",
    show_default=True,
    help="What runs the network: torch, on the CPU another engine, on a GPU CUDA graphs, or the fastest (auto).",
)


def json_option(text: str = "Write all figures as JSON.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--json FILE``; the command gets it as ``json_file``, a path or None."""
    return click.option("--json", "json_file", metavar="FILE", type=ReportFile("JSON"), help=text)


def json_lines_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flag ``--json`` of commands that print JSON; the command gets it as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def html_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--html FILE``; the command gets it as ``html_file``, a path or None."""
    return click.option("--html", "html_file", metavar="FILE", type=ReportFile("HTML"), help=text)


def csv_option(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--NAME FILE``; the command gets it as ``NAME_file``, a path or None."""
    return click.option(f"--{name}", f"{name}_file", metavar="FILE", type=ReportFile("CSV"), help=text)


attributes_option = click.option(
    "--attributes",
    metavar="FILE.csv",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table of attributes of your own, slices beside the built-in ones: a column 'image', with 'x' and 'y' for objects, and "
    "one column for each attribute. May be repeated.",
)


def read_own(files: tuple[Path, ...]) -> OwnSlices | None:
    """The slices of ``--attributes``; None without a table. Raises MaskFormatError."""
    if not files:
        return None
    from deeplab_core.analysis.own_slices import OwnSlices, read_attributes

    return OwnSlices([read_attributes(file) for file in files])


def seed_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--seed N`` with default 0."""
    return click.option("--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True, help=text)


def draws_options(*, default: int | None, least: int, most: int, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--resamples`` and ``--seed`` of a bootstrap over images.

    Args:
        default, least, most: number of draws; without a default the command chooses.
        text: help of ``--resamples``.
    """
    number = click.option(
        "--resamples", metavar="N", type=click.IntRange(least, most), default=default, show_default=True, help=text
    )
    seed = seed_option("Seed of the draws.")
    return lambda command: number(seed(command))


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
