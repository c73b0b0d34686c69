"""Pictures of the documentation: which are replaced, and that each has a tool or is known to have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tools import pictures
from tools.pictures import TASKS, Task, renew, same

ROOT = Path(__file__).resolve().parents[3]
#: Pictures that are not taken by ``make pictures``: what they need is not in the repository, or another task draws them.
OTHERS = {
    "crf_strip.png": "tools.crf_strip", "learn_curve.png": "tools.learn_curve", "photos_voc.jpg": "a study",
    "rooms.jpg": "tools.rooms.sheet", "atrous.svg": "drawn",
}  # fmt: skip


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A tool that takes one picture, a gray one."""

    def take(task: Task, folder: Path) -> list[Path]:
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (3, 2), (9, 9, 9)).save(folder / "a.png", compress_level=0)
        return [folder / "a.png"]

    monkeypatch.setattr(pictures, "take", take)
    return Task("a", "none", (), "images", ("a.png",))


def test_a_picture_with_other_pixels_is_replaced_and_the_second_run_changes_nothing(fake: Task, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    assert renew(fake, tmp_path / "new", docs, check=True) == ["images/a.png"]
    assert not docs.exists()
    assert renew(fake, tmp_path / "new", docs) == ["images/a.png"]
    assert same(tmp_path / "new" / "a.png", docs / "images" / "a.png")
    Image.open(docs / "images" / "a.png").save(docs / "images" / "a.png", compress_level=9)  # other bytes, the same pixels
    before = (docs / "images" / "a.png").read_bytes()
    assert renew(fake, tmp_path / "new", docs) == []
    assert (docs / "images" / "a.png").read_bytes() == before
    Image.new("RGB", (3, 2), (9, 9, 8)).save(docs / "images" / "a.png")
    assert renew(fake, tmp_path / "new", docs) == ["images/a.png"]


def test_a_picture_with_times_is_replaced_when_asked_to(fake: Task, tmp_path: Path) -> None:
    timed = replace(fake, timed=("a.png",))
    docs = tmp_path / "docs"
    assert renew(timed, tmp_path / "new", docs) == ["images/a.png"]  # it was missing
    Image.new("RGB", (3, 2), (1, 1, 1)).save(docs / "images" / "a.png")
    assert renew(timed, tmp_path / "new", docs) == []
    assert renew(timed, tmp_path / "new", docs, timed=True) == ["images/a.png"]


def test_a_page_with_the_figures_of_its_pictures_is_replaced_too(
    fake: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = pictures.take

    def write(task: Task, folder: Path) -> list[Path]:
        found = take(task, folder)
        kept = (folder / "page.md").read_text() if (folder / "page.md").exists() else "nothing"
        (folder / "page.md").write_text(f"figures, kept: {kept.removeprefix('figures, kept: ')}")
        return found

    monkeypatch.setattr(pictures, "take", write)
    docs, written = tmp_path / "docs", replace(fake, page="page.md")
    assert renew(written, tmp_path / "new", docs) == ["images/a.png", "page.md"]
    assert (docs / "page.md").read_text() == "figures, kept: nothing"
    assert renew(written, tmp_path / "new", docs) == []
    (docs / "page.md").write_text("old")
    assert renew(written, tmp_path / "new", docs, check=True) == ["page.md"]
    assert (docs / "page.md").read_text() == "old"


def test_every_picture_of_the_docs_has_a_tool() -> None:
    taken = {(Path(task.place) / name).as_posix() for task in TASKS for name in task.pictures}
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/images").glob("*.*")}
    there |= {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/images/two_minutes").glob("*.*")}
    if not (ROOT / "docs/images").is_dir():  # a source distribution has no pictures of the docs
        return
    assert there - taken == {f"images/{name}" for name in OTHERS}
    assert taken - there == set()
