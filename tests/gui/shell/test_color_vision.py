"""Colours that inform stay apart for users with protanopia or deuteranopia."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from app.state.comparison import PLACE_TOKENS
from app.ui.canvas.colors import DIFFERENCE_COLORS, ERROR_COLORS, uncertainty_table
from app.ui.evaluate.kind_table import PART_TONES
from app.ui.evaluate.matrix_scale import cell_colors
from app.ui.shell.theme import Theme, load_theme

Colors = NDArray[np.float64]

#: From linear sRGB to what is seen instead, severity 1.0: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, 'A
#: physiologically-based model for simulation of color vision deficiency', IEEE TVCG 15(6), 2009.
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}
#: OKLab of linear sRGB (B. Ottosson, 2020).
_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
#: Least distance of two colours that say different things: OKLab x 100, where about 2 can be told when they touch.
_APART = 10.0


def seen(colors: Sequence[Sequence[float]] | NDArray[np.generic], vision: str) -> Colors:
    """(n, 3) OKLab x 100 of (n, 3) sRGB 0..255, as they look with a kind of vision."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    shown: Colors = 100 * np.cbrt(np.clip(linear @ VISION[vision].T, 0, 1) @ _LMS.T) @ _LAB.T
    return shown


def close(colors: Mapping[str, Sequence[float]], vision: str, apart: float = _APART) -> list[tuple[str, str, float]]:
    """Pairs of colours that are nearer to each other than they have to be."""
    places = dict(zip(colors, seen(list(colors.values()), vision), strict=True))
    distances = {
        (one, other): float(np.linalg.norm(places[one] - places[other])) for one, other in itertools.combinations(places, 2)
    }
    return [(*pair, round(distance, 1)) for pair, distance in distances.items() if distance < apart]


def tokens(theme: Theme, *names: str) -> dict[str, tuple[int, int, int]]:
    """Colours of a theme, sRGB 0..255."""
    colors = {name: theme.color(name) for name in names}
    return {name: (color.red(), color.green(), color.blue()) for name, color in colors.items()}


def test_red_and_green_are_told_apart_by_usual_vision_alone() -> None:
    colors = tokens(load_theme("dark"), "good", "bad")
    assert close(colors, "usual") == []
    assert close(colors, "deuteranopia") == [("good", "bad", 2.8)]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colors_of_charts_and_tables(theme: str, vision: str) -> None:
    shown = load_theme(theme)
    assert close(tokens(shown, *PLACE_TOKENS), vision) == []
    assert close(tokens(shown, *PART_TONES.values()), vision) == []
    assert close(tokens(shown, "right", "wrong"), vision) == []


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_right_and_wrong_cells_of_the_matrix(theme: str, vision: str) -> None:
    """From a fifth of the full strength on; weaker cells are near the ground for everyone."""
    strength = np.array([0.2, 0.5, 1.0])
    right, wrong = (cell_colors(load_theme(theme), strength, np.full(3, one)) for one in (True, False))
    apart = np.linalg.norm(seen(right, vision) - seen(wrong, vision), axis=1)
    assert (apart >= [4, 7, 12]).all(), apart


@pytest.mark.parametrize("vision", VISION)
def test_overlays_of_errors_and_differences(vision: str) -> None:
    assert close(ERROR_COLORS, vision) == []
    assert close(DIFFERENCE_COLORS, vision) == []


@pytest.mark.parametrize("vision", VISION)
def test_the_heat_of_uncertainty_grows_in_lightness(vision: str) -> None:
    table = uncertainty_table()
    colors = np.stack([(table >> shift) & 255 for shift in (16, 8, 0)], axis=-1)[::-8]
    assert (np.diff(seen(colors, vision)[:, 0]) > -0.5).all()
