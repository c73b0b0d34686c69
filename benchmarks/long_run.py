"""A long ``atrous predict``: its memory over the run, and a run that is killed in the middle and resumed.

    python benchmarks/long_run.py FOLDER [--images 10000] [--model NAME]

FOLDER holds JPEG files, of which hard links make up the number. Without a model a MobileNetV2 with random weights looks at 64 px.
Printed: resident memory of the process at every tenth of the images, its slope over the second half, and whether the masks of the
killed and resumed run are those of the whole one, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def thin_model(path: Path) -> None:
    """A network that takes some milliseconds an image."""
    import torch

    from deeplab_core.catalogs import get_catalog
    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard, Preprocessing
    from deeplab_core.weights import save_model

    torch.manual_seed(3)
    network = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=21, output_stride=16).eval()
    preprocessing = Preprocessing(resize="long_side:64")
    save_model(
        path,
        network,
        ModelCard(id="thin", name="Thin", architecture={}, catalog=get_catalog("voc21"), preprocessing=preprocessing),
    )


def link(source: Path, folder: Path, count: int) -> None:
    """``count`` links to the JPEG files of a folder, a thousand in each sub-folder."""
    found = sorted(source.rglob("*.jpg"))
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(found[number % len(found)], place / f"{number:06}.jpg")


def resident_mb(process: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def predict(images: Path, out: Path, model: str, *more: str, stop_after: int | None = None) -> list[tuple[int, float]]:
    """(images done, MB) along a run; it is killed once so many are done."""
    command = [sys.executable, "-m", "app", "predict", str(images), "-o", str(out), "--model", model, "--device", "cpu", "--json"]
    found: list[tuple[int, float]] = []
    with subprocess.Popen([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for done, line in enumerate(process.stdout, 1):
            if json.loads(line)["event"] == "summary":
                break
            if done % 50 == 0:
                found.append((done, resident_mb(process.pid)))
            if done == stop_after:
                process.send_signal(signal.SIGKILL)
                break
    return found


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every mask below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.png"))
    }


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=given.folder.resolve().parent))
    try:
        model = given.model
        if not model:
            model = str(root / "thin.safetensors")
            thin_model(Path(model))
        link(given.folder, root / "images", given.images)
        memory = predict(root / "images", root / "whole", model)
        for done, size in memory[:: max(1, len(memory) // 10)]:
            print(f"{done:>8,} images {size:8.1f} MB")
        done, size = np.array(memory[len(memory) // 2 :]).T
        slope = np.polyfit(done, size, 1)[0]
        print(f"second half: {1024 * slope:+.3f} kB an image ({size.min():.1f} to {size.max():.1f} MB)", flush=True)
        whole = digests(root / "whole")
        predict(root / "images", root / "killed", model, stop_after=given.images // 2)
        left = digests(root / "killed")
        rest = predict(root / "images", root / "killed", model, "--resume")
        again = digests(root / "killed")
        temporary = list((root / "killed").rglob(".atrous-*"))
        print(f"killed with {len(left):,} of {len(whole):,} masks; resumed, some {rest[-1][0] if rest else 0:,} were computed")
        equal = sum(again.get(name) == digest for name, digest in whole.items())
        print(f"{equal:,} of {len(whole):,} masks are equal byte for byte; unfinished files that are left: {len(temporary)}")
        return 0 if again == whole else 1
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
