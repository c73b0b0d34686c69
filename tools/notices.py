"""``make notices``: licences of everything that the application folder contains, from the metadata of this environment.

Packages are those that ``atrous`` requires, with what they require, without extras; PyInstaller, whose program starts the folder;
Python; and on Debian the libraries of the system that the folder takes along. PyInstaller's recipe calls :func:`notices` and puts
the text into the folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from deeplab_core.flavour import has_torch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TERMS = re.compile(r"(licen[cs]e|copying|notice|authors|copyright)", re.IGNORECASE)
#: Licences that some packages name without bringing their text, in ``packaging/licences``.
_BROUGHT = {
    "pycocotools": ("pycocotools.txt",), "pyside6-essentials": ("LGPL-3.0.txt", "GPL-3.0.txt"), "shiboken6": ("LGPL-3.0.txt",),
}  # fmt: skip
_LICENCES = Path(__file__).resolve().parent / "packaging" / "licences"
HEAD = """\
What Atrous contains of others
==============================

The application folder contains these packages. Each keeps its own licence; the texts follow the tables. NOTICE says what Atrous
itself brings.

On Linux, libraries are without symbols for debuggers, the data of ICU are without what Qt does not read, and OpenCV calls the
OpenBLAS of numpy by a small library of Atrous; tools/packaging/shrink.py in the sources of Atrous does it. Everything else is as
its authors built it. Qt and PySide6 are separate shared libraries below PySide6/ that you may replace by your own builds; their
sources are at https://download.qt.io.
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
        key = _key(current)
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
    del found[_key(name)]
    return [found[key] for key in sorted(found)]


def licence(package: Distribution) -> str:
    """The licence as the package states it, in one line; "not stated" if it states none."""
    about = package.metadata
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    stated = about.get("License-Expression") or ", ".join(classified) or (about.get("License") or "").strip().split("\n")[0]
    return stated or "not stated"


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def texts(package: Distribution) -> Iterable[tuple[str, str]]:
    """Names and contents of the licence files in the package's metadata folder, else those in ``packaging/licences``."""
    found = False
    for path in sorted(package.files or [], key=str):
        inside = ".dist-info" in path.parts[0]
        if inside and (_TERMS.search(path.name) or "licenses" in path.parts):
            file = Path(str(package.locate_file(path)))
            if file.is_file():
                found = True
                yield path.name, file.read_text(encoding="utf-8", errors="replace").strip()
    for name in () if found else _BROUGHT.get(_key(package.metadata["Name"]), ()):
        yield name, (_LICENCES / name).read_text(encoding="utf-8").strip()


def python_terms() -> str:
    """The licence of this Python, with those of what its standard library contains."""
    for path in (Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", Path(sys.base_prefix) / "LICENSE.txt"):
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace").strip()
    return "PSF-2.0: https://docs.python.org/3/license.html"


def system_libraries(files: Iterable[Path]) -> dict[str, list[str]]:
    """Packages of Debian that files come from, each with the names of its files; what dpkg does not know is left out.

    Args:
        files: paths on this machine, links are followed.
    """
    dpkg = shutil.which("dpkg-query")
    places = {path.resolve() for path in files} if dpkg else set()
    found: dict[str, list[str]] = {}
    if dpkg and places:
        patterns = [f"*/{name}" for name in sorted({path.name for path in places})]
        said = subprocess.run([dpkg, "--search", *patterns], capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            packages, _, path = line.partition(": ")
            if Path(path).resolve() in places and "diversion" not in packages:
                found.setdefault(packages.split(",")[0].partition(":")[0], []).append(Path(path).name)
    return {name: sorted(set(found[name])) for name in sorted(found)}


def system_terms(package: str, documents: Path = Path("/usr/share/doc")) -> str:
    """What Debian records of a package's authors and terms."""
    path = documents / package / "copyright"
    if not path.is_file():
        return f"See the package {package} of the system."
    return path.read_text(encoding="utf-8", errors="replace").strip()


def notices(packages: Iterable[Distribution], libraries: Mapping[str, list[str]] | None = None) -> str:
    """The whole text: tables of names, versions and licences, then the terms of each.

    Args:
        libraries: packages of the system with their files, as :func:`system_libraries` gives them.
    """
    packages = list(packages)
    rows = [(p.metadata["Name"], p.version, licence(p)) for p in packages]
    rows.append(("Python", sys.version.split()[0], "PSF-2.0"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    parts = [HEAD, "\n".join(f"{name:{widths[0]}}  {number:{widths[1]}}  {terms}" for name, number, terms in rows)]
    if libraries:
        width = max(map(len, libraries))
        parts.append("\nLibraries of the system that the folder takes along:\n")
        parts += [f"{name:{width}}  {', '.join(files)}" for name, files in libraries.items()]
    for package, (name, number, terms) in zip(packages, rows[:-1], strict=True):
        parts.append(f"\n{'-' * 100}\n{name} {number}: {terms}\n{package.metadata.get('Home-page') or ''}".rstrip())
        parts += [f"\n[{file}]\n\n{text}" for file, text in texts(package)]
    parts.append(f"\n{'-' * 100}\nPython {sys.version.split()[0]}\n\n{python_terms()}")
    parts += [f"\n{'-' * 100}\n{name}: {', '.join(files)}\n\n{system_terms(name)}" for name, files in (libraries or {}).items()]
    return "\n".join(parts) + "\n"


def contained(files: Iterable[Path] = ()) -> str:
    """The notices of a folder that is built in this environment.

    Args:
        files: binaries that the folder takes from this machine, those of Python packages included.
    """
    try:
        builder = [distribution("pyinstaller")]
    except PackageNotFoundError:
        builder = []
    return notices([*required(), *builder], system_libraries(files))


def main() -> int:
    """Print the notices."""
    sys.stdout.write(contained())
    return 0


if __name__ == "__main__":
    sys.exit(main())
