"""Time from the start of the process to the window, and to the first picture on the screen, alone or beside another program.

    python benchmarks/startup.py [--runs 7]
    python benchmarks/startup.py --picture [--first] [--against LABELME] [--runs 7]

Each run is a fresh process of ``python -m app``, as the user starts it, with warm file caches. The first frame is noted by the
program itself after its first paint event was handled. The bare interpreter importing Qt's widgets is the reference.

``--picture`` opens a folder of one image of a single colour on a display of its own (Xvfb) and looks at the screen until that
colour fills a rectangle inside of the picture, the same for every program. ``--against`` names the command of another program,
which gets the folder as its argument; both take turns, and the ratio of the medians is printed. The folder was open before, as it
was on every day but the first: Atrous then shows the image of last time before the rest of the program is loaded. ``--first``:
neither program has seen the folder, nor been used, before.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BARE = (
    "import time, pathlib, os; import PySide6.QtWidgets, PySide6.QtSvg, numpy; "
    "pathlib.Path(os.environ['ATROUS_FIRST_FRAME']).write_text(repr(time.time()))"
)
#: Colour of the image, and the rectangle of the screen (x, y, width, height in px) that has to show it: it lies inside of the
#: picture in either program, and no thumbnail is as large.
_COLOR, _PLACE, _NEAR = (201, 37, 146), (210, 160, 240, 180), 12
_POLL_S, _PATIENCE_S = 0.02, 90.0
#: The first run is left open so long that it can store what it keeps for the next one.
_WARM_S = 6.0


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


def frames(runs: int) -> None:
    """Print the time to the first frame, and what was imported for it."""
    with tempfile.TemporaryDirectory() as home:
        note = Path(home) / "frame"
        environment = os.environ | {"ATROUS_FIRST_FRAME": str(note)} | _own_home(home)
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
        _print(times)
        check = "import sys, app.main; print(sorted({'cv2', 'torch', 'pyqtgraph', 'sqlite3', 'PIL', 'numba'} & set(sys.modules)))"
        loaded = subprocess.run(
            [sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        print(f"heavy modules before the frame: {loaded.stdout.strip()}")


def pictures(runs: int, against: str, *, first: bool) -> None:
    """Print the time until the picture is on the screen, and its ratio to the other program's."""
    with tempfile.TemporaryDirectory() as home, _display() as display:
        folder = Path(home) / "images"
        folder.mkdir()
        from PIL import Image

        Image.new("RGB", (640, 480), _COLOR).save(folder / "plain.png")
        looks = _Looks(display)
        names = ["Atrous", *([shlex.split(against)[0].rpartition("/")[2]] if against else [])]
        times: dict[str, list[float]] = {name: [] for name in names}
        work: dict[str, list[float]] = {f"{name}, processor time": [] for name in names}
        for run in range(runs + 1):
            own = Path(home) / (f"run{run}" if first else "all")
            own.mkdir(exist_ok=True)
            environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"} | _own_home(str(own))
            environment["XDG_CACHE_HOME"] = f"{home}/cache"  # compiled files of a warm machine
            commands = [[sys.executable, "-m", "app", "open", str(folder), "--project", str(own / "project"), "-y"]]
            if against:
                commands.append([*shlex.split(against), str(folder)])
            for name, command in zip(names, commands, strict=True):
                seconds, busy = _until_seen(command, environment, looks, stay=0 if run or first else _WARM_S)
                if run:
                    times[name].append(seconds)
                    work[f"{name}, processor time"].append(busy)
        for found in (times, work):
            _print(found)
            if against:
                ours, theirs = (statistics.median(values) for values in found.values())
                print(f"ratio of the medians: {ours / theirs:.2f}   load {os.getloadavg()[0]:.1f}")


class _Looks:
    """Looks at a part of the screen."""

    def __init__(self, display: str) -> None:
        os.environ["DISPLAY"], os.environ["QT_QPA_PLATFORM"] = display, "xcb"
        from PySide6.QtGui import QGuiApplication

        self._application = QGuiApplication([])
        self._screen = QGuiApplication.primaryScreen()

    def shows_picture(self) -> bool:
        """Whether nine points of the rectangle have the colour of the image."""
        image = self._screen.grabWindow(0, *_PLACE).toImage()
        width, height = image.width() - 1, image.height() - 1
        colors = [image.pixelColor(width * x // 2, height * y // 2).getRgb()[:3] for x in range(3) for y in range(3)]
        return all(abs(one - other) <= _NEAR for color in colors for one, other in zip(color, _COLOR, strict=True))


def _processor_seconds(group: int) -> float:
    """Processor time of all processes of a group so far; on Linux."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _until_seen(command: list[str], environment: dict[str, str], looks: _Looks, *, stay: float) -> tuple[float, float]:
    """Seconds and processor seconds from starting a command until the picture is on the screen; its processes are ended ``stay``
    seconds later."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while time.monotonic() - started < _PATIENCE_S:
            if looks.shows_picture():
                seen = time.monotonic() - started, _processor_seconds(process.pid)
                time.sleep(stay)
                return seen
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} has ended with {process.returncode}")
            time.sleep(_POLL_S)
        raise TimeoutError(f"{command} showed no picture within {_PATIENCE_S:.0f} s")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while looks.shows_picture():
            time.sleep(_POLL_S)


@contextmanager
def _display() -> Iterator[str]:
    """A screen of 1600 x 1000 of its own."""
    if shutil.which("Xvfb") is None:
        raise SystemExit("--picture needs Xvfb")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    try:
        with os.fdopen(read) as answer:
            yield f":{answer.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def _own_home(home: str) -> dict[str, str]:
    """The user's own settings are neither used nor changed."""
    return {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": f"{home}/cache"}


def _print(times: dict[str, list[float]]) -> None:
    for name, found in times.items():
        print(f"{name:30s} median {statistics.median(found):.3f} s   best {min(found):.3f} s   worst {max(found):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--picture", action="store_true", help="time until the first picture is on the screen")
    parser.add_argument("--first", action="store_true", help="with --picture: the folder was not open before")
    parser.add_argument("--against", default="", help="command of another program, for example labelme")
    chosen = parser.parse_args()
    if chosen.picture:
        pictures(chosen.runs, chosen.against, first=chosen.first)
    else:
        frames(chosen.runs)


if __name__ == "__main__":
    main()
