"""What a stroke must not cause: work that has nothing to do with the pixels that change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QObject

from app.state.edits.whole_mask import whole_patch
from app.ui.annotate.class_list_model import ClassListModel
from app.viewmodels.annotate.class_rows import ClassRow
from tests.gui.studio import Studio


class Counter(QObject):
    """Counts the events of one kind."""

    def __init__(self, kind: QEvent.Type) -> None:
        super().__init__()
        self.kind, self.number = kind, 0

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        self.number += event.type() == self.kind
        return False


def test_a_move_of_the_pointer_does_not_lay_the_window_out_again(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.application.window.show()
    studio.paint((10, 10), (30, 30))
    studio.settle()
    counter = Counter(QEvent.Type.LayoutRequest)
    studio.window.installEventFilter(counter)
    places = [(x, y) for y in range(5, 55, 5) for x in range(5, 80, 5)]
    studio.paint(*places)
    texts = set()
    for place in places:
        studio.qtbot.mouseMove(studio.view, pos=studio.point(*place))
        studio.settle()
        texts.add(studio.window.status.place.text())
    studio.window.removeEventFilter(counter)
    assert len(texts) > len(places) // 2
    assert counter.number < 10


def test_figures_and_list_wait_for_a_step_that_is_written_in_parts(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    program = studio.program
    studio.wait(lambda: program.evaluation.live is not None)
    assert program.session.image is not None
    document = program.session.image.document
    studio.settle()
    heard: list[object] = []
    program.evaluation.figuresChanged.connect(heard.append)
    program.evaluation.curvesChanged.connect(heard.append)
    program.counts.changed.connect(lambda: heard.append("list"))
    document.start(whole_patch(document, np.full_like(document.labels, 3), document.provenance))
    document.advance()
    assert not document.settled
    for timer in (program.evaluation._figures_timer, program.evaluation._curve_timer, program.counts._soon):
        timer.timeout.emit()
    assert heard == []
    document.settle()
    studio.wait(lambda: len(heard) >= 3)


def test_a_readout_keeps_its_room_until_it_is_empty(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    status = studio.window.status
    status.show_readout(1, 1, "<b>a long name of a class</b>")
    wide = status.values.width()
    assert wide >= status.values.sizeHint().width()
    status.show_readout(1, 1, "<b>cat</b>")
    assert status.values.width() == wide
    status.show_readout(1, 1, "<b>an even longer name of a class with a ground truth beside it</b>")
    assert status.values.width() > wide
    status.show_readout(None, None, "")
    assert status.values.width() == 0


def test_only_rows_with_other_figures_are_painted_again(qapp: object) -> None:
    model = ClassListModel()
    rows = [ClassRow(number, f"class {number}", (9, 9, 9), share=0.1, iou=0.5) for number in range(5)]
    model.set_rows(rows)
    told: list[int] = []
    model.dataChanged.connect(lambda first, last: told.extend(range(first.row(), last.row() + 1)))
    model.set_rows([replace(row, iou=0.6) if row.class_id in (1, 3) else replace(row) for row in rows])
    assert told == [1, 3]
    assert model.rows[3].iou == 0.6
