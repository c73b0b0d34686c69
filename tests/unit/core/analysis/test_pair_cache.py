"""``evaluate --cache``: what has not changed is not read again, what has changed always is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.evaluation import Evaluation, evaluation_figures
from deeplab_core.analysis.pair_cache import PairCache
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.reading import json_text
from tests.unit.core.analysis.test_evaluate import CATALOG, folders, scene

__all__ = ["folders"]

#: Long enough ago for a file to be relied on.
_LONG_AGO = 1_700_000_000


@pytest.fixture(autouse=True)
def settled(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        settle(folder)


def settle(folder: Path, when: int = _LONG_AGO) -> None:
    for path in folder.rglob("*.*"):
        os.utime(path, (when, when))


def evaluate(folders: tuple[Path, Path], cache: Path | None, **options: object) -> Evaluation:
    if cache is None:
        return evaluate_folders(folders[0], [folders[1]], CATALOG, **options)  # type: ignore[arg-type]
    with PairCache(cache) as opened:
        return evaluate_folders(folders[0], [folders[1]], CATALOG, cache=opened, **options)  # type: ignore[arg-type]


def same(one: Evaluation, other: Evaluation) -> bool:
    return json_text(evaluation_figures(one)) == json_text(evaluation_figures(other))


@pytest.mark.parametrize("threads", [1, 3])
def test_figures_are_the_same_and_nothing_is_read(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    plain = evaluate(folders, None)
    first = evaluate(folders, tmp_path / "kept" / "cache", threads=threads)
    assert first.reused == 0
    assert same(first, plain)

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a mask was read")

    monkeypatch.setattr("deeplab_core.metrics.pair_reader.load_mask", refuse)
    again = evaluate(folders, tmp_path / "kept" / "cache", threads=threads)
    assert again.reused == 5
    assert again.failures == ()
    assert same(again, plain)


def test_other_widths_and_draws_take_the_same_figures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(folders, tmp_path / "cache")
    again = evaluate(folders, tmp_path / "cache", bands=(3, 5), seed=4)
    assert again.reused == 5
    assert same(again, evaluate(folders, None, bands=(3, 5), seed=4))


@pytest.mark.parametrize(
    "options", [{"boundary": False}, {"band_rule": "void"}, {"band_around": "prediction"}, {"frame": "stored"}], ids=str
)
def test_other_options_are_counted_again(folders: tuple[Path, Path], tmp_path: Path, options: dict[str, object]) -> None:
    evaluate(folders, tmp_path / "cache")
    other = evaluate(folders, tmp_path / "cache", **options)
    assert other.reused == 0
    assert same(other, evaluate(folders, None, **options))
    assert evaluate(folders, tmp_path / "cache").reused == 5  # both sets of options are kept


@pytest.mark.parametrize("side", [0, 1])
def test_a_changed_mask_is_read_again(folders: tuple[Path, Path], tmp_path: Path, side: int) -> None:
    evaluate(folders, tmp_path / "cache")
    size = (tmp_path / "cache").stat().st_size
    path = next(folders[side].rglob("3.png"))
    write_indexed_png(path, np.roll(scene(3)[0], 5, 0), CATALOG)
    os.utime(path, (_LONG_AGO, _LONG_AGO + 1))
    again = evaluate(folders, tmp_path / "cache")
    assert again.reused == 4
    assert same(again, evaluate(folders, None))
    assert evaluate(folders, tmp_path / "cache").reused == 5
    assert (tmp_path / "cache").stat().st_size <= size + 4096  # the entry was replaced


def test_files_beside_the_masks_count(folders: tuple[Path, Path], tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    (marks / "day0").mkdir(parents=True)
    evaluate(folders, tmp_path / "cache", ambiguous_dir=marks)
    inside = np.zeros((60, 80), bool)
    inside[:30, :30] = True
    text = json_text(AmbiguousMarks(60, 80).marked(inside, classes=(3, 8)).to_dict())
    (marks / "day0" / "0.ambiguous.json").write_text(text, encoding="utf-8")
    Image.new("L", (80, 60), 200).save(next(folders[0].rglob("2.png")).with_suffix(".confidence.png"))
    settle(folders[0])
    again = evaluate(folders, tmp_path / "cache", ambiguous_dir=marks)
    assert again.reused == 3
    assert again.excluded_px > 0
    assert again.calibrated_images == 1
    assert same(again, evaluate(folders, None, ambiguous_dir=marks))


def test_what_changed_a_moment_ago_is_not_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    os.utime(next(folders[0].rglob("1.png")))
    evaluate(folders, tmp_path / "cache")
    assert evaluate(folders, tmp_path / "cache").reused == 4


def test_failures_are_not_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    path = next(folders[0].rglob("0.png"))
    path.write_bytes(b"nothing")
    settle(folders[0])
    for reused in (0, 4):
        found = evaluate(folders, tmp_path / "cache")
        assert (found.reused, len(found.failures)) == (reused, 1)


def test_a_damaged_entry_is_counted_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(folders, tmp_path / "cache")
    with PairCache(tmp_path / "cache") as cache:
        cache._database.execute("UPDATE pairs SET data = substr(data, 1, length(data) - 9) WHERE rowid = 2")
        cache._database.execute("UPDATE pairs SET data = x'00' WHERE rowid = 3")
        cache._database.commit()
    again = evaluate(folders, tmp_path / "cache")
    assert again.reused == 3
    assert same(again, evaluate(folders, None))


def test_two_runs_at_once_keep_what_both_found(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with PairCache(tmp_path / "cache") as one, PairCache(tmp_path / "cache") as other:
        one.keep(Path("a.png"), "options", "stamp", b"1")
        other.keep(Path("b.png"), "options", "stamp", b"2")
    with PairCache(tmp_path / "cache") as cache:
        assert [cache.find(Path(name), "options", "stamp") for name in ("a.png", "b.png")] == [b"1", b"2"]


def test_a_cache_that_cannot_be_written_costs_no_figures(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    monkeypatch.setattr("deeplab_core.analysis.pair_cache._PATIENCE", 0.0)
    with PairCache(tmp_path / "cache") as cache, sqlite3.connect(tmp_path / "cache") as other:
        other.execute("BEGIN IMMEDIATE")
        found = evaluate_folders(folders[0], [folders[1]], CATALOG, cache=cache)
        cache.close()
        assert "database is locked" in str(cache.problem)
        other.rollback()
    other.close()
    assert found.failures == ()
    assert same(found, evaluate(folders, None))


def test_a_damaged_cache_costs_no_figures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(folders, tmp_path / "cache")
    data = bytearray((tmp_path / "cache").read_bytes())
    data[4096:] = bytes(each ^ 0x5A for each in data[4096:])
    (tmp_path / "cache").write_bytes(data)
    with PairCache(tmp_path / "cache") as cache:
        found = evaluate_folders(folders[0], [folders[1]], CATALOG, cache=cache)
        assert "malformed" in str(cache.problem)
    assert found.failures == ()
    assert same(found, evaluate(folders, None))


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    import sqlite3

    picture, database, link = tmp_path / "a.png", tmp_path / "project.db", tmp_path / "link"
    Image.new("RGB", (9, 9)).save(picture)
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE images (id)")
    other.close()
    link.symlink_to(tmp_path / "elsewhere")
    for path in (picture, database, link, tmp_path):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(MaskFormatError, match="cannot be used as a cache"):
            PairCache(path)
        assert not path.is_file() or path.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()
