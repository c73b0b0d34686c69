"""What the window with its real model process costs the user: the next image, a CRF slider, a very large image, the start.

    python benchmarks/interaction.py [--only change crf start field large] [--photos FOLDER] [--profile change]

The whole program runs offscreen with the bundled model `rooms-voc` on the sample project (and on a folder of photographs). A time
ends when the event loop has painted the first view and is free again. ``CPU`` is that of the window's process with all of its
threads, unless a line says otherwise.

- change: D through images that were predicted. Until painted with their mask, and until nothing runs any more.
- crf: one slider of the CRF panel is dragged on an image of 500 x 375; each move until the canvas shows its preview.
- start: the model process from its start until it can be asked, twice.
- field: the receptive field of a pixel, the first time in a process.
- classes: 150 and 1,000 classes: longest pause of the window while images are opened, painted and measured.
- large: an image of 100 megapixels with ground truth, prediction, strokes, zoom, pan, errors; memory of both processes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

PARTS = ("change", "crf", "start", "field", "classes", "large")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--photos", nargs="*", type=Path, default=[], help="folders of photographs for 'change'")
    parser.add_argument("--moves", type=int, default=80, help="of a slider")
    parser.add_argument("--runs", type=int, default=3, help="starts of the model process")
    parser.add_argument("--side", type=int, default=10_000, help="of the large image, in px")
    parser.add_argument("--profile", default="", help="profile the window's thread during this part")
    asked = parser.parse_args()
    import interaction_large  # here: the model process imports this module again, and refuses Qt
    import interaction_parts

    for name in asked.only:
        getattr(interaction_large if name == "large" else interaction_parts, name)(asked)


if __name__ == "__main__":
    main()
