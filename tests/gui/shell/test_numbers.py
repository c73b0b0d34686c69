"""Numbers are read and shown alike in every language of the desktop: in every field, in the filter, on the command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractSpinBox, QWidget
from pytestqt.qtbot import QtBot

import app.ui
from app.cli import main
from app.cli.options import Decimal
from app.state.image_record import ImageRecord
from app.text import plain_number, read_number, read_numbers
from app.ui.common.number_field import DecimalField, WholeField
from app.ui.common.param_slider import ParamSlider
from app.ui.shell.settings_dialog import SettingsDialog
from app.viewmodels.project.image_list import ImageRow, Wanted

LANGUAGES = ["C", "en_US", "de_DE", "de_CH", "fr_FR", "ar_EG", "fa_IR", "hi_IN", "ko_KR", "ru_RU"]


@pytest.fixture(params=LANGUAGES)
def desktop(request: pytest.FixtureRequest) -> Iterator[str]:
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


def enter(field: QAbstractSpinBox, typed: str) -> None:
    field.selectAll()
    QTest.keyClicks(field, typed) if typed.isascii() else paste(field, typed)
    QTest.keyClick(field, Qt.Key.Key_Return)


def paste(field: QAbstractSpinBox, text: str) -> None:
    QGuiApplication.clipboard().setText(text)
    QTest.keySequence(field, "Ctrl+V")


TYPED = [("7.5", 7.5), ("7,5", 7.5), ("0.5", 0.5), ("0,5", 0.5), ("12", 12.0), ("0,1", 0.1), ("1,2.5", 1.2), ("٧٫٥", 7.5)]


@pytest.mark.parametrize(("typed", "value"), TYPED)
def test_a_dot_and_a_comma_are_the_decimal_sign(qtbot: QtBot, desktop: str, typed: str, value: float) -> None:
    """Under a German desktop 7.5 was once read as 75: the dot was taken for a separator of thousands."""
    slider = ParamSlider("Appearance weight", 0, 200)
    qtbot.addWidget(slider)
    slider.show()
    enter(slider.field, typed)
    assert slider.value == pytest.approx(value)
    slider.show_value(2000)
    assert slider.field.text() == "2000.0"


@pytest.mark.parametrize("typed", ["1.024", "1,024", "0.5", "0,5", "1.", "1 024", "1٬024"])
def test_a_whole_number_refuses_every_separator(qtbot: QtBot, desktop: str, typed: str) -> None:
    field = WholeField()
    field.setRange(0, 100_000)
    field.setValue(77)
    field.setSuffix(" MB")
    qtbot.addWidget(field)
    field.show()
    heard: list[int] = []
    field.valueChanged.connect(heard.append)
    field.selectAll()
    paste(field, typed)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert (field.value(), field.text(), heard) == (77, "77 MB", [])
    enter(field, "1024")
    assert (field.value(), field.text()) == (1024, "1024 MB")
    if typed.isascii() and " " not in typed:
        enter(field, typed)
        assert field.value() == 1024


def number_fields(root: QWidget) -> list[QAbstractSpinBox]:
    return root.findChildren(QAbstractSpinBox)


def test_every_field_of_the_window_and_the_settings_is_one_of_the_two(studio, desktop, qtbot) -> None:
    dialog = SettingsDialog(studio.program.settings, studio.window)
    qtbot.addWidget(dialog)
    fields = number_fields(studio.window)
    assert len(fields) >= 12
    for field in fields:
        assert isinstance(field, DecimalField | WholeField), field
    for slider in studio.window.crf.sliders.values():
        slider.setVisible(True)
        for typed in ("1.5", "1,5", "2"):
            enter(slider.field, typed)
            if slider.field.decimals() or typed == "2":
                assert slider.value == pytest.approx(read_number(typed)), (slider.field.accessibleName(), typed)
        assert slider.field.text().isascii()
    for editor in dialog.editors.values():
        if isinstance(editor, WholeField):
            before = editor.value()
            enter(editor, "1.500")
            assert editor.value() == before
            enter(editor, str(before + 1))
            assert editor.value() == before + 1
            assert editor.text().isascii()


def test_no_other_number_field_is_built_anywhere() -> None:
    """Number fields come from ``app.ui.common.number_field``; dialogs that no test opens are covered, too."""
    for path in Path(app.ui.__file__).parent.rglob("*.py"):
        if path.name == "number_field.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in ("QSpinBox", "QDoubleSpinBox", "QDoubleValidator", "QIntValidator"), f"{path}:{node.lineno}"


def options(command: click.Command, path: str = "atrous") -> Iterator[tuple[str, click.Parameter]]:
    for parameter in command.params:
        yield f"{path} {parameter.name}", parameter
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from options(found, f"{path} {name}")


def test_every_option_with_decimals_takes_a_comma() -> None:
    kinds = dict(options(main))
    decimal = {name: option for name, option in kinds.items() if isinstance(option.type, click.types.FloatParamType)}
    assert len(decimal) >= 8
    for name, option in decimal.items():
        assert isinstance(option.type, Decimal), name
        assert option.type.convert("0,5", option, None) == option.type.convert("0.5", option, None) == 0.5
        with pytest.raises(click.BadParameter, match="thousands"):
            option.type.convert("1.234,5", option, None)


def test_a_list_of_scales_takes_commas_of_both_kinds(tmp_path: Path) -> None:
    assert read_numbers("0.5,1,1.5") == [0.5, 1.0, 1.5]
    assert read_numbers("0,5 1 1,5") == read_numbers("0,5; 1; 1,5") == read_numbers("0.5, 1, 1.5") == [0.5, 1.0, 1.5]
    assert read_numbers("0,5;") == [0.5]
    (tmp_path / "a.png").write_bytes(b"")
    result = CliRunner().invoke(main, ["predict", str(tmp_path), "--model", "x", "-o", "y", "--scales", "0,5"])
    assert result.exit_code == 2
    assert "decimal comma" in result.output


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "1 234", "1_000", "1٬234", "", "half", "1e", "--1", "1.2.3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        read_number(text)


@given(st.floats(-1e6, 1e6), st.sampled_from([".", ",", "٫"]), st.sampled_from([0x30, 0x660, 0x6F0, 0x966, 0xFF10]))
def test_every_way_to_write_a_number_is_the_same_number(value: float, sign: str, zero: int) -> None:
    plain = f"{value:.4f}"
    written = "".join(chr(zero + int(char)) if char.isdigit() else sign if char == "." else char for char in plain)
    assert read_number(written) == float(plain)
    assert plain_number(written) == plain


def test_the_filter_of_the_images_takes_both() -> None:
    row = ImageRow(ImageRecord(1, "a.jpg", 1, 1), 0, iou=0.4)
    for text in ("iou<0.5", "iou<0,5", "iou<٠٫٥"):
        assert Wanted(text).matches(row), text
        assert not Wanted(text.replace("<", ">")).matches(row)
