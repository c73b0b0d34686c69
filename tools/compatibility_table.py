"""Write docs/models/compatibility.md: every reference case, loaded through ``load_model``, against its authors' logits.

Run from the repository: ``python -m tools.compatibility_table``. Needs the reference cases that the tests use; see
tests/unit/core/weights/peers.py for where they are expected.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import torch

from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model
from deeplab_core.weights.families import recognise
from deeplab_core.weights.unwrapping import read_checkpoint
from tests.unit.core.weights.peers import MODELS, Case, compare, filled_state, image
from tests.unit.core.weights.test_peers import stride_of, wrapped

OUT = Path(__file__).resolve().parents[1] / "docs" / "models" / "compatibility.md"

HEAD = """# Which checkpoints load, and how exactly

Written by `python -m tools.compatibility_table`; do not edit by hand.

Each row is a checkpoint with the peer's own keys in the peer's own wrapper. It is opened through `load_model` on the
CPU in float32 and compared with the logits that the peer's own code computed. `largest` and `mean` are differences
over the logits' standard deviation; `noise` is the distance of the peer's float32 from its float64. `argmax` is the
share of pixels with another class; ties (margin below 1e-4 standard deviations) are left out. Weights are filled by a
rule, not trained: the table tests the graph. Every other variant of these sources is matched by its keys, shapes,
parameter count and multiply-adds (test_manifests.py).

`keys` counts the file's tensors that the network reads, batch norm's counters included. The rest are stored twice by
the peer (jfzhang95's MobileNetV2) or belong to a head that prediction never runs. Any other additional key, or a
missing one, is an error.

Unpooling networks may flip single switches under rounding, hence the larger noise of DeconvNet.

Classes and preprocessing are the family's documented default unless something beside the weights defines them, see
[loading.md](loading.md). Both are shown, can be edited, and are kept in `<file>.card.json`.

| case | family | keys | largest | mean | argmax | noise | classes | preprocessing |
|---|---|---|---|---|---|---|---|---|
"""


def preprocessing(card: ModelCard) -> str:
    """One cell on what the network expects."""
    pre = card.preprocessing
    parts = [pre.channel_order, f"mean {', '.join(f'{v:g}' for v in pre.mean)}", f"std {', '.join(f'{v:g}' for v in pre.std)}"]
    parts += [part for part in (pre.resize, pre.padding) if part not in ("native", "none")]
    return "; ".join(parts)


def row(name: str) -> str:
    """One case as a line of the table."""
    case = Case.load(name)
    state = filled_state(case.meta["manifest"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pth"
        torch.save(wrapped(name, state), path)
        model, card = load_model(path, stride_of(name))
        variant = recognise(read_checkpoint(path)).variant
    counters = sum(key.endswith("num_batches_tracked") and not re.fullmatch(variant.ignored, key) for key in state)
    used = counters + len(
        {variant.rules(key) for key in model.state_dict() if not key.endswith("num_batches_tracked")} & state.keys()
    )
    found = []
    for letter in case.images:
        height, width = case.meta[f"out_{letter}"]["input"][-2:]
        with torch.no_grad():
            found.append(compare(case, letter, model.native_logits(image(height, width))))
    cells = (
        name,
        str(card.extra["family"]),
        f"{used} of {len(state)}",
        f"{max(one.largest for one in found):.1e}",
        f"{max(one.mean for one in found):.1e}",
        f"{max(one.argmax for one in found):.2g}",
        f"{case.meta['noise_max_over_std']:.1e}",
        card.catalog.name,
        preprocessing(card),
    )
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    names = sorted(path.stem for path in (MODELS / "cases").glob("*.npz"))
    text = HEAD + "".join(row(name) for name in names)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text, encoding="utf-8")
    print(f"wrote {OUT}")
