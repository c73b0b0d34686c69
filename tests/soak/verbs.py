"""What :mod:`tests.soak.monkey` does in the window: verbs of a user, each with a weight."""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView, QApplication, QLineEdit

from app.actions.table import ACTIONS
from app.state.provenance import Provenance

if TYPE_CHECKING:
    from tests.soak.monkey import Player

#: The command that ends the program.
_NOT = frozenset({"app.quit"})
_MODIFIERS = (
    Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier,
)  # fmt: skip
_KEYS = (
    *(Qt.Key(code) for code in range(Qt.Key.Key_A, Qt.Key.Key_Z + 1)),
    *(Qt.Key(code) for code in range(Qt.Key.Key_0, Qt.Key.Key_9 + 1)),
    Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Tab, Qt.Key.Key_Space, Qt.Key.Key_Backspace, Qt.Key.Key_Delete,
    Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Home,
    Qt.Key.Key_Period, Qt.Key.Key_Comma, Qt.Key.Key_Slash, Qt.Key.Key_BracketLeft, Qt.Key.Key_BracketRight, Qt.Key.Key_Backslash,
    Qt.Key.Key_F1, Qt.Key.Key_F2, Qt.Key.Key_F5, Qt.Key.Key_F6, Qt.Key.Key_F11,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verb:
    """Something to do, and how often beside the others."""

    run: Callable[[Player], None]
    weight: int


def _command(player: Player) -> None:
    """Any command of the program that can be used just now, by its key or from a menu."""
    commands = player.window.commands
    usable = [spec for spec in ACTIONS if spec.id not in _NOT and commands[spec.id].isEnabled() and not spec.held]
    if usable:
        _use(player, player.rng.choice(usable).id)


def _model(player: Player) -> None:
    """A command that asks the model, compares or evaluates."""
    names = (
        "model.run_image", "model.run_image", "model.run_folder", "model.compare", "model.compare_folder", "refine.preview",
        "refine.apply", "refine.folder", "refine.scribble", "refine.split", "refine.mask", "evaluate.folder", "inspect.view",
        "inspect.next", "go.next_error", "go.give_error", "model.receptive", "model.similar", "model.cancel", "project.export",
        "class.edit", "edit.accept_suggestion", "go.reviewed_next", "model.learn",
    )  # fmt: skip
    usable = [name for name in names if player.window.commands[name].isEnabled()]
    if usable:
        _use(player, player.rng.choice(usable))


def _use(player: Player, name: str) -> None:
    player.window.commands[name].trigger()


def _tool(player: Player) -> None:
    tools = [spec.id for spec in ACTIONS if spec.id.startswith("tool.") and player.window.commands[spec.id].isEnabled()]
    if tools:
        _use(player, player.rng.choice(tools))


def _paint(player: Player) -> None:
    """Drag the current tool over random places, with whatever else hands do meanwhile."""
    rng, views = player.rng, player.views
    if not views:
        return
    view = rng.choice(views)
    button = rng.choice((Qt.MouseButton.LeftButton,) * 5 + (Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton))
    modifiers = rng.choice(_MODIFIERS)
    points = [player.place(view) for _ in range(rng.randint(1, 8))]
    QTest.mouseMove(view, points[0])
    QTest.mousePress(view, button, modifiers, points[0])
    for point in points[1:]:
        QTest.mouseMove(view, point)
        if rng.random() < 0.05:
            player.key(rng.choice((Qt.Key.Key_Escape, Qt.Key.Key_X, Qt.Key.Key_D, Qt.Key.Key_BracketRight)))
    QTest.mouseRelease(view, button, modifiers, points[-1])
    if rng.random() < 0.3:
        player.key(rng.choice((Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Backspace)))


def _stroke(player: Player) -> None:
    """A plain stroke of the brush, which must paint exactly what it passes over."""
    rng, views, session = player.rng, player.views, player.program.session
    commands = player.window.commands
    context = player.program.context
    if not views or session.image is None or not context["can_edit"] or player.window.commands["model.cancel"].isEnabled():
        return
    catalog, history = session.image.document.catalog, session.history
    assert history is not None
    commands["tool.brush"].trigger()
    player.program.classes.choose(rng.choice(catalog.classes).id)
    view, image = views[0], session.image
    points = [player.place(view) for _ in range(rng.randint(2, 6))]
    mapping = view.mapping
    assert mapping is not None
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=points[0])
    for point in points[1:]:
        QTest.mouseMove(view, point)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=points[-1])
    modes = any(context[name] for name in ("within_on", "over_on", "inside_band_on", "outside_band_on", "scribble_on"))
    if modes or image.document.locked or session.image is not image or player.window.focusWidget() is None:
        return
    cls = player.program.edit.tools.class_id
    height, width = image.document.shape
    for point in points:
        x, y = mapping.to_image(QPointF(point))
        column, row = math.floor(x), math.floor(y)
        if 0 <= column < width and 0 <= row < height:
            set_by = image.document.provenance[row, column]
            if image.document.labels[row, column] != cls or set_by != Provenance.USER:
                from tests.soak.monkey import NotSurvived

                raise NotSurvived(f"a stroke did not paint ({column}, {row}) of {image.path.name} ({set_by})")
    player.result.checks["stroke"] += 1


def _class(player: Player) -> None:
    player.key(Qt.Key(Qt.Key.Key_0 + player.rng.randrange(10)))


def _history(player: Player) -> None:
    """Undo and redo, several times."""
    for _ in range(player.rng.randint(1, 6)):
        player.key(player.rng.choice((Qt.Key.Key_Z, Qt.Key.Key_Z, Qt.Key.Key_Y)), Qt.KeyboardModifier.ControlModifier)


def _key(player: Player) -> None:
    """Any key, meant or not."""
    for _ in range(player.rng.randint(1, 3)):
        key, modifiers = player.rng.choice(_KEYS), player.rng.choice(_MODIFIERS)
        if (key, modifiers) != (Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier):
            player.key(key, modifiers)


def _wheel(player: Player) -> None:
    if not player.views:
        return
    view = player.rng.choice(player.views)
    at, step = QPointF(player.place(view)), player.rng.choice((-360, -120, 120, 360))
    for _ in range(player.rng.randint(1, 4)):
        event = QWheelEvent(
            at, QPointF(view.mapToGlobal(at.toPoint())), QPoint(), QPoint(0, step), Qt.MouseButton.NoButton,
            player.rng.choice(_MODIFIERS), Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view, event)


def _panel(player: Player) -> None:
    """A control of the window: bars, panels, messages."""
    player.touch(player.window)


def _image(player: Player) -> None:
    project = player.program.session.project
    if project is not None and project.images:
        player.program.session.open_image(player.rng.choice(project.images).id)


def _folder(player: Player) -> None:
    player.program.new_project.open(player.rng.choice(player.folders))


def _drop(player: Player) -> None:
    """Something dropped on the window."""
    path = player.rng.choice((*player.folders, player.base / "labels", *sorted((player.base / "labels").glob("*"))[:1]))
    player.window.dropped.emit(path)


def _type(player: Player) -> None:
    """Words into the filter of the images or the finder of classes."""
    fields = [one for one in player.window.findChildren(QLineEdit) if one.isVisible() and one.isEnabled()]
    if fields:
        field = player.rng.choice(fields)
        field.setFocus()
        player.type(field, player.rng.choice(("room", "cha", "^", "한", "x" * 40)))
        player.turn(0.05)
        if player.rng.random() < 0.8:
            field.clear()
        player.key(Qt.Key.Key_Escape)


def _list(player: Player) -> None:
    """A row of a list of the window."""
    lists = [one for one in player.window.findChildren(QAbstractItemView) if one.isVisible() and one.isEnabled()]
    if lists:
        player._touch_list(player.rng.choice(lists))


def _menu(player: Player) -> None:
    """The right mouse button on a list or a view."""
    from PySide6.QtGui import QContextMenuEvent

    targets = [*player.views, *(one.viewport() for one in player.window.findChildren(QAbstractItemView) if one.isVisible())]
    if targets:
        target = player.rng.choice(targets)
        at = QPoint(player.rng.randrange(max(1, target.width())), player.rng.randrange(max(1, target.height())))
        QApplication.sendEvent(target, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, target.mapToGlobal(at)))


def _resize(player: Player) -> None:
    player.window.resize(player.rng.randint(860, 1700), player.rng.randint(560, 1100))


def _wait(player: Player) -> None:
    player.turn(player.rng.uniform(0.05, 0.9))


def _kill(player: Player) -> None:
    """The compute process dies."""
    pid = player.program.compute.pid
    if pid is not None and player.program.models.card is not None:
        with suppress(ProcessLookupError):  # it ended a moment ago, and the window has not been told yet
            os.kill(pid, signal.SIGKILL)
        player.turn(0.2)


VERBS: dict[str, Verb] = {
    "stroke": Verb(_stroke, 12),
    "paint": Verb(_paint, 16),
    "tool": Verb(_tool, 6),
    "class": Verb(_class, 4),
    "history": Verb(_history, 8),
    "command": Verb(_command, 16),
    "model": Verb(_model, 9),
    "key": Verb(_key, 8),
    "wheel": Verb(_wheel, 5),
    "panel": Verb(_panel, 10),
    "list": Verb(_list, 5),
    "menu": Verb(_menu, 4),
    "type": Verb(_type, 3),
    "image": Verb(_image, 6),
    "folder": Verb(_folder, 2),
    "drop": Verb(_drop, 1),
    "resize": Verb(_resize, 2),
    "wait": Verb(_wait, 3),
    "kill": Verb(_kill, 1),
}


def draw(rng: random.Random, count: int) -> list[tuple[str, int]]:
    """Random actions: a verb and the seed of what it does."""
    names, weights = list(VERBS), [verb.weight for verb in VERBS.values()]
    return [(verb, rng.getrandbits(32)) for verb in rng.choices(names, weights, k=count)]
