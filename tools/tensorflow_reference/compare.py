"""Compare ``load_model`` with TensorFlow on what ``write`` made; a table on standard output (kept in docs/models/tensorflow.md).

Run in the program's own environment: ``python -m tools.tensorflow_reference.compare FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from deeplab_core.weights import load_model
from deeplab_core.weights.unwrapping import read_checkpoint

HEAD = """| network | file | variables | tensors equal | largest | argmax differs | stride | epsilon | classes | preprocessing |
|---|---|---|---|---|---|---|---|---|---|"""


def row(folder: Path, path: Path, stride: int) -> str:
    """One file: how many tensors are those of the other file bit for bit, and logits against TensorFlow's."""
    other = next(one for one in (folder / "frozen_inference_graph.pb", *folder.glob("*.index")) if one != path)
    mine, theirs = read_checkpoint(path), read_checkpoint(other).tensors
    equal = sum(torch.equal(tensor, theirs[name]) for name, tensor in mine.tensors.items() if name in theirs)
    model, card = load_model(path, None if path.suffix == ".pb" else stride)
    with np.load(folder / "reference.npz") as reference:
        image, expected = reference["image"], reference["logits"]
    pre = card.preprocessing
    x = (image.astype(np.float32) - np.float32(pre.mean)) / np.float32(pre.std)
    with torch.no_grad():
        got = model.coarse_logits(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert got.shape == expected.shape, (got.shape, expected.shape)
    spread = expected.std()
    top = np.sort(expected, axis=-1)
    clear = top[..., -1] - top[..., -2] > 1e-4 * spread
    differs = float(((got.argmax(-1) != expected.argmax(-1)) & clear).mean())
    epsilon = card.architecture["backbone_options"].get("norm_eps", 1e-3), card.architecture.get("norm_eps", 1e-5)
    cells = (
        folder.name,
        path.suffix,
        str(len(mine.tensors)),
        f"{equal} of {len(mine.tensors)}",
        f"{np.abs(got - expected).max() / spread:.1e}",
        f"{differs:.2g}",
        f"{card.output_stride}{' (default)' if 'output_stride' in card.guessed else ''}",
        f"{epsilon[0]:g}, {epsilon[1]:g}",
        card.catalog.name,
        f"{pre.resize}, {pre.padding}",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(HEAD)
    for place in sorted(path.parent for path in Path(sys.argv[1]).glob("*/reference.npz")):
        wanted = 8 if "os8" in place.name else 16
        for file in (place / "frozen_inference_graph.pb", *place.glob("*.index")):
            print(row(place, file, wanted), flush=True)
