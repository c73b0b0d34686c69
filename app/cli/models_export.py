"""``atrous models export``: a network as ONNX, for other programs."""

from __future__ import annotations

import re
from pathlib import Path

import click

from app.cli.console import emit
from app.cli.model_choice import resolve_model
from app.cli.terminal import say
from deeplab_core.atomic import refuse_photograph


@click.command("export")
@click.argument("name_or_file", metavar="MODEL")
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write: *.onnx."
)
@click.option("--output-stride", type=click.Choice(["8", "16", "32"]), help="Instead of the card's; it is fixed in the file.")
@click.option("--gives", type=click.Choice(["logits", "labels"]), default="logits", show_default=True, help="What comes out.")
@click.option("--size", metavar="HxW", help="Take only images of this size; free by default.")
@click.option("--opset", type=click.IntRange(18, 25), default=18, show_default=True, help="Version of ONNX's operations.")
@click.option("--force", is_flag=True, help="Overwrite the target.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON line.")
def export_command(
    name_or_file: str,
    target: Path,
    output_stride: str | None,
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

    from deeplab_core.backends.export import export_onnx
    from deeplab_core.weights import load_model

    model, card = load_model(path, None if output_stride is None else int(output_stride))
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
        raise click.UsageError(f"--size {text} is no HEIGHTxWIDTH, such as 513x513")
    return int(match[1]), int(match[2])


def refuse_overwriting(target: Path, force: bool) -> None:
    """Raise UsageError where a target exists and is not meant to be replaced, ProtectedFile for a photograph or a link."""
    refuse_photograph(target)
    if target.exists() and not force:
        raise click.UsageError(f"{target} exists; choose another name, or replace it with --force")
