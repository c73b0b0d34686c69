"""Texts of the window: numbers, plurals, placeholders and translation; messages of errors on their way between processes."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.state.stored_text import read_text, stored_text
from app.text import (
    NumberSigns,
    counted,
    english,
    error_detail,
    error_sentences,
    error_title,
    joined,
    percent,
    plural,
    points,
    sentence,
    share_text,
    spaced,
    tr,
    use_translator,
)
from deeplab_core.errors import AtrousError, MaskFormatError, MessageText, error_text, join_messages, message, plural_message

GERMAN = {
    "{name} was saved": "{name} wurde gespeichert",
    "{n} image": "{n} Bilder",
    "the mask has {found} classes": "die Maske hat {found} Klassen",
    "Choose another": "Wählen Sie eine andere",
    "{shown} of {total}": "{gezeigt} von {total}",
}


@pytest.fixture
def german() -> Iterator[None]:
    use_translator(lambda text, many, number: GERMAN.get(text, text))
    yield
    use_translator(None)


def test_one_place_knows_the_signs_of_numbers() -> None:
    """Times of models were ``1 453`` in a window whose other numbers were ``1,453``."""
    root = Path(__file__).parents[4] / "app"
    found = [path.name for path in root.rglob("*.py") if "u202f" in path.read_text(encoding="utf-8") and path.name != "text.py"]
    assert found == []


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1204, "1\u202f204"), (12_345_678, "12\u202f345\u202f678")])
def test_thousands_stand_apart(number: int, text: str) -> None:
    assert spaced(number) == text


@pytest.mark.parametrize(
    ("value", "score", "share"),
    [(0.0, "0.0", "0.0 %"), (0.3707, "37.1", "37.1 %"), (1.0, "100.0", "100.0 %"), (None, "–", "–"), (float("nan"), "–", "–")],
)
def test_scores_and_shares_are_per_cent_with_one_decimal(value: float | None, score: str, share: str) -> None:
    assert (percent(value), share_text(value)) == (score, share)


@pytest.mark.parametrize(
    ("change", "text"), [(0.212, "+21.2"), (-0.017, "−1.7"), (0.0004, "0.0"), (-0.0004, "0.0"), (-1.0, "−100.0")]
)
def test_changes_are_signed_percentage_points(change: float, text: str) -> None:
    assert points(change) == text


def test_one_thing_and_several() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(1200, "class", "classes") == "1\u202f200 classes"


def test_a_plural_has_the_number_in_groups() -> None:
    assert [plural("{n} image", "{n} images", number) for number in (0, 1, 1200)] == ["0 images", "1 image", "1\u202f200 images"]
    assert plural("one of {of}", "{n} of {of}", 1, of=3) == "one of 3"


def test_braces_without_values_are_text() -> None:
    assert tr("a set {1, 2}") == "a set {1, 2}"
    assert tr("{name} was saved", name="{odd} name.png") == "{odd} name.png was saved"


def test_a_missing_value_is_a_bug_in_english() -> None:
    with pytest.raises(KeyError):
        tr("{name} was saved", file="a.png")


def test_texts_are_translated(german: None) -> None:
    assert tr("{name} was saved", name="a.png") == "a.png wurde gespeichert"
    assert tr("not translated yet") == "not translated yet"
    assert plural("{n} image", "{n} images", 1200) == "1\u202f200 Bilder"
    assert plural("{n} class", "{n} classes", 2) == "2 classes"


def test_wrong_placeholders_of_a_translation_show_english(german: None) -> None:
    assert tr("{shown} of {total}", shown=1, total=2) == "1 of 2"


def _as_json(error: AtrousError) -> AtrousError:
    return AtrousError.from_dict(json.loads(json.dumps(error.to_dict())))


def _pickled(error: AtrousError) -> object:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("send", [_as_json, _pickled])
def test_an_error_is_translated_after_it_crossed_a_pipe(german: None, send: Callable[[AtrousError], AtrousError]) -> None:
    what = message("the mask has {found} classes", found=np.int64(3))
    sent = MaskFormatError(what, why="a cause", remedy=message("Choose another"), path="a/m.png")
    error = send(sent)
    assert type(error) is MaskFormatError
    assert str(error) == f"{Path('a/m.png')}: the mask has 3 classes. a cause. Choose another."
    assert error_title(error) == "m.png: die Maske hat 3 Klassen"
    assert error_detail(error) == "a cause. Wählen Sie eine andere."


@pytest.mark.parametrize("send", [_as_json, _pickled])
def test_options_of_the_command_line_are_for_the_command_line(send: Callable[[AtrousError], AtrousError]) -> None:
    error = send(MaskFormatError("it has no classes", remedy=message("Choose some."), option="--catalog NAME"))
    assert str(error) == "it has no classes. Choose some: --catalog NAME."
    assert error_detail(error) == "Choose some."


def test_errors_of_imports_and_exports_name_options_apart() -> None:
    """The window shows these errors, too, and has no options."""
    root = Path(__file__).parents[4]
    texts = re.compile(r'(?:message|tr|mark|plural)\(\s*"[^"]*(?<![\w-])--[a-z]')
    found = [
        str(path.relative_to(root))
        for folder in ("deeplab_core/masks", "deeplab_core/catalogs", "deeplab_core/images")
        for path in sorted((root / folder).rglob("*.py"))
        if texts.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_message_in_a_message_is_translated(german: None) -> None:
    outer = message("failed: {reason}", reason=message("the mask has {found} classes", found=3))
    assert outer == "failed: the mask has 3 classes"
    assert tr(MessageText.from_dict(outer.to_dict())) == "failed: die Maske hat 3 Klassen"
    assert tr("Stopped. {reason}", reason=outer.values["reason"]) == "Stopped. die Maske hat 3 Klassen"


@pytest.mark.parametrize("send", [_as_json, _pickled])
def test_a_counted_value_has_the_plural_of_its_language(send: Callable[[AtrousError], AtrousError]) -> None:
    forms = {"{n} image": ("{n} Bild", "{n} Bilder"), "{images} are left": ("{images} fehlen", "")}
    why = message("{images} are left", images=plural_message("{n} image", "{n} images", np.int64(1200)))
    error = send(MaskFormatError(plural_message("{n} image", "{n} images", 1), why=why))
    assert (error.what, error.why) == ("1 image", "1,200 images are left")
    use_translator(lambda text, many, number: forms[text][bool(many) and number != 1])
    try:
        assert (error_title(error), error_detail(error)) == ("1 Bild", "1\u202f200 Bilder fehlen.")
    finally:
        use_translator(None)


def test_messages_in_a_row_are_translated_one_by_one(german: None) -> None:
    row = join_messages([message("the mask has {found} classes", found=3), "", message("Choose another")], "; ")
    assert row == "the mask has 3 classes; Choose another"
    assert tr(row) == "die Maske hat 3 Klassen; Wählen Sie eine andere"
    assert not join_messages([])
    assert tr(join_messages(["a {1}", "b"], " {} ")) == "a {1} {} b"


def test_a_clause_becomes_a_sentence(german: None) -> None:
    assert sentence(message("the mask has {found} classes", found=3)) == "Die Maske hat 3 Klassen."
    assert sentence("it stopped.") == "It stopped."


@pytest.mark.parametrize("send", [_as_json, _pickled])
def test_a_whole_error_is_translated_without_what_the_command_line_does(
    german: None, send: Callable[[AtrousError], AtrousError]
) -> None:
    error = send(
        AtrousError(
            message("the mask has {found} classes", found=3), remedy=message("Choose another"), path="m.png", option="--classes"
        )
    )
    shown = "m.png: die Maske hat 3 Klassen. Wählen Sie eine andere."
    assert str(error) == "m.png: the mask has 3 classes. Choose another: --classes."
    assert error_text(error) == "m.png: the mask has 3 classes. Choose another."
    assert error_sentences(error) == shown
    assert tr(read_text(stored_text(error_text(error)))) == shown
    assert tr("Skipped: {error}", error=error) == f"Skipped: {shown}"
    assert tr(message("skipped: {error}", error=error)) == f"skipped: {shown}"
    error.path = None
    assert error_sentences(error) == "Die Maske hat 3 Klassen. Wählen Sie eine andere."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("{x} is not a number"), "{x} is not a number"),
        (KeyError(), "KeyError"),
        (AtrousError("it ended."), "It ended."),
    ],
)
def test_any_error_has_a_text(error: Exception, text: str) -> None:
    assert error_sentences(error) == text


def test_logs_are_english(german: None) -> None:
    shown = tr("{name} was saved", name=tr("Choose another"))
    assert (shown, english(shown)) == ("Wählen Sie eine andere wurde gespeichert", "Choose another was saved")
    assert english(plural("{n} image", "{n} images", 2)) == "2 images"
    assert english("a.png") == "a.png"
    several = joined("; ", (shown, "a.png"))
    assert several == f"{shown}; a.png"
    assert english(several) == "Choose another was saved; a.png"
    assert english(sentence(message("choose {what}", what="it"))) == "Choose it."
    assert english(joined(" ", ("a", "b"))) == "a b"


def test_fractions_in_templates_have_the_decimal_sign_of_the_language() -> None:
    assert tr("{seconds:.1f} s", seconds=1.5) == "1.5 s"
    use_translator(lambda text, many, number: text, signs=NumberSigns(".", ","))
    try:
        assert tr("{seconds:.1f} s of {file}", seconds=1.5, file="a.jpg") == "1,5 s of a.jpg"
        assert tr("{count} s", count=1.5) == "1,5 s"
    finally:
        use_translator(None)
