"""The project's own click network: train, export.

    python -m tools.click_network train docs/models/clicks/recipe.toml -o run
    python -m tools.click_network export run/state.safetensors --encoder GOOGLE.safetensors --side 320 -o clicks.onnx

An output that ends in ``.safetensors`` is the head alone. ``train`` goes on where ``run/state.safetensors`` stopped; ``--init``
takes another head. ``benchmarks/strokes.py`` and ``benchmarks/click_count.py`` measure what comes out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from deeplab_core.nn.base import Encoder
from deeplab_core.weights import load_model
from tools.click_network.data import Sources
from tools.click_network.export import export
from tools.click_network.recipe import ClickRecipe
from tools.click_network.training import Run, averaged_head, save_head, train


def encoder_of(path: Path) -> Encoder:
    """The encoder of a checkpoint at output stride 16, frozen."""
    model, _ = load_model(path)
    model.output_stride = 16
    encoder = model.encoder
    assert isinstance(encoder, Encoder)
    return encoder.requires_grad_(False).eval().to(memory_format=torch.channels_last)


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train")
    one.add_argument("recipe", type=Path)
    one.add_argument("-o", "--out", type=Path, required=True)
    one.add_argument("--init", type=Path, help="state of another run whose head to begin with")
    one.add_argument("--minutes", type=float, help="stop after this time of training, all continuations together")
    one.add_argument("--threads", type=int, default=1)
    two = commands.add_parser("export")
    two.add_argument("state", type=Path, help="of a run, or a head alone")
    two.add_argument("--encoder", type=Path, help="checkpoint whose encoder the head was trained behind")
    two.add_argument("-o", "--out", type=Path, required=True)
    two.add_argument("--side", type=int, help="fixed height and width of the input, a multiple of 16; free if absent")
    asked = parser.parse_args()
    if asked.command == "export":
        if asked.out.suffix == ".safetensors":
            save_head(averaged_head(asked.state), asked.out)
        elif asked.encoder is None:
            parser.error("a graph needs --encoder")
        else:
            export(encoder_of(asked.encoder), averaged_head(asked.state), asked.out, asked.side)
        print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.1f} MB")
        return
    torch.set_num_threads(asked.threads)
    recipe = ClickRecipe.read(asked.recipe)
    sources = Sources(recipe.sets, asked.out / "predictions")
    print(f"images: {', '.join(str(len(images)) for images in sources.sets)}", flush=True)
    head = None if asked.init is None else averaged_head(asked.init)
    run = Run(recipe, encoder_of(Path(recipe.encoder)), sources, head)
    state = asked.out / "state.safetensors"
    if state.is_file():
        run.load(state)
    for row in train(run, asked.out, until=None if asked.minutes is None else 60 * asked.minutes):
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
