"""SIGKILL in the middle of a session at the brush: the window, its mouse and its compute process are the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.project import Project

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, CHAIR = 240, 180, 9

# Paints one horizontal stroke a row with the mouse, over two images in turn, and prints a line after each release.
_SESSION = f"""
import sys
from pathlib import Path

def main():
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication
    from app.main import Application
    from app.ui.shell.theme import load_fonts
    qt = QApplication([])
    load_fonts()
    application = Application()
    application.window.resize(1200, 800)
    application.window.show()
    program = application.build()
    program.models.start()
    program.projects.open(Path(sys.argv[1]))
    painted, last = [0], [None]

    def point(x, y):
        return view().mapping.to_view(x + 0.5, y + 0.5).toPoint()

    def view():
        return application.presenter.canvas.views[0]

    def stroke():
        image = program.session.image
        if image is None or view().mapping is None or image.path.name == last[0]:
            return
        program.classes.choose({CHAIR})
        program.tools.set_diameter(1)
        row = 2 + painted[0] // 2 * 3
        QTest.mousePress(view(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point(10, row))
        for x in range(20, {WIDTH} - 10, 20):
            QTest.mouseMove(view(), point(x, row))
        QTest.mouseRelease(view(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point({WIDTH} - 10, row))
        print("painted", image.path.name, row, flush=True)
        painted[0] += 1
        last[0] = image.path.name
        if painted[0] % 2:
            program.projects.next_image()
        else:
            program.projects.previous_image()

    timer = QTimer()
    timer.timeout.connect(stroke)
    timer.start(30)
    return qt.exec()

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.mark.e2e
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_every_completed_stroke_and_its_undo_step_survive_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)).save(folder / name)
    script = tmp_path / "session.py"
    script.write_text(_SESSION)
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("ATROUS_MODEL_DIR", None)
    painted: list[tuple[str, int]] = []
    command = [sys.executable, str(script), str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        for line in session.stdout:
            if line.startswith("painted"):
                _, name, row = line.split()
                painted.append((name, int(row)))
            if len(painted) == 31:
                break
        # Somewhere between two strokes, or inside one.
        time.sleep(0.04)
        session.send_signal(signal.SIGKILL)
        rest = session.stdout.read()
    painted += [(line.split()[1], int(line.split()[2])) for line in rest.splitlines() if line.startswith("painted")]
    assert len(painted) >= 31

    with Project.open(folder) as project:
        for record in project.images:
            rows = [row for name, row in painted if name == record.relative_path]
            loaded = project.load(record.id, (HEIGHT, WIDTH))
            document = loaded.document
            found = [y for y in range(HEIGHT) if (document.labels[y, 10 : WIDTH - 10] == CHAIR).all()]
            assert found[: len(rows)] == rows
            assert len(found) <= len(rows) + 1, "more strokes than the user made"
            strokes = [step for step in loaded.steps if step.title.startswith("Brush: chair")]
            assert len(strokes) == len(found)
            for step in reversed(loaded.steps):
                document.apply(step.patch.inverted())
            assert (document.labels == document.catalog.ignore).all()
