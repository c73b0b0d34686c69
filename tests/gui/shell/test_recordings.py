"""The tool that records the correction tools for the documentation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from PySide6.QtCore import Qt

from tests.gui.studio import Studio
from tools.recordings.recorder import Hand, Recording


def test_what_a_hand_does_becomes_an_animated_picture(studio: Studio, folder: Path, tmp_path: Path) -> None:
    studio.start_model()
    studio.open(folder)
    recording = Recording(studio.window)
    hand = Hand(studio.window, studio.view, recording, studio.settle)
    hand.start((10, 10))
    hand.key("B: Brush", Qt.Key.Key_B)
    shown_for, pictures = recording.durations[-1], len(recording.frames)
    recording.take(300)  # nothing has changed: the same picture, for longer
    assert (recording.durations[-1], len(recording.frames)) == (shown_for + 300, pictures)
    hand.drag([(20, 20), (50, 40)])
    hand.rest(700)
    assert studio.steps()[-1].startswith("Brush")
    path = tmp_path / "recordings" / "brush.png"
    recording.write(path, colors=64)

    with Image.open(path) as picture:
        assert picture.n_frames > 3
        assert picture.info["loop"] == 0
        durations, shown = [], []
        for number in range(picture.n_frames):
            picture.seek(number)
            durations.append(picture.info["duration"])
            shown.append(np.asarray(picture.convert("RGB")))
    assert sum(durations) == sum(recording.durations)
    assert all(not np.array_equal(*pair) for pair in pairwise(shown))
    # Pixels that stay are transparent in the file: each picture is whole only if nothing was lost on the way.
    errors = [np.abs(picture.astype(int) - frame).mean() for picture, frame in zip(shown, recording.frames, strict=True)]
    assert max(errors) < 10  # of 255; the photographs are noise, of which 64 colours show little
    assert len(np.unique(shown[-1].reshape(-1, 3), axis=0)) < 64
