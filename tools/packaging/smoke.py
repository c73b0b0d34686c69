"""``make smoke``: run the built application on one sample image, without a screen and without Python on the path.

The application gets a copy of the image, an empty environment and a home folder of its own. ``doctor`` must find no problem.
The command line must label the image as the mask of the sample project does. The window must start its compute process, predict
what the command line predicts with the model that a folder of photographs opens with, and save a picture.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "resources" / "sample_project"
#: Seconds that one command may take. A first start reads a gigabyte from the disk.
PATIENCE = 240
#: Share of pixels that must have the label of the sample project's own mask: other processors round a few otherwise.
AGREEMENT = 0.99
#: The model that the window opens a folder of photographs with.
DEFAULT_MODEL = "photos-voc"
#: A window without its content has a handful of colours.
COLOURS = 1000


def program(built: Path) -> Path:
    """The built command-line program in ``dist``."""
    names = ["atrous/atrous-cli.exe"] if sys.platform == "win32" else ["atrous/atrous"]
    found = [built / name for name in names if (built / name).is_file()]
    if not found:
        raise SystemExit(f"{built} holds no application; run: make app")
    return found[0]


def run(executable: Path, home: Path, *arguments: str) -> str:
    """Standard output of one command, which must end with status 0 in time."""
    environment = {"HOME": str(home), "USERPROFILE": str(home), "PATH": "", "QT_QPA_PLATFORM": "offscreen"}
    if sys.platform == "win32":
        environment |= {name: os.environ[name] for name in ("SYSTEMROOT", "TEMP") if name in os.environ}
    command = [str(executable), *arguments]
    began = time.monotonic()
    try:
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as late:
        said = [part.decode(errors="replace") if isinstance(part, bytes) else part or "" for part in (late.stdout, late.stderr)]
        raise SystemExit(f"atrous {' '.join(arguments)} has not ended after {PATIENCE} s\n{''.join(said)}") from None
    if done.returncode:
        raise SystemExit(f"atrous {' '.join(arguments)} ended with status {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"  atrous {arguments[0] if arguments[0][0].isalpha() else 'FOLDER ' + arguments[1]}: {time.monotonic() - began:.1f} s")
    return done.stdout


def check(built: Path) -> None:
    """Stop with a message at the first thing that does not work."""
    executable = program(built)
    with tempfile.TemporaryDirectory() as folder:
        home, photographs = Path(folder) / "home", Path(folder) / "photographs"
        home.mkdir()
        photographs.mkdir()
        image = sorted((SAMPLE / "images").iterdir())[0]
        shutil.copy(image, photographs)

        facts = json.loads(run(executable, home, "doctor", "--json"))
        print(f"  {facts['facts']['system']}; torch {facts['facts']['torch']}, PySide6 {facts['facts']['PySide6-Essentials']}")
        if facts["problems"]:
            raise SystemExit(f"doctor: {facts['problems']}")

        def predicted(model: str) -> NDArray[np.uint8]:
            masks = Path(folder) / model
            run(executable, home, "predict", str(photographs), "--model", model, "-o", str(masks))
            return np.asarray(Image.open(masks / f"{image.stem}.png"))

        labels, expected = predicted("rooms-voc"), np.asarray(Image.open(SAMPLE / "masks" / f"{image.stem}.png"))
        agreement = float((labels == expected).mean())
        print(f"  {agreement:.2%} of {image.name} labelled as in the sample project")
        if agreement < AGREEMENT:
            raise SystemExit(f"{image.name}: only {agreement:.2%} of the labels are those of the sample project")

        labels = predicted(DEFAULT_MODEL)
        picture = home / "window.png"
        run(executable, home, str(photographs), "--smoke", str(picture))
        predictions = [
            path for path in (photographs / ".atrous" / "predictions").rglob("*.png") if not path.name.endswith(".confidence.png")
        ]
        if len(predictions) != 1 or not (np.asarray(Image.open(predictions[0])) == labels).mean() >= AGREEMENT:
            raise SystemExit(f"the window's compute process left no prediction like that of the command line: {predictions}")
        with Image.open(picture) as shot:
            colours = len(shot.convert("RGB").getcolors(shot.width * shot.height) or ())
        if colours < COLOURS:
            raise SystemExit(f"the picture of the window has only {colours} colours")
    size = sum(path.stat().st_size for path in executable.parent.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"  the application works; {size / 1e9:.2f} GB")


if __name__ == "__main__":
    check(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "dist")
