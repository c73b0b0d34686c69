"""No module outgrows a reader: 500 lines, the main window 300 (DESIGN section 3)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_module_is_longer_than_its_ceiling() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for package in ("app", "deeplab_core")
        for path in (ROOT / package).rglob("*.py")
    }
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
    assert lengths["app/ui/shell/main_window.py"] <= 300
