"""``make dist``: the wheel and the source distribution in ``dist/``, built from a copy: the checkout keeps no build folder.

It builds with the setuptools of this environment and fetches nothing. The wheel is built from the source distribution, so that
what is missing there is noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` of the tree ``source`` into ``target``; returns its path."""
    code = f"import backend; print('built', backend.build_{kind}({str(target)!r}))"
    tools = {**os.environ, "PYTHONPATH": str(source / "tools" / "packaging")}
    done = subprocess.run([sys.executable, "-c", code], cwd=source, env=tools, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the {kind} cannot be built\n{done.stderr}")
    return target / done.stdout.split("built ")[-1].strip()


def main() -> int:
    """Build both from the files of the last commit."""
    target = ROOT / "dist"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree, unpacked = Path(scratch) / "tree", Path(scratch) / "unpacked"
        tree.mkdir()
        packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", str(tree)], input=packed, check=True)
        source = build("sdist", tree, target)
        with tarfile.open(source) as archive:
            archive.extractall(unpacked, filter="data")
        (inside,) = unpacked.iterdir()
        wheel = build("wheel", inside, target)
    for path in (source, wheel):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
