"""``make pictures``: every picture of the window in README and docs, taken again by one command.

    python -m tools.pictures [--only NAME ...] [--check] [--timed]

Each tool takes its pictures into a folder of the moment. A picture of the docs is replaced only if the new one has other
pixels, so a second run changes no file. ``--check`` replaces nothing and ends with status 1 if a picture would change.

Figures of the papers have their own task (``make figures``), recordings, too (``make recordings``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from app.ui.shell.main_window import MainWindow

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@dataclass(frozen=True, slots=True)
class Task:
    """A tool that takes pictures.

    Attributes:
        name: for ``--only``.
        module: run as ``python -m``.
        arguments: of the tool; ``{}`` is the folder that it writes to.
        place: folder of the docs that the written folder stands for.
        pictures: what it writes, relative to its folder.
        timed: those of them that show measured times, which are others each time; replaced with ``--timed`` only.
        page: a page of the docs that the tool writes, too, with figures of what it shows; empty if it writes none.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    place: str
    pictures: tuple[str, ...]
    timed: tuple[str, ...] = ()
    page: str = ""


_KOREAN = ("start", "window", "compare", "tour")

TASKS = (
    Task("window", "tools.window_pictures", ("-o", "{}"), "images",
         ("start.png", "window.png", "crf_dock.png", "compare.png", "tour.png", "classes.png"), ("compare.png",)),
    Task("korean", "tools.window_pictures",
         ("-o", "{}", "--language", "ko", *(part for name in _KOREAN for part in ("--only", name))), "images",
         tuple(f"{name}.ko.png" for name in _KOREAN), ("compare.ko.png",)),
    Task("walks", "tools.walk_pictures", ("-o", "{}"), "images",
         ("notes.png", "error_list.png", "import.png", "walk_labelme.png", "walk_cityscapes.png", "walk_new.png",
          "walk_crack.png", "merge.png")),
    Task("evaluation", "tools.evaluation_pictures", ("-o", "{}"), "images",
         ("confusion.png", "confusion_list.png", "confusion_pixel.png", "failures.png")),
    Task("two_minutes", "tools.two_minutes", ("-o", "{}"), ".",
         tuple(f"images/two_minutes/{name}.png" for name in
               ("failures", "fixed", "kinds", "matrix", "pair", "place", "settings", "slices")),
         ("images/two_minutes/settings.png", "images/two_minutes/fixed.png"), "two-minutes.md"),
)  # fmt: skip


def hide_times(window: MainWindow) -> None:
    """Take the time of the last prediction out of the Model panel: it is another one on each computer.

    What is being written is waited for. Everything is laid out again, too: where a text ends may otherwise depend on what stood
    there before.
    """
    from PySide6.QtCore import QEvent
    from PySide6.QtWidgets import QApplication, QWidget

    while window.status.dot.token == "accent":  # a mask file is being written, and the status line says so
        QApplication.processEvents()
        time.sleep(0.01)
    window.model.device.setText(window.model.device.text().split(" · ")[0])
    layouts = [layout for widget in window.findChildren(QWidget) if (layout := widget.layout()) is not None]
    for layout in (*reversed(layouts), *layouts):  # the sizes that inner ones ask for, then the room that they get
        layout.invalidate()
        layout.activate()
    for dock in window.docks.values():  # an activated layout asks its widgets no more; figures beside tabs are placed by hand
        QApplication.sendEvent(dock.accessories, QEvent(QEvent.Type.LayoutRequest))
    for _ in range(3):
        QApplication.processEvents()


def same(one: Path, other: Path) -> bool:
    """Whether two pictures have the same size and pixels, whatever wrote them."""
    if not other.is_file():
        return False
    with Image.open(one) as first, Image.open(other) as second:
        equal = first.size == second.size
        return equal and np.array_equal(np.asarray(first.convert("RGBA")), np.asarray(second.convert("RGBA")))


def take(task: Task, folder: Path) -> list[Path]:
    """Run a tool; returns its pictures. Raises SystemExit if it fails or leaves one out."""
    environment = {"QT_QPA_PLATFORM": f"offscreen:configfile={ROOT / 'resources' / 'offscreen.json'}"} | os.environ
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TZ": "UTC"}
    arguments = [part.replace("{}", str(folder)) for part in task.arguments]
    done = subprocess.run([sys.executable, "-m", task.module, *arguments], cwd=ROOT, env=environment, check=False)
    missing = [name for name in task.pictures if not (folder / name).is_file()]
    if done.returncode or missing:
        raise SystemExit(f"{task.module} ended with {done.returncode}; missing: {', '.join(missing) or 'nothing'}")
    return [folder / name for name in task.pictures]


def renew(task: Task, folder: Path, docs: Path, *, check: bool = False, timed: bool = False) -> list[str]:
    """Names of the pictures and the page of ``docs`` that are others now; they are replaced unless ``check``."""
    changed, page = [], docs / task.page
    if task.page and page.is_file():
        shutil.copyfile(page, folder / task.page)  # the tool keeps parts of it
    for picture in take(task, folder):
        goal = docs / task.place / picture.relative_to(folder)
        waits = picture.relative_to(folder).as_posix() in task.timed and not timed and goal.is_file()
        if not waits and not same(picture, goal):
            changed.append(goal.relative_to(docs).as_posix())
            if not check:
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, goal)
    if task.page and (folder / task.page).read_bytes() != (page.read_bytes() if page.is_file() else b""):
        changed.append(task.page)
        if not check:
            shutil.copyfile(folder / task.page, page)
    return changed


def main() -> int:
    """Take the pictures, and name those that changed."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=[task.name for task in TASKS], default=[task.name for task in TASKS])
    parser.add_argument("--check", action="store_true", help="replace nothing; status 1 if a picture would change")
    parser.add_argument("--timed", action="store_true", help="replace pictures that show measured times, too")
    options = parser.parse_args()
    changed = []
    for task in TASKS:
        if task.name in options.only:
            with tempfile.TemporaryDirectory(prefix="atrous-pictures-") as name:
                changed += renew(task, Path(name), DOCS, check=options.check, timed=options.timed)
    print("\n".join(changed) or "no picture has changed")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
