"""Reading photographs and masks, writing masks: against Pillow and Qt.

Every pair is checked first: the files decode to equal labels, the pictures to equal pixels (JPEG: within rounding). Runs are
interleaved, medians of CPU time on one thread, so that a busy machine distorts both sides alike.

    OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen python benchmarks/io.py [--megapixels 12] [--runs 9]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.find import find_images
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.images import read_image, read_thumbnail
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.png import encode_indexed_png, write_indexed_png
from deeplab_core.masks.read import read_mask

CATALOG = get_catalog("voc21")
THUMBNAIL = 256


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with the texture of a photograph, and a mask of ellipses with a void ring."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 64 + 2, width // 64 + 2, 3), dtype=np.uint8)
    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    rgb = cv2.add(rgb, cv2.resize(rng.integers(0, 24, (height // 2, width // 2, 3), dtype=np.uint8), (width, height)))
    labels = np.zeros((height, width), np.uint8)
    side = min(height, width)
    for _ in range(12):
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(side // 12, side // 4)), int(rng.integers(side // 12, side // 4))
        angle = float(rng.integers(0, 180))
        cv2.ellipse(labels, center, axes, angle, 0, 360, int(rng.integers(1, 21)), -1)
        cv2.ellipse(labels, center, axes, angle, 0, 360, 255, 5)
    return rgb, labels


def compare(title: str, sides: dict[str, Callable[[], object]], runs: int) -> None:
    """Print the medians of the first side and how many times the others take."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs + 1):
        for name, run in sides.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    medians = {name: statistics.median(values[1:]) * 1e3 for name, values in times.items()}
    ours = next(iter(medians.values()))
    parts = [f"{name} {value:.1f} ms" + ("" if value is ours else f" ({value / ours:.2f}x)") for name, value in medians.items()]
    print(f"{title:34} " + " | ".join(parts))


def pillow_indexed(labels: np.ndarray, **options: object) -> bytes:
    picture = Image.fromarray(labels)
    picture.putpalette(CATALOG.palette().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def qt_decode(path: Path) -> object:
    from PySide6.QtGui import QImageReader

    reader = QImageReader(str(path))
    reader.setAllocationLimit(0)
    return reader.read()


def pixels(folder: Path, height: int, width: int, runs: int) -> None:
    rgb, labels = scene(height, width)
    jpeg, mask, colour = folder / "photo.jpg", folder / "mask.png", folder / "colour.png"
    Image.fromarray(rgb).save(jpeg, quality=92)
    write_indexed_png(mask, labels, CATALOG)
    export_masks(
        [ExportItem(name="colour.jpg", catalog=CATALOG, labels=lambda: labels)],
        get_exporter("color"),
        folder,
        on_existing="error",
    )
    ours, pillow = b"".join(encode_indexed_png(labels, CATALOG)), pillow_indexed(labels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(ours))), np.asarray(Image.open(io.BytesIO(pillow))))
    assert np.array_equal(read_mask(mask, CATALOG), labels)
    assert np.array_equal(read_mask(colour, CATALOG), labels)
    assert np.abs(read_image(jpeg).rgb.astype(int) - np.asarray(Image.open(jpeg))).max() <= 2
    print(f"{width} x {height} px; mask: ours {len(ours) / 1e3:.0f} kB, Pillow default {len(pillow) / 1e3:.0f} kB")

    compare(
        "encode indexed PNG",
        {
            "ours (ids checked)": lambda: encode_indexed_png(labels, CATALOG),
            "Pillow default": lambda: pillow_indexed(labels),
            "Pillow level 1": lambda: pillow_indexed(labels, compress_level=1),
        },
        runs,
    )
    compare(
        "read indexed mask",
        {
            "ours (ids checked)": lambda: read_mask(mask, CATALOG),
            "Pillow": lambda: np.asarray(Image.open(mask)),
            "Qt": lambda: qt_decode(mask),
        },
        runs,
    )
    compare(
        "read colour mask",
        {"ours (to ids)": lambda: read_mask(colour, CATALOG), "Pillow (RGB only)": lambda: np.asarray(Image.open(colour))},
        runs,
    )
    compare(
        "decode JPEG",
        {
            "ours (with content key)": lambda: read_image(jpeg),
            "Pillow": lambda: np.asarray(Image.open(jpeg).convert("RGB")),
            "Qt": lambda: qt_decode(jpeg),
        },
        runs,
    )
    compare(
        f"thumbnail, {THUMBNAIL} px",
        {"ours": lambda: read_thumbnail(jpeg, THUMBNAIL), "Pillow draft": lambda: pillow_thumbnail(jpeg)},
        runs,
    )
    items = [ExportItem(name="photo.jpg", catalog=CATALOG, labels=lambda: labels, image_path=jpeg)]
    for name in ("indexed", "coco_rle"):
        start = time.process_time()
        summary = export_masks(items, get_exporter(name), folder / name)
        print(
            f"{'export ' + name + ', read back':34} {(time.process_time() - start) * 1e3:.1f} ms, {summary.nbytes / 1e3:.0f} kB"
        )
        assert summary.written


def pillow_thumbnail(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        return np.asarray(picture)


def listing(folder: Path, count: int, runs: int) -> None:
    for place, ending in (("images", "jpg"), ("labels", "png")):
        (folder / place).mkdir()
        for number in range(count):
            (folder / place / f"img_{number}.{ending}").touch()
    images = find_images(folder)
    assert len(images) == len(find_truth(folder, images)) == count
    print(f"{count:,} photographs and as many masks")
    compare(
        "list photographs",
        {"ours (masks told apart)": lambda: find_images(folder), "pathlib rglob": lambda: sorted(folder.rglob("*"))},
        min(runs, 5),
    )
    compare("find truth", {"ours": lambda: find_truth(folder, images)}, min(runs, 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--files", type=int, default=20_000)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    height = round((asked.megapixels * 1e6 * 3 / 4) ** 0.5)
    with tempfile.TemporaryDirectory() as name:
        pixels(Path(name), height, round(height * 4 / 3), asked.runs)
    with tempfile.TemporaryDirectory() as name:
        listing(Path(name), asked.files, asked.runs)


if __name__ == "__main__":
    main()
