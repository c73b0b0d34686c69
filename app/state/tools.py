"""The table of tools, and the current tool, class and size. Plain listeners; the canvas and the docks both watch it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from app.signal import Signal
from app.text import mark


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
    COPY = "copy"
    PICK = "pick"
    PAN = "pan"


class BandMode(StrEnum):
    """Which side of the trimap band's border may be painted."""

    OFF = "off"
    INSIDE = "inside"
    OUTSIDE = "outside"


class CopyFrom(StrEnum):
    """Labels of an image that a part is copied from; the value is the English name."""

    PREDICTION = mark("Prediction")
    MODEL = mark("Other model")
    TRUTH = mark("Ground truth")
    PREVIOUS = mark("Previous image")


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool, as data: its command, icon, context key, button and keys derive from it.

    Attributes:
        tool: its name, and that of its icon.
        text: menu entry in plain English.
        word: what stands under its icon where the top bar has room for words.
        keys: its keys in Qt's portable spelling.
        tip: one sentence for the tooltip.
        corrects: whether it needs the corrector of the image in view.
        in_bar: whether the top bar has a button for it.
        gives_way: place among the tools that lose their button in a narrow window, 1 is the first to go; 0 stays, and so does
            the selected tool.
    """

    tool: Tool
    text: str
    word: str
    keys: str
    tip: str
    corrects: bool = False
    in_bar: bool = True
    gives_way: int = 0

    @property
    def action(self) -> str:
        """Id of the command that chooses it."""
        return f"tool.{self.tool}"

    @property
    def context_key(self) -> str:
        """The context key that is true while it is the current tool."""
        return f"tool_{self.tool}"


#: Every tool, in the order of menu and top bar. What the left button does for each is in :mod:`app.ui.canvas.toolbox`.
TOOLS = (
    ToolSpec(Tool.BRUSH, mark("Brush"), mark("Brush"), "B", mark("Paints the selected class; Shift+click draws a straight line")),
    ToolSpec(
        Tool.ERASER,
        mark("Eraser"),
        mark("Erase"),
        "E",
        mark("Paints the background class, or unlabelled if the class list has none"),
    ),
    ToolSpec(
        Tool.FILL,
        mark("Fill"),
        mark("Fill"),
        "G",
        mark("Gives a connected area the current class; the CRF may still move its outline"),
    ),
    ToolSpec(
        Tool.COMPONENTS,
        mark("Components"),
        mark("Components"),
        "Z",
        mark(
            "Outlines the connected area of one class; click or a class key gives it a class, drag cuts it, Ctrl+drag joins two"
        ),
        corrects=True,
    ),
    ToolSpec(
        Tool.REGIONS,
        mark("Regions"),
        mark("Regions"),
        "Shift+G",
        mark("Click or drag gives parts of the image that are alike the selected class; Alt+wheel makes them larger or smaller"),
        corrects=True,
    ),
    ToolSpec(
        Tool.SCRIBBLE,
        mark("Two-class scribble"),
        mark("Scribble"),
        "Shift+J",
        mark("A stroke takes what belongs to it from the class where it begins; the wheel sets its reach before you let go"),
        corrects=True,
        gives_way=4,
    ),
    ToolSpec(
        Tool.SNAP,
        mark("Border snap"),
        mark("Snap"),
        "Shift+S",
        mark("Click a component or draw around an object: its outline smoothed or at edges; Alt+wheel: how, Enter: apply"),
        corrects=True,
        gives_way=3,
    ),
    ToolSpec(
        Tool.CLICKS,
        mark("Clicks"),
        mark("Clicks"),
        "Shift+X",
        mark("Click on an object, right-click beside it, or drag a box: a click network finds its outline; Enter applies"),
        corrects=True,
        gives_way=6,
    ),
    ToolSpec(
        Tool.COPY,
        mark("Copy from"),
        mark("Copy"),
        "Shift+D",
        mark("Copies from prediction, other model, ground truth or previous image: click a component, or draw around a part"),
        corrects=True,
        gives_way=7,
    ),
    ToolSpec(Tool.LASSO, mark("Lasso"), mark("Lasso"), "L", mark("Fills what you draw around")),
    ToolSpec(
        Tool.POLYGON,
        mark("Polygon"),
        mark("Polygon"),
        "P",
        mark("Click the corners; Enter closes, Backspace removes the last one"),
        gives_way=5,
    ),
    ToolSpec(Tool.PICK, mark("Pick class"), mark("Pick"), "I", mark("Selects the class under the pointer"), gives_way=2),
    ToolSpec(
        Tool.RESTORE,
        mark("Restore to prediction"),
        mark("Restore"),
        "Shift+E",
        mark("Restores the model's pixels; right-drag does the same with most tools"),
        gives_way=1,
    ),
    ToolSpec(
        Tool.PAN,
        mark("Pan the image"),
        mark("Pan"),
        "M",
        mark("Drag to move; Space-drag does the same with any tool"),
        in_bar=False,
    ),
)
#: Tools that need the corrector of the image in view.
CORRECTION_TOOLS = frozenset(spec.tool for spec in TOOLS if spec.corrects)

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
        over: ids of the classes that may be painted over; empty allows all.
        band: whether only pixels inside, or only those outside the trimap band may be painted.
        snapping: whether the lasso moves to the edges of the image while it is drawn.
    """

    def __init__(self, class_id: int = 0) -> None:
        self.tool = Tool.BRUSH
        self.class_id = class_id
        self.previous_class_id = class_id
        self.diameter = 24
        self.within = False
        self.over: frozenset[int] = frozenset()
        self.band = BandMode.OFF
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

    def forget_others(self, class_ids: Collection[int]) -> None:
        """Swap with the selected class, which is one of these, if the last one is not: it belongs to another project."""
        if self.previous_class_id not in class_ids:
            self.previous_class_id = self.class_id

    def swap_classes(self) -> None:
        self.class_id, self.previous_class_id = self.previous_class_id, self.class_id
        self.changed.emit()

    def toggle_within(self) -> None:
        self.within = not self.within
        self.changed.emit()

    def set_over(self, class_ids: frozenset[int]) -> None:
        """Paint only over these classes; none allows all."""
        if class_ids != self.over:
            self.over = class_ids
            self.changed.emit()

    def toggle_band(self, mode: BandMode) -> None:
        """Paint only inside, or only outside, the trimap band; everywhere again if that is on."""
        self.band = BandMode.OFF if self.band is mode else mode
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
