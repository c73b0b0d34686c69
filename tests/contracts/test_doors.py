"""Text files are read through one module, files are replaced through one, terminals are written to through one, and fonts
have the bundled weights.

Everything else is listed here, with its reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

READING = re.compile(r"\bjson\.loads?\(|\btomllib\.loads?\(|\byaml\.(?:safe_)?load\(")
WRITING = re.compile(
    r"\bos\.(?:replace|rename)\(|\.rename\(|\.write_(?:text|bytes)\(|\.open\(\"[wxa]"
    r"|\b(?:temporary|part)\.replace\((?:path|target|self)"
)
SAYING = re.compile(
    r"\bclick\.(?:echo|secho|style|prompt|confirm|pause|progressbar)\b|\bprint\(|\bsys\.std(?:out|err)\.(?:write|buffer)"
    r"|\bfrom rich\b|\bimport rich\b|\btraceback\.print_|\blogging\.(?:basicConfig|StreamHandler|Formatter)\b"
)

MAY_READ = {
    "deeplab_core/reading.py": "the door itself",
    "deeplab_core/catalogs/builtin.py": "catalogs that ship with the program",
    "deeplab_core/hub/published.py": "the list that ships with the program",
    "app/ui/shell/theme.py": "themes that ship with the program",
    "deeplab_core/records.py": "values written a line before",
    "deeplab_core/training/recipe.py": "values written a line before",
    "deeplab_core/masks/export/coco.py": "reads its own export back, line by line",
    "app/state/mask_file.py": "a chunk of a project's own mask, checked there",
    "app/state/predictions.py": "a member of a project's own archive, checked there",
}
MAY_WRITE = {
    "deeplab_core/atomic.py": "the door itself",
    "deeplab_core/hub/install.py": "a fresh temporary file beside the target",
    "deeplab_core/training/frozen_part.py": "the cache of a run, in a folder of its own",
    "deeplab_core/training/adaptation/views.py": "a temporary folder",
    "app/main.py": "a measurement of the start, on request",
    "app/services/crash.py": "the trace of this process in the folder of logs",
    "app/state/careful.py": "sets files of a project aside, contained and never an image of the folder",
    "app/state/backups.py": "copies of the project's database",
    "app/state/store.py": "the project's database",
}
MAY_SAY = {
    "app/cli/terminal.py": "the door itself",
    "deeplab_core/printable.py": "what the door and the logs escape with",
    "app/worker/bootstrap.py": "the end of the compute process, escaped there",
}
#: Inter is bundled in the weights 400 and 600: Qt would smear another one.
WEIGHT = re.compile(r"\.setBold\(|\bWeight\.(?!DemiBold\b|Normal\b)\w+|font-weight: *(?!400|600)\w+")
RULES = {"reading": (READING, MAY_READ), "writing": (WRITING, MAY_WRITE), "saying": (SAYING, MAY_SAY)}


@pytest.mark.parametrize(("pattern", "allowed"), RULES.values(), ids=list(RULES))
def test_nothing_goes_around_the_doors(pattern: re.Pattern[str], allowed: dict[str, str]) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("app", "deeplab_core")
        for path in (ROOT / package).rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found <= set(allowed), f"use reading, atomic or terminal: {sorted(found - set(allowed))}"
    assert found, "the pattern finds nothing any more"


def test_fonts_have_weights_that_are_bundled() -> None:
    files = [*(ROOT / "app" / "ui").rglob("*.py"), *(ROOT / "resources" / "themes").glob("*.qss")]
    found = [path.name for path in files if WEIGHT.search(path.read_text(encoding="utf-8"))]
    assert not found, f"use QFont.Weight.DemiBold or 600: {found}"
