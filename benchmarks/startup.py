"""Time from the start of the process to the first painted frame of the window, and what was imported for it.

    python benchmarks/startup.py [--runs 7]

Each run is a fresh process of ``python -m app``, as the user starts it, with warm file caches. The first frame is noted by the
program itself after its first paint event was handled. The bare interpreter importing Qt's widgets is the reference.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BARE = (
    "import time, pathlib, os; import PySide6.QtWidgets, PySide6.QtSvg, numpy; "
    "pathlib.Path(os.environ['ATROUS_FIRST_FRAME']).write_text(repr(time.time()))"
)


def first_frame(command: list[str], environment: dict[str, str], note: Path) -> float:
    """Seconds from starting the command until it has written its note; the process is ended then."""
    note.unlink(missing_ok=True)
    started = time.time()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.time() - started < 60:
            if note.is_file() and (text := note.read_text()):
                return float(text) - started
            time.sleep(0.002)
        raise TimeoutError("no frame within a minute")
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        note = Path(home) / "frame"
        environment = os.environ | {
            "ATROUS_FIRST_FRAME": str(note),
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_STATE_HOME": home,
        }
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        commands = {
            "first painted frame": [sys.executable, "-m", "app"],
            "importing Qt and numpy alone": [sys.executable, "-c", _BARE],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(runs + 1):
            for name, command in commands.items():
                seconds = first_frame(command, environment, note)
                if run:  # the first one warms the caches
                    times[name].append(seconds)
        for name, found in times.items():
            print(f"{name:30s} median {statistics.median(found):.3f} s   best {min(found):.3f} s   worst {max(found):.3f} s")
        check = "import sys, app.main; print(sorted({'cv2', 'torch', 'pyqtgraph', 'sqlite3', 'PIL', 'numba'} & set(sys.modules)))"
        loaded = subprocess.run(
            [sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        print(f"heavy modules before the frame: {loaded.stdout.strip()}")


if __name__ == "__main__":
    main()
