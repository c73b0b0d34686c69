"""Compares a screen with its picture in ``tests/gui/snapshots``, where the machine draws as the one that took it."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PySide6 import __version__ as installed
from PySide6.QtCore import QBuffer
from PySide6.QtGui import QFont, QFontInfo, QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget

from app.ui.shell.theme import load_theme

FOLDER = Path(__file__).with_name("snapshots")
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
#: Share of the pixels that may differ: room for a reworded label, none for a panel that moves.
TOLERANCE = 0.01
#: Levels of 255 by which a channel may differ before its pixel counts: the 4 of :data:`KEPT_LEVELS`, and some for rounding.
LEVELS = 6
#: The pictures keep every eighth level, which halves their size; a screen then differs from its own picture by 4 at most.
KEPT_LEVELS = 8

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Difference:
    """How a screen differs from its picture.

    Attributes:
        mask: (H, W) bool, the pixels that differ by more than :data:`LEVELS`.
        most: the largest difference of a channel, 0 to 255.
        mean: mean over the pixels that differ of the largest difference of their channels, 0 to 255.
    """

    mask: NDArray[np.bool_]
    most: int
    mean: float

    @property
    def share(self) -> float:
        return float(self.mask.mean())

    def __str__(self) -> str:
        rows, columns = np.nonzero(self.mask)
        place = ""
        if rows.size:
            place = f", between ({columns.min()}, {rows.min()}) and ({columns.max()}, {rows.max()})"
        return (
            f"{rows.size} of {self.mask.size} pixels differ ({self.share:.2%}; {TOLERANCE:.0%} may), "
            f"by {self.mean:.0f} levels on average and {self.most} at most{place}"
        )


def difference(expected: Pixels, actual: Pixels) -> Difference:
    """Compare two (H, W, 3) pictures of one size."""
    apart = np.abs(expected.astype(np.int16) - actual).max(axis=2)
    mask = apart > LEVELS
    return Difference(mask, int(apart.max()), float(apart[mask].mean()) if mask.any() else 0.0)


def compare(name: str, actual: Pixels, output: Path, folder: Path = FOLDER) -> None:
    """Fail the test if a screen is not its picture; write what is seen and where it differs to ``output``."""
    update = f"If the change is wanted, run 'make snapshots' and look at {name}.png before you commit it."
    path = folder / f"{name}.png"
    seen, differing = output / f"{name}-actual.png", output / f"{name}-difference.png"
    if not path.is_file():
        Image.fromarray(actual).save(seen)
        pytest.fail(f"there is no snapshot {path.name}; the screen is in {seen}. {update}", pytrace=False)
    with Image.open(path) as stored:
        expected: Pixels = np.asarray(stored.convert("RGB"))
    if expected.shape != actual.shape:
        Image.fromarray(actual).save(seen)
        (height, width), (high, wide) = actual.shape[:2], expected.shape[:2]
        pytest.fail(
            f"{name} is {width} x {height} px, its snapshot {wide} x {high}; the screen is in {seen}. {update}", pytrace=False
        )
    found = difference(expected, actual)
    if found.share > TOLERANCE:
        Image.fromarray(actual).save(seen)
        faint = expected // 4
        faint[found.mask] = (255, 0, 80)
        Image.fromarray(faint).save(differing)
        pytest.fail(f"{name}: {found}. See {seen} and {differing}. {update}", pytrace=False)


def locked_version() -> str:
    """The PySide6 of ``requirements.lock``."""
    found = re.search(r"^pyside6-essentials==(\S+)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"{LOCK} names no pyside6-essentials"
    return found[1]


def obstacle() -> str:
    """Why screens of this machine cannot be compared with the pictures; empty if they can. Tests load the bundled font."""
    if installed != locked_version():
        return f"PySide6 {installed} instead of the locked {locked_version()}"
    if sys.platform != "linux":
        return f"fonts as {sys.platform} draws them instead of Linux"
    if QGuiApplication.platformName() != "offscreen":
        return f"the platform plugin {QGuiApplication.platformName()} instead of offscreen"
    screen = QGuiApplication.primaryScreen()
    if screen.devicePixelRatio() != 1 or screen.logicalDotsPerInch() != 96:
        return f"a scale of {screen.devicePixelRatio():g} at {screen.logicalDotsPerInch():g} dpi"
    font = QFontInfo(QFont(list(load_theme("dark").families)))
    return "" if font.family() == "Inter" else f"the font {font.family()} instead of the bundled Inter"


def must_compare() -> bool:
    """Whether this is CI on Linux with the locked version, where a skip would hide that no screen is compared."""
    return bool(os.environ.get("CI")) and sys.platform == "linux" and installed == locked_version()


def pixels_of(widget: QWidget) -> Pixels:
    """(H, W, 3) pixels of a visible widget."""
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    widget.grab().toImage().save(buffer, "PNG")
    with Image.open(io.BytesIO(buffer.data().data())) as picture:
        return np.asarray(picture.convert("RGB"))


def write(name: str, pixels: Pixels, folder: Path = FOLDER) -> None:
    """Make a screen the picture to compare with."""
    folder.mkdir(exist_ok=True)
    kept = (pixels.astype(np.int16) + KEPT_LEVELS // 2) // KEPT_LEVELS * KEPT_LEVELS
    Image.fromarray(np.minimum(kept, 255).astype(np.uint8)).save(folder / f"{name}.png", optimize=True)


Snapshot = Callable[[str, QWidget], None]


@pytest.fixture
def snapshot(request: pytest.FixtureRequest, qapp: QApplication, tmp_path: Path) -> Snapshot:
    """``snapshot(name, widget)`` compares a screen with its picture, or replaces the picture with ``--update-snapshots``.

    Ask for it before the window is made: it loads the font.
    """
    reason = obstacle()
    if reason and must_compare():
        pytest.fail(f"CI has the locked PySide6 and must compare the screens, but it has {reason}", pytrace=False)
    if reason:
        pytest.skip(f"snapshots need the locked PySide6 with its offscreen platform and the bundled font; this is {reason}")

    def check(name: str, widget: QWidget) -> None:
        actual = pixels_of(widget)
        if request.config.getoption("--update-snapshots"):
            write(name, actual)
        else:
            compare(name, actual, tmp_path)

    return check
