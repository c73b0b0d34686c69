"""Starts the window: first a painted frame, then everything behind it.

Before the first frame nothing heavier than PySide6 is imported: numpy, the controllers with OpenCV and SQLite, the plots and the
compute process follow in the event loop.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSettings, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.actions.context import ContextKeys
from app.actions.keymap import Keymap
from app.actions.table import ACTIONS
from app.import_trouble import explain, is_import_trouble
from app.paths import setting
from app.services.crash import CrashReporter
from app.services.folders import layout_file, log_folder, settings_file
from app.services.notifications import Notifier
from app.services.settings import SettingsStore
from app.text import sentence, tr
from app.translations import SYSTEM, chosen_language
from app.ui.common.fitted_dialog import bring_into_screen
from app.ui.project.early_picture import EarlyPicture, early_picture, remember_picture
from app.ui.project.image_list_model import ImageListModel
from app.ui.shell.language import show_language
from app.ui.shell.main_window import DEFAULT_SIZE, MainWindow
from app.ui.shell.theme import apply_theme, load_fonts, load_theme, make_application, resolve_theme_name
from deeplab_core.errors import message
from deeplab_core.flavour import has_torch

if TYPE_CHECKING:
    from app.controllers.workspace import Program
    from app.services.calls import ComputeService
    from app.services.session import OpenImage
    from app.smoke import SmokeRun
    from app.ui.shell.presenter import WindowPresenter
    from app.ui.shell.window_commands import WindowActions
    from deeplab_core.catalogs.catalog import ClassCatalog

#: Names of files that get the time of the first painted frame, and of the first painted picture; for the start-up benchmark.
FIRST_FRAME_VARIABLE, FIRST_PICTURE_VARIABLE = "ATROUS_FIRST_FRAME", "ATROUS_FIRST_PICTURE"


class Application(QObject):
    """Owns the window and, once it is painted, the program behind it.

    Args:
        compute: what runs the model; None makes the real compute process.
    """

    def __init__(self, compute: ComputeService | None = None) -> None:
        super().__init__()
        self.settings = SettingsStore(settings_file(), self)
        self.notifier = Notifier(self)
        self.context = ContextKeys()
        self.context.update(light=not has_torch())
        self.keymap = Keymap(ACTIONS, self.settings["keys"])
        self.keymap.printed = {position: chars[0] for position, chars in self.settings["keyboard.printed"].items() if chars}
        self._compute = compute
        self.program: Program | None = None
        self.presenter: WindowPresenter | None = None
        self.window_actions: WindowActions | None = None
        self.smoke: SmokeRun | None = None
        self.images = ImageListModel(
            lambda row: None if self.presenter is None else self.presenter.images.thumbnail(row),
            lambda row: None if self.presenter is None else self.presenter.images.tint(row),
        )
        theme = load_theme(resolve_theme_name(self.settings["appearance.theme"]))
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, theme)
        self.window = MainWindow(theme, self.context, self.keymap, self.notifier, self.images)
        self.window.keyboardLearned.connect(self._keep_keyboard)
        self.layout_store = QSettings(str(layout_file()), QSettings.Format.IniFormat)
        self.window.restore_layout(self.layout_store)

    def build(self) -> Program:
        """Make everything behind the window and wire it up."""
        from app.controllers.workspace import Program
        from app.services.allocator import share_arenas
        from app.ui.shell.presenter import WindowPresenter
        from app.ui.shell.window_commands import WindowActions
        from deeplab_core.kernels.compiled import allow_compiled

        share_arenas()
        allow_compiled(False)  # numba would cost the window 140 MB; strokes are counted by their changed pixels anyway
        if self._compute is None:
            from app.services.compute import ComputeClient

            self._compute = ComputeClient(self)
        self.program = Program(self.settings, self.notifier, self.context, self._compute, self)
        self.presenter = WindowPresenter(self.window, self.program, self.images)
        self.window_actions = WindowActions(self.window, self.program)
        self.window.commands.bind(self.feature)
        for problem in self.settings.problems:
            self.notifier.warning(tr("A setting was not used"), tr(problem), replace_key=problem)
        self.settings.failed.connect(lambda error: self.notifier.report(error, replace_key="settings"))
        self.program.session.imageChanged.connect(self._remember_picture)
        return self.program

    def show_opening(self, folder: Path, project_dir: Path | None = None) -> None:
        """From the first frame on: which folder is opened, or the image of it that will be in view."""
        self.window.start_page.show_busy(str(folder))
        self.window.images.show_opening(True)
        if self.settings["canvas.layout"] == "single":
            picture = early_picture(self.layout_store, folder, self.window.size(), project_dir)
            if picture is not None:
                self.window.show_page(EarlyPicture(picture, self.window.theme))

    def _remember_picture(self, image: OpenImage | None) -> None:
        assert self.program is not None
        project = self.program.session.project
        if image is not None and project is not None:
            remember_picture(self.layout_store, project.folder.absolute(), image.path)

    def feature(self, name: str) -> object:
        """What handles commands under a name of the table of commands. Raises KeyError for an unknown name."""
        if name == "window":
            return self.window_actions
        assert self.program is not None
        return self.program.feature(name)

    def _keep_keyboard(self, printed: dict[str, str]) -> None:
        self.settings.set("keyboard.printed", {position: [char] for position, char in printed.items()})

    def show_broken(self, error: Exception) -> None:
        """Say in the window that a part behind it cannot be imported or made. Needs nothing but what is imported already."""
        details = "".join(traceback.format_exception(error))
        logging.getLogger(__name__).error("the window cannot be filled: %s", details)
        reason, remedy = explain(error)
        if not is_import_trouble(error):
            reason, remedy = f"{type(error).__name__}: {error}", message("Please report this with the details")
        for dock in self.window.docks.values():
            dock.setEnabled(False)
        self.window.start_page.show_broken(f"{sentence(reason)} {sentence(remedy)}", details)

    def shut_down(self) -> None:
        """End everything; the window is closed already."""
        if self.program is not None:
            self.program.shut_down()


class LateStart(QObject):
    """Starts the compute process and loads the plots once the first picture is painted, which then has the processor for itself.

    Without a picture (no folder, a question first, an image that cannot be read) it is started when nothing has run for a moment.
    """

    #: How long nothing has to run, and how long it waits for that at most, in ms.
    IDLE, LONGEST = 400, 4000

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._application, self._over, self._waited = application, False, 0
        assert application.presenter is not None
        self._view = application.presenter.canvas.views[0]
        self._view.installEventFilter(self)
        self._timer = QTimer(self, interval=self.IDLE)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._program.session.image is not None and not self._over:
            self._end()
        return super().eventFilter(watched, event)

    @property
    def _program(self) -> Program:
        assert self._application.program is not None
        return self._application.program

    def _look(self) -> None:
        self._waited += self.IDLE
        busy = self._program.jobs.running or self._program.session.opening is not None
        if not busy or self._waited >= self.LONGEST:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._timer.stop()
        self._view.removeEventFilter(self)
        QTimer.singleShot(0, self, self._start)  # after the paint event

    def _start(self) -> None:
        _note(FIRST_PICTURE_VARIABLE)
        self._program.models.start()
        QTimer.singleShot(0, self._application.window, self._application.window.trimap.build_plot)


class _FirstFrame(QObject):
    """Calls back once, after the window's first paint event was handled."""

    def __init__(self, window: MainWindow, then: Callable[[], None]) -> None:
        super().__init__(window)
        self._window, self._then = window, then
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self._window.removeEventFilter(self)
            QTimer.singleShot(0, self._then)
        return super().eventFilter(watched, event)


def main(
    folder: Path | None = None,
    *,
    project_dir: Path | None = None,
    catalog: ClassCatalog | None = None,
    smoke: Path | None = None,
    accept: bool = False,
) -> int:
    """Open the window, on a folder where one is given; returns the exit status when it is closed.

    Args:
        project_dir: where the project's data lies; None means ``<folder>/.atrous``.
        catalog: classes of a new project; None recognises them from the ground truth.
        smoke: open, wait for the compute process and, if a model is available, one prediction; save a picture of the window
            here and quit.
        accept: begin a new project with what is proposed instead of showing it first; ``smoke`` does so too.
    """
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    qt = make_application(sys.argv[:1], setting("appearance", "text_size") or SYSTEM)
    qt.setApplicationName("Atrous")
    qt.setDesktopFileName("atrous")
    load_fonts()
    show_language(chosen_language())
    watch = CrashReporter(log_folder())
    traces = watch.start(os.getpid())
    application = Application()

    def begin() -> None:
        try:
            build()
        except Exception as error:  # the window is there already: it shows what is wrong instead of waiting for ever
            application.show_broken(error)
            if smoke is not None:
                qt.exit(1)

    def build() -> None:
        _note(FIRST_FRAME_VARIABLE)
        if not application.window.isMaximized():
            bring_into_screen(application.window)  # its frame is known now
        from app.services.logs import route_qt_messages, start_logging

        start_logging(log_folder())
        route_qt_messages()
        program = application.build()
        if application.window_actions is not None:
            watch.unexpected.connect(application.window_actions.show_trouble)
            if traces:
                application.window_actions.offer_crash(traces)
        program.truth.asks = smoke is None
        if folder is not None:
            program.new_project.open(folder, project_dir, catalog=catalog, ask=smoke is None and not accept)
        LateStart(application)
        if smoke is not None:
            from app.smoke import SmokeRun

            application.window.showNormal()
            application.window.resize(DEFAULT_SIZE)  # displays without a screen are smaller than any real one
            application.smoke = SmokeRun(application.window, program, smoke, expects_image=folder is not None)

    if folder is not None:
        application.show_opening(folder, project_dir)
    application.window.fill_small_screen()
    _FirstFrame(application.window, begin)
    application.window.show()
    try:
        status = qt.exec()
    finally:
        application.shut_down()
        watch.stop()
    return status


def _note(variable: str) -> None:
    target = os.environ.get(variable)
    if target:
        Path(target).write_text(repr(time.time()), encoding="ascii")
