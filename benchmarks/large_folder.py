"""A folder of many images in the real window: opened, opened again, looked at while it is active, and with files that come.

    QT_QPA_PLATFORM=offscreen python benchmarks/large_folder.py FOLDER [--images 100000]

FOLDER holds JPEG files, of which hard links make up the number. Printed: seconds from the start of opening until the first image
can be painted, and the longest gap of the event loop; the same gap for each letter of a filter; what a look at the folder costs
when the window becomes active and nothing has changed, and taking over a thousand new files; peak memory.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from long_run import link
from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication
from stalls import Heartbeat, Oracle  # sets up the offscreen screen and a home of its own

from app.main import Application


class Desk:
    """The window, and the turns of its event loop."""

    def __init__(self) -> None:
        self.app = QApplication.instance() or QApplication([])
        self.application = Application(Oracle())
        self.application.window.resize(1600, 1000)
        self.application.window.show()
        self.program = self.application.build()
        self.program.settings.set("work.auto_predict", False)
        self.beat = Heartbeat()
        self.quiet(1.0)

    def until(self, condition: Callable[[], bool]) -> tuple[float, float]:
        """Seconds by the clock and of CPU until a condition holds."""
        wall, cpu = time.perf_counter(), time.process_time()
        while not condition():
            self.app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)  # the heartbeat comes every 5 ms
            if time.perf_counter() - wall > 120:
                raise TimeoutError("it did not come")
        return time.perf_counter() - wall, time.process_time() - cpu

    def quiet(self, seconds: float) -> None:
        """Until nothing has run in the background for so long."""
        since = time.perf_counter()
        while time.perf_counter() - since < seconds:
            self.app.processEvents()
            if self.program.jobs.running or not self.program.jobs.wait(0):
                since = time.perf_counter()
            time.sleep(0.0005)

    def close(self) -> None:
        self.program.projects.close()
        self.application.shut_down()
        self.application.window.close()


def visit(folder: Path, project: Path, name: str) -> Desk:
    """Open a folder in a new window and print how long that took."""
    desk = Desk()
    session = desk.program.session
    desk.beat.start()
    desk.program.projects.open(folder, project)
    first, cpu = desk.until(lambda: session.image is not None)
    desk.quiet(1.0)
    gap = desk.beat.stop()
    count = len(session.project.images) if session.project is not None else 0
    print(
        f"{name:30} {count:>8,} images, first image after {first:.2f} s ({cpu:.2f} s of CPU), longest gap {gap:.2f} s", flush=True
    )
    return desk


def type_filters(desk: Desk) -> None:
    """Type filters, letter by letter, and print how long the window stopped at most."""
    dock = desk.application.window.images
    for text in ("0017", "unreviewed", "note", "class:chair", "iou<50"):
        gaps = []
        for end in range(1, len(text) + 1):
            desk.beat.start()
            dock.filter.setText(text[:end])
            desk.until(lambda: not dock.model.arranging)
            desk.app.processEvents()
            gaps.append(desk.beat.stop())
        desk.beat.start()
        dock.filter.clear()
        desk.until(lambda: not dock.model.arranging)
        desk.app.processEvents()
        cleared = desk.beat.stop()
        print(
            f"{f'filter {text}':30} first letter {gaps[0]:.3f} s, others {max(gaps[1:]):.3f}, cleared {cleared:.3f}", flush=True
        )


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=given.folder.resolve().parent))
    try:
        folder, project = root / "images", root / "project"
        link(given.folder, folder, given.images)
        visit(folder, project, "the first time").close()
        desk = visit(folder, project, "again")
        type_filters(desk)
        changes = desk.program.file_changes
        for name in ("first look", "look, nothing changed"):
            changes._not_before = 0.0
            cpu = time.process_time()
            changes.check()
            wall, _ = desk.until(lambda: not changes._looking)
            print(f"{name:30} {time.process_time() - cpu:.2f} s of CPU, {wall:.2f} s", flush=True)
            desk.quiet(0.5)
        link(given.folder, folder / "new", 1000)
        changes._not_before = 0.0
        desk.beat.start()
        before = given.images
        cpu = time.process_time()
        changes.check()
        wall, _ = desk.until(lambda: len(desk.program.session.project.images) == before + 1000 and not changes._looking)
        desk.quiet(0.5)
        gap = desk.beat.stop()
        print(f"{'1,000 files come':30} {time.process_time() - cpu:.2f} s of CPU, {wall:.2f} s, longest gap {gap:.2f} s")
        print(f"{'peak memory':30} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        desk.close()
        return 0
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
