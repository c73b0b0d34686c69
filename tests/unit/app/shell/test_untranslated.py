"""Every text that a widget or a message shows goes through ``tr``, ``plural`` or ``mark``; the rest is counted here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import app

ROOT = Path(app.__file__).parent
#: Calls with texts for users among their arguments, by the name of the function, class or method.
SINKS = {
    "QAction", "QCheckBox", "QGroupBox", "QLabel", "QMenu", "QPushButton", "QRadioButton", "QTableWidgetItem", "Choice", "Job",
    "addAction", "addItem", "addMenu", "addTab", "error", "info", "setAccessibleDescription", "setAccessibleName",
    "setHorizontalHeaderLabels", "setPlaceholderText", "setStatusTip", "setText", "setTitle", "setToolTip", "setWindowTitle",
    "toned", "warning",
}  # fmt: skip
#: Keyword arguments that are names, not texts.
NAMES = {"replace_key", "tone", "size", "key", "icon", "strong"}
#: Texts that are the same in every language.
FOREIGN = {"Atrous", "A", "B", "C", "D", "px", "muted", "small", "body", "caption", "title", "name"}
#: File -> texts that are still shown untranslated. Shorten it; never extend it.
LEFT: dict[str, int] = {}


def untranslated(path: Path) -> list[str]:
    """Texts of a file that are shown as they are, each with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in SINKS or "log" in ast.unparse(node.func).lower():
            continue
        for argument in (*node.args, *(word.value for word in node.keywords if word.arg not in NAMES)):
            found += [f"{node.lineno}: {text}" for text in _texts(argument)]
    return found


def _texts(node: ast.expr) -> list[str]:
    """Literal texts of an argument that contain a word; not those inside other calls, which are sinks or translate."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = [word for word in "".join(char if char.isalpha() else " " for char in node.value).split() if len(word) > 1]
        shown = any(char.isupper() for char in node.value[:1]) or " " in node.value.strip()
        return [node.value] if words and shown and node.value.strip(" —") not in FOREIGN and "<" not in node.value else []
    if isinstance(node, ast.JoinedStr):
        return [text for part in node.values if isinstance(part, ast.Constant) for text in _texts(part)]
    if isinstance(node, ast.BinOp):
        return _texts(node.left) + _texts(node.right)
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    if isinstance(node, ast.List | ast.Tuple):
        return [text for part in node.elts for text in _texts(part)]
    return []


def test_the_actions_are_translated() -> None:
    for path in sorted((ROOT / "actions").rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            if getattr(call.func, "id", "") == "_spec":
                texts = [call.args[2], *(word.value for word in call.keywords if word.arg == "tip")]
                assert not any(isinstance(text, ast.Constant | ast.JoinedStr) for text in texts), f"{path.name}:{call.lineno}"


def test_texts_are_translated() -> None:
    files = [path for folder in ("ui", "controllers", "services") for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {path.relative_to(ROOT).as_posix(): texts for path in files if (texts := untranslated(path))}
    more = {name: texts for name, texts in found.items() if len(texts) > LEFT.get(name, 0)}
    assert not more, "put these texts into tr(...): " + str(more)
    assert {name: len(texts) for name, texts in found.items()} == LEFT, "fewer are left: shorten the list"


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('label.setText("Not saved")', ["1: Not saved"]),
        ('notifier.warning(f"{name} was not saved", replace_key="not saved")', ["1:  was not saved"]),
        ('table.setHorizontalHeaderLabels(["Class", tr("Pixels")])', ["1: Class"]),
        ('label.setText(tr("Not saved"))', []),
        ('label.setText(f"{width} px")', []),
        ('_log.warning("not saved")', []),
    ],
)
def test_what_counts_as_untranslated(tmp_path: Path, source: str, texts: list[str]) -> None:
    path = tmp_path / "source.py"
    path.write_text(source, encoding="utf-8")
    assert untranslated(path) == texts
