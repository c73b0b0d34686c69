"""``make translations``: collects the texts of the window with ``pyside6-lupdate`` into the ``.ts`` files of ``translations/``.

``translations/atrous.ts`` is a template without a language, which is not kept. ``translations/atrous_ko.ts`` is Korean: new texts
come in as unfinished, texts that are gone leave it. Finish them in Qt Linguist. ``translations/untranslated.txt`` lists the texts
that a language does not have yet; a test allows these and no others. This tool removes from the list what is translated, and adds
nothing: write a line yourself if a text has to wait.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "translations"
UNTRANSLATED = FOLDER / "untranslated.txt"
#: Functions beside ``tr`` that are called with a text to translate; the second argument of a plural is the English plural.
#: ``_`` is ``mark`` in the table of actions.
FUNCTIONS = ("plural", "mark", "_", "message", "plural_message")


def sources() -> list[Path]:
    """Files with texts that a window may show: those of the program, without the command line, which stays English."""
    found = [*(ROOT / "app").rglob("*.py"), *(ROOT / "deeplab_core").rglob("*.py")]
    return sorted(path for path in found if ROOT / "app" / "cli" not in path.parents)


def collect(files: Iterable[Path], target: Path) -> None:
    """Write or update a ``.ts`` file; texts that are gone leave it. Raises CalledProcessError if lupdate fails.

    The language is that of the name: ``atrous_ko.ts``.
    """
    lupdate = Path(sys.executable).with_name("pyside6-lupdate")
    target.parent.mkdir(parents=True, exist_ok=True)
    listed = target.with_suffix(".lst")
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    aliases = ",".join(f"tr+={name}" for name in FUNCTIONS)
    command = [str(lupdate), "-silent", "-no-obsolete", "-locations", "none", "-tr-function-alias", aliases, f"@{listed}"]
    if "_" in target.stem:
        command += ["-source-language", "en", "-target-language", target.stem.partition("_")[2]]
    try:
        subprocess.run([*command, "-ts", str(target)], check=True, cwd=ROOT)
    finally:
        listed.unlink()


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of a ``.ts`` file.

    Attributes:
        source: English; of a plural the text for one thing.
        many: the English plural, or empty.
        forms: translations: one, or those of a plural. Empty texts if it is not translated.
        finished: whether the translator says that it is.
    """

    source: str
    many: str
    forms: tuple[str, ...]
    finished: bool


def entries(path: Path) -> Iterator[Entry]:
    """Texts of a ``.ts`` file in its order; the empty text is left out."""
    for message in ET.parse(path).getroot().iter("message"):
        source, translation = message.findtext("source", ""), message.find("translation")
        assert translation is not None
        if not source:
            continue
        numerus = message.get("numerus") == "yes"
        forms = [form.text or "" for form in translation.iter("numerusform")] if numerus else [translation.text or ""]
        many = message.findtext("comment", "") if numerus else ""
        yield Entry(source, many, tuple(forms), translation.get("type") is None)


def missing(path: Path) -> list[str]:
    """Texts of a ``.ts`` file without a finished translation."""
    return [entry.source for entry in entries(path) if not entry.finished or not all(entry.forms)]


def tolerated() -> set[str]:
    """Texts that :data:`UNTRANSLATED` lists, as they stand in the code; a line break is written as backslash and n."""
    lines = UNTRANSLATED.read_text(encoding="utf-8").splitlines() if UNTRANSLATED.is_file() else []
    return {line.replace("\\n", "\n") for line in lines if line and not line.startswith("# ")}


def shrink(waiting: set[str]) -> None:
    """Take what no longer waits out of :data:`UNTRANSLATED`."""
    lines = UNTRANSLATED.read_text(encoding="utf-8").splitlines() if UNTRANSLATED.is_file() else []
    kept = [line for line in lines if line.startswith("# ") or line.replace("\\n", "\n") in waiting]
    UNTRANSLATED.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Collect every text, for the template and for each language."""
    parser = argparse.ArgumentParser(description="Collect the texts of the window for translators.")
    parser.add_argument("--to", type=Path, help="only this file, updated if it exists")
    options = parser.parse_args(arguments)
    targets = [options.to] if options.to else [FOLDER / "atrous.ts", *sorted(FOLDER.glob("atrous_*.ts"))]
    waiting: set[str] = set()
    for target in targets:
        collect(sources(), target)
        translated = "_" in target.stem
        untranslated = missing(target) if translated else []
        waiting |= set(untranslated)
        print(f"{target}: {sum(1 for _ in entries(target))} texts{f', {len(untranslated)} to translate' if translated else ''}")
        for text in untranslated:
            print(f"  {text!r}")
    if not options.to:
        shrink(waiting)
    return 0


if __name__ == "__main__":
    sys.exit(main())
