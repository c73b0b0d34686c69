"""One image from its file to its mask, stage by stage; on two commits in turn with ``--base``.

    python benchmarks/stages.py [--base COMMIT] [--rounds 3]

Milliseconds of CPU of one thread, medians of nine images after a first one: reading the file, making the network's input, the
forward pass to coarse scores, labels and confidence of every pixel (with the measures of doubt), writing the mask. Networks:
``voc-net``, the trained one of ``../shared/real``, and DeepLabv3+ over MobileNetV2 and ResNet-101 with random weights; engines
besides torch where a commit has them. Only names that earlier commits have are imported, so that the same script measures them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not os.environ.get("PYTHONPATH"):
    sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT / "benchmarks"))

REAL = ROOT.parent / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
IMAGE = REAL / "voc" / "images" / "2007_006171.jpg"
STAGES = ("read", "input", "forward", "labels", "write")
_RUNS = 9


class Clock:
    """Milliseconds of CPU by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            found = function(*arguments, **options)
            self.spent[stage] += 1e3 * (time.process_time() - began)
            return found

        return call


def stages(predictor: Any, options: Any, folder: Path) -> dict[str, float]:
    """Median of each stage."""
    from deeplab_core.images import read_image

    try:
        from deeplab_core.masks.png import write_mask
    except ImportError:  # before its package had this name
        from deeplab_core.formats import write_mask
    rounds: list[dict[str, float]] = []
    forward = predictor.model.coarse_logits
    try:
        from deeplab_core.backends import compiled

        others = [compiled._OnnxGraph, compiled._OpenVinoGraph]
    except ImportError:
        others = []
    plain = [graph.run for graph in others]
    for _ in range(_RUNS + 1):
        clock = Clock()
        predictor.model.coarse_logits = clock.timed("forward", forward)
        for graph, run in zip(others, plain, strict=True):
            graph.run = clock.timed("forward", run)  # type: ignore[method-assign]
        rgb = clock.timed("read", read_image)(IMAGE).rgb
        scores = clock.timed("input", predictor.scores)(rgb, options=options)
        prediction = clock.timed("labels", predictor.decide)(scores, "", options)
        clock.timed("write", write_mask)(folder / "mask.png", prediction.labels, predictor.card.catalog)
        clock.spent["input"] -= clock.spent["forward"]
        rounds.append(clock.spent)
    for graph, run in zip(others, plain, strict=True):
        graph.run = run  # type: ignore[method-assign]
    predictor.model.coarse_logits = forward
    return {stage: statistics.median(found[stage] for found in rounds[1:]) for stage in STAGES}


def networks() -> dict[str, Any]:
    """Predictors of the networks."""
    import torch
    from inference import calibrated

    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    if WEIGHTS.is_file():
        model, card = load_model(WEIGHTS)
        found["voc-net"] = Predictor(model, card, device="cpu")
        for backbone in ("mobilenet_v2", "resnet101"):
            built = calibrated({"name": "deeplabv3plus", "backbone": backbone, "align_corners": card.align_corners})
            found[backbone] = Predictor(built, card, device="cpu")  # the card brings size and classes
    return found


def measure() -> dict[str, dict[str, float]]:
    """Stages of each network and engine of this tree."""
    from deeplab_core.inference import PredictOptions

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, predictor in networks().items():
            found[f"{name}, torch"] = stages(predictor, PredictOptions(), Path(folder))
            for engine in ("onnx", "openvino") if hasattr(PredictOptions(), "engine") else ():
                found[f"{name}, {engine}"] = stages(predictor, PredictOptions(engine=engine), Path(folder))
    return found


def run_in(tree: Path) -> dict[str, dict[str, float]]:
    """What this script measures in another process on a tree."""
    done = subprocess.run(
        [sys.executable, __file__, "--json"], env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(title: str, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print medians of the rounds."""
    for name in rounds[0]:
        values = [statistics.median(one[name][stage] for one in rounds) for stage in STAGES]
        totals = [sum(one[name].values()) for one in rounds]
        spread = (max(totals) - min(totals)) / statistics.median(totals)
        print(
            f"| {name} | {title} | " + " | ".join(f"{value:.1f}" for value in values) + f" | {sum(values):.0f} | {spread:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one line of this tree's stages")
    options = parser.parse_args()
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photograph and network here ({REAL} is absent)")
    if options.json:
        print(json.dumps(measure()))
        return
    print(f"| network, engine | commit | {' | '.join(STAGES)} | all | spread |\n|{'---|' * (len(STAGES) + 4)}")
    if options.base is None:
        table("this tree", [measure()])
        return
    sys.path.insert(0, str(ROOT))
    from tools.bench_compare import checked_out

    with checked_out(options.base) as base:
        pairs = [(run_in(base), run_in(ROOT)) for _ in range(options.rounds)]
    table(options.base, [before for before, _ in pairs])
    table("now", [now for _, now in pairs])


if __name__ == "__main__":
    main()
