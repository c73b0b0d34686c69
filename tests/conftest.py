"""What every test relies on: no screen, one thread, and no real settings."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

# Before anything imports Qt or torch: both read these once.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("FONTCONFIG_FILE", str(Path(__file__).with_name("gui") / "fonts.conf"))

import pytest
from hypothesis import settings
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

# Workers and the processes of tests would compile every module again: 17 s for the rewritten tests alone, in each worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tests run on shared machines: how long one example takes says nothing about the code.
# Every run tries other examples: 50 of each, as half of the usual 100 finds next to nothing less. --hypothesis-profile=thorough.
settings.register_profile("atrous", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("atrous")

#: Why a test may be skipped in CI, where every package is installed: what the machine is or lacks, files that are not everywhere,
#: the renderer of the sample rooms (a package as large as all the others), a PySide6 or platform that draws other pixels than the
#: snapshots have. Anything else fails there.
ALLOWED_SKIPS = re.compile(
    r"no CUDA device|there is a GPU|multiplies no tiles|has the device that the test misses"
    r"|superuser|become another user|mounts a small disk|cannot mount"
    r"|POSIX|Windows|on Linux|needs fork|needs SIGKILL|needs Linux|Python 3\.12"
    r"|names hold no controls|a dialog of their own|says nothing about other processes"
    r"|is absent\)|of \.\./shared/\w+ are not there"
    r"|the renderer \(extra 'scenes'\)"
    r"|the classes of the model count"
    r"|snapshots need the locked PySide6"
)

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


#: The least that a wait for a state gives it, in milliseconds: at load 20, minutes pass for what takes seconds elsewhere.
PATIENCE_MS = 120_000


class _Broken:
    """Whether a slot or a timer of the running test raised: no dialog and no wait outlasts that."""

    by: BaseException | None = None


@contextmanager
def failing_at_once() -> Iterator[None]:
    """What a slot raises ends the dialogs that wait for the user, as no user will answer them, and the waits of ``qtbot``."""
    report = sys.excepthook
    _Broken.by = None

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        report(kind, error, trace)
        _Broken.by = error
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, QDialog) and widget.isModal() and widget.isVisible():
                widget.done(QDialog.DialogCode.Rejected)

    sys.excepthook = end
    try:
        yield
    finally:
        sys.excepthook, _Broken.by = report, None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test of the window that fails inside an event loop ends within seconds, not when its patience ends."""
    if "qtbot" not in getattr(item, "fixturenames", ()):
        return (yield)
    with failing_at_once():
        return (yield)


class PatientBot(QtBot):
    """Waits for states, not for times: no test has a shorter limit than :data:`PATIENCE_MS`, and none has to name one."""

    def waitUntil(self, callback: Any, *, timeout: int = 0) -> None:
        def reached() -> Any:
            if _Broken.by is not None:
                raise RuntimeError("the state will not come: a slot raised an exception") from _Broken.by
            return callback()

        super().waitUntil(reached, timeout=max(timeout, PATIENCE_MS))

    def waitSignal(self, signal: Any, *, timeout: int = 0, **named: Any) -> Any:
        return super().waitSignal(signal, timeout=max(timeout, PATIENCE_MS), **named)

    def waitSignals(self, signals: Any, *, timeout: int = 0, **named: Any) -> Any:
        return super().waitSignals(signals, timeout=max(timeout, PATIENCE_MS), **named)

    def waitExposed(self, widget: Any, *, timeout: int = 0) -> Any:
        return super().waitExposed(widget, timeout=max(timeout, PATIENCE_MS))

    def waitActive(self, widget: Any, *, timeout: int = 0) -> Any:
        return super().waitActive(widget, timeout=max(timeout, PATIENCE_MS))


@pytest.fixture(scope="session")
def qapp(qapp: QApplication) -> QApplication:
    """The plugin's fixture in the fonts and the theme that the program starts with.

    Widths depend on both, and both stay in a process: without them a test would measure other panels than users have, and others
    again after a test that needed them.
    """
    from app.ui.shell.theme import apply_theme, load_fonts, load_theme

    load_fonts()
    apply_theme(qapp, load_theme("dark"))
    return qapp


@pytest.fixture
def qtbot(qapp: object, request: pytest.FixtureRequest) -> QtBot:
    """The plugin's fixture with patience."""
    return PatientBot(request)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that do not exist yet. ``mktemp`` would list all earlier ones for the next number: 11 ms after 8,000 of them."""
    base = tmp_path_factory.mktemp("homes")
    return (base / str(number) for number in count())


@pytest.fixture(autouse=True)
def _private_home(_homes: Iterator[Path]) -> None:
    """Settings, caches and logs of a test, and of the processes it starts, live in a home of its own.

    One home for all would hand the model used last by one test to the next that starts the real program.
    """
    home = next(_homes)
    home.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "APPDATA"):
        os.environ[name] = str(home / name.lower())
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(home)
    for name in ("ATROUS_MODEL_DIR", "DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)


@pytest.fixture(autouse=True, scope="module")
def _no_wait_for_the_disk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of the window and of its state write some 20 files each, and none cuts the power: the processes of the soak do."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.nodeid.startswith(("tests/gui/", "tests/unit/app/")):
            patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Tests share few cores. Only where something has imported torch: most tests never need it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_real() -> Path:
    """Folder of real photographs, truth and one real network; tests that need it are skipped elsewhere."""
    if not (REAL / "manifest.json").is_file():
        pytest.skip(f"no real photographs here ({REAL} is absent)")
    return REAL


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="make the screens of this run the pictures to compare with")


#: Parts of the tests that hold the longest files, in the order in which they begin. Workers take whole files, and a long one that
#: begins last leaves the other workers idle.
_FIRST = ("tests/e2e/", "tests/gui/", "tests/unit/tools/", "tests/unit/core/training/", "tests/contracts/")


def _begins(item: pytest.Item) -> int:
    return next((number for number, folder in enumerate(_FIRST) if item.nodeid.startswith(folder)), len(_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long files; skip ``gpu`` tests without a CUDA device; mark tests that use ``shared_real`` as ``real``."""
    items.sort(key=_begins)
    for item in items:
        if "shared_real" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, and never among what collecting made: millions of objects that stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_configure() -> None:
    """In CI a missing package is an error, whatever reason a test gives for doing without it."""
    if os.environ.get("CI"):
        pytest.importorskip = _require  # type: ignore[assignment]


def _require(modname: str, minversion: str | None = None, reason: str | None = None, **_others: object) -> ModuleType:
    """Stands for ``pytest.importorskip`` if no package may be missing."""
    return import_module(modname)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that CI must not skip."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_where_skipped_without_need(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a whole file that CI must not skip."""
    report = yield
    _fail_where_skipped_without_need(report)
    return report


def _fail_where_skipped_without_need(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or not os.environ.get("CI"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not ALLOWED_SKIPS.search(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nCI skips nothing but for the reasons in ALLOWED_SKIPS (tests/conftest.py)"
