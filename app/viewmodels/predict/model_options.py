"""What the weights of a model do not tell: options of its network and input, each with its value and where that comes from."""

from __future__ import annotations

from dataclasses import dataclass

from app.text import mark, tr
from deeplab_core.records import INPUT_CHANNELS, ModelCard

#: Labels of the options, and what each is about.
_LABELS = {
    "weights": (mark("Weights"), mark("Which weights of the file to use: trained, or averaged")),
    "output": (mark("Output"), mark("Which output of the graph to read")),
    "output_stride": (mark("Output stride"), mark("Input pixels per feature at the encoder's end")),
    "atrous_rates": (mark("Atrous rates"), mark("Rates of the atrous convolutions in the pyramid, separated by commas")),
    "interpolation": (mark("Upsampling"), mark("How the decoder upsamples features")),
    "align_corners": (mark("Align corners"), mark("Whether bilinear upsampling aligns the corner pixels")),
    "channel_order": (mark("Channels"), mark("Order of the input's channels")),
    "mean": (mark("Mean"), mark("Subtracted from each channel, on the scale 0 to 255")),
    "std": (mark("Standard deviation"), mark("Each channel is divided by it, on the scale 0 to 255")),
    "resize": (mark("Resize"), mark("native, long_side:N, short_side:N, fit:HxW or stretch:HxW")),
    "padding": (mark("Padding"), mark("none, canvas:N, canvas:HxW, multiple:N or grid:N")),
}
_INPUT = ("channel_order", "mean", "std", "resize", "padding")


@dataclass(frozen=True, slots=True)
class OptionRow:
    """An option of a model.

    Attributes:
        name: as ``load_model`` takes it.
        label, tip: what the user reads.
        value: as text.
        choices: all possible values; empty where any text can be tried.
        guessed: nothing determines it.
        origin: its source, e.g. ``"config.json"``; empty for the family's code.
    """

    name: str
    label: str
    tip: str
    value: str
    choices: tuple[str, ...] = ()
    guessed: bool = False
    origin: str = ""


def option_rows(card: ModelCard) -> list[OptionRow]:
    """The options that can be set for a model, the ones about its network first."""
    rows: list[OptionRow] = []
    pre, extra, architecture = card.preprocessing, card.extra, card.architecture
    known = extra.get("known_from")
    origins = known if isinstance(known, dict) else {}

    def add(name: str, value: str, choices: tuple[str, ...] = (), group: str = "") -> None:
        label, tip = _LABELS[name]
        source = group or name
        rows.append(OptionRow(name, tr(label), tr(tip), value, choices, source in card.guessed, str(origins.get(source, ""))))

    for name in ("weights", "output"):
        others = extra.get(f"other_{name}" if name == "weights" else "other_outputs")
        if isinstance(others, list) and others:
            add(name, str(extra.get(name, "")), (str(extra.get(name, "")), *map(str, others)))
    if len(card.output_strides) > 1:
        add("output_stride", str(card.output_stride), tuple(map(str, card.output_strides)))
    rates = architecture.get("atrous_rates")
    if isinstance(rates, list) and rates:
        add("atrous_rates", ", ".join(map(str, rates)))
    if "interpolation" in architecture:
        add("interpolation", str(architecture["interpolation"]), ("nearest", "bilinear", "bicubic"))
    if isinstance(architecture.get("align_corners"), bool):
        add("align_corners", "true" if card.align_corners else "false", ("true", "false"))
    orders = tuple(order for order, count in INPUT_CHANNELS.items() if count == pre.channels)
    add("channel_order", pre.channel_order, orders, "preprocessing")
    for name in ("mean", "std"):
        add(name, ", ".join(f"{value:g}" for value in getattr(pre, name)), group="preprocessing")
    add("resize", pre.resize, group="preprocessing")
    add("padding", pre.padding, group="preprocessing")
    return rows


def guesses_text(card: ModelCard) -> str:
    """What is guessed about a model, in one line; empty if nothing is."""
    words = {"catalog": "classes", "preprocessing": "input", "align_corners": "corners"}
    names = [words.get(name, name.replace("_", " ")) for name in card.guessed]
    return tr("Guessed: {names}", names=", ".join(names)) if names else ""
