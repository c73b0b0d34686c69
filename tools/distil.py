"""Teach a decoder what its own network says at several scales and at a finer stride; no labels are needed.

    python -m tools.distil --init GOOGLE.safetensors --images photographs --images more -o photos-voc.safetensors \
        --output-stride 8 --cache features --name photos-voc --licence "Research use"

The network is a DeepLabv3 without decoder. It gets the decoder of DeepLabv3+, which passes the pyramid's features on unchanged
at first (``deeplab_core.training.decoder_start``); only this decoder and the classifier learn. The teacher is the network itself:
the mean of its probabilities over scales and mirrored images (data distillation, Radosavovic et al. 2018, arXiv 1712.04440; soft
targets of Hinton, Vinyals and Dean 2015, arXiv 1503.02531). Encoder and pyramid stay as they are, so their features are computed
once for each view of an image and kept on disk, and a step costs the decoder of one crop for each view in the batch.

Half of the pixels that count lie within a few px of an edge of the teacher's labels: there the decoder can do what the coarse
grid cannot, and elsewhere it must not forget.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.inference.geometry import frame_for
from deeplab_core.inference.pixels import resize_rgb
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.metrics.trimap import band_map
from deeplab_core.nn.models.deeplab import DeepLab
from deeplab_core.records import ModelCard, PredictOptions
from deeplab_core.training.decoder_start import with_identity_decoder
from deeplab_core.training.schedule import poly_rate
from deeplab_core.weights import load_model, save_model

#: Stride of the low-level features that the decoder reads.
STEP = 4
#: Classes that the teacher gives less than this anywhere in an image are left out of its probabilities.
LEAST = 0.02
#: Images are made no larger than this for the teacher, px.
LONGEST = 800
#: Grid cells that the decoder's two 3x3 convolutions see beyond their own.
MARGIN = 2
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class View:
    """An image, or a part of it, as the network saw it once.

    Attributes:
        window: (top, left, height, width) of the part in the image, px.
        scaled: (height, width) of the part in the network's input, px.
        grid: (height, width) of the part in the low-level grid.
        whole: (height, width) of the low-level grid with padding.
        mirrored: left and right are exchanged.
        high, low: (C, h, w) float16, features of the pyramid over all of the input, and low-level features of the part.
    """

    window: tuple[int, int, int, int]
    scaled: tuple[int, int]
    grid: tuple[int, int]
    whole: tuple[int, int]
    mirrored: bool
    high: NDArray[np.float16]
    low: NDArray[np.float16]

    def places(self, rows: NDArray[Any], columns: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns of pixels of the image as places of the low-level grid, which may be fractions."""
        top, left, height, width = self.window
        y = np.clip((rows - top + 0.5) * (self.scaled[0] / height) - 0.5, 0, self.scaled[0] - 1)
        x = np.clip((columns - left + 0.5) * (self.scaled[1] / width) - 0.5, 0, self.scaled[1] - 1)
        return y / STEP, (self.scaled[1] - 1 - x if self.mirrored else x) / STEP


@dataclass(frozen=True, eq=False)
class Picture:
    """What is kept of an image.

    Attributes:
        probabilities: (K, H, W) float16 of the teacher.
        channels: (K,) the classes that they belong to.
        edge: (H, W) uint8, width of the band round the teacher's edges that a pixel belongs to, as ``band_map`` gives it.
        views: see :class:`View`.
    """

    probabilities: NDArray[np.float16]
    channels: NDArray[np.int64]
    edge: NDArray[np.uint8]
    views: tuple[View, ...]

    def save(self, path: Path) -> None:
        """Write one file."""
        arrays: dict[str, Any] = {"probabilities": self.probabilities, "channels": self.channels, "edge": self.edge}
        for place, view in enumerate(self.views):
            numbers = [*view.window, *view.scaled, *view.grid, *view.whole, int(view.mirrored)]
            arrays |= {f"high{place}": view.high, f"low{place}": view.low, f"place{place}": np.array(numbers)}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Picture:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            views = []
            while f"place{len(views)}" in kept:
                place = len(views)
                n = [int(number) for number in kept[f"place{place}"]]
                views.append(View((n[0], n[1], n[2], n[3]), (n[4], n[5]), (n[6], n[7]), (n[8], n[9]), bool(n[10]),
                                  kept[f"high{place}"], kept[f"low{place}"]))  # fmt: skip
            return cls(kept["probabilities"], kept["channels"], kept["edge"], tuple(views))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the decoder learns.

    Attributes:
        steps, batch: steps, and crops in each.
        rate, classifier_rate: largest rate of AdamW (without decay), and the factor for the classifier.
        crop: side of a crop in cells of the low-level grid.
        points: pixels of a crop that count.
        near: px; half of the points lie at most this far from an edge of the teacher.
        balance: points weigh 1 / sqrt(points of their class in the crop), so that small objects count more than their area.
        bf16: compute the forward pass in bfloat16.
        seed: of everything random.
    """

    steps: int = 400
    batch: int = 4
    rate: float = 1e-4
    classifier_rate: float = 0.1
    crop: int = 65
    points: int = 5000
    near: int = 5
    balance: bool = False
    bf16: bool = False
    seed: int = 0


class Maker:
    """Computes what is kept of an image.

    Args:
        path: DeepLabv3 checkpoint.
        output_stride: of the network to teach.
        scales, stride: of the teacher; mirrored images always count, too.
    """

    def __init__(self, path: Path, output_stride: int, scales: Sequence[float], stride: int) -> None:
        base, self.card = load_model(path)
        architecture = {**base.architecture, "name": "deeplabv3plus", "decoder_separable": True}
        self.network: DeepLab = with_identity_decoder(base, architecture, path)
        self.network.output_stride = output_stride
        self._teacher = Predictor(base, self.card, device="cpu")
        self._options = PredictOptions(scales=tuple(scales), flip=True, output_stride=stride)

    def make(self, rgb: NDArray[np.uint8], seed: str) -> Picture:
        """What is kept of a picture; ``seed`` decides its part and its colours."""
        drawn = random.Random(seed)
        longest = max(rgb.shape[:2])
        if longest > LONGEST:
            size = tuple(max(1, round(side * LONGEST / longest)) for side in rgb.shape[1::-1])
            rgb = np.asarray(Image.fromarray(rgb).resize((size[0], size[1]), Image.Resampling.LANCZOS))
        scores = self._teacher.scores(rgb, options=self._options)
        probabilities = np.ascontiguousarray(scores.probabilities())
        channels = np.flatnonzero(probabilities.reshape(len(probabilities), -1).max(axis=1) > LEAST)
        labels = probabilities.argmax(axis=0).astype(np.uint8)
        height, width = rgb.shape[:2]
        zoom = drawn.uniform(0.5, 0.9)
        part = max(1, round(height * zoom)), max(1, round(width * zoom))
        corner = drawn.randint(0, height - part[0]), drawn.randint(0, width - part[1])
        views = (
            self._view(rgb, (0, 0, height, width), mirrored=False),
            self._view(_recoloured(rgb, drawn), (0, 0, height, width), mirrored=True),
            self._view(_recoloured(rgb, drawn), (*corner, *part), mirrored=drawn.random() < 0.5),
        )
        edge = band_map(truth=labels, rule="edge")
        return Picture(probabilities[channels].astype(np.float16), channels, edge, views)

    def _view(self, rgb: NDArray[np.uint8], window: tuple[int, int, int, int], *, mirrored: bool) -> View:
        top, left, height, width = window
        part = rgb[top : top + height, left : left + width]
        how = self.card.preprocessing
        frame = frame_for(part.shape[:2], how, align_corners=True)
        scaled = resize_rgb(part, frame.scaled)
        if mirrored:
            scaled = np.ascontiguousarray(scaled[:, ::-1])
        x = Canvas(scaled, how, torch.device("cpu"), frame.content).window(0, 0, *frame.canvas)
        with torch.no_grad():
            levels = self.network.encoder.levels(x)
            assert self.network.aspp is not None
            high, low = self.network.aspp(levels[-1])[0], levels[1][0]
        grid = (-(-(frame.scaled[0] - 1) // STEP) + 1, -(-(frame.scaled[1] - 1) // STEP) + 1)
        kept = low[:, : grid[0] + MARGIN, : grid[1] + MARGIN]
        whole = (low.shape[1], low.shape[2])
        return View(window, frame.scaled, grid, whole, mirrored, high.half().numpy(), kept.half().numpy())


def _recoloured(rgb: NDArray[np.uint8], drawn: random.Random) -> NDArray[np.uint8]:
    """Brightness, contrast and saturation changed by up to a fifth."""
    values = rgb * np.float32(drawn.uniform(0.8, 1.2))
    for middle in (values.mean(), values.mean(axis=2, keepdims=True)):
        values = (values - middle) * np.float32(drawn.uniform(0.8, 1.2)) + middle
    return np.clip(values, 0, 255).astype(np.uint8)


Crop = tuple[int, int, int, int]


def logits_of(network: DeepLab, view: View, crop: Crop) -> Tensor:
    """(1, C, rows, columns) logits of the cells ``top <= y < bottom``, ``left <= x < right`` of the low-level grid."""
    decoder = network.decoder
    assert decoder is not None
    assert decoder.reduce is not None
    top, left, bottom, right = crop
    rows = slice(max(0, top - MARGIN), min(view.low.shape[1], bottom + MARGIN))
    columns = slice(max(0, left - MARGIN), min(view.low.shape[2], right + MARGIN))
    high = functional.interpolate(torch.from_numpy(view.high).float()[None], view.whole, mode="bilinear", align_corners=True)
    low = torch.from_numpy(view.low[:, rows, columns]).float()[None].contiguous(memory_format=torch.channels_last)
    joined = torch.cat([high[..., rows, columns], decoder.reduce(low)], dim=1).contiguous(memory_format=torch.channels_last)
    found: Tensor = network.classifier(decoder.convs(joined))
    return found[..., top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]


def read_at(logits: Tensor, crop: Crop, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Tensor:
    """(n, C) logits at fractional places of the grid, by the bilinear rule of the network."""
    top, left, bottom, right = crop
    y, x = (rows - top) / max(1, bottom - top - 1), (columns - left) / max(1, right - left - 1)
    places = torch.from_numpy(np.stack([x, y], axis=-1).astype(np.float32) * 2 - 1)
    return functional.grid_sample(logits, places[None, None], align_corners=True)[0, :, 0].T


def draw_points(picture: Picture, view: View, crop: Crop, plan: Plan, drawn: np.random.Generator) -> NDArray[np.int64]:
    """(2, n) rows and columns of pixels of the image inside the crop; half of them near an edge of the teacher, if it has one."""
    top, left, height, width = view.window
    rows, columns = np.arange(top, top + height), np.arange(left, left + width)
    y, x = view.places(rows, columns)
    rows, columns = rows[(y >= crop[0]) & (y <= crop[2] - 1)], columns[(x >= crop[1]) & (x <= crop[3] - 1)]
    if not rows.size or not columns.size:
        return np.zeros((2, 0), np.int64)
    index = picture.edge[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    near = (index > 0) & (index <= plan.near)
    chosen = []
    wanted = plan.points
    for pixels, count in ((np.flatnonzero(near), plan.points // 2), (np.flatnonzero(~near), plan.points)):
        take = min(len(pixels), count, wanted)
        wanted -= take
        chosen.append(pixels[drawn.integers(0, len(pixels), take)] if take else pixels[:0])
    flat = np.concatenate(chosen)
    return np.stack([flat // columns.size + rows[0], flat % columns.size + columns[0]])


def divergence(network: DeepLab, picture: Picture, view: View, plan: Plan, drawn: np.random.Generator) -> Tensor | None:
    """Mean cross entropy with the teacher over points of a random crop; None if the crop has none."""
    sides = [min(side, plan.crop) for side in view.grid]
    top, left = (int(drawn.integers(0, whole - side + 1)) for whole, side in zip(view.grid, sides, strict=True))
    crop = (top, left, top + sides[0], left + sides[1])
    rows, columns = draw_points(picture, view, crop, plan, drawn)
    if not rows.size:
        return None
    with torch.autocast("cpu", dtype=torch.bfloat16) if plan.bf16 else nullcontext():
        logits = logits_of(network, view, crop)
    scores = functional.log_softmax(read_at(logits.float(), crop, *view.places(rows, columns)), dim=1)
    teacher = torch.from_numpy(picture.probabilities[:, rows, columns].astype(np.float32)).T
    teacher = teacher / teacher.sum(dim=1, keepdim=True)
    each = -(teacher * scores[:, torch.from_numpy(picture.channels)]).sum(dim=1)
    if not plan.balance:
        return each.mean()
    labels = teacher.argmax(dim=1)
    count = torch.bincount(labels, minlength=len(picture.channels)).clamp(min=1)
    weight = count.float().rsqrt()[labels]
    return (weight * each).sum() / weight.sum()


def distil(network: DeepLab, pictures: Sequence[Picture], plan: Plan) -> Iterator[tuple[int, float]]:
    """Teach decoder and classifier in place; gives (step, loss), and leaves the moving average of the weights at the end.

    Args:
        network: with a decoder; everything else stays as it is.
        pictures: of :class:`Maker`, computed with this network.
    """
    network.requires_grad_(False).eval()
    assert network.decoder is not None
    taught = torch.nn.ModuleDict({"decoder": network.decoder, "classifier": network.classifier})
    taught.requires_grad_(True).to(memory_format=torch.channels_last)
    groups = [(list(network.decoder.parameters()), 1.0), (list(network.classifier.parameters()), plan.classifier_rate)]
    optimizer = torch.optim.AdamW([{"params": part} for part, _ in groups], lr=plan.rate, weight_decay=0)
    average = {name: value.detach().clone() for name, value in taught.named_parameters()}
    drawn = np.random.default_rng(plan.seed)
    order: list[tuple[int, int]] = []
    for step in range(plan.steps):
        rate = plan.rate * poly_rate(step, plan.steps, power=0.9, warmup=min(30, plan.steps // 2))
        for group, (_, factor) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad()
        total = 0.0
        for _ in range(plan.batch):
            if not order:
                order = [(place, view) for place, picture in enumerate(pictures) for view in range(len(picture.views))]
                drawn.shuffle(order)
            place, number = order.pop()
            loss = divergence(network, pictures[place], pictures[place].views[number], plan, drawn)
            if loss is not None:
                (loss / plan.batch).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach()) / plan.batch
        torch.nn.utils.clip_grad_norm_(taught.parameters(), 1.0)
        optimizer.step()
        keep = min(0.995, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in taught.named_parameters():
                average[name].mul_(keep).add_(value, alpha=1 - keep)
        yield step + 1, total
    with torch.no_grad():
        for name, value in taught.named_parameters():
            value.copy_(average[name])
    network.requires_grad_(True)


def images_of(folders: Sequence[Path]) -> list[Path]:
    """Images of folders and their folders, by name.

    Raises:
        SystemExit: two have one name, or there are none.
    """
    found: dict[str, Path] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES):
        if path.stem in found:
            raise SystemExit(f"{path.stem} occurs twice: {found[path.stem]} and {path}")
        found[path.stem] = path
    if not found:
        raise SystemExit("no images there")
    return [found[stem] for stem in sorted(found)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", type=Path, required=True, help="DeepLabv3 checkpoint without decoder")
    parser.add_argument("--images", type=Path, action="append", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder of kept features; may be shared by runs of one --init and stride")
    parser.add_argument("--output-stride", type=int, default=16)
    parser.add_argument("--scales", default="0.75,1,1.5", help="of the teacher")
    parser.add_argument("--teacher-stride", type=int, default=8)
    for name, kind in (("steps", int), ("batch", int), ("rate", float), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Plan(), name))
    for name in ("balance", "bf16"):
        parser.add_argument(f"--{name}", action="store_true")
    for name in ("name", "summary", "licence"):
        parser.add_argument(f"--{name}", default="")
    chosen = parser.parse_args(arguments)
    scales = [float(scale) for scale in chosen.scales.split(",")]
    plan = Plan(
        steps=chosen.steps, batch=chosen.batch, rate=chosen.rate, seed=chosen.seed, balance=chosen.balance, bf16=chosen.bf16
    )
    torch.manual_seed(plan.seed)
    maker = Maker(chosen.init, chosen.output_stride, scales, chosen.teacher_stride)
    cache = chosen.cache or chosen.output.with_suffix(".features")
    cache.mkdir(parents=True, exist_ok=True)
    pictures = []
    for path in images_of(chosen.images):
        kept = cache / f"{path.stem}.npz"
        if not kept.exists():
            maker.make(read_image(path).rgb, path.stem).save(kept)
        pictures.append(Picture.load(kept))
    print(f"{len(pictures)} images", flush=True)
    losses = []
    for step, loss in distil(maker.network, pictures, plan):
        losses.append(loss)
        if step % 50 == 0 or step == plan.steps:
            print(f"{step} of {plan.steps}  loss {np.mean(losses[-50:]):.4f}", flush=True)
    training = {
        "method": "tools.distil: the decoder learned what the network says at several scales and mirrored; no labels",
        "plan": {name: getattr(plan, name) for name in Plan.__slots__},
        "teacher": {"scales": scales, "mirrored": True, "output_stride": chosen.teacher_stride},
        "data": {"images": len(pictures)},
        "lineage": {"start": maker.card.name, "sha256": maker.card.sha256, "source": maker.card.source,
                    "licence": maker.card.licence, "decoder": "starts as identity"},
    }  # fmt: skip
    base: ModelCard = maker.card
    card = replace(
        base, id="", name=chosen.name or f"{base.name} with decoder", summary=chosen.summary or base.summary,
        licence=chosen.licence or base.licence, source="trained with tools.distil", output_stride=chosen.output_stride,
        extra={"training": training},
    )  # fmt: skip
    print(save_model(chosen.output, maker.network, card, half=True).id)


if __name__ == "__main__":
    main()
