"""``python -m tools.translations``: collects the texts of the window with ``pyside6-lupdate`` into a ``.ts`` file.

Rename it to ``atrous_LANGUAGE.ts`` to translate it in Qt Linguist, then ``pyside6-lrelease`` makes the ``.qm`` file that the
window loads from ``resources/translations``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Functions beside ``tr`` that are called with a text to translate; the second argument of a plural is the English plural.
#: ``_`` is ``mark`` in the table of actions.
FUNCTIONS = ("plural", "mark", "_", "message", "plural_message")


def sources() -> list[Path]:
    """Files with texts that a window may show: those of the program, without the command line, which stays English."""
    found = [*(ROOT / "app").rglob("*.py"), *(ROOT / "deeplab_core").rglob("*.py")]
    return sorted(path for path in found if ROOT / "app" / "cli" not in path.parents)


def collect(files: Iterable[Path], target: Path) -> None:
    """Write or update a ``.ts`` file. Raises CalledProcessError if lupdate fails."""
    lupdate = Path(sys.executable).with_name("pyside6-lupdate")
    target.parent.mkdir(parents=True, exist_ok=True)
    listed = target.with_suffix(".lst")
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    aliases = ",".join(f"tr+={name}" for name in FUNCTIONS)
    command = [str(lupdate), "-silent", "-locations", "none", "-tr-function-alias", aliases, f"@{listed}", "-ts", str(target)]
    try:
        subprocess.run(command, check=True, cwd=ROOT)
    finally:
        listed.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Collect every text."""
    parser = argparse.ArgumentParser(description="Collect the texts of the window for translators.")
    parser.add_argument("--to", type=Path, default=ROOT / "translations" / "atrous.ts", help="the file, updated if it exists")
    options = parser.parse_args(arguments)
    collect(sources(), options.to)
    print(f"{options.to}: {options.to.read_text(encoding='utf-8').count('<source>')} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
