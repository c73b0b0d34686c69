"""From coarse scores to labels and confidence: ours against interpolating everything and taking the maximum.

The peer's route is ``interpolate(logits, size, mode="bilinear")`` and ``max(1)[1]`` (VainF and most others); with a softmax
between where a confidence map is wanted too, as ours always makes one. CPU time of one thread, medians of interleaved runs::

    python benchmarks/postprocess.py [--runs 5] [--json out/postprocess.json]

Where ``../shared/real`` is present, scores are those of the real network on a photograph; else smooth random fields.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.inference import ScoreGrid, Scores, warm_up
from deeplab_core.inference.geometry import NetworkFrame
from deeplab_core.inference.scores import store_scores

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
CLASSES = 21
CATALOG = ClassCatalog("voc", "VOC", tuple(ClassInfo(i, str(i), (i, i, i)) for i in range(CLASSES)))
Size = tuple[int, int]


def random_field(grid: Size, seed: int = 0) -> np.ndarray:
    """(gh, gw, C) smooth logits in which every class has regions; the spread of a trained network's."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, CLASSES, 9, 9, generator=generator) * 9
    field = interpolate(coarse, size=grid, mode="bicubic") + 0.3 * torch.randn(1, CLASSES, *grid, generator=generator)
    return field[0].permute(1, 2, 0).contiguous().numpy()


def real_scores() -> np.ndarray | None:
    """(33, 33, C) scores of the real network on a photograph."""
    weights = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
    if not weights.is_file():
        return None
    from deeplab_core.images import read_image
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    model, card = load_model(weights)
    rgb = read_image(REAL / "coco" / "images" / "coco128_000000000370.jpg").rgb
    return Predictor(model, card, device="cpu").scores(rgb).grids[0].values.astype(np.float32)


def peer(logits: torch.Tensor, size: Size, *, softmax: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and largest value by the long way."""
    full = interpolate(logits, size=size, mode="bilinear", align_corners=False)
    value, labels = (full.softmax(1) if softmax else full).max(1)
    return labels, value


def cpu_milliseconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return 1e3 * (time.process_time() - began)


def measure(name: str, field: np.ndarray, size: Size, runs: int) -> dict[str, object]:
    """One row: medians, ratios, differing pixels."""
    values = store_scores(field)
    scores = Scores((ScoreGrid(values, NetworkFrame(size, size, size), False),), CATALOG)
    # The peer gets the same numbers, so that differing pixels are the routes' and not float16's.
    logits = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
    routes: dict[str, Callable[[], object]] = {
        "ours": scores.label_map,
        "peer": lambda: peer(logits, size, softmax=False),
        "peer_softmax": lambda: peer(logits, size, softmax=True),
    }
    times: dict[str, list[float]] = {route: [] for route in routes}
    with torch.inference_mode():
        for _ in range(runs):
            for route, call in routes.items():
                times[route].append(cpu_milliseconds(call))
        expected = peer(logits, size, softmax=True)
    labels, confidence = scores.label_map()
    medians = {route: statistics.median(values) for route, values in times.items()}
    return {
        "case": name,
        "size": f"{size[1]}x{size[0]}",
        "grid": f"{values.shape[1]}x{values.shape[0]}",
        **{f"{route}_cpu_ms": round(value, 1) for route, value in medians.items()},
        "times_faster_labels_only": round(medians["peer"] / medians["ours"], 1),
        "times_faster_with_confidence": round(medians["peer_softmax"] / medians["ours"], 1),
        "differing_pixels": int((expected[0][0].numpy() != labels).sum()),
        "confidence_off_by_more_than_1": int((np.abs(255 * expected[1][0].numpy() - confidence) > 1.01).sum()),
        "share_of_confidence_255": round(float((confidence == 255).mean()), 3),
    }


def peak_memory() -> dict[str, object]:
    """Peak of what numpy allocates for a 12-megapixel label map and its confidence (24 MB together)."""
    size, grid = (3000, 4000), (750, 1000)
    scores = Scores((ScoreGrid(store_scores(random_field(grid)), NetworkFrame(size, size, size), False),), CATALOG)
    tracemalloc.start()
    scores.label_map()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"case": "peak memory, 12 MP, stride 4", "with_both_maps_mb": round(peak / 1e6), "full_float_logits_mb": 1008}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    rows = [peak_memory()]
    cases: list[tuple[str, np.ndarray, Size]] = [
        ("random, stride 4", random_field((129, 129)), (513, 513)),
        ("random, stride 4, enlarged", random_field((129, 129)), (3000, 4000)),
        ("random, stride 4, native", random_field((750, 1000)), (3000, 4000)),
    ]
    real = real_scores()
    if real is not None:
        cases += [("real network, stride 16", real, (513, 513)), ("real network, stride 16", real, (3000, 4000))]
    rows += [measure(name, field, size, arguments.runs) for name, field, size in cases]
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
