"""The current tool, class and size. Plain listeners; the canvas and the docks both watch it."""

from __future__ import annotations

from enum import StrEnum

from app.signal import Signal


class Tool(StrEnum):
    """What the left button does on the picture."""

    BRUSH = "brush"
    ERASER = "eraser"
    RESTORE = "restore"
    FILL = "fill"
    LASSO = "lasso"
    POLYGON = "polygon"
    COMPONENTS = "components"
    REGIONS = "regions"
    SCRIBBLE = "scribble"
    SNAP = "snap"
    CLICKS = "clicks"
    PICK = "pick"
    PAN = "pan"


#: Tools that need the corrector of the image in view.
CORRECTION_TOOLS = frozenset({Tool.COMPONENTS, Tool.REGIONS, Tool.SCRIBBLE, Tool.SNAP, Tool.CLICKS})

#: Brush diameters in px of the image. 1 paints a single pixel.
MIN_DIAMETER, MAX_DIAMETER = 1, 1000
#: What a key press or a notch of the wheel steps through: proportional, so that 24 to 8 is five steps and 1000 to 10 is twenty.
STEPS = (1, 2, 3, 4, 5, 6, *(round(base * 2**octave) for octave in range(3, 10) for base in (1, 1.25, 1.5)), MAX_DIAMETER)


class ToolState:
    """Tool, classes and brush size that the user has chosen.

    Attributes:
        tool: the current tool.
        class_id: what brush, fill, lasso and polygon paint.
        previous_class_id: what X swaps with.
        diameter: of the brush, in image px, 1..1000.
        within: whether a stroke or an outline paints only over the class where it begins.
        snapping: whether the lasso moves to the edges of the image while it is drawn.
    """

    def __init__(self, class_id: int = 0) -> None:
        self.tool = Tool.BRUSH
        self.class_id = class_id
        self.previous_class_id = class_id
        self.diameter = 24
        self.within = False
        self.snapping = False
        #: Emitted after any change.
        self.changed: Signal[[]] = Signal()

    def choose_tool(self, tool: Tool) -> None:
        self.tool = tool
        self.changed.emit()

    def choose_class(self, class_id: int) -> None:
        """Select another class and remember the last one for :meth:`swap_classes`."""
        if class_id != self.class_id:
            self.previous_class_id, self.class_id = self.class_id, class_id
        self.changed.emit()

    def swap_classes(self) -> None:
        self.class_id, self.previous_class_id = self.previous_class_id, self.class_id
        self.changed.emit()

    def toggle_within(self) -> None:
        self.within = not self.within
        self.changed.emit()

    def toggle_snapping(self) -> None:
        self.snapping = not self.snapping
        self.changed.emit()

    def set_diameter(self, diameter: float) -> None:
        """Set the brush diameter in px, clamped to 1..1000."""
        self.diameter = int(min(max(round(diameter), MIN_DIAMETER), MAX_DIAMETER))
        self.changed.emit()

    def scale_diameter(self, steps: int) -> None:
        """Go to the next larger or smaller of :data:`STEPS`: a fifth to a third a step, and the same sizes up and down."""
        for _ in range(abs(steps)):
            beyond = [size for size in STEPS if (size > self.diameter if steps > 0 else size < self.diameter)]
            if not beyond:
                break
            self.diameter = beyond[0] if steps > 0 else beyond[-1]
        self.changed.emit()
