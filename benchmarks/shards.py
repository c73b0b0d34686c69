"""What shards cost beside files, and how the merge of an evaluation grows: CPU seconds, in turn; run with OMP_NUM_THREADS=1.

OMP_NUM_THREADS=1 python benchmarks/shards.py [--images 200] [--rows 10000,100000]
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_core.analysis.evaluate import CountedPairs, evaluate_folders
from deeplab_core.analysis.partial import EvaluationSettings, count_shard, merge_parts, write_list, write_part
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import encode_indexed_png
from deeplab_core.records import TrimapBand
from deeplab_core.shards import Fields, ResultFolder, Shard, list_shards, read_shard
from deeplab_core.training.dataset import channel_table
from deeplab_core.training.samples import Sample
from deeplab_core.training.shard_index import ShardSource, decode_pair

CATALOG = get_catalog("voc21")


def scene(number: int) -> tuple[bytes, bytes, bytes]:
    """A JPEG of 640 x 480 px, its mask and a prediction that is wrong in places."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=88)
    truth = np.kron(rng.choice([0, 0, 0, 5, 9, 15, 18], (6, 8)).astype(np.uint8), np.ones((80, 80), np.uint8))
    other = np.roll(truth, (3, 5), (0, 1))
    return stream.getvalue(), *(b"".join(encode_indexed_png(values, CATALOG)) for values in (truth, other))


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compared(name: str, plain: Callable[[], object], shards: Callable[[], object], images: int, rounds: int = 5) -> None:
    """Print both in milliseconds an image, and the median of their ratios."""
    pairs = [(cpu(plain), cpu(shards)) for _ in range(rounds)]
    ratios = sorted(two / one for one, two in pairs)
    one, two = (1000 * statistics.median(side) / images for side in zip(*pairs, strict=True))
    print(f"{name:<44} {one:8.2f} {two:8.2f} {statistics.median(ratios):7.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]", flush=True)


def growth(rows: list[int], folder: Path, settings: EvaluationSettings, found: CountedPairs) -> None:
    """Print what the merge of so many images takes, in parts of 1,000."""
    print(f"\n{'images':>10} {'merge s':>8} {'with 200 draws':>14} {'MB more':>8}")
    template = found.images[:1]
    for number in rows:
        results = ResultFolder(folder / f"parts-{number}")
        shards = [Shard(f"s-{place}.tar", f"s-{place:05}", "tar") for place in range(number // 1000)]
        write_list(results, shards)
        for place, shard in enumerate(shards):
            part = CountedPairs(CATALOG)
            part.analysis.add_sums(found.analysis.sums(), found.analysis.images_with())
            part.images = [renamed(template[0], f"{place}-{inside}") for inside in range(1000)]
            write_part(results, shard, settings, part, [])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = cpu(lambda results=results: merge_parts(results, resamples=0))  # type: ignore[misc]
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        drawn = cpu(lambda results=results: merge_parts(results, resamples=200))  # type: ignore[misc]
        print(f"{number:>10,} {seconds:8.1f} {drawn:14.1f} {more:8.0f}", flush=True)


def renamed(image: object, name: str) -> object:
    """The result of an image under another name."""
    from dataclasses import replace

    return replace(image, name=name)  # type: ignore[type-var]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rows", default="10000,100000")
    options = parser.parse_args()
    settings = EvaluationSettings(
        catalog=CATALOG, widths=(1, 2, 4, 8, 16, 40), band=TrimapBand(rule="edge"), names=Fields(prediction="pred.png")
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("images", "truth", "pred"):
            (folder / name).mkdir()
        with tarfile.open(folder / "s.tar", "w") as archive:
            for number in range(options.images):
                endings = ("jpg", "seg.png", "pred.png")
                for data, place, ending in zip(scene(number), ("images", "truth", "pred"), endings, strict=True):
                    (folder / place / f"{number:05}.{'jpg' if place == 'images' else 'png'}").write_bytes(data)
                    member = tarfile.TarInfo(f"{number:05}.{ending}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        (shard,) = list_shards([str(folder / "s.tar")])
        source, table = ShardSource(specs=(shard.url,)), channel_table(CATALOG)

        def files() -> None:
            for path in sorted((folder / "images").iterdir()):
                _, labels, _, _ = Sample(path, folder / "truth" / f"{path.stem}.png").load(CATALOG)
                table[labels]

        def shards() -> None:
            for sample in read_shard(shard, Fields(), ("image", "truth")):
                decode_pair(sample, shard, source, CATALOG)  # type: ignore[arg-type]

        print(f"{'CPU ms an image':<44} {'files':>8} {'shards':>8} {'ratio':>7}  [range]")
        compared(
            "read only", lambda: [path.read_bytes() for path in sorted((folder / "images").iterdir())],
            lambda: list(read_shard(shard, Fields(), ("image",))), options.images,
        )  # fmt: skip
        compared("decode image and mask, as training does", files, shards, options.images)
        compared(
            "evaluate, with boundary figures",
            lambda: evaluate_folders(folder / "pred", [folder / "truth"], CATALOG, resamples=0, threads=1),
            lambda: write_part(ResultFolder(folder / "parts"), shard, settings, count_shard(shard, settings), []),
            options.images,
            rounds=3,
        )
        growth([int(row) for row in options.rows.split(",")], folder, settings, count_shard(shard, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
