"""The Predictor against the peers' eager route on the same network, and tiles against the whole image.

The peer's route is the network as built, NCHW memory, batch norms as layers, under ``torch.no_grad``. CPU time of one thread,
medians of interleaved runs in one process::

    python benchmarks/inference.py [--runs 5] [--size 513] [--tiles] [--json out/inference.json]

``--tiles`` adds the agreement of tiled with untiled labels, for the real network where ``../shared/real`` is present.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.inference import PredictOptions, Predictor, prepare_for_inference, warm_up
from deeplab_core.nn import create_model
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
NETWORKS = {
    "deeplabv3plus mobilenet_v2": {"name": "deeplabv3plus", "backbone": "mobilenet_v2"},
    "deeplabv3plus resnet50": {"name": "deeplabv3plus", "backbone": "resnet50"},
    "deeplabv3plus resnet101": {"name": "deeplabv3plus", "backbone": "resnet101"},
    "deeplabv3plus xception65": {"name": "deeplabv3plus", "backbone": "xception65"},
}


def calibrated(arguments: dict[str, str]) -> torch.nn.Module:
    """Random weights with batch norms that have seen one batch: no denormals, sane activations."""
    torch.manual_seed(0)
    model = create_model(**arguments, num_classes=21, output_stride=16).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(torch.randn(2, 3, 129, 129))
    return model.eval()


def interleaved(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median CPU milliseconds of each call."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            times[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(values[1:]) for name, values in times.items()}  # the first run warms up


def forward_row(name: str, arguments: dict[str, str], side: int, runs: int) -> dict[str, object]:
    """ComparedModel's eager forward pass to coarse logits against the prepared network's."""
    model = calibrated(arguments)
    prepared = prepare_for_inference(model)
    x = torch.randn(1, 3, side, side)
    last = x.contiguous(memory_format=torch.channels_last)

    def peer() -> torch.Tensor:
        with torch.no_grad():
            return model.coarse_logits(x)

    def ours() -> torch.Tensor:
        with torch.inference_mode():
            return prepared.coarse_logits(last)

    def ours_bf16() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return prepared.coarse_logits(last)

    medians = interleaved({"peer": peer, "ours": ours, "ours_bf16": ours_bf16}, runs)
    expected, got = peer(), ours()
    return {
        "network": name,
        "size": side,
        **{f"{route}_cpu_ms": round(value) for route, value in medians.items()},
        "times_faster": round(medians["peer"] / medians["ours"], 2),
        "times_faster_bf16_on_request": round(medians["peer"] / medians["ours_bf16"], 2),
        "largest_error_of_logit_range": f"{float((got - expected).abs().max() / (expected.max() - expected.min())):.1e}",
        "norms_left": sum(isinstance(module, torch.nn.BatchNorm2d) for module in prepared.modules()),
        "working_bytes_per_pixel": working_bytes(prepared, side),
    }


def working_bytes(model: torch.nn.Module, side: int) -> int | None:
    """Growth of resident memory during one forward pass, per input pixel (Linux)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    x = torch.randn(1, 3, 2 * side, 2 * side).contiguous(memory_format=torch.channels_last)
    page = 4096
    before = peak = int(status.read_text().split()[1])
    running = True

    def sample() -> None:
        nonlocal peak
        while running:
            peak = max(peak, int(status.read_text().split()[1]))
            time.sleep(0.001)

    sampler = threading.Thread(target=sample)
    sampler.start()
    with torch.inference_mode():
        model.coarse_logits(x)
    running = False
    sampler.join()
    return round((peak - before) * page / (4 * side * side))


def tile_rows() -> list[dict[str, object]]:
    """Agreement of tiled with untiled labels of the real network, native size."""
    weights = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
    if not weights.is_file():
        return [{"tiles": f"not measured: {weights} is absent"}]
    from PIL import Image

    from deeplab_core.images import read_image

    model, card = load_model(weights)
    predictor = Predictor(model, card, device="cpu")
    rows: list[dict[str, object]] = []
    for photograph in ("no_gt/ibm_cc0/airplane.jpg", "coco/images/coco128_000000000049.jpg"):
        rgb = np.asarray(Image.fromarray(read_image(REAL / photograph).rgb).resize((1281, 897)))
        began = time.process_time()
        whole = predictor(rgb, options=PredictOptions(resize="native"))
        whole_time = time.process_time() - began
        for overlap in (0, 64, None, 128, predictor.model.receptive_radius()):
            began = time.process_time()
            tiled = predictor(rgb, options=PredictOptions(resize="native", tile=512, overlap=overlap))
            rows.append(
                {
                    "photograph": Path(photograph).name, "tile": 512, "context": "default" if overlap is None else overlap,
                    "tiles": tiled.report.tiles, "agreement": round(float((tiled.labels == whole.labels).mean()), 5),
                    "cpu_time_of_whole": round((time.process_time() - began) / whole_time, 2),
                }
            )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=513)
    parser.add_argument("--tiles", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    rows = []
    for name, network in NETWORKS.items():
        rows.append(forward_row(name, network, arguments.size, arguments.runs))
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    for row in tile_rows() if arguments.tiles else []:
        rows.append(row)
        print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
