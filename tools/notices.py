"""``make notices``: licences of every package that the application folder contains, from the metadata of this environment.

Packages are those that ``atrous`` requires, with what they require, without extras. PyInstaller's recipe calls :func:`notices`
and puts the text into the folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from deeplab_core.flavour import has_torch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TERMS = re.compile(r"(licen[cs]e|copying|notice|authors|copyright)", re.IGNORECASE)
HEAD = """\
Third-party packages of Atrous
==============================

The application folder contains these packages, unmodified. Each keeps its own licence; the texts follow the table.
NOTICE says what Atrous itself brings. Python: PSF-2.0, https://docs.python.org/3/license.html
"""


def required(name: str = "atrous") -> list[Distribution]:
    """Installed packages that a package needs at run time, directly or not, by name; the package itself is left out.

    Packages for other systems and extras are not installed by the requirement and are skipped. A light installation has ONNX
    Runtime in place of PyTorch.
    """
    found: dict[str, Distribution] = {}
    waiting = [name, "onnxruntime"] if name == "atrous" and not has_torch() else [name]
    while waiting:
        current = waiting.pop()
        key = re.sub(r"[-_.]+", "-", current).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(current)
        except PackageNotFoundError:
            if current == name:
                raise SystemExit(f"{name} is not installed in this environment; run: pip install -e .") from None
            continue
        for line in found[key].requires or []:
            requirement, _, marker = line.partition(";")
            match = _NAME.match(requirement.strip())
            if match and "extra ==" not in marker:
                waiting.append(match.group())
    del found[re.sub(r"[-_.]+", "-", name).lower()]
    return [found[key] for key in sorted(found)]


def licence(package: Distribution) -> str:
    """The licence as the package states it, in one line; "not stated" if it states none."""
    about = package.metadata
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    stated = about.get("License-Expression") or ", ".join(classified) or (about.get("License") or "").strip().split("\n")[0]
    return stated or "not stated"


def texts(package: Distribution) -> Iterable[tuple[str, str]]:
    """Names and contents of the licence files in the package's metadata folder."""
    for path in sorted(package.files or [], key=str):
        inside = ".dist-info" in path.parts[0]
        if inside and (_TERMS.search(path.name) or "licenses" in path.parts):
            file = Path(str(package.locate_file(path)))
            if file.is_file():
                yield path.name, file.read_text(encoding="utf-8", errors="replace").strip()


def notices(packages: Iterable[Distribution]) -> str:
    """The whole text: a table of names, versions and licences, then each package's terms."""
    packages = list(packages)
    rows = [(p.metadata["Name"], p.version, licence(p)) for p in packages]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    parts = [HEAD, "\n".join(f"{name:{widths[0]}}  {number:{widths[1]}}  {terms}" for name, number, terms in rows)]
    for package, (name, number, terms) in zip(packages, rows, strict=True):
        parts.append(f"\n{'-' * 100}\n{name} {number}: {terms}\n{package.metadata.get('Home-page') or ''}".rstrip())
        parts += [f"\n[{file}]\n\n{text}" for file, text in texts(package)]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Print the notices."""
    sys.stdout.write(notices(required()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
