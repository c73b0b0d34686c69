"""The bar above the picture: menu, rooms, image, tools, selected class, active modes, brush size, undo, 'Reviewed, next'."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QRect, QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QHBoxLayout,
    QLayoutItem,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)  # fmt: skip

from app.actions.table import TOOLBAR
from app.state.tools import TOOLS
from app.text import mark, tr
from app.ui.annotate.class_delegate import paint_name, paint_swatch
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import toned
from app.ui.common.tips import rich_tip
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.icons import make_icon
from app.ui.shell.rooms import Room, RoomSwitch
from app.ui.shell.theme import Theme

#: Usual and in a narrow window.
_WIDTHS = (130, 96)
#: Of the source of copies, at most: names of models are long.
_WIDEST = 220
_HEIGHT, _PAD, _SWATCH, _GAP = 30, 9, 14, 8


class ClassChip(QAbstractButton):
    """A button that looks like a row of the class list; a click finds another class. Its width does not follow the name."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._name, self._key, self._color, self._locked = "", "", QColor(), False
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedSize(_WIDTHS[0], _HEIGHT)
        self.show_class("", "", None)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def set_narrow(self, on: bool) -> None:
        """Take less room in a narrow window."""
        self.setFixedWidth(_WIDTHS[1] if on else _WIDTHS[0])

    def show_class(self, name: str, key: str, color: tuple[int, int, int] | None, *, locked: bool = False) -> None:
        """Show a class, with a lock behind the name of a locked one; without a colour there is none to select."""
        shown_color = QColor(*color) if color is not None else QColor()
        if (name, key, locked, shown_color) == (self._name, self._key, self._locked, self._color) and self.toolTip():
            return
        self._name, self._key, self._locked, self._color = name, key, locked, shown_color
        shown = tr("{name}, key {key}", name=name, key=key) if key else name
        shown = tr("{name}, locked", name=shown) if locked else shown
        text = tr("Selected class: {name}", name=shown)
        self.setAccessibleName(text if color is not None else tr("No class selected"))
        self.setToolTip(tr("{text}. Click or press / to find another class", text=text) if color is not None else "")
        self.setEnabled(color is not None)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.HoverEnter, QEvent.Type.HoverLeave):
            self.update()
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("accent"), 3) if self.hasFocus() else QPen(theme.color("edge"), 1))
        painter.setBrush(theme.color("raised" if self.underMouse() and self.isEnabled() else "surface"))
        radius = theme.radius["control"]
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
        if not self._color.isValid():
            painter.setFont(theme.font("body"))
            painter.setPen(theme.color("muted"))
            box = self.rect().adjusted(_PAD, 0, -_PAD, 0)
            text = QFontMetrics(painter.font()).elidedText(tr("No class"), Qt.TextElideMode.ElideRight, box.width())
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
            return
        paint_swatch(painter, QRectF(_PAD, (self.height() - _SWATCH) / 2, _SWATCH, _SWATCH), self._color, theme)
        right = self.width() - _PAD
        middle = Qt.AlignmentFlag.AlignVCenter
        if self._key:
            painter.setFont(theme.font("small"))
            painter.setPen(theme.color("muted"))
            painter.drawText(QRect(0, 0, right, self.height()), middle | Qt.AlignmentFlag.AlignRight, self._key)
            right -= QFontMetrics(painter.font()).horizontalAdvance(self._key) + _GAP
        left = _PAD + _SWATCH + _GAP
        painter.setFont(theme.font("body", bold=True))
        painter.setPen(theme.color("text"))
        box = QRect(left, 0, right - left, self.height())
        paint_name(painter, box, self._name, locked=self._locked, color=theme.color("text"))


#: The slider is logarithmic: half of it for brushes up to 32 px.
_STEPS, _LARGEST = 100, 1000
#: Modes that change what a stroke or an outline does, what their lamps say, and in short. A click on a lamp ends the mode.
_MODES = (
    ("refine.scribble", mark("Scribble"), mark("Scr")),
    ("lasso.snap", mark("Lasso snaps"), mark("Snap")),
    ("brush.within", mark("Only over"), mark("Over")),
    ("brush.over_all", mark("Over {classes}"), mark("Cls")),
    ("brush.inside_band", mark("Inside {width} px"), mark("In")),
    ("brush.outside_band", mark("Outside {width} px"), mark("Out")),
    ("view.reset_adjustment", mark("Adjusted"), mark("Adj")),
    ("refine.region", mark("Refine outline"), mark("CRF")),
    ("ambiguous.outline", mark("Mark ambiguous"), mark("Amb")),
)
#: Room that the name of the image keeps before anything else gives way.
_TITLE, _LEAST_TITLE = 92, 40
#: A tool without and with a word below its icon: width (more for a long word) and height in px; the glyph; room beside a word.
_PLAIN, _WORDED, _GLYPH, _WORD_PAD = (34, 34), (40, 44), 20, 6
#: Widths of the bar from which tools, and the switch of rooms, have words, in px: those of windows of 1400 and 1000 px.
WORDS_FROM, _ROOM_WORDS_FROM = 1384, 984


class TopBar(QWidget):
    """One row of tools.

    Signals:
        diameterChosen(int): from the slider, in px.
    """

    diameterChosen = Signal(int)

    def __init__(self, actions: ActionBuilder, theme: Theme) -> None:
        super().__init__()
        self._on_picture, self._worded = True, False
        row = self._row = QHBoxLayout(self)
        row.setContentsMargins(8, 5, 8, 3)
        row.setSpacing(4)
        self.menu_button = QToolButton()
        self.menu_button.setObjectName("menuButton")
        self.menu_button.setText("Atrous")
        self.menu_button.setAccessibleName(tr("All menus"))
        self.menu_button.setIconSize(QSize(_GLYPH, _GLYPH))
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setToolTip(tr("All menus (F10)"))
        row.addWidget(self.menu_button)
        self.rooms = RoomSwitch()
        row.addWidget(self.rooms)
        row.addSpacing(4)
        self.title = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        row.addWidget(self.title, 3)
        for tool in TOOLS:
            actions[tool.action].setIconText(tr(tool.word))
        self.tools: list[QToolButton] = [actions.tool_button(action_id) for action_id in TOOLBAR]
        tool_row = QHBoxLayout()
        tool_row.setSpacing(0)
        for button in self.tools:
            button.setObjectName("tool")
            button.setIconSize(QSize(_GLYPH, _GLYPH))
            tool_row.addWidget(button)
        self._tool_box = QWidget()
        tool_row.setContentsMargins(0, 0, 0, 0)
        self._tool_box.setLayout(tool_row)
        row.addWidget(self._tool_box)
        self.class_chip = ClassChip(theme)
        self.class_chip.clicked.connect(actions["class.find"].trigger)
        row.addWidget(self.class_chip)
        self._modes: dict[str, object] = {"classes": "", "width": 0}
        self._abridged = False
        self.lamps = [self._lamp(actions, action_id, tr(text, **self._modes)) for action_id, text, _ in _MODES]
        for lamp in self.lamps:
            row.addWidget(lamp)
        self.copy_source = QToolButton()
        self.copy_source.setObjectName("copySource")
        self.copy_source.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.copy_source.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.copy_source.setToolTip(tr("Where the tool 'Copy from' takes labels   Alt+1 to Alt+4, Alt+wheel"))
        self.copy_source.setMenu(QMenu(self.copy_source))
        self.copy_source.hide()
        row.addWidget(self.copy_source)
        row.addSpacing(4)
        self.size_text = toned(tr("Size 24"), size="body")
        self.size_text.setMinimumWidth(QFontMetrics(self.size_text.font()).horizontalAdvance(tr("Size 1000")))
        row.addWidget(self.size_text)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setFixedWidth(84)
        self.slider.setAccessibleName(tr("Brush size"))
        self.slider.setToolTip(tr("Brush size in image px   [ and ], Shift+wheel"))
        self.slider.valueChanged.connect(lambda place: self.diameterChosen.emit(_diameter(place)))
        row.addWidget(self.slider)
        row.addSpacing(4)
        steps = [actions.tool_button(action_id) for action_id in ("edit.undo", "edit.redo")]
        for button in steps:
            button.setFixedSize(32, 34)
            row.addWidget(button)
        self.extra = QWidget()
        extras = QHBoxLayout(self.extra)
        extras.setContentsMargins(0, 0, 0, 0)
        extras.setSpacing(2)
        for action_id in ("view.linked", "window.fold"):
            button = actions.tool_button(action_id)
            button.setFixedSize(32, 34)
            extras.addWidget(button)
        row.addWidget(self.extra)
        row.addStretch(1)
        self.export_button = _push(actions, "project.export", tr("Export"))
        row.addWidget(self.export_button)
        self.done_button = _push(actions, "go.reviewed_next", tr("Reviewed, next"))
        self.done_button.setProperty("primary", True)
        row.addWidget(self.done_button)
        for pushed in (self.export_button, self.done_button):
            pushed.setObjectName("barButton")
        for fixed in (self.export_button, self.done_button, self.menu_button):
            fixed.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        #: What gives way first when there is no room; all of it is in the menus too.
        tools = dict(zip(TOOLBAR, self.tools, strict=True))
        # They keep their keys and their place in the menu.
        less_used = [tools[tool.action] for tool in sorted(TOOLS, key=lambda tool: tool.gives_way) if tool.gives_way]
        for button in less_used:
            button.toggled.connect(lambda _on: self._share_room())
        self._gives_way = (self.slider, self.size_text, self.extra, self.export_button, *steps[::-1], *less_used)
        self._unused: tuple[QWidget, ...] = ()
        self._copying: tuple[str, ...] = ()

    def set_theme(self, theme: Theme) -> None:
        """Colour what paints itself."""
        self.menu_button.setIcon(make_icon("menu", theme))
        self.class_chip.set_theme(theme)
        self.rooms.set_theme(theme)

    def show_room(self, room: Room) -> None:
        """Show what is of use in a room: tools and brush where there is a picture."""
        self._on_picture = room is not Room.ERRORS
        self._share_room()

    def minimumSizeHint(self) -> QSize:
        """What is left when everything has given way that can; of the tools that can, one may be selected and stays."""
        items, parts, margins = *self._laid_out(), self._row.contentsMargins()
        spacers = [item.sizeHint().width() + self._row.spacing() for item in items if item.widget() is None]
        apart = (self.title, self._tool_box, self.rooms, self.class_chip, self.copy_source, *self._gives_way)
        stay = sum(self._width_of(part) for part in parts if part not in apart and not part.isHidden())
        least = self.rooms.narrow + _WIDTHS[1] + _LEAST_TITLE + 4 * self._row.spacing()
        tools = len([tool for tool in self.tools if tool not in self._gives_way]) + 1
        width = margins.left() + margins.right() + sum(spacers) + stay + least + tools * _PLAIN[0]
        return QSize(width, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_room()

    def _share_room(self) -> None:
        """Hide what has no room, so that the selected tool and class and the active modes are always in sight."""
        self.rooms.set_words(self.width() >= _ROOM_WORDS_FROM)
        self._abridge(False)
        self._show_copying(instead=False)
        if self._copying and self.minimumSizeHint().width() + self._width_of(self.copy_source) + _TITLE > self.width():
            self._show_copying(instead=True)
        self._set_words(self.width() >= WORDS_FROM)
        margins = self._row.contentsMargins()
        height = (_WORDED if self._worded else _PLAIN)[1]
        self.setFixedHeight(height + margins.top() + margins.bottom())  # whatever the room in front has a use for
        needed = self._needed()
        if self._worded and needed - sum(self._width_of(part) for part in self._gives_way) > self.width():
            self._set_words(False)
            needed = self._needed()
        for part in self._gives_way:
            selected = isinstance(part, QToolButton) and part.isChecked() and self._on_picture
            fits = self._wanted(part) and (needed <= self.width() or selected)
            if self._wanted(part) and not fits:
                needed -= self._width_of(part)
            part.setVisible(fits)
        if needed - _TITLE + _LEAST_TITLE > self.width():
            self._abridge(True)

    def _needed(self) -> int:
        """Width of everything that the room in front has a use for, in px."""
        row = self._row
        items, parts = self._laid_out()
        apart = (self.title, self._tool_box, *self._gives_way)
        spacers = [item.sizeHint().width() for item in items if item.widget() is None]
        margins = row.contentsMargins()
        needed = margins.left() + margins.right() + sum(spacers) + len(spacers) * row.spacing() + _TITLE + row.spacing()
        needed += sum(self._width_of(part) for part in parts if part not in apart and not part.isHidden())
        needed += row.spacing() + sum(
            self._width_of(part) for part in self.tools if part not in self._gives_way and self._on_picture
        )
        return needed + sum(self._width_of(part) for part in self._gives_way if self._wanted(part))

    def _laid_out(self) -> tuple[list[QLayoutItem], list[QWidget]]:
        """What the row has: everything, and the widgets of it."""
        items = [item for place in range(self._row.count()) if (item := self._row.itemAt(place)) is not None]
        return items, [part for item in items if (part := item.widget()) is not None]

    def _wanted(self, part: QWidget) -> bool:
        """Whether the room in front has a use for a part that can give way."""
        return (self._on_picture or part is self.export_button) and part not in self._unused

    def _set_words(self, on: bool) -> None:
        """Words below the icons of the tools, or icons alone."""
        self._worded = on
        style = Qt.ToolButtonStyle.ToolButtonTextUnderIcon if on else Qt.ToolButtonStyle.ToolButtonIconOnly
        for button in self.tools:
            button.setToolButtonStyle(style)
            button.ensurePolished()
            word = QFontMetrics(button.font()).horizontalAdvance(button.text()) + _WORD_PAD
            button.setFixedSize(max(_WORDED[0], word) if on else _PLAIN[0], (_WORDED if on else _PLAIN)[1])
            if button not in self._gives_way:
                button.setVisible(self._on_picture)

    def _abridge(self, on: bool) -> None:
        """Short words in the lamps, a narrow class and no name of the image, where even the rest has no room."""
        self.title.setVisible(not on)
        self.class_chip.set_narrow(on)
        if self.class_chip.isHidden():
            self.copy_source.setFixedWidth(_WIDTHS[1] if on else _WIDTHS[0])
        self._abridged = on
        self._write_lamps()

    def _show_copying(self, *, instead: bool) -> None:
        """Show the source of copies beside the class, or instead of it: what is copied brings its own classes."""
        self.class_chip.setVisible(not instead)
        if self._copying:
            text, short = self._copying
            self.copy_source.setMaximumWidth(_WIDEST)
            self.copy_source.setText(short if instead else tr("From: {source}", source=text))
            width = min(self.copy_source.sizeHint().width(), _WIDEST)
            self.copy_source.setFixedWidth(_WIDTHS[0] if instead else width)

    def _write_lamps(self) -> None:
        for lamp, (_, text, short) in zip(self.lamps, _MODES, strict=True):
            lamp.setText(tr(short if self._abridged else text, **self._modes))

    def show_modes(self, classes: str, width: int) -> None:
        """What the lamps say of the classes that may be painted over, and of the trimap band in px."""
        self._modes = {"classes": classes, "width": width}
        self._share_room()

    def _width_of(self, part: QWidget) -> int:
        """Of a part with the gap beside it; a fixed size counts more than what it would like."""
        gap = 0 if part in self.tools else self._row.spacing()
        return min(max(part.sizeHint().width(), part.minimumWidth()), part.maximumWidth()) + gap

    def _lamp(self, actions: ActionBuilder, action_id: str, text: str) -> QToolButton:
        """A mode that is on; it takes no room while it is off."""
        action = actions[action_id]
        lamp = QToolButton()
        lamp.setObjectName("lamp")
        lamp.setText(text)
        lamp.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        lamp.setAccessibleName(tr("{text}: on. Click to turn off", text=action.text()))
        lamp.clicked.connect(action.trigger)
        lamp.hide()

        def follow() -> None:
            lamp.setToolTip(rich_tip(tr("{tip}<br>Click to turn off", tip=action.toolTip())))
            if lamp.isHidden() is action.isChecked():
                lamp.setVisible(action.isChecked())
                self._share_room()

        action.changed.connect(follow)
        return lamp

    def show_title(self, name: str, *details: str) -> None:
        """Name of the image, and its size and place in the list. The name of the file stays longest."""
        file = name.rpartition("/")[2]
        shorter = [" · ".join((file, *details[first:])) for first in range(len(details) + 1)]
        self.title.set_text(" · ".join((name, *details)), *shorter)

    def show_copy_source(self, text: str = "", short: str = "") -> None:
        """What the tool 'Copy from' takes, in place of the brush size; nothing while another tool is selected."""
        self._copying = (text, short) if text else ()
        self.copy_source.setAccessibleName(tr("From: {source}", source=text))
        self.copy_source.setVisible(bool(text))
        self._unused = (self.slider, self.size_text) if text else ()
        self._share_room()

    def show_diameter(self, diameter: int) -> None:
        self.size_text.setText(tr("Size {diameter}", diameter=diameter))
        with QSignalBlocker(self.slider):
            if _diameter(self.slider.value()) != diameter:
                self.slider.setValue(_place(diameter))


def _push(actions: ActionBuilder, action_id: str, text: str) -> QPushButton:
    """A button with its own words for a command; enabled and explained by it."""
    button, action = QPushButton(text), actions[action_id]
    button.clicked.connect(action.trigger)

    def follow() -> None:
        button.setEnabled(action.isEnabled())
        button.setToolTip(action.toolTip())

    action.changed.connect(follow)
    follow()
    return button


def _diameter(place: int) -> int:
    return round(math.pow(_LARGEST, place / _STEPS))


def _place(diameter: int) -> int:
    return round(_STEPS * math.log(max(diameter, 1)) / math.log(_LARGEST))
