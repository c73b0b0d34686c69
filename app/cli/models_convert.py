"""``atrous models convert``: any checkpoint as safetensors, with a card that records what the tensors do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit
from app.cli.model_choice import resolve_model
from app.cli.models_export import refuse_overwriting
from app.cli.options import model_options
from app.cli.terminal import say
from deeplab_core.errors import WeightsError

if TYPE_CHECKING:
    from deeplab_core.nn import SegmentationModel


@click.command("convert")
@click.argument("name_or_file", metavar="MODEL")
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write: *.safetensors.",
)  # fmt: skip
@click.option("--half", is_flag=True, help="Store float16: half the size; computed in float32 all the same.")
@click.option("--force", is_flag=True, help="Overwrite the target.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON line.")
def convert_command(
    name_or_file: str, target: Path, half: bool, force: bool, as_json: bool, options_of_model: dict[str, Any]
) -> None:
    """Write MODEL, a checkpoint of any known family, as safetensors with its card inside and beside it.

    The card beside the file is for people: what is edited there wins over everything else.
    """
    if target.suffix.lower() != ".safetensors":
        raise click.UsageError(f"{target} does not end in .safetensors")
    path = resolve_model(name_or_file)
    if target.exists() and target.samefile(path):
        raise click.UsageError(f"{target} is the file that is to be converted; choose another name")
    refuse_overwriting(target, force)

    from deeplab_core.model_cards import write_card_file
    from deeplab_core.weights import load_model, save_model

    model, card = load_model(path, options=options_of_model)
    if model.engine is not None:
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
    from deeplab_core.weights import load_model

    again, _ = load_model(target)
    written = again.state_dict()
    return max(
        (float((value.float() - written[key].float()).abs().max()) for key, value in model.state_dict().items() if value.numel()),
        default=0.0,
    )
