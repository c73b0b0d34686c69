"""What made the masks of an output folder: its model, options and engine, written beside them for a later run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.predict_run import named_options
from deeplab_core.errors import AtrousError, message
from deeplab_core.flavour import install_command, require_torch
from deeplab_core.reading import read_json

if TYPE_CHECKING:
    from deeplab_core.networks import Network
    from deeplab_core.records import EngineChoice, ModelCard, PredictOptions

_THRESHOLD = "threshold"
_ENGINE = "engine"
#: The options of a run by name, for the message of a later run.
_SETTINGS = "settings"


def asked_engine(
    engine: EngineChoice | None, earlier: EngineChoice | None, out: Path | str, model: Network, world: int
) -> EngineChoice:
    """The engine as asked for, or that of the run that is resumed.

    Args:
        engine: None and ``auto`` take that of the run.
        earlier: the engine of a run that is resumed.
        out: its masks.
        model: without PyTorch a network of ours is a graph, which ONNX Runtime computes.
        world: number of processes.

    Raises:
        MissingPackage: PyTorch, or an engine that needs it, computed the masks, and it is not installed.
        click.UsageError: another engine did.
    """
    from deeplab_core.backends import OwnGraph
    from deeplab_core.backends.engines import installed_engines

    earlier = earlier if engine in (None, "auto") else None
    if isinstance(model, OwnGraph):
        if earlier not in (None, "onnx"):
            require_torch(
                message("The engine {engine}", engine=earlier),
                message("The masks in {folder} were computed by it; choose another folder to begin again", folder=out),
            )
        return "auto" if engine == "auto" and world == 1 else "onnx"
    if earlier not in (None, "torch", "cuda-graph", *installed_engines()):
        remedy = (
            "which this computer cannot;"
            if earlier == "amx"
            else f"which is not installed; run: {install_command(str(earlier))}, or"
        )
        raise click.UsageError(f"{out} holds masks that {earlier} computed, {remedy} choose another folder")
    engine = earlier or engine or "torch"
    if engine == "auto" and world > 1:
        raise click.UsageError("several processes need one engine: choose --engine torch, onnx, openvino or amx")
    return engine


def read_run_record(folder: Path) -> dict[str, Any] | None:
    """The record of a folder of masks; None if it is missing, or no record."""
    from deeplab_core.masks.output_marker import RUN_RECORD

    path = folder / RUN_RECORD
    try:
        record = read_json(path) if path.is_file() else None
    except AtrousError:
        return None
    return record if isinstance(record, dict) else None


def recorded_engine(record: dict[str, Any] | None) -> EngineChoice | None:
    """The engine of an earlier run, as its record has it; None without a record."""
    if record is None:
        return None
    engine = record.get(_ENGINE, "torch")
    return engine if engine in ("torch", "onnx", "openvino", "amx", "cuda-graph") else None


def run_record(card: ModelCard, options: PredictOptions, frame: str) -> dict[str, Any]:
    """What is written beside the masks of a run.

    Args:
        card: of the model.
        options: of the run, with its engine settled.
        frame: of the masks.
    """
    record: dict[str, Any] = {"model": card.id, "catalog": card.catalog.name, "options": options.cache_key(), "frame": frame}
    if options.engine != "torch":
        record[_ENGINE] = options.engine
    if card.threshold is not None:
        record[_THRESHOLD] = card.threshold if options.threshold is None else options.threshold
    return {**record, _SETTINGS: named_options(options)}


def refuse_other_run(out: Path | str, earlier: dict[str, Any], record: dict[str, Any]) -> None:
    """Refuse to mix masks of two models or of two sets of options.

    Args:
        out: where the masks are.
        earlier: the record that is there.
        record: that of this run.

    Raises:
        click.UsageError: another run made the masks.
    """
    differs = [key for key in record if key != _SETTINGS and earlier.get(key) != record[key]]
    if differs:
        was = "; ".join(_difference(key, earlier, record, record[_SETTINGS]) for key in differs)
        raise click.UsageError(f"{out} holds the masks of another run ({was}); choose another folder, or --overwrite")


def keep_run_record(out: Path, record: dict[str, Any], *, resume: bool, write: bool) -> None:
    """Write the record of a run beside its masks.

    Args:
        out: the folder of the masks.
        record: as :func:`run_record` makes it.
        resume: whether masks that are there are kept.
        write: whether this process is the one that writes.

    Raises:
        click.UsageError: masks of another run would be kept.
    """
    from deeplab_core.atomic import atomic_write
    from deeplab_core.masks.output_marker import RUN_RECORD

    if resume and (out / RUN_RECORD).is_file():
        refuse_other_run(out, read_run_record(out) or {}, record)
    if write:
        out.mkdir(parents=True, exist_ok=True)
        atomic_write(out / RUN_RECORD, (json.dumps(record, indent=2) + "\n").encode())


def _difference(key: str, earlier: dict[str, Any], record: dict[str, Any], settings: dict[str, Any]) -> str:
    """What a run and an earlier one differ in, in words. Digests say nothing to a reader."""
    names = {"model": "--model", "frame": "--frame", _THRESHOLD: "--threshold", _ENGINE: "--engine"}
    if key != "options":
        return f"{names.get(key, key)} was {_shown(earlier.get(key))} and is {_shown(record[key])}"
    before = earlier.get(_SETTINGS)
    if not isinstance(before, dict):
        return f"its options were other ones than {_given(settings)}"
    return ", ".join(differences(before, settings)) or "its options were those of another version of Atrous"


def differences(before: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """What options of a run were and are, in words; those that are the same are left out.

    Args:
        before: values of an earlier run by the names of its options.
        settings: those of this run.
    """
    return [
        f"{name} was {_shown(before.get(name))} and is {_shown(value)}"
        for name, value in settings.items()
        if before.get(name) != value
    ]


def _given(settings: dict[str, Any]) -> str:
    return ", ".join(name if value is True else f"{name} {_shown(value)}" for name, value in settings.items() if value)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part:g}" if isinstance(part, float) else f"{name} {part}" for name, part in value.items())
    if value is None or isinstance(value, bool):
        return "given" if value else "not given"
    return str(value)


def recorded_threshold(record: dict[str, Any] | None) -> float | None:
    """The threshold that masks were made with, as the record of their run has it; None if it does not."""
    from deeplab_core.records import check_threshold

    try:
        return check_threshold(record[_THRESHOLD]) if record is not None and _THRESHOLD in record else None
    except (AtrousError, ValueError):  # a record that was changed by hand is not evidence
        return None
