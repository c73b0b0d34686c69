"""``atrous models show``: which project a file came from, its card, and the parts of the network."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit
from app.cli.model_choice import resolve_model
from app.cli.options import model_options, option_text
from app.cli.terminal import say

if TYPE_CHECKING:
    from deeplab_core.backends import EngineModel
    from deeplab_core.nn import SegmentationModel
    from deeplab_core.nn.layer_table import LayerRow
    from deeplab_core.records import ModelCard

#: The size that the field states costs for.
_SIZE = 513


@click.command("show")
@click.argument("name_or_file")
@click.option("--layers", "every_layer", is_flag=True, help="Every layer, not only the sums of the network's parts.")
@click.option("--size", type=click.IntRange(33, 8192), default=_SIZE, show_default=True, help="Side of the image for the costs.")
@click.option("--output-stride", type=click.Choice(["8", "16", "32"]), help="Instead of the card's.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Card and figures as one JSON line.")
def show_command(
    name_or_file: str,
    every_layer: bool,
    size: int,
    output_stride: str | None,
    as_json: bool,
    options_of_model: dict[str, Any],
) -> None:
    """Open a checkpoint and show which project it came from, its card, layers, parameters, multiply-adds and receptive field."""
    from deeplab_core.backends import EngineModel
    from deeplab_core.weights import load_model

    path = resolve_model(name_or_file)
    model, card = load_model(path, None if output_stride is None else int(output_stride), options=options_of_model)
    if isinstance(model, EngineModel):
        figures, lines = _graph(model)
    else:
        figures, lines = _network(model, size, every_layer)
    if as_json:
        emit("model", path=path, card=card.to_dict(), **figures)
        return
    for label, value in {**_card_rows(card), **lines}.items():
        if value:
            say(f"{label:>14}  {value}")
    if not isinstance(model, EngineModel):
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
        "input": f"{pre.channel_order}, mean {_triple(pre.mean)}, std {_triple(pre.std)}",
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


def _triple(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _network(model: SegmentationModel, size: int, every_layer: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures of one of our networks, for a machine and for a reader."""
    from deeplab_core.nn import count_multiply_adds, count_parameters
    from deeplab_core.nn.layer_table import layer_table

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
        lines.append(line.replace(",", " ") + (f"  {_shape(row)}" if "kind" in row else ""))
    return lines


def _shape(layer: dict[str, Any]) -> str:
    into, out = layer["channels"]
    if layer["kind"] == "BatchNorm2d":
        return f"BatchNorm2d {out}"
    groups = ", depthwise" if layer["groups"] == into > 1 else f", {layer['groups']} groups" if layer["groups"] > 1 else ""
    kernel = "x".join(str(side) for side in layer["kernel"])
    stride = f", stride {layer['stride'][0]}" if layer["stride"][0] > 1 else ""
    rate = f", rate {'x'.join(str(r) for r in sorted(set(layer['rate'])))}" if max(layer["rate"]) > 1 else ""
    return f"{layer['kind']} {kernel}, {into} to {out}{groups}{stride}{rate}"


def _graph(model: EngineModel) -> tuple[dict[str, Any], dict[str, str]]:
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
