"""Every reason to skip a test is one that CI allows, or names a package that is not installed, which fails in CI."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ALLOWED_SKIPS

TESTS = Path(__file__).resolve().parents[1]
NOT_INSTALLED = "not installed"


def text_of(node: ast.expr) -> str | None:
    """The words of a string or an f-string, with an x for what is filled in; None for what only the run knows."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return None


def reasons(source: str) -> Iterator[tuple[int, str]]:
    """Line and words of every ``skip("...")`` and ``skip(reason="...")`` or ``skipif(..., reason="...")``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in ("skip", "skipif"):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        if node.func.attr == "skip":
            given += node.args[:1]
        for text in map(text_of, given):
            if text is not None:
                yield node.lineno, text


def test_every_reason_is_known() -> None:
    found = {
        (path.relative_to(TESTS).as_posix(), line, text)
        for path in sorted(TESTS.rglob("*.py"))
        for line, text in reasons(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 20
    assert [skip for skip in sorted(found) if not ALLOWED_SKIPS.search(skip[2]) and NOT_INSTALLED not in skip[2]] == []


def test_reasons_are_seen_however_they_are_written() -> None:
    source = """
@pytest.mark.skipif(1, reason="one")
@pytest.mark.skip(reason=f"two {x!r} three")
def test_a():
    pytest.skip("four", allow_module_level=True)
    pytest.skip(str(error))
"""
    assert [text for _, text in sorted(reasons(source))] == ["one", "two x three", "four"]
