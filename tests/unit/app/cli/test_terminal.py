"""What the command line prints is text: names and messages never act on the terminal."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.cli import run, terminal
from app.cli.console import progress
from app.cli.terminal import LiveBar, say, say_json
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError, error_text, message
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.printable import PrintableFormatter, is_printable, one_line, printable

HOSTILE = {
    "colours": ("\x1b[31mred", r"\x1b[31mred"),
    "title of the window": ("\x1b]0;pwned\x07", r"\x1b]0;pwned\x07"),
    "C1 control sequence": ("\x9b31m", r"\x9b31m"),
    "carriage return": ("safe\rover", r"safe\x0dover"),
    "backspace": ("a\x08b", r"a\x08b"),
    "delete": ("a\x7fb", r"a\x7fb"),
    "right-to-left override": ("a\u202egpj.exe", r"a\u202egpj.exe"),
    "isolate": ("\u2066a", r"\u2066a"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "foreign byte": ("caf\udce9", r"caf\xe9"),
    "half of a pair": ("\ud83d", r"\ud83d"),
    "nul": ("a\0b", r"a\x00b"),
}
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
NAME = "\x1b]0;pwned\x07\x1b[31m[red]:smile:\u202e\x9bx"


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=list(HOSTILE))
def test_controls_become_readable(text: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == expected
    assert not is_printable(text)
    say(text)
    say(text, err=True)
    out, err = capsys.readouterr()
    assert out == err == expected + "\n"


@pytest.mark.parametrize("text", ["", "plain", "tab\tand\nnewline", "größe 大小 גודל", "👩‍👩‍👧", "c:\\new\\x1b", "\u202f …"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) is text
    assert is_printable(text)


@given(st.text(st.characters(blacklist_categories=())))
def test_no_text_keeps_a_control(text: str) -> None:
    shown = printable(text)
    assert ACTS.search(shown) is None
    assert is_printable(shown)
    assert printable(shown) == shown


@given(st.dictionaries(st.text(), st.text(st.characters(blacklist_categories=())), max_size=3))
def test_json_lines_hold_the_same_values(values: dict[str, str]) -> None:
    stream = io.StringIO()
    previous, sys.stdout = sys.stdout, stream
    try:
        say_json(values)
    finally:
        sys.stdout = previous
    line = stream.getvalue()
    assert json.loads(line) == values
    assert ACTS.search(line) is None
    assert line.count("\n") == 1


def test_a_bar_shows_names_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.is_live()
    with progress(NAME, 2) as bar:
        bar.advance(NAME)
        bar.note(f"note {NAME}")
    with LiveBar("[/b]", unit="bytes") as transfer:  # markup that closes nothing would be an error
        transfer.show(5, None, title=NAME, label="[/x]")
    shown = screen.getvalue()
    assert "pwned" in shown
    assert "\x07" not in shown
    assert "\x1b]" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "[red]:smile:" in shown


def test_a_log_escapes_messages_and_traces() -> None:
    formatter = PrintableFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError(NAME)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "of %s", (NAME,), sys.exc_info())
    text = formatter.format(record)
    assert ACTS.search(text) is None
    assert "Traceback" in text
    assert "\n" in text


def test_an_uncaught_exception_is_printed_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError(NAME)
    except RuntimeError as error:
        terminal.show_crash(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert r"RuntimeError: \x1b]0;pwned\x07" in said
    assert ACTS.search(said) is None


def test_warnings_go_to_the_escaped_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # logging remembers that an earlier test captured warnings; pytest has put back what shows them since
        logging.captureWarnings(False)
        assert run(["--version"]) == 0
        warnings.warn(NAME, stacklevel=1)
        logging.captureWarnings(False)
    assert "py.warnings" in {record.name for record in caplog.records}
    assert "pwned" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="names hold no controls there")
def test_commands_never_print_controls(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos, masks = tmp_path / f"p{NAME}", tmp_path / f"m{NAME}"
    photos.mkdir()
    masks.mkdir()
    catalog = get_catalog("voc21")
    labels = np.zeros((8, 9), np.uint8)
    labels[2:4] = 1
    rgb = np.random.default_rng(1).integers(0, 255, (8, 9, 3), np.uint8)
    for name in (f"a{NAME}.png", f"b{NAME}.png"):
        Image.fromarray(rgb).save(photos / name.replace(".png", ".bmp"))
        write_indexed_png(masks / name, labels, catalog)
    (masks / f"c{NAME}.png").write_bytes(b"no mask")
    (photos / f"d{NAME}.jpg").write_bytes(b"no photograph")
    (tmp_path / f"card{NAME}.pth").write_bytes(b"none")
    classes = tmp_path / "classes.json"
    rows = [{"id": 0, "name": f"ground{NAME}", "color": [0, 0, 0]}, {"id": 1, "name": NAME, "color": [200, 0, 0]}]
    classes.write_text(json.dumps({"name": NAME, "classes": rows}), encoding="utf-8")
    report = tmp_path / "r.json"
    lines = [
        ["evaluate", masks, "--truth", masks, "--catalog", classes, "--images", photos, "--json", report, "--allow-predicted"],
        ["evaluate", masks, "--truth", masks, "--catalog", tmp_path / f"none{NAME}.json"],
        ["compare", report, report],
        ["inspect", masks, "--truth", masks, "--catalog", classes],
        ["predict", photos, "--model", tmp_path / f"card{NAME}.pth", "-o", tmp_path / "o"],
        ["predict", photos, "--model", NAME, "-o", tmp_path / "o"],
        ["models", "show", tmp_path / f"card{NAME}.pth"],
        ["models", "get", NAME],
        ["project", "backups", photos],
        ["export", photos, "-o", tmp_path / f"e{NAME}"],
        [NAME + "/none"],
        ["evaluate", f"--{NAME}"],
        ["refine", photos, "--masks", masks, "-o", tmp_path / "q", "--catalog", classes],
    ]
    for line in lines:
        capfd.readouterr()
        run([str(part) for part in line])
        out, err = capfd.readouterr()
        assert out + err, line
        assert ACTS.search(out + err) is None, (line, out, err)


@pytest.mark.skipif(sys.platform == "win32", reason="names hold no controls there")
def test_a_newline_in_a_name_ends_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    pred.mkdir()
    truth.mkdir()
    name = "a\nb\tc.png"
    write_indexed_png(truth / name, np.zeros((4, 4), np.uint8), get_catalog("voc21"))
    (pred / name).write_bytes(b"no image")
    assert run(["evaluate", "--prediction", str(pred), "--truth", str(truth), "--catalog", "voc21"]) != 0
    said = capsys.readouterr()
    assert r"a\nb\tc.png" in said.err
    assert "\nb" not in said.out + said.err
    assert one_line(Path(name)) == r"a\nb\tc.png"
    assert "a\n" not in str(AtrousError("what", path=name)) + error_text(AtrousError("what", path=name))
    assert "a\n" not in message("of {path}", path=Path(name))
