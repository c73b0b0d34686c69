"""How long does learning from ten corrected images of 480x360 take?

    OMP_NUM_THREADS=2 python benchmarks/learn_time.py [--network bundled|full]

Ten labelled images and 32 untouched ones, blocks of colour each, through the learning of the window.
``bundled`` has the shape of the bundled models (separable decoder), ``full`` the paper's decoder over MobileNetV2. The 3x3
convolutions over its 304 channels take most of its time. The weights are random: the steps take as long as with trained ones.
Not included is a second pass over the left-out images, after a part of the change is withdrawn (ten predictions from kept
features).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.inference import cap_threads
from deeplab_core.inference.pixels import RGB
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation import Corrected, Untouched, adapt

SHAPES = {"bundled": {"separable": True, "aspp_channels": 192, "decoder_channels": 128}, "full": {}}
CATALOG = get_catalog("camvid11")


def picture(seed: int) -> RGB:
    """(360, 480, 3) uint8 blocks of 30 px."""
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(30, 0).repeat(30, 1)


def corrected(seed: int) -> Corrected:
    rgb = picture(seed)
    labels = CATALOG.ids[rgb[..., 0] // 64].astype(np.uint8)
    return Corrected(str(seed), lambda: (rgb, labels, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(SHAPES), default="bundled")
    network = parser.parse_args().network
    cap_threads()
    torch.manual_seed(0)
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=len(CATALOG), **SHAPES[network]).eval()
    card = ModelCard(
        id="random", name="Random", architecture=model.architecture, catalog=CATALOG, align_corners=model.align_corners
    )
    cpu, wall = time.process_time(), time.monotonic()
    found = adapt(
        model,
        card,
        [corrected(seed) for seed in range(10)],
        [Untouched(str(seed), lambda seed=seed: picture(seed)) for seed in range(100, 132)],
    )
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"{network}: {wall:.1f} s of wall time, {cpu:.1f} s of CPU time on {torch.get_num_threads()} threads")
    print(f"{found.report.steps} steps, blend {found.report.blend:g}")


if __name__ == "__main__":
    main()
