"""Draw every figure of ``atrous figures`` on the sample rooms, and write docs/figures.md about them.

Run from the repository: ``make figures``. Takes some ten minutes of one core; the second run changes nothing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from app.cli import run
from deeplab_core.figures import FIGURES

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "images" / "figures"
PAGE = ROOT / "docs" / "figures.md"
#: Images of figures over a folder: half of the sample keeps the run short.
LIMIT = 12

HEAD = """# Figures of the papers

Written by `make figures`; do not edit by hand.

`atrous figures NAME -o DIR` draws these figures with your own networks and images, as PNG and SVG, with their numbers as CSV and
JSON. `--list` shows all names, `--all` draws everything. The extra `figures` brings matplotlib. The same command writes the same
files again on the same machine and versions; measured times are in a file of their own.

The pictures below show the rendered rooms of the sample project and the bundled network `rooms-voc`. Figures over a folder use
{limit} images, so they show how to read such a figure, not what holds in general.
"""


def main() -> int:
    """Draw, and write the page. Returns the exit status of the command."""
    with tempfile.TemporaryDirectory() as place:
        status = run(["figures", "--all", "--limit", str(LIMIT), "-o", place])
        if status:
            return status
        PICTURES.mkdir(parents=True, exist_ok=True)
        for name in FIGURES:
            shutil.copyfile(Path(place) / f"{name}.png", PICTURES / f"{name}.png")
    write_page()
    return 0


def write_page() -> None:
    """The page about the pictures that lie there."""
    parts = [HEAD.format(limit=LIMIT)]
    for spec in FIGURES.values():
        needs = {"image": "--image FILE", "model": "--model NAME", "folder": "--images DIR --truth DIR"}
        options = " ".join(needs[need] for need in ("model", "image", "folder") if need in spec.needs)
        parts.append(
            f"\n## {spec.title}\n![{spec.title}](images/figures/{spec.name}.png)\n\n{spec.caption}\n\n"
            f"Source: {spec.source}.\n\n    atrous figures {spec.name} {options + ' ' if options else ''}-o DIR\n"
        )
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
