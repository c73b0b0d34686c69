"""Every image with a mask is held out once, and trained on in all other folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.folds import main, pairs_of


def data_set(root: Path, *stems: str) -> tuple[Path, Path]:
    images, truth = root / "images", root / "labels"
    for folder in (images, truth):
        folder.mkdir(parents=True)
    for stem in stems:
        (images / f"{stem}.jpg").write_bytes(b"image")
        (truth / f"{stem}.png").write_bytes(b"mask")
    return images, truth


def test_every_image_is_held_out_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = data_set(tmp_path / "one", "a", "c", "e"), data_set(tmp_path / "two", "b", "d")
    (one[0] / "unlabelled.jpg").write_bytes(b"image")
    out = tmp_path / "folds"
    given = [str(part) for images, truth in (one, two) for part in ("--images", images, "--truth", truth)]
    main([*given, "-o", str(out), "--count", "2"])
    assert "5 images with masks; the folds hold out 3, 2" in capsys.readouterr().out
    held_out = [sorted(path.stem for path in (out / str(fold) / "val" / "images").iterdir()) for fold in range(2)]
    assert held_out == [["a", "c", "e"], ["b", "d"]]
    for fold in range(2):
        parts = [{path.stem for path in (out / str(fold) / part / "images").iterdir()} for part in ("train", "val")]
        assert parts[0] | parts[1] == set("abcde")
        assert not parts[0] & parts[1]
    assert (out / "0" / "train" / "labels" / "b.png").read_bytes() == b"mask"
    assert len(list((out / "truth").iterdir())) == 5


def test_names_that_occur_twice_are_refused(tmp_path: Path) -> None:
    one, two = data_set(tmp_path / "one", "a"), data_set(tmp_path / "two", "a")
    with pytest.raises(SystemExit, match="a occurs twice"):
        pairs_of([one[0], two[0]], [one[1], two[1]])
    with pytest.raises(SystemExit, match="for each"):
        pairs_of([one[0]], [])
