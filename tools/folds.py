"""Folds of a labelled data set, for figures on images that took no part in the training.

    python -m tools.folds --images coco/images --truth coco/labels --images voc/images --truth voc/labels -o folds --count 5

makes ``folds/0/train/images``, ``folds/0/train/labels``, ``folds/0/val/images`` and so on, of links. The images are those with a
mask of the same stem, in the order of their names; fold k holds out number k, k + count, k + 2 count, ... With every image held
out once, the predictions of all folds together are measured as one set:

    for k in 0 1 2 3 4; do
        atrous train --recipe RECIPE --images folds/$k/train/images --val-images folds/$k/val/images -o runs/$k
        atrous predict folds/$k/val/images --model runs/$k/model.safetensors -o masks
    done
    atrous evaluate --prediction masks --truth folds/truth --json new.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

_IMAGES = (".jpg", ".jpeg", ".png")


def pairs_of(images: Sequence[Path], truth: Sequence[Path]) -> list[tuple[Path, Path]]:
    """(image, mask) of every image that has a mask of the same stem, by name.

    Args:
        images, truth: folders, in the same order.

    Raises:
        SystemExit: a name occurs twice, or another number of folders was given.
    """
    if len(images) != len(truth):
        raise SystemExit("give a --truth for each --images")
    found: dict[str, tuple[Path, Path]] = {}
    for folder, masks in zip(images, truth, strict=True):
        for image in sorted(folder.iterdir()):
            mask = masks / f"{image.stem}.png"
            if image.suffix.lower() not in _IMAGES or not mask.is_file():
                continue
            if image.stem in found:
                raise SystemExit(f"{image.stem} occurs twice: {found[image.stem][0]} and {image}")
            found[image.stem] = image, mask
    return [found[stem] for stem in sorted(found)]


def make_folds(pairs: Sequence[tuple[Path, Path]], count: int, out: Path) -> list[int]:
    """Write the folders; returns the number of images that each fold holds out."""
    held_out = [0] * count
    for number, (image, mask) in enumerate(pairs):
        held_out[number % count] += 1
        _link(out / "truth" / mask.name, mask)
        for fold in range(count):
            part = out / str(fold) / ("val" if number % count == fold else "train")
            _link(part / "images" / image.name, image)
            _link(part / "labels" / mask.name, mask)
    return held_out


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target.absolute())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", required=True)
    parser.add_argument("--truth", type=Path, action="append", required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args(arguments)
    pairs = pairs_of(options.images, options.truth)
    held_out = make_folds(pairs, options.count, options.out)
    print(f"{len(pairs)} images with masks; the folds hold out {', '.join(map(str, held_out))}")


if __name__ == "__main__":
    main()
