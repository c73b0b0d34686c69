"""``docs/two-minutes.md``: questions about a model's failures answered action by action, with pictures of the real window.

    QT_QPA_PLATFORM=offscreen python -m tools.two_minutes [-o docs] [--size 1280x800] [--theme dark] [--photographs DIR]

Every action is done in the real program on the sample project of rendered rooms, with its bundled network, by the widgets that a
user presses. The figures of the page are read from the window as it was then, so page and pictures agree. It takes as long as
predicting the rooms with the network plain, mirrored, at three scales and with a CRF.

With ``--photographs ../shared/real`` the same actions are done on photographs, and only their part of the page is written: their
figures. Their pictures are not ours to show and go to ``out/two_minutes``.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tools.page_parts import fill
from tools.pictures import hide_times

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from app.controllers.workspace import Program
    from app.ui.evaluate.presenter import EvaluationPresenter
    from deeplab_core.analysis.folder import FolderAnalysis
    from deeplab_core.analysis.slice_scores import SliceScore

#: The place of the images, as it stands in the pictures.
_FOLDER = Path(tempfile.gettempdir()) / "two_minutes"
#: Around what the page says of photographs.
_START, _END = "<!-- photographs -->", "<!-- end -->"
_PICTURES = Path("images") / "two_minutes"
#: Characters of a line of the page.
_WIDTH = 140
#: Settings that are tried, and their names on the page.
_SETTINGS = {"crf:v2": "CRF v2", "flip": "mirrored too", "scales:0.75,1,1.25": "scales 0.75, 1, 1.25"}
#: How the page ends.
_COMMANDS = (
    "## The same on the command line",
    "",
    "    atrous inspect --prediction masks --truth truth --catalog voc21 --class chair --pair chair:sofa",
    "    atrous ablate images --model rooms-voc --truth truth --variant crf:v2 --variant flip --variant scales:0.75,1,1.25",
    "",
    "[inspection.md](inspection.md#classes-and-pairs) and [evaluation.md](evaluation.md#would-a-setting-help-and-where) explain "
    "the figures;\n[ablations](ablations.md) has the tables of more images and settings.",
)


@dataclass(slots=True)
class Page:
    """The text of the page, as it grows.

    Attributes:
        lines: so far.
        figures_only: leave out actions and pictures, which the page has of the rooms.
        actions: of the current question.
    """

    lines: list[str] = field(default_factory=list)
    figures_only: bool = False
    actions: int = 0

    def say(self, *texts: str) -> None:
        """Paragraphs, wrapped; code, headings and pictures stay as they are."""
        for text in texts:
            plain = not text.startswith(("    ", "#", "!"))
            self.lines += [*(textwrap.wrap(text, _WIDTH, break_on_hyphens=False) if plain else [text]), ""]

    def question(self, text: str) -> None:
        """A question; its actions are counted from one."""
        self.actions = 0
        self.say(f"### {text}" if self.figures_only else f"## {text}")

    def act(self, text: str) -> None:
        """One action of the user."""
        if self.figures_only:
            return
        self.actions += 1
        self.lines.append(f"{self.actions}. {text}")

    def picture(self, name: str, text: str) -> None:
        """A picture below."""
        if self.figures_only:
            return
        if self.lines and self.lines[-1]:
            self.lines.append("")
        self.say(f"![{text}]({(_PICTURES / name).as_posix()}.png)")


class Desk:
    """The program as a user has it in front of them."""

    def __init__(self, output: Path, size: str, theme: str, *, figures_only: bool) -> None:
        from PySide6.QtWidgets import QApplication

        from app.main import Application
        from app.ui.shell.theme import load_fonts

        self.output = output
        self.qt = QApplication([])
        self.qt.setCursorFlashTime(0)  # a picture shows no moment of a blink
        load_fonts()
        self.application = Application()
        self.program: Program = self.application.build()
        self.window = self.application.window
        self.window.setAnimated(False)
        self.program.settings.set("appearance.theme", theme)
        self.program.folder_jobs.asks = False
        self.window.resize(*(int(side) for side in size.split("x")))
        self.window.show()
        self.window.activateWindow()
        self.window.trimap.build_plot()  # as after the first frame of a start
        self.page = Page(figures_only=figures_only)

    def wait(self, condition: Callable[[], object], rest: float = 0.6) -> None:
        """Let the program work until something is so, and a little longer."""
        end = None
        while end is None or time.monotonic() < end:
            self.qt.processEvents()
            time.sleep(0.005)
            if end is None and condition():
                end = time.monotonic() + rest

    def idle(self) -> None:
        """Wait for every job, and for a model that is on its way."""
        self.wait(lambda: not self.program.jobs.running and not self.program.models.loading, 1.0)

    def visit_again(self) -> None:
        """Leave the first image and come back: figures then say no change against a model that may have been the first here."""
        session = self.program.session
        assert session.project is not None

        def predicted(wanted: int) -> bool:
            image = session.image
            return image is not None and image.id == wanted and image.prediction is not None

        for wanted in (session.project.images[1].id, session.project.images[0].id):
            session.open_image(wanted)
            self.wait(partial(predicted, wanted))
        self.idle()

    def await_errors(self) -> None:
        """Wait for the pictures in the list of errors: for more rows than such a window has in sight."""
        model = self.evaluation.components.model
        self.wait(lambda: all(model.picture(model.index(row)) is not None for row in range(min(model.rowCount(), 24))), 1.0)

    def take(self, name: str, text: str) -> None:
        """A picture of the window, and its place on the page."""
        for toast in list(self.window.toasts.toasts):
            toast.close_button.click()
        self.wait(lambda: True, 0.3)
        hide_times(self.window)
        path = self.output / _PICTURES / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.window.grab().save(str(path))
        click.echo(path)
        self.page.picture(name, text)

    def press(self, widget: QWidget) -> None:
        """A click with the mouse."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def key(self, key: Any, shift: bool = False) -> None:
        """A key, where the keyboard is."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        modifier = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.window.focusWidget() or self.window, key, modifier)

    def row(self, table: Any, place: int) -> None:
        """A click on a row of a table."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        table.scrollTo(table.model().index(place, 0))
        spot = table.visualRect(table.model().index(place, 0)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)

    @property
    def evaluation(self) -> EvaluationPresenter:
        """The Evaluation panel."""
        assert self.application.presenter is not None
        return self.application.presenter.inspect

    def end(self) -> None:
        """Close everything."""
        self.program.projects.close()
        self.window.close()
        self.application.shut_down()


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("docs"), show_default=True)
@click.option("--size", default="1280x800", show_default=True)
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
@click.option("--photographs", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Answer for these instead.")
def main(output: Path, size: str, theme: str, photographs: Path | None) -> None:
    """Answer the questions, take the pictures, write the page."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    shutil.rmtree(_FOLDER, ignore_errors=True)
    page = output / "two-minutes.md"
    if photographs is None:
        desk = _rooms(output, size, theme)
        kept = _photographs_part(page)
        desk.page.lines += ["## The same on photographs", "", _START, *([kept] if kept else []), _END, "", *_COMMANDS]
        page.write_text("\n".join(desk.page.lines).rstrip() + "\n", encoding="utf-8")
    else:
        desk = _photographs(photographs, size, theme)
        fill(page, {"photographs": "\n".join(desk.page.lines)})
    desk.end()
    shutil.rmtree(_FOLDER, ignore_errors=True)


def _photographs_part(page: Path) -> str:
    """What the page says of photographs now."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return text.partition(_START)[2].partition(_END)[0].strip("\n")


def _rooms(output: Path, size: str, theme: str) -> Desk:
    """The questions, on the sample project."""
    from app.paths import FIRST_MODEL, SAMPLE_PROJECT

    for part in ("images", "truth", "objects"):
        shutil.copytree(SAMPLE_PROJECT / part, _FOLDER / "rooms" / part)
    desk = Desk(output, size, theme, figures_only=False)
    _predict(desk, _FOLDER / "rooms" / "images", FIRST_MODEL)
    desk.page.say(
        "# Two minutes",
        "Three questions about a model's failures, and the actions that answer them: the sample project of 24 rendered rooms "
        "with its bundled network `rooms-voc`, after one click on *Run folder*. `python -m tools.two_minutes` does these "
        "actions in the real program, takes the pictures and writes the figures that the window shows into this page.",
    )
    _answer(desk)
    return desk


def _photographs(real: Path, size: str, theme: str) -> Desk:
    """The questions, on photographs."""
    from app.paths import BUNDLED_MODELS
    from tools.image_sets import gather_photographs

    data = gather_photographs(real, _FOLDER / "photographs")
    if data is None:
        raise click.BadParameter(f"{real} has no manifest.json", param_hint="--photographs")
    desk = Desk(Path("out"), size, theme, figures_only=True)
    _predict(desk, data.folder / "images", BUNDLED_MODELS / "photos-voc.safetensors")
    desk.page.say(
        f"The same actions on {data.images} photographs of COCO and PASCAL VOC with VOC-21 ground truth, with the bundled "
        "network `photos-voc`. Its last layers were tuned on these photographs, so the figures flatter it. The photographs have "
        "terms of their own and are not shown here.",
        "Photographs have no list of objects: an object is a connected region of the ground truth, so two chairs that touch are "
        "one, and how much of it is hidden is not known. The kind *cut by an occluder* (an object whose outline another object "
        "touches) and the slice *Hidden by neighbours* (the share of its outline that other objects touch) stand for occlusion.",
    )
    _answer(desk)
    return desk


def _predict(desk: Desk, images: Path, model: Path) -> None:
    """Open a folder, choose a model and run it over the folder."""
    program = desk.program
    program.models.start()
    program.projects.open(images)
    desk.wait(lambda: program.session.image is not None and program.models.card is not None)
    program.models.load(model)
    desk.wait(lambda: program.models.card is not None and program.models.path == model)
    desk.press(desk.window.model.run_folder)
    desk.wait(lambda: any("Folder run finished" in one.title for one in program.notifier.messages), 1.0)
    desk.idle()
    desk.visit_again()


def _answer(desk: Desk) -> None:
    """The three questions."""
    _swap(desk)
    _occlusion(desk)
    _settings(desk)


def _swap(desk: Desk) -> None:
    """How much of the chair's loss is a swap with the sofa?"""
    from PySide6.QtCore import Qt

    page, program = desk.page, desk.program
    page.question("How much of the chair's loss is a swap with sofa?")
    page.act("Press `O`: the Evaluation panel comes to the front with the confusion matrix.")
    desk.key(Qt.Key.Key_O)
    inspect = program.inspect
    desk.wait(lambda: inspect.index is not None and len(inspect.index) == len(program.truth.index) and not inspect.inspecting)
    shown, catalog = desk.evaluation, program.classes.catalog
    assert catalog is not None
    desk.take("matrix", "The confusion matrix of the folder")
    chair, sofa = catalog.by_name("chair").id, catalog.by_name("sofa").id
    matrix = shown.matrix.matrix
    table = matrix.table
    assert table is not None
    names = [table.class_id(int(channel)) for channel in table.rows]
    page.act("Click the cell *chair* called *sofa*: its errors, largest gain first, and what the cell costs.")
    matrix.cellChosen.emit(names.index(chair), names.index(sofa))
    desk.wait(lambda: shown.components.pair.isVisible(), 1.0)
    page.act("Tick *Both directions*: the pair.")
    desk.press(shown.components.both_ways)
    desk.await_errors()
    desk.take("pair", "The pair chair and sofa: shares of both losses with intervals, splits, and the errors themselves")
    loss = shown.components.query.loss(program.inspect.folder)
    assert loss is not None
    from app.text import percent, share_text

    parts = []
    for row in loss.classes:
        low, high = row.share_interval
        parts.append(
            f"{share_text(row.share)} of the loss of *{catalog.by_id(row.class_id).name}* (95 % interval {share_text(low)} to "
            f"{share_text(high)}; with the pair fixed its IoU would be {percent(row.repaired)}, not {percent(row.iou)})"
        )
    largest = program.session.project.record(int(loss.largest_image)).name if program.session.project else ""
    share = share_text(loss.largest_share)
    page.say(f"**Answer.** The pair is {' and '.join(parts)}. One image, {largest}, holds {share} of it.")
    page.act("Click the first error: its image, the place, the outline, the brush with the true class.")
    shown.components.chosen.emit(0)
    desk.wait(lambda: program.inspect.navigation is not None, 1.5)
    desk.take("place", "One click further: the place in its image")


def _occlusion(desk: Desk) -> None:
    """Is it occlusion?"""
    from PySide6.QtCore import Qt

    page, program, shown = desk.page, desk.program, desk.evaluation
    page.question("How much of the chair's loss is occlusion?")
    program.inspect.end_navigation()
    page.act("Press `O`, then click *Failures*.")
    desk.key(Qt.Key.Key_O)
    assert shown.view is not None
    shown.view.leave_list()
    shown.view.show_page("Failures")
    board = shown.failures
    page.act("Choose *chair* in the list of classes.")
    board.classes.setCurrentIndex(board.classes.findText("chair"))
    desk.wait(lambda: True, 2.5)
    desk.take("failures", "The failure board of one class: kinds of failure, confused classes, slices")
    from app.text import points, share_text
    from app.viewmodels.evaluate.failure_table import failure_lines
    from deeplab_core.analysis.kinds import FailureKind

    folder = program.inspect.folder
    assert folder is not None
    lines = {line.kind: line for line in failure_lines(folder, board.class_id)}
    said = []
    for kind, words in (
        (FailureKind.OCCLUDER_CUT, "objects that another one cuts"),
        (FailureKind.LOW_VISIBLE, "objects of which less than half can be seen"),
        (FailureKind.BOUNDARY, "boundaries"),
        (FailureKind.SMALL_OBJECT, "small objects"),
    ):
        line = lines[kind]
        if not line.missing:
            said.append(f"{words} {share_text(line.share)} ({points(line.gain)} IoU if fixed)")
    axis, title = ("border_share", "Hidden by neighbours") if page.figures_only else ("visible_fraction", "Visible share")
    page.say(
        f"**Answer.** Of the wrong pixels of *chair* (kinds overlap): {'; '.join(said)}. The chart *{title}* below has the IoU "
        f"of chairs: {_bars(folder, board.class_id, axis)}."
    )


def _bars(folder: FolderAnalysis, class_id: int | None, axis: str) -> str:
    """What a chart of slices shows of one class: score, interval and n of every bar."""
    from deeplab_core.analysis.slice_scores import score_axis, sliced_axes

    def bar(row: SliceScore) -> str:
        span = f"{100 * row.low:.0f} % and more" if math.isinf(row.high) else f"{100 * row.low:.0f} to {100 * row.high:.0f} %"
        low, high = (f"{100 * end:.1f}" for end in row.interval)
        few = ", few" if row.few else ""
        return f"{span}: {100 * row.score:.1f} [{low}, {high}] (n {row.count}{few})"

    rows = [row for one in sliced_axes(folder, class_id=class_id, only={axis}) for row in score_axis(one) if row.count]
    return "; ".join(map(bar, rows))


def _settings(desk: Desk) -> None:
    """Would a CRF, mirroring, scales help, and where?"""
    from PySide6.QtCore import Qt

    page, program, shown = desk.page, desk.program, desk.evaluation
    page.question("Would a CRF, mirroring or scales help, and where?")
    page.act("Click the first image, press `Shift+C`, and uncheck the second model.")
    desk.key(Qt.Key.Key_Escape)
    desk.wait(lambda: not program.context["evaluation_open"])
    assert program.session.project is not None
    program.session.open_image(program.session.project.images[0].id)
    desk.idle()
    desk.window.commands["model.compare"].trigger()
    desk.wait(lambda: program.context["comparing"] and len(program.compared.models) > 0 and program.compared.known)
    first = program.compared.models[0]
    program.compared.choose([first.setting])
    desk.idle()
    page.act("*Add setting*: " + ", ".join(f"*{title}*" for title in _SETTINGS.values()) + ".")
    for variant in _SETTINGS:
        setting = next(one for one in program.compared.offers(first.setting) if one.variant == variant)
        program.compared.add_setting(setting)
        desk.idle()
    desk.wait(lambda: all(answer.figures is not None for answer in program.compare.results), 1.0)
    page.act("*Run folder*, and *Folder* in the header of the dock.")
    assert desk.application.presenter is not None
    dock = desk.application.presenter.compare.dock
    assert dock is not None
    desk.press(dock.run_folder)
    desk.wait(lambda: program.context["compare_running"], 0.2)
    desk.wait(lambda: not program.context["compare_running"], 1.0)
    dock.scope.setCurrentIndex(1)
    dock.scope.activated.emit(1)
    desk.take("settings", "One model with four settings over the folder")
    from app.text import percent

    figures = program.compare_folder.figures()
    means = [
        f"{title} {percent(found.mean)}"
        for title, found in zip(("plain", *_SETTINGS.values()), figures, strict=True)
        if found is not None
    ]
    page.say(f"mIoU over the classes of the ground truth: {', '.join(means)}.")
    page.act("*Errors…*: plain against the CRF, by kind of failure.")
    desk.press(dock.errors)
    changes = program.changes

    def counted() -> bool:
        errors = None if changes.change is None else changes.change.errors
        return errors is not None and not math.isnan(errors.kinds[0].low)  # with intervals

    desk.wait(counted, 2.0)
    runs = shown.runs.page
    desk.take("kinds", "What the CRF fixed and made, by kind of failure, with intervals over images")
    page.act("*Slices*: where it helps.")
    runs.groups.setCurrentIndex(3)
    desk.wait(lambda: True, 1.0)
    desk.take("slices", "What the CRF changed by slice: size, occlusion, distance to an edge")
    page.act("Click a row, then an error: its image with both masks, their difference and the ground truth.")
    runs.groups.setCurrentIndex(0)
    desk.wait(lambda: True, 0.5)
    desk.row(runs.table, 0)
    desk.wait(lambda: runs.model.rowCount() > 0, 1.0)
    runs.opened.emit(0)
    desk.wait(lambda: bool(changes.labels), 1.5)
    desk.take("fixed", "An error that the CRF fixed, with both masks")
    page.say(f"**Answer.** {_verdict(desk)}")
    changes.end_visit()


def _verdict(desk: Desk) -> str:
    """What the difference of plain and CRF says."""
    from app.viewmodels.evaluate.run_changes import ChangeGroup, change_rows, summary

    change = desk.program.changes.change
    assert change is not None
    assert change.errors is not None
    found = [f"Plain against the CRF: {summary(change.difference)}"]
    for group, what in ((ChangeGroup.KINDS, "kinds of failure"), (ChangeGroup.SLICES, "slices")):
        rows = change_rows(change.errors, group)
        for tone, word in (("good", "better"), ("bad", "worse")):
            named = [f"{row.title} ({row.cells[4]})" for row in rows if row.tone == tone]
            found.append(f"{what} that became {word}: {'; '.join(named) if named else 'none'}")
    return ". ".join(text[0].upper() + text[1:] for text in found) + "."


if __name__ == "__main__":
    main()
