"""Reduced precision on trained weights: how many labels stay, and what it saves.

The graph of a network as :mod:`deeplab_core.backends.compiled` writes it, by ONNX Runtime and OpenVINO in fp32, by OpenVINO in
bf16 where the processor has it, and in int8 by ONNX Runtime's quantiser (QDQ form, one scale a channel, calibrated on eight
images): all layers, and the second half of the convolutions without the last one. Labels are those of the coarse logits,
upsampled four times, on images that nothing was calibrated on. ``kept`` is the share of images of which a trial would accept the
precision (99.5 % of the labels). CPU time of one thread, medians, engines taking turns::

    python benchmarks/reduced.py [--networks rooms-voc camvid photos-voc voc-net] [--images 12]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.paths import BUNDLED_MODELS, SAMPLE_PROJECT
from deeplab_core.backends.compiled import _OnnxGraph, _OpenVinoGraph, traced
from deeplab_core.errors import AtrousError
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.inference.engine_trial import LEAST_AGREEMENT
from deeplab_core.inference.geometry import frame_for
from deeplab_core.inference.network import canvas_for
from deeplab_core.inference.pixels import resize_rgb
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
PHOTOGRAPHS = (REAL / "voc" / "images", REAL / "coco" / "images")
NETWORKS: dict[str, tuple[Path, tuple[Path, ...]]] = {
    "rooms-voc": (BUNDLED_MODELS / "rooms-voc.safetensors", (SAMPLE_PROJECT / "images",)),
    "camvid": (BUNDLED_MODELS / "camvid.safetensors", (REAL / "camvid" / "val",)),
    "photos-voc": (BUNDLED_MODELS / "photos-voc.safetensors", PHOTOGRAPHS),
    "voc-net": (REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors", PHOTOGRAPHS),
}
#: Images that int8 is calibrated on.
_CALIBRATION = 8
_EVERY_LAYER = ["Conv", "MatMul", "Add", "Clip", "Concat"]


def windows(predictor: Predictor, folders: tuple[Path, ...], number: int) -> list[np.ndarray]:
    """The first images of the folders as the network sees them, (1, C, H, W) float32 each."""
    found = []
    for path in [path for folder in folders for path in sorted(folder.iterdir())]:
        if len(found) == number:
            break
        try:
            rgb = read_image(path).rgb
        except AtrousError:
            continue
        card, model = predictor.card, predictor.model
        frame = frame_for(
            (rgb.shape[0], rgb.shape[1]), card.preprocessing, resize=None, scale=1.0, align_corners=model.align_corners,
            minimum_side=model.minimum_side,
        )  # fmt: skip
        canvas: Any = canvas_for(model, resize_rgb(rgb, frame.scaled), card.preprocessing, predictor.device, frame)
        found.append(canvas.window(0, 0, *frame.canvas).contiguous().numpy())
    return found


class Images:
    """Images for the quantiser, one at a time."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self._left: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image}


def quantised(graph: bytes, images: list[np.ndarray], *, half: bool) -> bytes:
    """The graph in int8; ``half`` leaves the first half of the convolutions, and the last one, as they are."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("source.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(graph)
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        quantize_static(
            str(prepared), str(target), Images(images), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=_EVERY_LAYER,
            nodes_to_exclude=[*convolutions[: len(convolutions) // 2], convolutions[-1]] if half else [],
        )  # fmt: skip
        return target.read_bytes()


def labels(logits: np.ndarray) -> torch.Tensor:
    """Of coarse logits, upsampled four times."""
    return functional.interpolate(torch.from_numpy(logits), scale_factor=4, mode="bilinear").argmax(1)


def rows(name: str, number: int) -> list[str]:
    """The table's lines of one network."""
    path, folders = NETWORKS[name]
    if not path.is_file() or not all(folder.is_dir() for folder in folders):
        return [f"{name}: not measured, {path} or its images are not here"]
    predictor = Predictor(*load_model(path), device="cpu")
    images = windows(predictor, folders, _CALIBRATION + number)
    calibration, tested = images[:_CALIBRATION], images[_CALIBRATION:]
    graph = traced(predictor.model)
    ways: dict[str, Any] = {"onnx fp32": _OnnxGraph(graph), "openvino fp32": _OpenVinoGraph(graph, "fp32")}
    try:
        ways["openvino bf16"] = _OpenVinoGraph(graph, "bf16")
    except AtrousError as error:
        print(f"bf16 left out: {error}", file=sys.stderr)
    ways["onnx int8, all layers"] = _OnnxGraph(quantised(graph, calibration, half=False))
    ways["onnx int8, second half"] = _OnnxGraph(quantised(graph, calibration, half=True))
    times: dict[str, list[float]] = {way: [] for way in ways}
    equal: dict[str, list[float]] = {way: [] for way in ways}
    for image in tested:
        expected = None
        for way, engine in ways.items():
            began = time.process_time()
            logits = engine.run({"image": image})
            times[way].append(1e3 * (time.process_time() - began))
            found = labels(logits)
            expected = found if expected is None else expected
            equal[way].append(float((found == expected).double().mean()))
    best = min(statistics.median(times[way]) for way in ("onnx fp32", "openvino fp32"))
    return [
        f"| {name}, {images[0].shape[3]}x{images[0].shape[2]} | {way} | {statistics.median(times[way]):.1f} "
        f"| {best / statistics.median(times[way]):.2f}x | {100 * np.mean(equal[way]):.2f} | {100 * min(equal[way]):.2f} "
        f"| {sum(share >= LEAST_AGREEMENT for share in equal[way])} of {len(tested)} |"
        for way in ways
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # the quantiser's advice
    print("| network | engine | CPU ms | against the faster fp32 | labels as in fp32, % | least | kept |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.networks:
        print("\n".join(rows(name, arguments.images)), flush=True)


if __name__ == "__main__":
    main()
