"""Every text that a widget or a message shows goes through ``tr``, ``plural``, ``mark`` or ``message``."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
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


#: Functions with a text that is collected for translation, or that only a log shows.
WRAPPED = {"tr", "plural", "mark", "message", "plural_message", "_", "_spec", "_tool"}
#: Arguments and calls with names, patterns or styles instead of texts.
_NAMED = {*NAMES, "keys", "legend", "bound"}
_CALLS = {"TypeVar", "cast", "getLogger", "setObjectName", "setStyleSheet", "execute", "compile", "PrintableFormatter"}
#: Files with names of keys (the table of actions has a test of its own), or with texts for logs and the command line only.
_OTHER = {
    "key_router.py", "keys.py", "keymap.py", "key_press.py", "table.py", "context.py", "logs.py", "crash.py", "folders.py",
    "language.py",  # names of keys, whose particles follow from them
}  # fmt: skip
#: Names of things in dictionaries and comparisons, not shown; the examples of a field; texts of files.
KEYS = {
    "no scores", "with CRF", "top left", "bottom right", "train=80%, val=20%", " \u2014 Atrous", "Enter",
    "drop islands", "fill holes", "keep largest", "compute silent", "truth \\ prediction", "class edits", "class choices",
    "locked classes", "English", "in use", "disk I/O", "disk is full", "accepted content", "atrous FOLDER --project DIR",
    "# Settings of Atrous. Only what differs from the defaults is in this file.\n",
}  # fmt: skip


def loose(source: str) -> list[str]:
    """Texts of a module that look as if users see them and that no function around them translates, each with its line.

    Such a text begins with a capital letter or contains a space. Where it goes does not matter: tables, filters of file dialogs,
    arguments and parts of f-strings count. Errors that are not an AtrousError are bugs or for the command line, and stay English.
    """
    tree = ast.parse(source)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _shown(node.value) and not _handled(node, above)
    ]


#: Errors that are bugs, or that another error explains.
_BUGS = {
    "DatabaseError", "KeyError", "LookupError", "NotImplementedError", "OperationalError", "RuntimeError", "TypeError",
    "ValueError",
}  # fmt: skip
#: Keys that are pressed together, as Qt writes them.
_CHORD = re.compile(r"((Ctrl|Shift|Alt|Meta)\+)+[\w+]+")
#: Statements of the database.
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|PRAGMA|WHERE|BEGIN|CREATE|ALTER|FROM|VALUES|ORDER)\b|[<>!=]=? ?\?|^id, path")


def _shown(text: str) -> bool:
    words = [word for word in "".join(char if char.isalpha() else " " for char in text).split() if len(word) > 1]
    if not words or "<" in text or _CHORD.fullmatch(text) or text in KEYS or text.strip() in FOREIGN or _SQL.search(text):
        return False
    return (text[:1].isupper() and any(char.islower() for char in text)) or " " in text.strip()


def _handled(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    if isinstance(above[node], ast.Expr):  # a docstring
        return True
    while node in above:
        child, node = node, above[node]
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in WRAPPED | _CALLS or ast.unparse(node.func).lower().startswith(("_log.", "log.", "logging.")):
                return True
        if isinstance(node, ast.keyword) and node.arg in _NAMED:
            return True
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            return getattr(node.exc.func, "id", getattr(node.exc.func, "attr", "")) in _BUGS
        if isinstance(node, ast.Assert | ast.arg | ast.Compare):
            return True
        if isinstance(node, ast.AnnAssign | ast.FunctionDef) and child in (
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
        ):
            return True
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return True
    return False


#: Functions whose literal texts a translator gets.
_COLLECTED = ("tr", "plural", "mark", "message", "plural_message")
#: Placeholders that tell a translator nothing: ``{title2}``, ``{toolTip}``, ``{size_text}``.
_CODE = re.compile(r"\{(\w*\d+|\w*[a-z][A-Z]\w*|\w+_text)[:}]")
#: Texts that are put behind or before others, and values that are put behind a word.
_GLUED = re.compile(r"^[ ,.;:·(]|\s$|[a-z.)}]\{")


def clumsy(source: str) -> list[str]:
    """Texts that a translator cannot do justice: parts of sentences, names from code, and words that are chosen by a number.

    "{n} image" and "{n} images" are one text for ``plural``; ``tr("{n} {part}", part="is" if n == 1 else "are")`` is not a text.
    A text that begins with a space or a comma, or that ends with a space, is put behind or before another one, and so is a value
    that follows a word or another value without a space: other languages have another order.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in _COLLECTED:
            continue
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        found += [f"{node.lineno}: {text}" for text in texts if _CODE.search(text) or _GLUED.search(text)]
        found += [f"{node.lineno}: {word.arg}" for word in node.keywords if _counts(word.value)]
    return found


def _counts(node: ast.expr) -> bool:
    """Whether a value is one of two texts, chosen by whether a number is one."""
    if not isinstance(node, ast.IfExp) or not isinstance(node.test, ast.Compare):
        return False
    one = any(isinstance(other, ast.Constant) and other.value == 1 for other in node.test.comparators)
    return one and all(_has_word(side) for side in (node.body, node.orelse))


def _has_word(node: ast.expr) -> bool:
    texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(char.isalpha() for text in texts for char in text)


#: Names of errors in this project. Their own text is English and names options of the command line.
_ERRORS = {"error", "problem", "failure", "exc"}


def raw_errors(source: str) -> list[str]:
    """Where a module turns an error into text by ``str`` or in an f-string, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        value: ast.expr | None = None
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "str" and node.args:
            value = node.args[0]
        elif isinstance(node, ast.FormattedValue):
            value = node.value
        if getattr(value, "id", getattr(value, "attr", "")) in _ERRORS:
            found.append(f"{node.lineno}: {ast.unparse(value)}" if value is not None else "")
    return found


def test_errors_reach_the_window_translated() -> None:
    folders = ("ui", "controllers", "viewmodels")
    paths = [ROOT / "services" / "thumbnails.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]
    found = {path.relative_to(ROOT).as_posix(): lines for path in paths if (lines := raw_errors(path.read_text("utf-8")))}
    assert not found, "use error_sentences(error), or error_text(error) for what is kept: " + str(found)


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("label.setText(str(error))", ["1: error"]),
        ('rows = [f"{name}: {found.error}"]', ["1: found.error"]),
        ("label.setText(error_sentences(error))", []),
        ('label.setText(tr("Not saved: {error}", error=error))', []),
    ],
)
def test_what_counts_as_a_raw_error(source: str, texts: list[str]) -> None:
    assert raw_errors(source) == texts


def test_the_actions_are_translated() -> None:
    for path in sorted((ROOT / "actions").rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            if getattr(call.func, "id", "") == "_spec":
                texts = [call.args[2], *(word.value for word in call.keywords if word.arg == "tip")]
                assert not any(isinstance(text, ast.Constant | ast.JoinedStr) for text in texts), f"{path.name}:{call.lineno}"


def window_sources() -> list[Path]:
    """Modules with texts of the window."""
    folders = ("ui", "controllers", "services", "viewmodels", "actions", "state", "worker/handlers")
    return [ROOT / "main.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]


def _loose(path: Path) -> list[str]:
    return [] if path.name in _OTHER else loose(path.read_text("utf-8"))


@pytest.mark.parametrize("fault", [untranslated, _loose])
def test_texts_are_translated(fault: Callable[[Path], list[str]]) -> None:
    found = {path.relative_to(ROOT).as_posix(): texts for path in window_sources() if (texts := fault(path))}
    assert not found, "put these texts into tr(...), or into message(...) where logs and the command line show them: " + str(
        found
    )


def test_texts_can_be_translated() -> None:
    found = {path.relative_to(ROOT).as_posix(): texts for path in window_sources() if (texts := clumsy(path.read_text("utf-8")))}
    assert not found, "name the values, and use plural(...) for what depends on a number: " + str(found)


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


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('FILTERS = {"PNG picture (*.png)": ".png"}', ["1: PNG picture (*.png)"]),
        ('dialog = Dialog("Export the plot", parent)', ["1: Export the plot"]),
        ('note = f"{count} images are left"', ["1:  images are left"]),
        ('raise StorageError("The disk is full")', ["1: The disk is full"]),
        ('TITLES = {"a": mark("Undo"), "b": message("Redo it")}', []),
        ('class Page:\n    """What it shows."""', []),
        ('if kind == "no scores":\n    _log.info("It is not there")', []),
        ('raise ValueError(f"the image {name} is unknown")', []),
        ('KEYS = ("Shift+G", "Ctrl+Enter")', []),
    ],
)
def test_what_counts_as_loose(source: str, texts: list[str]) -> None:
    assert loose(source) == texts


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('tr("{title} and {title2}", title=a, title2=b)', ["1: {title} and {title2}"]),
        ('tr("{n} {verb} left", n=n, verb=tr("is") if n == 1 else tr("are"))', ["1: verb"]),
        ('message("{images}", images="1 image" if n == 1 else f"{n} images")', ["1: images"]),
        ('tr(", locked")', ["1: , locked"]),
        ('tr(" of {total}", total=n)', ["1:  of {total}"]),
        ('tr("Not saved. ")', ["1: Not saved. "]),
        ('tr("Every image{of}", of=of)', ["1: Every image{of}"]),
        ('tr("{toolTip} again", toolTip=tip)', ["1: {toolTip} again"]),
        ('mark("{size_text} left")', ["1: {size_text} left"]),
        ('tr("{name} ({n})", name=a, n=b)', []),
        ('plural("{n} image", "{n} images", n)', []),
        ('tr("{name} is left", name=first if n == 1 else rest)', []),
    ],
)
def test_what_counts_as_clumsy(source: str, texts: list[str]) -> None:
    assert clumsy(source) == texts
