"""``atrous models``: what networks are available, what can be fetched, and what a checkpoint is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit
from app.cli.model_choice import known_models, model_options, option_text, resolve_model
from app.cli.model_get import get_command, searched
from app.cli.options import OUTPUT_STRIDES, json_lines_option
from app.cli.terminal import say
from app.cli.transfer import megabytes
from app.paths import CLICK_FOLDER, MODEL_DIR_VARIABLE, download_folder
from deeplab_core.atomic import refuse_photograph
from deeplab_core.errors import WeightsError, message
from deeplab_core.flavour import require_torch
from deeplab_core.hub import (
    PublishedModel,
    click_networks,
    find_installed,
    published_models,
)

if TYPE_CHECKING:
    from deeplab_core.backends import EngineModel
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.nn import SegmentationModel
    from deeplab_core.nn.count import LayerRow
    from deeplab_core.records import ModelCard

#: The size that the field states costs for.
_SIZE = 513


@click.group()
def models() -> None:
    """List the available models, download published ones, show what a checkpoint is, convert and export it."""


models.add_command(get_command)


@models.command("list")
@click.option("--installed", "only", flag_value="installed", help="Only installed models.")
@click.option("--available", "only", flag_value="available", help="Only models that can be downloaded.")
@json_lines_option("One JSON line per model.")
def list_command(only: str | None, as_json: bool) -> None:
    """List the available models, and those that 'atrous models get' downloads."""
    if only != "available":
        _list_installed(as_json)
    if only != "installed":
        _list_available(as_json)


def _list_installed(as_json: bool) -> None:
    from app.services.model_notes import figures_line

    entries = known_models()
    for entry in entries:
        if as_json:
            card = None if entry.card is None else entry.card.to_dict()
            emit("model", name=entry.path.stem, path=entry.path, card=card, error=str(entry.error) if entry.error else None)
        elif entry.card is None:
            say(f"{entry.path.stem}\n    cannot be used: {entry.error}")
        else:
            lines = (_headline(entry.card), figures_line(entry.card.extra), str(entry.path))
            say("\n    ".join([entry.path.stem, *(line for line in lines if line)]))
    if not entries and not as_json:
        say(f"No model is installed. Get one of those below, or set {MODEL_DIR_VARIABLE} to a folder of checkpoints.")


def _list_available(as_json: bool) -> None:
    everything = (*published_models(), *click_networks())
    here = {model.id: path for model in everything if (path := find_installed(model, searched(model))) is not None}
    if as_json:
        for model in everything:
            fields = asdict(model)
            emit("published", **fields, direct=model.direct, installed=here.get(model.id))
        return
    say(f"\nTo be fetched with 'atrous models get ID', into {download_folder()}:")
    for publisher, group in groupby(published_models(), key=lambda model: model.publisher):
        models = list(group)
        say(f"\n{publisher}, licence {models[0].licence}")
        for model in models:
            say(_published_line(model, model.id in here))
    say(f"\nClick networks, to be fetched into {download_folder() / CLICK_FOLDER} (docs/correcting.md):")
    for model in click_networks():
        where = "here" if model.id in here else megabytes(model.download_bytes)
        checked = "sha256 known" if model.has_checksum else "no checksum"
        say(f"  {model.id:<32} {where:>8}  {checked:<12}  {model.licence}")


def _published_line(model: PublishedModel, here: bool) -> str:
    miou = f"{model.miou:g}" if model.miou is not None else "unknown"
    where = "here" if here else megabytes(model.approximate_bytes) if model.direct else "browser"
    return f"  {model.id:<52} {where:>8}  {model.classes:>3} classes  mIoU {miou:>7}  {model.miou_on}".rstrip()


def _headline(card: ModelCard) -> str:
    return card.summary or f"{card.name}, {card.catalog.title}"


@models.command("convert")
@click.argument("name_or_file", metavar="MODEL")
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write: *.safetensors.",
)  # fmt: skip
@click.option("--half", is_flag=True, help="Store float16: half the size; inference stays in float32.")
@click.option("--force", is_flag=True, help="Overwrite the target.")
@model_options
@json_lines_option("The result as one JSON line.")
def convert_command(
    name_or_file: str, target: Path, half: bool, force: bool, as_json: bool, options_of_model: dict[str, Any]
) -> None:
    """Write MODEL, a checkpoint of any known family, as safetensors, with its card in the file and next to it.

    Edit the card next to the file to correct it: it overrides everything else.
    """
    if target.suffix.lower() != ".safetensors":
        raise click.UsageError(f"{target} does not end in .safetensors")
    path = resolve_model(name_or_file)
    if target.exists() and target.samefile(path):
        raise click.UsageError(f"{target} is the file that is to be converted; choose another name")
    refuse_overwriting(target, force)

    require_torch(message("Converting a model"))
    from deeplab_core.model_cards import write_card_file
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.weights import load_model, save_model

    model, card = load_model(path, options=options_of_model)
    if isinstance(model, GraphNetwork):
        raise WeightsError(
            "a graph cannot be turned back into a network of ours",
            why=f"{path.name} holds operations for {model.engine.name}, not weights of a known family",
            remedy="Convert the checkpoint that it was exported from",
            path=path,
        )
    stored = save_model(target, model, card, half=half)
    # At once: a card that was beside an older file of this name must not speak for the new one.
    card_file = write_card_file(target, stored)
    largest = _reread(target, model)
    if as_json:
        size = target.stat().st_size
        emit("converted", path=target, card_path=card_file, bytes=size, largest_change=largest, card=stored.to_dict())
        return
    say(f"{target}  {target.stat().st_size / 1e6:.1f} MB (from {path.stat().st_size / 1e6:.1f} MB)")
    say(f"{card_file}")
    say("Read back equal." if largest == 0 else f"Read back; half precision moved no weight by more than {largest:.2g}.")
    if stored.guessed:
        say(f"Guessed, please check in the card: {', '.join(stored.guessed)}.")


def _reread(target: Path, model: SegmentationModel) -> float:
    """Largest change of a weight between the network and the file just written.

    Raises:
        WeightsError: the file does not load.
    """
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.weights import load_model

    again, _ = load_model(target)
    assert not isinstance(again, GraphNetwork)
    written = again.state_dict()
    return max(
        (float((value.float() - written[key].float()).abs().max()) for key, value in model.state_dict().items() if value.numel()),
        default=0.0,
    )


@models.command("export")
@click.argument("name_or_file", metavar="MODEL")
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write: *.onnx."
)
@click.option(
    "--output-stride", type=click.Choice(OUTPUT_STRIDES), help="Output stride, fixed in the file [default: the card's]."
)
@click.option(
    "--gives", type=click.Choice(["logits", "labels"]), default="logits", show_default=True, help="Output of the graph."
)
@click.option("--size", metavar="HxW", help="Fixed size of the images [default: any].")
@click.option("--opset", type=click.IntRange(18, 25), default=18, show_default=True, help="ONNX opset.")
@click.option("--force", is_flag=True, help="Overwrite the target.")
@json_lines_option("The result as one JSON line.")
def export_command(
    name_or_file: str,
    target: Path,
    output_stride: int | None,
    gives: str,
    size: str | None,
    opset: int,
    force: bool,
    as_json: bool,
) -> None:
    """Write MODEL as an ONNX file with free image sizes and its card inside.

    The file is compared with the network on images of several sizes before it is written. It takes some minutes for a large
    network.
    """
    if target.suffix.lower() != ".onnx":
        raise click.UsageError(f"{target} does not end in .onnx")
    refuse_overwriting(target, force)
    wanted = None if size is None else _size(size)
    path = resolve_model(name_or_file)

    require_torch(message("Writing ONNX"))
    from deeplab_core.backends.export import export_onnx
    from deeplab_core.weights import load_model

    model, card = load_model(path, output_stride)
    if not as_json:
        say(f"Tracing {card.name} …", err=True)
    done = export_onnx(target, model, card, output="labels" if gives == "labels" else "logits", size=wanted, opset=opset)
    if as_json:
        emit(
            "exported", path=target, bytes=target.stat().st_size, sizes=done.sizes, difference=done.difference,
            deviation=done.deviation, agreement=done.agreement, card=done.card.to_dict(),
        )  # fmt: skip
        return
    sizes = ", ".join(f"{width} x {height}" for height, width in done.sizes)
    say(f"{target}  {target.stat().st_size / 1e6:.1f} MB")
    if gives == "logits":
        say(f"Largest difference of a logit {done.difference:.2g}, at a standard deviation of {done.deviation:.2g}.")
    say(f"Equal labels on {100 * done.agreement:.3f} % of the pixels of random images of {sizes}.")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if match is None:
        raise click.UsageError(f"--size {text} is not a HEIGHTxWIDTH, such as 513x513")
    return int(match[1]), int(match[2])


def refuse_overwriting(target: Path, force: bool) -> None:
    """Raise UsageError where a target exists and is not meant to be replaced, ProtectedFile for a photograph or a link."""
    refuse_photograph(target)
    if target.exists() and not force:
        raise click.UsageError(f"{target} exists; choose another name, or replace it with --force")


@models.command("show")
@click.argument("name_or_file")
@click.option("--layers", "every_layer", is_flag=True, help="List every layer, not only the totals of the network's parts.")
@click.option(
    "--size",
    type=click.IntRange(33, 8192),
    default=_SIZE,
    show_default=True,
    help="Side of the image that costs are stated for, px.",
)
@click.option("--output-stride", type=click.Choice(OUTPUT_STRIDES), help="Output stride of the network [default: the card's].")
@model_options
@json_lines_option("Card and figures as one JSON line.")
def show_command(
    name_or_file: str,
    every_layer: bool,
    size: int,
    output_stride: int | None,
    as_json: bool,
    options_of_model: dict[str, Any],
) -> None:
    """Open a checkpoint and show which project it came from, its card, layers, parameters, multiply-adds and receptive field."""
    from deeplab_core.backends import EngineModel
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.weights import load_model

    path = resolve_model(name_or_file)
    model, card = load_model(path, output_stride, options=options_of_model)
    if isinstance(model, EngineModel):
        figures, lines = _graph_figures(model)
    elif isinstance(model, GraphNetwork):
        figures, lines = _own_graph_figures(model)
    else:
        figures, lines = _network_figures(model, size, every_layer)
    if as_json:
        emit("model", path=path, card=card.to_dict(), **figures)
        return
    for label, value in {**_card_rows(card), **lines}.items():
        if value:
            say(f"{label:>14}  {value}")
    if not isinstance(model, GraphNetwork):
        say()
        for line in _table(figures["layers"] if every_layer else figures["parts"]):
            say(line)


def _card_rows(card: ModelCard) -> dict[str, str]:
    pre = card.preprocessing
    others = ", ".join(str(stride) for stride in card.output_strides if stride != card.output_stride)
    return {
        "name": card.name,
        "id": card.id,
        "knows": card.summary,
        "network": ", ".join(f"{key}={value}" for key, value in card.architecture.items()),
        "classes": f"{card.catalog.title}: {', '.join(card.catalog.names)}",
        "threshold": "" if card.threshold is None else f"{card.threshold:g}, of the one channel (sigmoid)",
        "input": f"{pre.channel_order}, mean {_channels_text(pre.mean)}, std {_channels_text(pre.std)}",
        "size": f"resize {pre.resize}, padding {pre.padding}",
        "output stride": f"{card.output_stride}" + (f" (also {others})" if others else ""),
        "upsampling": "corners aligned" if card.align_corners else "pixel centres aligned",
        "source": card.source,
        "licence": card.licence,
        "sha256": card.sha256,
        "weights": _weights(card),
        "left out": ", ".join(card.extra.get("unused_heads", ())),
        "known from": ", ".join(f"{name}: {source}" for name, source in card.extra.get("known_from", {}).items()),
        "guessed": ", ".join(f"{name} {option_text(card, name)}".strip() for name in card.guessed),
        "notes": "; ".join(card.extra.get("notes", ())),
    }


def _weights(card: ModelCard) -> str:
    """Which weights of the file are used, and the others that it holds."""
    others = ", ".join(card.extra.get("other_weights", ()))
    return f"{card.extra.get('weights', '')} (the file also holds {others})" if others else str(card.extra.get("weights", ""))


def _channels_text(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _network_figures(model: SegmentationModel, size: int, every_layer: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures of one of our networks, for a machine and for a reader."""
    from deeplab_core.nn import count_multiply_adds, count_parameters
    from deeplab_core.nn.count import layer_table

    side = max(size, model.minimum_side)
    layers = layer_table(model, (side, side))
    kinds = Counter(layer.kind for layer in layers)
    parameters, cost, radius = count_parameters(model), count_multiply_adds(model, (side, side)), model.receptive_radius()
    figures: dict[str, Any] = {
        "parameters": parameters,
        "multiply_adds": cost,
        "size": [side, side],
        "receptive_radius": radius,
        "parts": _parts(layers),
    }
    if every_layer:
        figures["layers"] = [asdict(layer) for layer in layers]
    lines = {
        "layers": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        "parameters": f"{parameters / 1e6:.3f} M ({parameters})",
        "multiply-adds": f"{cost / 1e9:.2f} G for {side} x {side} pixels at output stride {model.output_stride}",
        "sees": f"{2 * radius + 1} px wide (receptive field by layer arithmetic, radius {radius} px)",
    }
    return figures, lines


def _parts(layers: tuple[LayerRow, ...]) -> list[dict[str, Any]]:
    """Sums over the network's parts: two levels of its tree of modules."""
    parts: dict[str, dict[str, Any]] = {}
    for layer in layers:
        name = ".".join(layer.name.split(".")[:2])
        part = parts.setdefault(name, {"name": name, "layers": 0, "parameters": 0, "multiply_adds": 0, "output": layer.output})
        part["layers"] += layer.kind != "BatchNorm2d"
        part["parameters"] += layer.parameters
        part["multiply_adds"] += layer.multiply_adds
        part["output"] = layer.output
    return list(parts.values())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    width = max([len(row["name"]) for row in rows], default=0)
    lines = [f"{'':{width}}  {'parameters':>11}  {'multiply-adds':>13}  {'output':>9}"]
    for row in rows:
        place = f"{row['output'][0]}x{row['output'][1]}"
        line = f"{row['name']:{width}}  {row['parameters']:>11,}  {row['multiply_adds'] / 1e6:>11,.1f} M  {place:>9}"
        lines.append(line.replace(",", " ") + (f"  {_layer_text(row)}" if "kind" in row else ""))
    return lines


def _layer_text(layer: dict[str, Any]) -> str:
    into, out = layer["channels"]
    if layer["kind"] == "BatchNorm2d":
        return f"BatchNorm2d {out}"
    groups = ", depthwise" if layer["groups"] == into > 1 else f", {layer['groups']} groups" if layer["groups"] > 1 else ""
    kernel = "x".join(str(side) for side in layer["kernel"])
    stride = f", stride {layer['stride'][0]}" if layer["stride"][0] > 1 else ""
    rate = f", rate {'x'.join(str(r) for r in sorted(set(layer['rate'])))}" if max(layer["rate"]) > 1 else ""
    return f"{layer['kind']} {kernel}, {into} to {out}{groups}{stride}{rate}"


def _own_graph_figures(model: GraphNetwork) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures of a network of ours where PyTorch, which counts its layers, is not installed."""
    engine = model.engine
    figures = {"engine": engine.name, "precision": engine.precision, "receptive_radius": model.receptive_radius()}
    return figures, {"engine": f"{engine.name}, {engine.precision}", "layers": "counted by PyTorch, which is not installed"}


def _graph_figures(model: EngineModel) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures of a graph for another engine; it tells no receptive field and no multiply-adds."""
    engine, signature = model.engine, model.signature
    height, width = (side or "any" for side in engine.input_size)
    what = "labels" if signature.labels else "scores"
    layout = "NHWC" if signature.channels_last else "NCHW"
    figures = {
        "engine": engine.name, "precision": engine.precision, "input_size": list(engine.input_size), "layout": layout,
        "output": what, "output_grid": list(signature.grid), "operations": dict(model.operations),
    }  # fmt: skip
    lines = {
        "engine": f"{engine.name}, {engine.precision}",
        "takes": f"{layout}, height {height}, width {width}",
        "gives": f"{what}, {signature.grid[0]}x{signature.grid[1]} for {signature.probed[0]}x{signature.probed[1]} pixels",
        "operations": ", ".join(f"{count} {name}" for name, count in model.operations.most_common()),
        "note": " ".join(engine.notes),
    }
    return figures, lines
