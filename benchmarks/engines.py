"""From an array to a label map: the Predictor on each engine against the peers' eager route, on the same weights.

The peers' route is what their example code does: normalise, forward pass as built (NCHW memory, batch norms as layers) under
``torch.no_grad``, logits upsampled to the image, ``max(1)[1]``. ``VainF`` is its network built from our layers (its MobileNetV2
pads before the expansion, its decoder has one dense convolution); segmentation_models.pytorch is that library's own network;
its weights are then loaded into ours. Ours gives labels only, as the peers' route and ``atrous predict`` do. CPU time of one
thread, medians of interleaved runs in one process, so that only ratios count; the fastest runs beside them, since neighbours on
a shared host take memory bandwidth in turns::

    python benchmarks/engines.py [--runs 7] [--networks NAME ...] [--precision bf16] [--json out/engines.json]

With ``--precision bf16`` every engine computes in it, even where the trial would refuse it: random weights agree less than
trained ones, of which ``reduced.py`` tells.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from inference import calibrated

from deeplab_core.backends.engines import installed_engines
from deeplab_core.inference import PredictOptions, Predictor, engine_trial
from deeplab_core.inference.device import processor
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.records import ModelCard, Precision, Preprocessing
from deeplab_core.weights import load_model

VAINF: dict[str, Any] = {
    "name": "deeplabv3plus", "decoder_convs": 1, "decoder_order": "low_level_first", "align_corners": False,
}  # fmt: skip
PADDED = {"pad_before": "expansion", "stem_padding": 0}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "VainF mobilenet": ("VainF", {**VAINF, "backbone": "mobilenet_v2", "backbone_options": PADDED}),
    "VainF resnet50": ("VainF", {**VAINF, "backbone": "resnet50"}),
    "VainF resnet101": ("VainF", {**VAINF, "backbone": "resnet101"}),
    "VainF xception65": ("VainF", {**VAINF, "backbone": "xception65"}),
    "smp mobilenet_v2": ("smp", {"encoder_name": "mobilenet_v2"}),
    "smp resnet101": ("smp", {"encoder_name": "resnet101"}),
}
#: Sides as in the published figures; smp takes multiples of its stride only.
SIDES = {"VainF": 513, "smp": 512}


def warmed(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights, with batch norms that have seen one batch."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 128, 128))
    return network.eval()


def peer_and_ours(name: str) -> tuple[torch.nn.Module, Any, ModelCard]:
    """The peer's network, ours of the same weights, and its card."""
    kind, arguments = NETWORKS[name]
    torch.manual_seed(0)
    card = ModelCard(id=name, name=name, architecture={}, catalog=numbered_catalog(21), preprocessing=Preprocessing())
    if kind == "VainF":
        model = calibrated(arguments)
        return model, model, replace(card, align_corners=False)
    import segmentation_models_pytorch as smp

    peer = warmed(smp.DeepLabV3Plus(encoder_weights=None, classes=21, **arguments))
    model, found = load_model(peer.state_dict())
    return peer, model, replace(found, catalog=card.catalog)


def eager_route(network: torch.nn.Module, card: ModelCard, rgb: np.ndarray) -> Callable[[], np.ndarray]:
    mean, std = (torch.tensor(values)[:, None, None] for values in (card.preprocessing.mean, card.preprocessing.std))

    def run() -> np.ndarray:
        with torch.no_grad():
            x = (torch.from_numpy(rgb).permute(2, 0, 1).float() - mean) / std
            logits = network(x[None])
            if logits.shape[-2:] != rgb.shape[:2]:
                logits = functional.interpolate(logits, size=rgb.shape[:2], mode="bilinear", align_corners=False)
            return logits.max(1)[1][0].numpy().astype(np.uint8)

    return run


def row(name: str, runs: int, precision: Precision) -> dict[str, Any]:
    """Ratios of one network, the peer in fp32."""
    peer, model, card = peer_and_ours(name)
    side = SIDES[NETWORKS[name][0]]
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    rgb = np.kron(coarse, np.ones((57, 57, 1), np.uint8))[:side, :side]
    predictor = Predictor(model, card, device="cpu")
    calls: dict[str, Callable[[], np.ndarray]] = {"peer": eager_route(peer, card, rgb)}
    computes = [engine for engine in installed_engines() if engine == "openvino" or precision == "fp32"]
    for engine in ("torch", *computes):
        options = PredictOptions(engine=engine, resize="native", precision=precision)
        labels_only = partial(predictor, rgb, options=options, uncertainty=False, confidence=False)
        calls[engine] = lambda labels_only=labels_only: labels_only().labels  # type: ignore[misc]
    labels = {engine: call() for engine, call in calls.items()}
    times: dict[str, list[float]] = {engine: [] for engine in calls}
    for _ in range(runs):
        for engine, call in calls.items():
            began = time.process_time()
            call()
            times[engine].append(1e3 * (time.process_time() - began))
    medians = {engine: statistics.median(values) for engine, values in times.items()}
    spread = {engine: (max(values) - min(values)) / medians[engine] for engine, values in times.items()}
    return {
        "network": name,
        "side": side,
        "precision": precision,
        "runs": runs,
        "cpu_ms": {engine: round(value) for engine, value in medians.items()},
        "fastest_ms": {engine: round(min(values)) for engine, values in times.items()},
        "times_faster": {engine: round(medians["peer"] / value, 2) for engine, value in medians.items() if engine != "peer"},
        "spread": {engine: round(value, 2) for engine, value in spread.items()},
        "equal_labels": {engine: round(float((got == labels["peer"]).mean()), 6) for engine, got in labels.items()},
    }


def machine() -> dict[str, str]:
    """What the figures hold for."""
    found = {"processor": processor(), "system": platform.platform(), "threads": str(torch.get_num_threads())}
    for package in ("torch", "onnxruntime", "openvino", "segmentation-models-pytorch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.precision != "fp32":
        engine_trial.LEAST_AGREEMENT = 0.0  # random weights are timed only
    rows: list[dict[str, Any]] = [machine()]
    print(rows[0])
    for name in arguments.networks:
        rows.append(row(name, arguments.runs, arguments.precision))
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
