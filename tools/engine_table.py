"""Write docs/models/engines.md: how far graphs for other engines agree with the networks that they come from.

Run from the repository: ``python -m tools.engine_table``. Needs the extras ``onnx`` and ``litert``; the part about the released
network needs the real photographs of ``../shared`` and keeps what is written where they are absent. Takes some ten minutes.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from deeplab_core.backends.export import export_onnx
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "models" / "engines.md"
REAL = ROOT.parent / "shared" / "real"
CLASSES = 21

NETWORKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("DeepLabv1 (VGG-16)", "deeplabv1", {}),
    ("DeepLabv2 ResNet-101", "deeplabv2", {}),
    ("DeepLabv3 ResNet-50", "deeplabv3", {"backbone": "resnet50"}),
    ("DeepLabv3 MobileNetV2, centres aligned", "deeplabv3", {"backbone": "mobilenet_v2", "align_corners": False}),
    ("DeepLabv3+ ResNet-101", "deeplabv3plus", {"backbone": "resnet101"}),
    ("DeepLabv3+ Xception-65", "deeplabv3plus", {"backbone": "xception65"}),
    ("DeepLabv3+ MobileNetV2", "deeplabv3plus", {"backbone": "mobilenet_v2"}),
    ("DilatedNet", "dilatednet", {}),
    ("DRN", "drn", {}),
    ("FCN", "fcn", {}),
    ("U-Net", "unet", {}),
    ("SegNet", "segnet", {}),
    ("DeconvNet", "deconvnet", {}),
    ("FC-DenseNet", "fc_densenet", {}),
    ("LR-ASPP MobileNetV3-Large", "lraspp", {}),
)


def _random_network(name: str, options: dict[str, Any]) -> tuple[Any, ModelCard]:
    """A network with random weights and active batch norms."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=CLASSES, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    card = ModelCard(
        id="", name=name, architecture=model.architecture, catalog=numbered_catalog(CLASSES), output_stride=model.output_stride
    )
    return model, card


def export_rows(folder: Path) -> list[str]:
    """One row of the table per network."""
    rows = []
    for title, name, options in NETWORKS:
        model, card = _random_network(name, options)
        done = export_onnx(folder / "net.onnx", model, card)
        sizes = ", ".join(f"{width}x{height}" for height, width in done.sizes)
        rows.append(
            f"| {title} | {done.difference / done.deviation:.1e} | {100 * done.agreement:.3f} | {sizes} "
            f"| {done.path.stat().st_size / 1e6:.0f} |"
        )
        print(rows[-1], flush=True)
    return rows


def _measured(predict: Callable[[np.ndarray], Any], images: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    labels, took = [], 0.0
    predict(images[0])
    for rgb in images:
        began = time.perf_counter()
        labels.append(predict(rgb).labels)
        took += time.perf_counter() - began
    return labels, took / len(images)


def released_rows(folder: Path) -> list[str]:
    """The released network as torch, as ONNX and as int8, over the photographs that have reference labels."""
    rows = [row for row in json.loads((REAL / "voc_net" / "index.json").read_text()) if "input" in row]
    images = [np.asarray(Image.open(REAL / row["input"]).convert("RGB")) for row in rows]
    references = [np.asarray(Image.open(REAL / row["labels"])) for row in rows]
    model, card = load_model(REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    export_onnx(folder / "free.onnx", model, card)
    export_onnx(folder / "labels.onnx", model, card, size=(513, 513), output="labels")
    engines = (
        ("torch, float32", (model, card)),
        ("ONNX, free size", load_model(folder / "free.onnx")),
        ("ONNX, 513 x 513, labels only", load_model(folder / "labels.onnx")),
        ("LiteRT, int8, labels only", load_model(REAL / "weights" / "deeplabv3_mnv2_pascal_quant.tflite")),
    )
    lines, ours = [], None
    for title, (network, its_card) in engines:
        labels, seconds = _measured(Predictor(network, its_card, device="cpu"), images)
        ours = ours or labels
        shares = [float((a == b).mean()) for a, b in zip(labels, ours, strict=True)]
        pixels = sum(a.size for a in labels)
        equal = sum(int((a == b).sum()) for a, b in zip(labels, ours, strict=True)) / pixels
        expected = sum(int((a == b).sum()) for a, b in zip(labels, references, strict=True)) / pixels
        lines.append(
            f"| {title} | {100 * equal:.3f} | {100 * float(np.median(shares)):.3f} | {100 * min(shares):.2f} "
            f"| {100 * expected:.3f} | {seconds:.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def _put(text: str, mark: str, rows: list[str]) -> str:
    """The rows between a mark's two comments."""
    pattern = rf"(<!-- {mark} -->\n(?:\|.*\n){{2}})(?:\|.*\n)*"
    found, count = re.subn(pattern, lambda match: match[1] + "".join(row + "\n" for row in rows), text)
    if count != 1:
        raise ValueError(f"{OUT} has no table marked {mark}")
    return found


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    text = OUT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        if (REAL / "voc_net" / "index.json").is_file():
            text = _put(text, "released", released_rows(Path(folder)))
        else:
            print("no real photographs here: the table of the released network stays as it is")
        OUT.write_text(_put(text, "exported", export_rows(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
