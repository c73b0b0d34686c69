"""Which strategy a button means right now, shared by all panes: an outline begun in one pane is seen in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from shiboken6 import isValid

from app.controllers.annotate.component_jobs import ComponentJobs
from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.state.tools import Tool
from app.ui.canvas.click_tool import ClickTool
from app.ui.canvas.correction_tools import ComponentTool, CopyTool, RegionTool
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.line_tools import ScribbleTool, SnappingLasso, SnapTool
from app.ui.canvas.marks import draw_path
from app.ui.canvas.target_mark import TargetMark, draw_words
from app.ui.canvas.tools import (
    BrushTool,
    CanvasTool,
    EraserTool,
    FillTool,
    LassoTool,
    PanTool,
    PickTool,
    Pointer,
    PolygonTool,
    RestoreTool,
)

_TOOLS: dict[Tool, type[CanvasTool]] = {
    Tool.BRUSH: BrushTool,
    Tool.ERASER: EraserTool,
    Tool.RESTORE: RestoreTool,
    Tool.FILL: FillTool,
    Tool.LASSO: LassoTool,
    Tool.POLYGON: PolygonTool,
    Tool.PICK: PickTool,
    Tool.PAN: PanTool,
}
#: Tools that need more than a document: the features of a whole program.
_WITH_PROGRAM: dict[Tool, Callable[[Program, ViewState], CanvasTool]] = {
    Tool.COMPONENTS: ComponentTool,
    Tool.REGIONS: RegionTool,
    Tool.SCRIBBLE: ScribbleTool,
    Tool.SNAP: SnapTool,
    Tool.CLICKS: ClickTool,
    Tool.COPY: CopyTool,
    Tool.LASSO: SnappingLasso,
}
#: Tint of what the dialog of component operations would change.
_EFFECT = QColor(255, 214, 64)


class ToolBox(QObject):
    """Routes buttons and keys to the tool that they mean.

    Left is the current tool, right restores the prediction, middle or Space and left pans. While one button is down the others
    do nothing.

    Signals:
        marksChanged: what a tool draws over the picture changed.
        cursorChanged: another ring or cursor shape is due.
        menuAsked: (command ids) a right click on a tool with a menu.
    """

    marksChanged = Signal()
    menuAsked = Signal(object)
    cursorChanged = Signal()

    def __init__(
        self,
        edit: EditController,
        view: ViewState,
        program: Program | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._edit = edit
        self._view, self._program = view, program
        self._jobs: ComponentJobs | None = None
        self._tools: dict[Tool, CanvasTool] = {}
        if program is not None:
            program.when_built(ComponentJobs, self._follow_jobs)
            program.next_errors.targetChanged.connect(self.marksChanged)
        self._effect, self._error = TargetMark(), TargetMark()
        self._dragging: CanvasTool | None = None
        self._button = Qt.MouseButton.NoButton
        self._space = False
        self._at: Pointer | None = None
        self._known = edit.tools.tool
        edit.tools.changed.connect(self._tools_changed)
        view.viewpointChanged.connect(self._forget_pointer)
        edit.documentChanged.connect(self._let_go)

    def _tool(self, tool: Tool) -> CanvasTool:
        """The strategy of a tool, built when it is first used."""
        made = self._tools.get(tool)
        if made is None:
            if self._program is not None and tool in _WITH_PROGRAM:
                made = _WITH_PROGRAM[tool](self._program, self._view)
            else:
                made = _TOOLS[tool](self._edit, self._view)
            made.changed.connect(self._redraw)
            self._tools[tool] = made
        return made

    @property
    def current(self) -> CanvasTool:
        """What a left press would use, or what is being used."""
        if self._dragging is not None:
            return self._dragging
        return self._tool(Tool.PAN if self._space else self._edit.tools.tool)

    @property
    def pressed(self) -> bool:
        """Whether a button is down."""
        return self._dragging is not None

    @property
    def painting(self) -> bool:
        """Whether a button is down that changes labels, or will."""
        return self._dragging is not None and not isinstance(self._dragging, PanTool)

    def hold_space(self, down: bool) -> None:
        """Space pans while it is held; never in the middle of a stroke."""
        if self._space != down:
            self._space = down
            self.cursorChanged.emit()

    def press(self, button: Qt.MouseButton, pointer: Pointer) -> None:
        if self._dragging is not None:
            return
        tool = {
            Qt.MouseButton.LeftButton: self.current,
            Qt.MouseButton.RightButton: self._tool(Tool.RESTORE),
            Qt.MouseButton.MiddleButton: self._tool(Tool.PAN),
        }.get(button)
        if tool is None:
            return
        if button == Qt.MouseButton.RightButton and self.outline_open:
            self.shorten()
            return
        if button == Qt.MouseButton.RightButton and self.current.takes_right:
            tool = self.current
            pointer = replace(pointer, modifiers=pointer.modifiers | Qt.KeyboardModifier.ShiftModifier)
        elif button == Qt.MouseButton.RightButton and self.current.menu:
            self.current.hover(pointer)
            self.menuAsked.emit(self.current.menu)
            return
        self._dragging, self._button = tool, button
        tool.press(pointer)
        self.cursorChanged.emit()
        self.marksChanged.emit()

    def move(self, pointer: Pointer) -> None:
        tool, self._at = self.current, pointer
        if self._dragging is not None:
            tool.move(pointer)
        else:
            tool.hover(pointer)
        if not tool.has_ring or pointer.shift:
            self.marksChanged.emit()

    def release(self, button: Qt.MouseButton, pointer: Pointer) -> None:
        if self._dragging is not None and button == self._button:
            tool = self._dragging
            if pointer.pressure > 0:  # a pen leaves without pressure; its last move has drawn everything
                tool.move(pointer)
            self._dragging = None
            tool.release()
            self.cursorChanged.emit()
            self.marksChanged.emit()

    def double_click(self, button: Qt.MouseButton, pointer: Pointer) -> None:
        """A second press in place: closes a polygon, and is a press like any other for the rest."""
        if button == Qt.MouseButton.LeftButton and self.outline_open and self._dragging is None:
            self.current.double_click()
            self.marksChanged.emit()
        else:
            self.press(button, pointer)

    def leave(self) -> None:
        """The pointer left the picture without a button."""
        self._at = None
        if self._dragging is None:
            self.current.leave()
            self.marksChanged.emit()

    @property
    def turns(self) -> bool:
        """Whether Alt+wheel is the current tool's."""
        return self.current.turns

    @property
    def holds_wheel(self) -> bool:
        """Whether the plain wheel is the current tool's, too."""
        return self.current.holds_wheel

    def turn(self, steps: int, pointer: Pointer) -> None:
        """The wheel was turned with Alt."""
        self.current.turn(steps, pointer)
        self.marksChanged.emit()

    @property
    def outline_open(self) -> bool:
        """Whether a polygon waits for its next corner."""
        return self._edit.tools.tool is Tool.POLYGON and self._tool(Tool.POLYGON).busy

    @property
    def busy(self) -> bool:
        """Whether there is an action that Esc would revert."""
        return self.current.busy

    def finish(self) -> bool:
        done = self.current.finish()
        self.marksChanged.emit()
        return done

    def shorten(self) -> bool:
        done = self.current.shorten()
        self.marksChanged.emit()
        return done

    def abort(self) -> bool:
        """Revert the current action; the button may stay down and means nothing until it is up."""
        done = self.current.abort() or (self._program is not None and self._program.next_errors.leave())
        self.marksChanged.emit()
        return done

    def interrupt(self) -> None:
        """The window lost the mouse: keep what was painted and let go."""
        self._edit.commit_stroke()
        self._let_go()

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        """Draw the tools' current action."""
        if self._jobs is not None and self._jobs.outline:
            outline = self._jobs.outline
            draw_path(painter, [mapping.to_view(*point) for point in (*outline, outline[0])], _EFFECT)
        effect = None if self._jobs is None else self._jobs.target
        if effect is not None:
            self._effect.paint(painter, mapping, effect, _EFFECT)
        error = None if self._program is None else self._program.next_errors.target
        if error is not None:
            self._error.paint(painter, mapping, error, None)
            draw_words(painter, mapping, None, error.lines)
        self.current.paint(painter, mapping)

    def _let_go(self) -> None:
        self._dragging, self._space, self._at = None, False, None
        self.cursorChanged.emit()
        self.marksChanged.emit()

    def _forget_pointer(self) -> None:
        """Another part of the image is under it."""
        self._at = None

    def _follow_jobs(self, jobs: ComponentJobs) -> None:
        self._jobs = jobs
        jobs.changed.connect(self.marksChanged)

    def _redraw(self) -> None:
        if isValid(self):
            self.marksChanged.emit()

    def _tools_changed(self) -> None:
        if not isValid(self):
            return  # Qt has deleted the canvas; its Python half is still listening
        if self._edit.tools.tool is not self._known:
            if self._dragging is None:
                self._tool(self._known).abort()
            self._known = self._edit.tools.tool
            if self._at is not None and self._dragging is None:
                self.current.hover(self._at)  # a key selects the tool, and the pointer stays where it is
        self.cursorChanged.emit()
        self.marksChanged.emit()
