"""``python -m tools.rooms``: render a set of rooms. Restarting continues where a run ended; finished images are kept."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import bpy
import numpy as np
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from tools.rooms.arrange import THEMES, Scene, aim_camera, furnish
from tools.rooms.degrade import degrade
from tools.rooms.mask import mask_from_ids
from tools.rooms.materials import Surfaces
from tools.rooms.objects import describe_objects
from tools.rooms.render import fresh_scene, render_ids, render_photo
from tools.rooms.room import build_room
from tools.rooms.settings import OtherRoomsError, keep_settings

#: A view is kept if objects of a class cover at least this share of it, and no more than the second.
LEAST_SHARE, MOST_SHARE = 0.04, 0.85


def render_room(
    number: int,
    *,
    seed: int,
    size: tuple[int, int],
    samples: int,
    threads: int,
    out: Path,
    quick: bool = False,
    themes: Mapping[str, int] = THEMES,
) -> None:
    """Render one room of the set into ``images``, ``truth`` and ``objects`` below ``out``. ``size`` is (width, height) in px."""
    random = Random(f"{seed}/{number}")
    while True:
        fresh_scene(width=size[0], height=size[1], threads=threads, seed=random.getrandbits(30))
        surfaces = Surfaces(random)
        furnished = furnish(random, surfaces, build_room(random, surfaces), themes)
        if not furnished.things:
            continue
        found = _good_view(random, furnished)
        if found is not None:
            break
    picture, quality = degrade(render_photo(random, samples=samples, quick=quick), random)
    stem = f"room_{number:05d}"
    mask = mask_from_ids(found, [thing.voc_id for thing in furnished.things], ring=2 if size[0] >= 480 else 1)
    rows = describe_objects(found, furnished)
    (out / "objects" / f"{stem}.json").write_text(json.dumps({"seed": seed, "number": number, "objects": rows}, indent=1))
    write_indexed_png(out / "truth" / f"{stem}.png", mask, get_catalog("voc21"))
    # The picture is written last: its presence marks a finished room.
    part = out / "images" / f"{stem}.part"
    Image.fromarray(picture).save(part, format="JPEG", quality=quality)
    part.replace(out / "images" / f"{stem}.jpg")


def _good_view(random: Random, furnished: Scene) -> np.ndarray | None:
    for _ in range(6):
        camera = aim_camera(random, furnished)
        ids = render_ids(furnished)
        share = float(np.count_nonzero(ids)) / ids.size
        largest = np.bincount(ids.ravel(), minlength=2)[1:].max() / ids.size
        if LEAST_SHARE <= share <= MOST_SHARE and largest < 0.6:
            return ids
        bpy.data.objects.remove(camera)
    return None


def _weights(text: str) -> dict[str, int]:
    """``living=30,dining=24`` as a mapping; argparse turns the errors into its own."""
    weights = {name: int(weight) for name, _, weight in (part.partition("=") for part in text.split(","))}
    if not weights.keys() <= THEMES.keys() or min(weights.values()) < 0 or not sum(weights.values()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like living=30,dining=24 with some of: {', '.join(THEMES)}")
    return weights


def main() -> int:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(prog="python -m tools.rooms", description="Render indoor scenes with exact VOC-21 truth.")
    parser.add_argument("--out", type=Path, required=True, help="folder for images/, truth/ and objects/")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="number of the first room")
    parser.add_argument("--step", type=int, default=1, help="take every N-th room, to share a set between processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT in px")
    parser.add_argument("--samples", type=int, default=32, help="paths per pixel before denoising")
    parser.add_argument(
        "--quick", action="store_true", help="denoise with the fast filter: half the time at 320x240, softer textures"
    )
    parser.add_argument(
        "--themes",
        type=_weights,
        default=THEMES,
        help="how often each theme occurs, as living=30,dining=24; one of " + ", ".join(THEMES),
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    try:
        keep_settings(options.out, {name: getattr(options, name) for name in ("seed", "size", "samples", "quick", "themes")})
    except OtherRoomsError as error:
        sys.exit(str(error))
    for folder in ("images", "truth", "objects"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.count, options.step):
        if not (options.out / "images" / f"room_{number:05d}.jpg").exists():
            render_room(
                number,
                seed=options.seed,
                size=(width, height),
                samples=options.samples,
                threads=options.threads,
                out=options.out,
                quick=options.quick,
                themes=options.themes,
            )
            print(f"room {number} done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
