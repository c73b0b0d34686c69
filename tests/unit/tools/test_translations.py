"""Translations: complete, with every placeholder and mark-up of their sources, and in one set of terms."""

from __future__ import annotations

import ast
import re
import shutil
import string
from pathlib import Path

import pytest

from tools.translations import FOLDER, FUNCTIONS, UNTRANSLATED, Entry, collect, entries, missing, shrink, sources, tolerated

KOREAN = FOLDER / "atrous_ko.ts"


def placeholders(text: str) -> set[tuple[str, str]]:
    """Names in braces, each with its format."""
    return {(name, form or "") for _text, name, form, _conversion in string.Formatter().parse(text) if name}


def faults(entry: Entry) -> list[str]:
    """What a finished translation breaks."""
    found = []
    needed = placeholders(entry.source) | placeholders(entry.many)
    for form in entry.forms:
        try:
            given = placeholders(form)
        except ValueError as error:
            found.append(f"{form!r}: {error}")
            continue
        free = {("n", "")} if entry.many else set()
        if given - free != needed - free or not given <= needed | free:
            found.append(f"{form!r}: {sorted(name for name, _ in given ^ needed)}")
        kept = (r"</?\w+>", r"\n", r"https?://[!-~]+", r"--[a-z-]+", r"\*\.\w+")
        broken = [pattern for pattern in kept if sorted(re.findall(pattern, form)) != sorted(re.findall(pattern, entry.source))]
        found += [f"{form!r}: {pattern}" for pattern in broken]
        if form != form.strip() and entry.source == entry.source.strip():
            found.append(f"{form!r}: begins or ends with a space")
    return found


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Korean file as ``make translations`` leaves it now."""
    copy = tmp_path_factory.mktemp("translations") / KOREAN.name
    shutil.copy(KOREAN, copy)
    collect(sources(), copy)
    return copy


@pytest.mark.parametrize("path", sorted(FOLDER.glob("atrous_*.ts")), ids=lambda path: path.stem)
def test_no_translation_breaks_what_its_source_holds(path: Path) -> None:
    broken = {entry.source: faults(entry) for entry in entries(path) if entry.finished}
    assert len(broken) > 3000
    assert {source: found for source, found in broken.items() if found} == {}


def test_every_text_has_a_korean_translation(updated: Path) -> None:
    """If this fails: ``make translations``, then translate in Qt Linguist, or list the text in untranslated.txt for now."""
    assert sum(1 for _ in entries(updated)) > 3000
    assert sorted(set(missing(updated)) - tolerated()) == []


def test_the_list_of_untranslated_texts_only_shrinks(updated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tolerated() <= set(missing(updated)), "run make translations: it takes translated texts off the list"
    listed = tmp_path / "untranslated.txt"
    listed.write_text("# why\nUndo\nline\\nline\nRedo\n", encoding="utf-8")
    monkeypatch.setattr("tools.translations.UNTRANSLATED", listed)
    shrink({"Redo", "line\nline", "Save"})
    assert listed.read_text(encoding="utf-8") == "# why\nline\\nline\nRedo\n"
    assert tolerated() == {"line\nline", "Redo"}


def test_the_list_is_there_with_its_rule() -> None:
    assert UNTRANSLATED.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(
    ("source", "many", "form"),
    [
        ("{name} was saved", "", "저장했습니다"),
        ("{name} was saved", "", "{nam} 저장"),
        ("{share:.1%} left", "", "{share} 남음"),
        ("a {b", "", "{b"),
        ("<b>Before</b>", "", "<b>이전"),
        ("one\ntwo", "", "하나 둘"),
        ("Use --truth", "", "--prediction을 쓰세요"),
        ("{n} of {total}", "{n} of {total}", "{n}"),
        ("Undo", "", "실행 취소 "),
    ],
)
def test_faults_are_seen(source: str, many: str, form: str) -> None:
    assert faults(Entry(source if source != "a {b" else "a", many, (form,), True))


def test_a_plural_may_leave_its_number_out_and_take_it_in() -> None:
    assert faults(Entry("the image", "{n} images", ("이미지 {n}개",), True)) == []
    assert faults(Entry("{n} image", "{n} images", ("이미지",), True)) == []


#: English terms of the window and the one word that stands for each; docs/korean.md explains them.
TERMS = {
    "ground truth": "정답",
    "mask": "마스크",
    "confusion matrix": "혼동 행렬",
    "trimap": "트라이맵",
    "checkpoint": "체크포인트",
}


@pytest.mark.parametrize(("english", "korean"), TERMS.items())
def test_terms_are_the_same_everywhere(english: str, korean: str) -> None:
    without = [
        entry.source
        for entry in entries(KOREAN)
        if re.search(rf"\b{english}\b", entry.source, re.IGNORECASE) and not all(korean in form for form in entry.forms if form)
    ]
    assert set(without) == set(EXCUSED.get(english, ()))


#: Texts in which a term is a name of a file or column, or is understood.
EXCUSED = {
    "mask": (
        "Name the columns 'image' and 'mask'",
        "data/SPLIT.parquet: columns image and mask",
        "CVAT segmentation mask 1.1",
        "CVAT segmentation mask 1.1 (zip)",
    )
}


def test_lupdate_sees_every_literal(updated: Path) -> None:
    """It does not look into f-strings, for one: a text there would never be translated."""
    seen = {(entry.source, entry.many) for entry in entries(updated)}
    lost = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) and node.args else ""
            if not isinstance(node, ast.Call) or name not in ("tr", *FUNCTIONS):
                continue
            words = [word.value for word in node.args[:2] if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            text = (words[0], words[1] if name.startswith("plural") and len(words) > 1 else "") if words and words[0] else None
            if text is not None and text not in seen:
                lost.append(f"{path.name}:{node.lineno}: {words[0]}")
    assert lost == []


@pytest.mark.parametrize("texts", [("Image files", "Images"), ("Model", "Classes", "Ground truth", "Start from", "Images")])
def test_labels_that_stand_in_one_form_stay_apart(texts: tuple[str, ...]) -> None:
    known = {entry.source: entry.forms for entry in entries(KOREAN)}
    assert len({known[text] for text in texts}) == len(texts)
