"""A GPU: latency of one image, throughput at the best batch, and the share of the matrix rate, against VainF's eager code.

    python benchmarks/gpu.py [--networks NAME ...] [--sizes 513x513 ...] [--strides 16 8] [--runs 9] [--json FILE]

VainF's route is what its example code does on a GPU, with its network built from our layers (see ``engines.py``): normalise on
the host, float32 as PyTorch comes (TF32 convolutions), NCHW, batch norms as layers, logits upsampled, ``max(1)[1]`` back to the
host. Its throughput is that of stacked images, in the batch that is fastest. Ours is the Predictor, from an array of bytes to a
label map: alone, and with threads that share forward passes. Latencies take turns; medians of wall time, the device waited for.
The matrix rate is that of a product of two square matrices in half precision. TFLOP/s count the multiplications of the network
as built, twice, and the wall time of bare forward passes of the best batch: what is saved (folded norms, the decoder's exact
savings) counts as done.

Without a CUDA device it prints so and ends with status 0. ``--device cpu`` checks the script itself, with small sizes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from engines import VAINF
from inference import calibrated

from deeplab_core.inference import PredictOptions, Predictor, in_batches, single_thread, warm_up
from deeplab_core.inference.memory import is_out_of_memory
from deeplab_core.inference.torch_network import DTYPES
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import count_multiply_adds
from deeplab_core.records import CRFParams, EngineChoice, ModelCard, Preprocessing
from deeplab_core.refine import DenseCRF

BATCHES = (1, 2, 4, 8, 16)
#: Images of a timed round, in batches.
IMAGES_PER_PLACE = 6
CLASSES = 21
#: Engines of the latency rows, beside the peer.
ENGINES: tuple[EngineChoice, ...] = ("torch", "cuda-graph")


def pictures(size: tuple[int, int], number: int) -> list[np.ndarray]:
    """Coarse coloured blocks with noise, (H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(number):
        blocks = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        large = np.kron(blocks, np.ones((size[0] // 9 + 1, size[1] // 9 + 1, 1), np.uint8))[: size[0], : size[1]]
        noisy = large + rng.normal(0, 8, large.shape)
        found.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return found


def waited(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    waited(device)
    began = time.perf_counter()
    call()
    waited(device)
    return time.perf_counter() - began


def interleaved(calls: dict[str, Callable[[], object]], runs: int, device: torch.device) -> dict[str, tuple[float, float]]:
    """Median seconds of each call, and (slowest - fastest) / median; two rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + 2):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    kept = {name: values[2:] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in kept.items()}
    return {name: (medians[name], (max(values) - min(values)) / medians[name]) for name, values in kept.items()}


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """TFLOP/s of a product of two square matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    took = min(seconds(lambda: [a @ b for _ in range(8)], device) for _ in range(5))
    return 8 * 2 * side**3 / took / 1e12


def peer_route(
    network: torch.nn.Module, card: ModelCard, rgb: list[np.ndarray], device: torch.device
) -> Callable[[], np.ndarray]:
    """VainF's eager code over a stack of images."""
    mean, std = (np.array(values, np.float32) for values in (card.preprocessing.mean, card.preprocessing.std))

    def run() -> np.ndarray:
        with torch.no_grad():
            stack = np.stack([(image.astype(np.float32) - mean) / std for image in rgb]).transpose(0, 3, 1, 2)
            x = torch.from_numpy(np.ascontiguousarray(stack)).to(device, dtype=torch.float32)
            return network(x).detach().max(dim=1)[1].cpu().numpy()

    return run


def forward_seconds(predictor: Predictor, size: tuple[int, int], batch: int, precision: str, device: torch.device) -> float:
    """Seconds of a bare forward pass of our prepared network."""
    dtype = DTYPES[precision]  # type: ignore[index]
    x = torch.randn(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            predictor.model.coarse_logits(x)

    run()
    return statistics.median(seconds(run, device) for _ in range(5))


def throughput(predictor: Predictor, batch: int, size: tuple[int, int], device: torch.device) -> tuple[float, int]:
    """Images a second by threads that share passes, and the largest pass."""
    images = pictures(size, 2) * (IMAGES_PER_PLACE * batch // 2)
    with in_batches(predictor, batch) as threads, ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        list(pool.map(predictor, images))
        took = seconds(lambda: list(pool.map(predictor, images)), device)
        assert predictor.batches is not None
        return len(images) / took, predictor.batches.largest


def within_memory(call: Callable[[], Any]) -> Any:
    """What a call gives; None where memory ran out."""
    try:
        return call()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    return None


def peer_throughput(model: torch.nn.Module, card: ModelCard, size: tuple[int, int], device: torch.device) -> dict[int, float]:
    found = {}
    for batch in BATCHES:
        run = peer_route(model, card, pictures(size, batch), device)

        def rate(run: Callable[[], object] = run, batch: int = batch) -> float:
            run()
            return batch / statistics.median(seconds(run, device) for _ in range(5))

        value = within_memory(rate)
        if value is None:
            break
        found[batch] = value
    return found


def row(backbone: str, size: tuple[int, int], stride: int, device: torch.device, runs: int, peak: float) -> dict[str, Any]:
    """One network at one size and stride."""
    built = calibrated({**VAINF, "backbone": backbone})
    built.output_stride = stride
    card = ModelCard(
        id=backbone, name=backbone, architecture={}, catalog=numbered_catalog(CLASSES), preprocessing=Preprocessing(),
        align_corners=False, output_stride=stride, output_strides=built.output_strides,
    )  # fmt: skip
    predictor = Predictor(built, card, PredictOptions(resize="native"), device=str(device))
    model = built.to(device)
    (rgb,) = pictures(size, 1)
    peer = peer_route(model, card, [rgb], device)
    choices = {engine: PredictOptions(resize="native", engine=engine) for engine in ENGINES}
    calls: dict[str, Callable[[], object]] = {"peer": peer}
    calls |= {engine: lambda options=options: predictor(rgb, options=options) for engine, options in choices.items()}
    times = interleaved(calls, runs, device)
    ours = predictor(rgb)
    equal = float((ours.labels == peer()[0]).mean())

    peers = peer_throughput(model, card, size, device)
    rates = {batch: throughput(predictor, batch, size, device) for batch in BATCHES}
    best, best_peer = max(rates, key=lambda batch: rates[batch][0]), max(peers, key=lambda batch: peers[batch])
    giga = 2 * count_multiply_adds(model, size) / 1e9
    passes = {b: within_memory(lambda b=b: forward_seconds(predictor, size, b, ours.report.precision, device)) for b in BATCHES}  # type: ignore[misc]
    flops = {batch: giga * batch / took / 1e3 for batch, took in passes.items() if took is not None}
    return {
        "network": backbone, "size": f"{size[0]}x{size[1]}", "stride": stride, "precision": ours.report.precision,
        "latency_ms": {name: round(1e3 * median, 2) for name, (median, _) in times.items()},
        "spread": {name: round(spread, 2) for name, (_, spread) in times.items()},
        "computed_by": {engine: predictor(rgb, options=options).report.device for engine, options in choices.items()},
        "latency_times_faster": {name: round(times["peer"][0] / times[name][0], 2) for name in calls if name != "peer"},
        "images_per_s": round(rates[best][0], 1), "batch": best, "largest_pass": rates[best][1],
        "peer_images_per_s": round(peers[best_peer], 1), "peer_batch": best_peer,
        "throughput_times_faster": round(rates[best][0] / peers[best_peer], 2),
        "gflop_per_image": round(giga, 1),
        "forward_tflops": {batch: round(value, 2) for batch, value in flops.items()},
        "share_of_matrix_rate": round(max(flops.values()) / peak, 3),
        "share_of_bare_forward": round(rates[best][0] * passes[best] / best, 3) if passes[best] else None,
        "notes": ours.report.notes, "equal_labels": round(equal, 5),
    }  # fmt: skip


def crf_row(device: torch.device, runs: int, size: tuple[int, int] = (375, 500)) -> dict[str, Any]:
    """The torch CRF on the device, and the native one: a new image each time, all labels."""
    (rgb,) = pictures(size, 1)
    rng = np.random.default_rng(1)
    coarse = torch.from_numpy(rng.normal(0, 3, (1, CLASSES, 24, 32)).astype(np.float32))
    logits = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")[0]
    probabilities = np.ascontiguousarray(logits.softmax(0).numpy())
    params = CRFParams(bilateral_sxy=80, bilateral_srgb=13, bilateral_compat=10)

    def by(engine: str, prune: bool) -> np.ndarray:
        return DenseCRF(rgb, params, engine=engine, device=str(device), prune=prune).refine(probabilities)  # type: ignore[arg-type]

    calls: dict[str, Callable[[], object]] = {
        "torch, all labels": lambda: by("torch", False), "torch": lambda: by("torch", True), "native": lambda: by("native", True),
    }  # fmt: skip
    times = interleaved(calls, runs, device)
    error = float(np.abs(by("torch", False) - DenseCRF(rgb, params, prune=False).refine(probabilities)).max())
    return {
        "crf": f"{size[1]}x{size[0]}, {CLASSES} labels",
        "ms": {name: round(1e3 * median, 1) for name, (median, _) in times.items()},
        "spread": {name: round(spread, 2) for name, (_, spread) in times.items()}, "largest_difference": f"{error:.1e}",
    }  # fmt: skip


def parsed(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet101", "xception65"])
    parser.add_argument("--sizes", nargs="+", type=parsed, default=[(513, 513), (1024, 2048)], metavar="HEIGHTxWIDTH")
    parser.add_argument("--strides", nargs="+", type=int, default=[16, 8])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--matrix", type=int, default=8192, help="Side of the matrices of the rate.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device")
        return
    warm_up()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    peak = matrix_rate(device, dtype, arguments.matrix)
    rows: list[dict[str, Any]] = [
        {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu", "torch": torch.__version__,
            "cuda": torch.version.cuda, "system": platform.platform(), "matrix_tflops": round(peak, 2), "of": str(dtype),
        }
    ]  # fmt: skip

    def keep(found: dict[str, Any]) -> None:
        rows.append(found)
        print("  ".join(f"{key}={value}" for key, value in found.items()), flush=True)
        if arguments.json:  # after every row, so that a run that is ended keeps them
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")

    print(rows[0], flush=True)
    keep(crf_row(device, arguments.runs))
    for network in arguments.networks:
        for size in arguments.sizes:
            for stride in arguments.strides:
                keep(row(network, size, stride, device, arguments.runs, peak))


if __name__ == "__main__":
    main()
