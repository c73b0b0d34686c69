"""From a key event to a command, on the keyboards of the world: as X11, Windows and macOS report them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

from app.actions.key_press import KeyPress, as_printed, learn_printed, position_of, resolve
from app.actions.keymap import PRESETS, Keymap
from app.actions.table import ACTIONS, CLASS_KEYS
from app.ui.shell.keys import press_of

NONE, SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
#: US position -> (X11 scan code, Windows scan code, macOS virtual key).
CODES = {
    "1": (10, 2, 18), "2": (11, 3, 19), "5": (14, 6, 23), "7": (16, 8, 26), "8": (17, 9, 28),
    "0": (19, 11, 29), "=": (21, 13, 24),
    "Q": (24, 16, 12), "W": (25, 17, 13), "E": (26, 18, 14), "Y": (29, 21, 16), "[": (34, 26, 33), "]": (35, 27, 30),
    "A": (38, 30, 0), "S": (39, 31, 1), "D": (40, 32, 2), "J": (44, 36, 38), ";": (47, 39, 41),
    "`": (49, 41, 50), "\\": (51, 43, 42),
    "Z": (52, 44, 6), "B": (56, 48, 11), "M": (58, 50, 46), ",": (59, 51, 43), ".": (60, 52, 47), "/": (61, 53, 44),
}  # fmt: skip
PLATFORMS = ("xcb", "windows", "cocoa")


def event_of(platform: str, position: str, key: int, text: str, modifiers: Qt.KeyboardModifier = NONE) -> QKeyEvent:
    x11, windows, mac = CODES[position]
    scan = {"xcb": x11, "windows": windows, "cocoa": 1}[platform]
    return QKeyEvent(QEvent.Type.KeyPress, key, modifiers, scan, mac if platform == "cocoa" else 0, 0, text)


def command(platform: str, position: str, key: int, text: str, modifiers: Qt.KeyboardModifier = NONE, preset: str = "Atrous"):
    keymap = Keymap(ACTIONS)
    keymap.use_preset(preset)
    return resolve(press_of(event_of(platform, position, key, text, modifiers), platform), keymap.find)


K = Qt.Key
#: Layout, position, what Qt reports as key and text, modifiers, command.
FRENCH = [
    ("1", K.Key_Ampersand, "&", NONE, "class.key_1"),
    ("2", K.Key_Eacute, "é", NONE, "class.key_2"),
    ("0", K.Key_Agrave, "à", NONE, "class.key_0"),
    ("1", K.Key_1, "1", SHIFT, "class.key_1"),  # as on the keycap, with Shift
    ("1", K.Key_Ampersand, "&", CTRL, "view.layout_single"),
    ("0", K.Key_Agrave, "à", CTRL, "view.actual_size"),
    ("Q", K.Key_A, "a", NONE, "go.previous"),  # letters mean what is printed, wherever they lie
    ("A", K.Key_Q, "q", NONE, "class.previous"),
    ("W", K.Key_Z, "z", NONE, "tool.components"),  # not W, which is there on a US keyboard
    ("W", K.Key_Z, "", CTRL, "edit.undo"),
    ("Z", K.Key_W, "w", NONE, "class.next"),
    (";", K.Key_M, "m", NONE, "tool.pan"),
    ("M", K.Key_Comma, ",", NONE, "inspect.previous"),
    (".", K.Key_Colon, ":", NONE, "inspect.next"),
    (".", K.Key_Slash, "/", SHIFT, "class.find"),
    ("M", K.Key_Question, "?", SHIFT, "help.keys"),
    ("[", K.Key_Dead_Circumflex, "", NONE, "brush.smaller"),
    ("]", K.Key_Dollar, "$", NONE, "brush.larger"),
    ("\\", K.Key_Asterisk, "*", NONE, "window.fold"),
    ("`", K.Key_twosuperior, "²", NONE, "class.void"),
]
GERMAN = [
    ("Y", K.Key_Z, "", CTRL, "edit.undo"),
    ("Z", K.Key_Y, "y", NONE, "refine.preview"),
    ("[", K.Key_Udiaeresis, "ü", NONE, "brush.smaller"),
    ("]", K.Key_Plus, "+", NONE, "brush.larger"),
    ("7", K.Key_Slash, "/", SHIFT, "class.find"),
    ("`", K.Key_Dead_Circumflex, "", NONE, "class.void"),
    ("1", K.Key_1, "1", NONE, "class.key_1"),
    ("1", K.Key_Exclam, "!", SHIFT, None),
]
RUSSIAN = [
    ("B", 0x418, "и", NONE, "tool.brush"),
    ("B", 0x418, "И", SHIFT, "brush.within"),
    ("D", 0x412, "в", NONE, "go.next"),
    ("Z", 0x42F, "\x1a", CTRL, "edit.undo"),
    ("Z", 0x42F, "\x1a", CTRL | SHIFT, "edit.redo"),
    ("S", 0x42B, "", CTRL, "project.save"),
    ("[", 0x425, "х", NONE, "brush.smaller"),
    (",", 0x411, "б", NONE, "inspect.previous"),
    ("/", K.Key_Period, ".", NONE, "inspect.next"),  # what is printed comes first
    ("5", K.Key_5, "5", NONE, "class.key_5"),
    ("A", 0x424, "ф", ALT | CTRL, None),
]
KOREAN = [
    ("B", 0x3160, "ㅠ", NONE, "tool.brush"),
    ("Q", 0x3142, "ㅂ", NONE, "class.previous"),
    ("J", 0x3153, "ㅓ", NONE, "refine.scribble"),
    ("Z", 0x314B, "ㅋ", CTRL, "edit.undo"),
    ("1", K.Key_1, "1", NONE, "class.key_1"),
]
GREEK = [
    ("B", 0x392, "β", NONE, "tool.brush"),
    ("Q", K.Key_Semicolon, ";", NONE, "class.previous"),
    ("S", 0x3A3, "σ", CTRL, "project.save"),
]
PERSIAN = [("1", 0x6F1, "۱", NONE, "class.key_1"), ("0", 0x6F0, "۰", NONE, "class.key_0"), ("B", 0x630, "ذ", NONE, "tool.brush")]
AMERICAN = [
    ("[", K.Key_BracketLeft, "[", NONE, "brush.smaller"),
    ("/", K.Key_Question, "?", SHIFT, "help.keys"),
    ("=", K.Key_Plus, "+", CTRL | SHIFT, "view.zoom_in"),
    ("1", K.Key_Exclam, "!", SHIFT, None),
    ("E", K.Key_E, "E", SHIFT, "tool.restore"),
]
CASES = [
    pytest.param(*case, id=f"{name}-{case[0]}-{case[2]!r}-{index}")
    for name, cases in {
        "French": FRENCH, "German": GERMAN, "Russian": RUSSIAN, "Korean": KOREAN, "Greek": GREEK, "Persian": PERSIAN,
        "US": AMERICAN,
    }.items()
    for index, case in enumerate(cases)
]  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("position", "key", "text", "modifiers", "wanted"), CASES)
def test_a_key_means_what_is_printed_on_it_else_its_position(platform, position, key, text, modifiers, wanted):
    assert command(platform, position, key, text, modifiers) == wanted


def test_altgr_characters_are_found_as_windows_and_x11_report_them():
    """On a German keyboard AltGr+8 is '['. Windows says Ctrl+Alt, X11 says nothing."""
    assert command("windows", "8", K.Key_BracketLeft, "[", CTRL | ALT) == "brush.smaller"
    assert command("xcb", "8", K.Key_BracketLeft, "[") == "brush.smaller"
    assert command("xcb", "8", K.Key_BracketLeft, "[", Qt.KeyboardModifier.GroupSwitchModifier) == "brush.smaller"


def test_a_keypad_and_named_keys_mean_themselves():
    keypad = QKeyEvent(QEvent.Type.KeyPress, K.Key_3, Qt.KeyboardModifier.KeypadModifier, 89, 0, 0, "3")
    assert resolve(press_of(keypad, "xcb"), Keymap(ACTIONS).find) == "class.key_3"
    back = QKeyEvent(QEvent.Type.KeyPress, K.Key_PageDown, NONE, 117, 0, 0, "")
    assert resolve(press_of(back, "xcb"), Keymap(ACTIONS).find) == "go.next"
    for key in (K.Key_Shift, K.Key_AltGr, K.Key_CapsLock, K.Key_unknown, K.Key_Multi_key, K.Key_Hangul):
        assert resolve(press_of(QKeyEvent(QEvent.Type.KeyPress, key, NONE), "xcb"), Keymap(ACTIONS).find) is None


def test_digits_with_shift_are_another_preset_s_tools_on_every_layout():
    assert command("xcb", "1", K.Key_1, "1", SHIFT, "CVAT") == "tool.brush"  # French
    assert command("xcb", "1", K.Key_Exclam, "!", SHIFT, "CVAT") == "tool.brush"  # US
    assert command("xcb", "1", K.Key_Ampersand, "&", NONE, "CVAT") == "class.key_1"


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_digit_works_from_its_position_alone(platform, preset):
    keymap = Keymap(ACTIONS)
    keymap.use_preset(preset)
    codes = {"xcb": range(10, 20), "windows": range(2, 12), "cocoa": (18, 19, 20, 21, 23, 22, 26, 28, 25, 29)}[platform]
    for digit, code in zip(CLASS_KEYS, codes, strict=True):
        position = position_of(platform, code, code)
        assert position == digit
        assert resolve(KeyPress(name="é", position=position), keymap.find) == f"class.key_{digit}"


@given(
    st.text(max_size=1),
    st.sampled_from(["", *"ABQ1[/"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_press_raises_and_latin_letters_never_fall_back(name, position, ctrl, alt, shift, meta, third):
    press = KeyPress(name=name, position=position, ctrl=ctrl, alt=alt, shift=shift, meta=meta, third_level=third)
    resolve(press, Keymap(ACTIONS).find)
    if name.isascii() and name.isalnum():
        assert all(spelled.upper().endswith(name.upper()) for spelled in press.spelled())


def test_what_is_printed_is_learned_and_shown():
    printed: dict[str, str] = {}
    for position, name in (("[", "^"), ("1", "&"), ("M", ","), (",", ";"), (";", "M"), ("Q", "A")):
        printed = learn_printed(printed, KeyPress(name=name, position=position))
    assert as_printed("[", printed) == "^"
    assert as_printed("1", printed) == "1"  # the digit is printed on that key, too
    assert as_printed("A", printed) == "A"
    assert as_printed(",", printed) == ","  # this keyboard has a comma, elsewhere
    assert as_printed("Ctrl+[", printed) == "Ctrl+^"
    assert as_printed("F1", printed) == "F1"
    assert as_printed("Ctrl+-", printed) == "Ctrl+-"
    russian = learn_printed(learn_printed({}, KeyPress(name="И", position="B")), KeyPress(name="Х", position="["))
    assert as_printed("B", russian) == "B (И)"
    assert as_printed("Shift+B", russian) == "Shift+B (И)"
    assert as_printed("[", russian) == "[ (Х)"  # it looks like X, which is another command
    assert as_printed("E", {"E": "Ε"}) == "E"  # a Greek capital
    assert as_printed("[", {"[": "Ü"}) == "Ü"
    assert as_printed("`", {"`": "²"}) == "²"
    assert as_printed("1", {"1": "۱"}) == "1 (۱)"
    assert learn_printed(russian, KeyPress(name="B", position="B")) == {"[": "Х"}  # the user went back to a Latin layout
    assert learn_printed(russian, KeyPress(name="И", position="B")) is russian
    assert learn_printed(russian, KeyPress(name="И", position="B", shift=True)) is russian


def test_a_recorded_shortcut_works_in_every_layout():
    assert KeyPress(name="И", position="B").recorded() == "B"
    assert KeyPress(name="И", position="B", ctrl=True, shift=True).recorded() == "Ctrl+Shift+B"
    assert KeyPress(name="&", position="1").recorded() == "1"
    assert KeyPress(name="!", position="1", shift=True).recorded() == "Shift+1"
    assert KeyPress(name="A", position="Q").recorded() == "A"
    assert KeyPress(name="$", position="]").recorded() == "$"
    assert KeyPress(name="", position="[").recorded() == "["
