"""Lists of the window: thumbnails of images that are done, keycaps of the palette, bars and scale beside the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView

from app.services.mask_tints import tint_picture
from app.ui.common.list_dialog import fill_table, plain_table
from app.ui.evaluate.matrix_scale import SHARE, cell_colors
from app.ui.project.images_dock import ROW
from app.ui.shell.command_palette import CommandPalette, caps
from app.ui.shell.rooms import Room
from app.ui.shell.theme import load_theme
from tests.gui.studio import Studio


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("", []), ("B", ["B"]), ("Shift+Y", ["Shift", "Y"]), ("Ctrl+Shift+R", ["Ctrl", "Shift", "R"]), ("+", ["+"]),
        ("Ctrl++", ["Ctrl", "+"]), ("Ctrl+-", ["Ctrl", "-"]),
    ],
)  # fmt: skip
def test_every_key_of_a_shortcut_has_a_cap(keys, shown):
    assert caps(keys) == shown


def test_keycaps_end_at_one_line_at_the_right(studio: Studio, folder):
    studio.open(folder)
    palette = CommandPalette(studio.window.commands, studio.window)
    studio.qtbot.addWidget(palette)
    palette.show()
    palette.finder.setText("undo")
    view = palette.list
    assert view.item(0).text() == "Undo the last step"  # best match first
    image = view.viewport().grab().toImage()
    ratio = image.devicePixelRatio()
    ends = set()
    for place in range(view.count()):
        rect = view.visualItemRect(view.item(place))
        assert rect.height() == 32
        if not view.item(place).data(int(Qt.ItemDataRole.UserRole) + 1) or not view.viewport().rect().contains(rect):
            continue
        y = rect.center().y() + 9  # in the lower edge of a cap, below every letter
        ground = image.pixelColor(int((rect.right() - 2) * ratio), int(y * ratio))
        line = [image.pixelColor(int(x * ratio), int(y * ratio)) for x in range(rect.left() + 40, rect.right() - 2)]
        painted = [x for x, color in enumerate(line) if color != ground]
        assert painted
        ends.add(max(painted))
    assert len(ends) == 1


def test_a_tint_has_the_colours_of_its_labels_and_is_small():
    labels = np.zeros((720, 1080), np.uint8)
    labels[:, 540:] = 1
    table = np.zeros(256, np.uint32)
    table[1] = 0x4C004C00
    picture = tint_picture(labels, table)
    assert (picture.width(), picture.height()) == (360, 240)
    assert picture.pixelColor(10, 100).alpha() == 0
    assert picture.pixelColor(300, 100) == QColor.fromRgba(0x4C00FF00)


def thumbnail(studio: Studio, place: int) -> QColor:
    """Colour in the middle of the upper part of a thumbnail."""
    view = studio.window.images.view
    image = view.viewport().grab().toImage()
    rect = view.visualRect(studio.application.images.index(place))
    ratio = image.devicePixelRatio()
    colors = [
        image.pixelColor(int((rect.left() + x) * ratio), int((rect.top() + 10 + y) * ratio))
        for x in range(20, 60, 2)
        for y in range(0, 40, 2)
    ]
    return QColor(*(sum(part) // len(colors) for part in zip(*(color.getRgb()[:3] for color in colors), strict=True)))


def test_thumbnails_of_reviewed_images_show_their_masks(studio: Studio, folder):
    studio.window.resize(1200, 800)
    studio.open(folder)
    assert ROW * 4 < 800
    studio.wait(
        lambda: studio.application.images.picture(studio.application.images.image_row(studio.application.images.index(0)))
    )
    before = thumbnail(studio, 0)
    studio.program.classes.choose(18)  # sofa, green
    studio.program.edit.choose_tool("fill")
    studio.qtbot.mouseClick(studio.view, Qt.MouseButton.LeftButton, pos=studio.point(40, 30))
    studio.settle()
    studio.window.commands["go.reviewed_next"].trigger()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg")

    def greener() -> bool:
        now = thumbnail(studio, 0)
        return now.green() - now.red() > before.green() - before.red() + 15

    studio.wait(greener)
    other = thumbnail(studio, 2)
    assert abs(other.green() - other.red()) < 15


def test_bars_and_scale_stand_beside_the_matrix(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.image.prediction is not None)
    studio.qtbot.mouseClick(studio.window.top_bar.rooms.segments[Room.ERRORS], Qt.MouseButton.LeftButton)
    studio.settle()
    assert studio.application.presenter is not None
    page = studio.application.presenter.inspect.matrix
    studio.wait(lambda: page.worst.count() > 0)
    shares = [page.worst.item(place).data(SHARE) for place in range(page.worst.count())]
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
    assert page.legend.isVisible()
    assert [len(texts) for texts in page.legend.texts.values()] == [5, 5]
    theme = studio.window.theme

    def ground() -> QColor:
        """Behind the largest error, at the end of its bar."""
        image = page.worst.viewport().grab().toImage()
        rect, ratio = page.worst.visualItemRect(page.worst.item(0)), image.devicePixelRatio()
        place = QPoint(min(rect.right(), image.width() - 1) - 4, rect.top() + 3)
        return image.pixelColor(int(place.x() * ratio), int(place.y() * ratio))

    studio.wait(lambda: ground() == theme.color("bad_soft"))


@pytest.mark.parametrize("name", ["dark", "light"])
def test_steps_of_the_scale_grow_away_from_the_ground(name):
    theme = load_theme(name)
    ground = np.array(theme.color("well").getRgb()[:3], float)
    for right in (True, False):
        colors = cell_colors(theme, np.arange(6) / 5, np.full(6, right)).astype(float)
        assert np.array_equal(colors[0], ground)
        away = np.abs(colors - ground).sum(axis=1)
        assert (np.diff(away) > 0).all()


def test_the_focus_moves_no_text_of_a_table_and_makes_none_bold(studio: Studio):
    """The frame of the focus took the room of the last letter: "room_00000.j…"."""
    table = plain_table(("Image", "Note"), wide=1, row=28)
    fill_table(table, [("room_00000.jpg", "soft border")])
    table.setParent(studio.window)
    table.resize(400, 120)
    table.show()
    cell = table.visualRect(table.model().index(0, 0)).adjusted(2, 2, -2, -2)

    def looks(column: int) -> tuple[bytes, bytes]:
        table.setFocus()
        table.setCurrentCell(0, column)
        studio.wait(table.hasFocus)
        head, text = table.horizontalHeader().grab().toImage(), table.viewport().grab(cell).toImage()
        return bytes(head.constBits()), bytes(text.constBits())

    assert looks(0)[1] == looks(1)[1]
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    assert looks(0)[0] == looks(1)[0]
