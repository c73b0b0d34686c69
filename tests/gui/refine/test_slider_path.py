"""From a slider of the CRF to the repainted preview: few modules take part, and nothing is read from the disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from app.controllers.refine.preview import Phase
from tests.gui.studio import Studio

#: Modules of the program on the way from the move to the repainted picture: those that pass the move on until it is asked of
#: the compute process, those that pass the answer on until the canvas has it, and those that paint.
#: 16 before names stood on the image: their module and the ground of their chips.
MOST = 18


@contextmanager
def way(found: set[str]) -> Iterator[None]:
    """Collect the modules on the stack at both ends, and those of the canvas that run."""

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = str(frame.f_globals.get("__name__", ""))
        if event != "call":
            return
        if name.startswith("app.ui.canvas."):
            found.add(name)
        if (name, frame.f_code.co_name) in _ENDS:
            on_stack: FrameType | None = frame
            while on_stack is not None:
                found.add(str(on_stack.f_globals.get("__name__", "")))
                on_stack = on_stack.f_back

    with profiled(note):
        yield


@contextmanager
def profiled(note: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


#: Where a move ends as a request, and where the answer ends as a picture.
_ENDS = {("app.services.calls", "submit"), ("app.ui.canvas.canvas_view", "show_scene")}

_OPENED: list[str] = []
_watching: list[bool] = []


def _note_open(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in ("open", "os.listdir", "os.scandir"):
        _OPENED.append(str(arguments[0]))


@pytest.fixture(scope="module")
def watched() -> None:
    sys.addaudithook(_note_open)  # cannot be removed again; it notes nothing unless a test watches


def test_a_move_of_a_slider_takes_few_modules_and_no_disk(studio: Studio, folder: Path, watched: None) -> None:
    studio.start_model()
    studio.open(folder)
    studio.window.toggle_dock("crf")
    studio.program.refine.toggle_preview()
    studio.wait(lambda: studio.program.refine.status.phase is Phase.EXACT and studio.program.refine.requests.idle)
    studio.settle()
    studio.program.settings.flush()  # the dock that was shown is remembered after a pause
    name, slider = next(iter(studio.window.crf.sliders.items()))
    asked = len(studio.compute.asked)
    _OPENED.clear()
    found: set[str] = set()
    _watching.append(True)
    try:
        with way(found):
            slider.changed.emit(getattr(studio.program.crf.params, name) + 1, True)
            studio.wait(lambda: len(studio.compute.asked) > asked and studio.program.refine.requests.idle)
            studio.view.repaint()
    finally:
        _watching.clear()
    ours = {module for module in found if module.startswith(("app.", "deeplab_core."))}
    assert {"app.ui.refine.crf_dock", "app.services.calls", "app.ui.canvas.canvas_area", "app.ui.canvas.frame"} <= ours
    assert len(ours) <= MOST, "\n".join(sorted(ours))
    assert not _OPENED, "the disk was asked between a move and the picture"
