"""Makes the application folder smaller on Linux, after PyInstaller: what the program never reads or runs is left out.

``pyinstaller.spec`` calls :func:`shrink`; ``python -m tools.packaging.shrink FOLDER`` does the same to a folder that is there.
Each step keeps what it cannot make smaller safely and says so. It needs ``strip``, ``readelf``, ``nm`` and ``ld`` (binutils), and
a C compiler for the step of OpenBLAS.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent / "linux"
_TOOLS = ("strip", "readelf", "nm", "ld")
_ELF = b"\x7fELF"
#: Folders of libraries that nothing opens by name: if no other file needs one of them, it is there in vain.
_LIBRARY_FOLDERS = (".", "PySide6/Qt/lib", "opencv_python_headless.libs")
#: Libraries with code for GPUs: gigabytes, without such symbols for the most part, and nothing here can try them.
_CUDA = re.compile(r"^(?:nvidia|triton)/|libtorch_cuda|libc10_cuda|libtorch_nvshmem")
#: Data of ICU that Qt never asks for: Qt has its own names of languages, units, zones and currencies, and breaks text itself.
_UNUSED_DATA = re.compile(
    r"icudt\d+l/(?:(?:brkitr|unit|zone|curr|lang|region|translit|rbnf)/|.*\.(?:cnv|spp|cfu)$|unames\.icu$"
    r"|(?:zoneinfo64|timezoneTypes|metaZones|windowsZones|plurals|pluralRanges|genderList|dayPeriods|grammaticalFeatures|units"
    r"|currencyNumericCodes|langInfo)\.res$"
    r"|(?!root\.|en\.|ko\.)[a-z]{2,3}(?:_\w+)?\.res$)"
)


def shrink(internal: Path) -> None:
    """Make ``_internal`` of an application folder smaller, step by step.

    Raises:
        SystemExit: a tool of binutils is missing.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; they come with binutils: apt install binutils")
    before = size(internal)
    share_openblas(internal)
    for library in (internal / "PySide6" / "Qt" / "lib").glob("libicudata.so.*"):
        reduce_icu(library)
    remove_unneeded(internal)
    strip(internal)
    print(f"The application folder was made smaller: {(before - size(internal)) / 1e6:.0f} MB")


def size(folder: Path) -> int:
    """Bytes of all files below a folder, links left out."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def binaries(folder: Path) -> Iterator[Path]:
    """Programs and libraries below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == _ELF:
                    yield path


def _output(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def _symbols(library: Path, kind: str) -> set[str]:
    """Names that a library defines (``--defined-only``) or takes from others (``--undefined-only``)."""
    return {line.split()[-1].partition("@")[0] for line in _output("nm", "-D", kind, library).splitlines()}


def share_openblas(internal: Path) -> None:
    """Let OpenCV use numpy's OpenBLAS in place of its own (``linux/blas.c``).

    Nothing changes if there is no C compiler, or if this version of OpenCV takes other functions.
    """
    own = next((internal / "opencv_python_headless.libs").glob("libopenblas*.so*"), None)
    shared = next((internal / "numpy.libs").glob("libscipy_openblas64_*.so*"), None)
    if own is None or shared is None:
        return
    compiler = shutil.which("cc")
    if compiler is None:
        print("OpenCV keeps its own OpenBLAS (39 MB): there is no C compiler (cc)", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / own.name
        command = (compiler, "-O2", "-shared", "-fPIC", f"-Wl,-soname,{own.name}", "-Wl,-rpath,$ORIGIN/../numpy.libs")
        _output(*command, "-Wl,--no-undefined", "-o", made, HERE / "blas.c", shared)
        offered = _symbols(own, "--defined-only")
        wanted = {name for user in binaries(internal) if own.name in needs(user) for name in _symbols(user, "--undefined-only")}
        lacking = (wanted & offered) - _symbols(made, "--defined-only")
        if lacking:
            print(f"OpenCV keeps its own OpenBLAS: linux/blas.c lacks {', '.join(sorted(lacking))}", file=sys.stderr)
            return
        shutil.copy(made, own)


def needs(library: Path) -> set[str]:
    """Libraries that the loader opens with this one."""
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", _output("readelf", "-dW", library)))


def remove_unneeded(internal: Path) -> list[Path]:
    """Remove libraries that no other file needs: PyInstaller took them along with something that was left out later."""
    found = {path: needs(path) for path in binaries(internal)}
    folders = {internal / name for name in _LIBRARY_FOLDERS}
    removed: list[Path] = []
    while True:
        needed = {name for names in found.values() for name in names}
        vain = [path for path in found if path.parent in folders and _is_vain(path, needed)]
        if not vain:
            break
        for path in vain:
            path.unlink()
            del found[path]
        removed += vain
    for link in internal.rglob("*"):
        if link.is_symlink() and not link.exists():
            link.unlink()
    return removed


def _is_vain(path: Path, needed: set[str]) -> bool:
    is_library = path.name.startswith("lib") and not path.name.startswith("libpython")  # the program itself opens libpython
    return is_library and path.name not in needed


def reduce_icu(library: Path) -> None:
    """Replace the data of ICU, which Qt sorts text with, by the part that Qt asks for.

    Data without a table are no error for ICU: it takes the general rules.

    Args:
        library: ``libicudata.so.*``; its one symbol is a package of files.
    """
    (row,) = [line for line in _output("readelf", "--dyn-syms", "-W", library).splitlines() if line.endswith("_dat")]
    symbol, address = row.split()[-1], int(row.split()[1], 16)
    content = library.read_bytes()
    for line in _output("readelf", "-lW", library).splitlines():
        parts = line.split()
        if parts[:1] == ["LOAD"] and int(parts[2], 16) <= address < int(parts[2], 16) + int(parts[4], 16):
            start, stop = int(parts[1], 16) + address - int(parts[2], 16), int(parts[1], 16) + int(parts[4], 16)
            break
    else:
        raise SystemExit(f"{library}: no part of the file holds {symbol}")
    files = {name: part for name, part in icu_files(content[start:stop]).items() if not _UNUSED_DATA.match(name)}
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "package"
        package.write_bytes(icu_package(content[start:stop], files))
        made = Path(scratch) / library.name
        subprocess.run(["ld", "-r", "-b", "binary", "-o", "package.o", package.name], check=True, cwd=scratch)
        whole = ("ld", "-shared", "-soname", library.name, "-z", "noexecstack", f"--defsym={symbol}=_binary_package_start")
        subprocess.run([*whole, "-o", made.name, "package.o"], check=True, cwd=scratch)
        shutil.copy(made, library)


def icu_files(package: bytes) -> dict[str, bytes]:
    """Files of a package of ICU data, by name. Format: ``ucmndata.h`` of ICU, "Common data" with offsets.

    Raises:
        SystemExit: it is none, or one of another byte order.
    """
    if package[2:4] != b"\xda\x27" or package[8] or package[12:16] != b"CmnD":
        raise SystemExit("this is no package of ICU data for this machine")
    (header,) = struct.unpack_from("<H", package)
    (count,) = struct.unpack_from("<I", package, header)
    entries = [struct.unpack_from("<II", package, header + 4 + 8 * index) for index in range(count)]
    ends = [*(start for _name, start in entries[1:]), len(package) - header]
    found = {}
    for (name, start), end in zip(entries, ends, strict=True):
        text = package[header + name : package.index(b"\0", header + name)].decode("ascii")
        found[text] = package[header + start : header + end]
    return found


def icu_package(model: bytes, files: dict[str, bytes]) -> bytes:
    """A package of these files, with the header of ``model``. Files begin at multiples of 16 bytes, as ICU asks."""
    (header,) = struct.unpack_from("<H", model)
    names = sorted(files)
    texts = b"".join(name.encode("ascii") + b"\0" for name in names)
    at = 4 + 8 * len(names)
    start = -(-(at + len(texts)) // 16) * 16
    table, content = struct.pack("<I", len(names)), b""
    parts = []
    for name in names:
        table += struct.pack("<II", at, start)
        at += len(name) + 1
        padded = files[name] + b"\0" * (-len(files[name]) % 16)
        parts.append(padded)
        start += len(padded)
    content = table + texts
    return model[:header] + content + b"\0" * (-len(content) % 16) + b"".join(parts)


def strip(internal: Path) -> None:
    """Remove symbols that only a debugger reads. Files that ``strip`` would damage stay as they are, and libraries of CUDA."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "stripped"
        for path in binaries(internal):
            if _CUDA.search(path.relative_to(internal).as_posix()):
                continue
            done = subprocess.run(["strip", "--strip-unneeded", "-o", made, path], capture_output=True, check=False)
            if done.returncode == 0 and made.stat().st_size < path.stat().st_size and is_loadable(made):
                shutil.copyfile(made, path)


def is_loadable(library: Path) -> bool:
    """Whether each part of a file lies where the loader can map it. ``strip`` moves parts of some files that were patched."""
    for line in _output("readelf", "-lW", library).splitlines():
        parts = line.split()
        if parts[:1] == ["LOAD"]:
            offset, address, alignment = int(parts[1], 16), int(parts[2], 16), int(parts[-1], 16)
            if (offset - address) % alignment:
                return False
    return True


def main() -> int:
    """Make the folder named on the command line smaller."""
    shrink(Path(sys.argv[1]) / "_internal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
