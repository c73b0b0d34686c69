"""Rooms of coloured rectangles, a small network that knows some of the colours, and a labeller who knows all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training.adaptation import Corrected, Untouched
from deeplab_core.training.adaptation.frozen_split import split_network

CATALOG = ClassCatalog(
    "toy",
    "Toy",
    (ClassInfo(0, "floor", (40, 40, 40)), ClassInfo(3, "chair", (200, 30, 30)), ClassInfo(7, "sofa", (30, 180, 60))),
    background=0,
)
LAMP = ClassInfo(9, "lamp", (220, 210, 40))
WITH_LAMPS = replace(CATALOG, name="toy lamps", classes=(*CATALOG.classes, LAMP))
HEIGHT, WIDTH = 64, 80
#: Blue sofas are what the network has never seen.
COLOURS = {
    "floor": (70, 70, 70),
    "chair": (210, 40, 40),
    "sofa": (40, 190, 60),
    "blue sofa": (50, 60, 210),
    "lamp": (230, 220, 60),
}
IDS = {"floor": 0, "chair": 3, "sofa": 7, "blue sofa": 7, "lamp": 9}


def room(seed: int, *things: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture (HEIGHT, WIDTH, 3) and its truth, with one rectangle for every thing."""
    random = np.random.default_rng(seed)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    rgb = np.empty((HEIGHT, WIDTH, 3))
    rgb[:] = COLOURS["floor"]
    share = WIDTH // len(things)
    for place, thing in enumerate(things):
        y, x = int(random.integers(4, 24)), place * share + int(random.integers(0, max(1, share - 24)))
        truth[y : y + 32, x : x + 24] = IDS[thing]
        rgb[y : y + 32, x : x + 24] = COLOURS[thing]
    noisy = np.clip(rgb + random.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    return noisy, truth


def corrected(seed: int, *things: str, known: NDArray[np.bool_] | None = None, catalog: ClassCatalog = CATALOG) -> Corrected:
    """A room with its whole truth, or with what is ``known`` of it."""
    rgb, truth = room(seed, *things)
    labels = truth if known is None else np.where(known, truth, catalog.ignore).astype(np.uint8)
    return Corrected(f"room {seed}", lambda: (rgb, labels, truth))


def untouched(seed: int, *things: str) -> Untouched:
    """A room without corrections."""
    rgb, _ = room(seed, *things)
    return Untouched(f"room {seed}", lambda: rgb)


@cache
def taught_network(name: str = "deeplabv3plus", backbone: str = "resnet18") -> tuple[SegmentationModel, ModelCard]:
    """A network over random features with a head trained on floor, chair and green sofa. Ask for a copy before changing it."""
    torch.manual_seed(3)
    options = {"aspp_channels": 16, "decoder_channels": 16, "low_level_channels": 8} if "deeplab" in name else {}
    model = create_model(name, backbone=backbone, num_classes=len(CATALOG), **options).eval()
    card = ModelCard(
        id="toy-id", name="Toy", architecture=model.architecture, catalog=CATALOG, align_corners=model.align_corners,
        output_stride=model.output_stride, sha256="0" * 64,
        preprocessing=Preprocessing(mean=(127.5,) * 3, std=(64.0,) * 3),
    )  # fmt: skip
    pairs = [room(seed, "chair", "sofa") for seed in range(6)]
    x = torch.stack([torch.from_numpy(rgb).permute(2, 0, 1).float().sub(127.5).div(64) for rgb, _ in pairs])
    lut = torch.from_numpy(CATALOG.index_lut())
    y = torch.stack([lut[torch.from_numpy(truth).long()] for _, truth in pairs])
    with torch.no_grad():  # random features need norms that know their scale: one batch gives it
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        model.train()(x)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
    model.eval()
    split = split_network(model, "decoder")
    features = split.encode(x)
    optimizer = torch.optim.Adam(split.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        logits = split.logits(features, (HEIGHT, WIDTH))
        functional.cross_entropy(functional.interpolate(logits, size=(HEIGHT, WIDTH), mode="bilinear"), y).backward()
        optimizer.step()
    return split.joined(), card
