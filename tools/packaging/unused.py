"""Files of packages that the program never uses: what the application leaves out, and what a light environment can drop.

``python -m tools.packaging.unused`` removes those of Qt from the environment that runs it. ``make run LIGHT=1`` does so in its
own environment; installing PySide6-Essentials again brings them back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

#: Tools of Qt with texts of their own.
_TOOLS = ("assistant", "designer", "linguist", "qt", "qt_help", "qtdeclarative", "qtmultimedia")
#: Parts of paths: Qt parts that the window does not use, torch's own test programs and compilers, headers.
UNUSED_FILES = (
    "Qt6Qml", "Qt6Quick", "Qt6Designer", "Qt6ShaderTools", "Qt6Test", "Qt6Sql", "Qt6Help", "Qt6Labs", "PySide6/Qt/qml/",
    # texts of Qt's own tools; qtbase_*.qm stay: they are the texts of its buttons and dialogs
    *(f"translations/{name}_" for name in _TOOLS),
    "torch/test/", "torch/bin/protoc", "torch/bin/test_", "StoreTest", "torch/include/", "torch/share/",
    # GTK of the machine that builds must not meet that of the machine that runs.
    "libqgtk3", "libgtk-3", "libgdk-3",
    # plugins of Qt for screens without a desktop, for devices without a driver of the desktop, and for its network
    *(f"plugins/platforms/libq{name}" for name in ("eglfs", "linuxfb", "minimal", "vkkhrdisplay", "vnc")),
    "plugins/egldeviceintegrations/", "plugins/generic/", "plugins/networkinformation/", "plugins/tls/",
    # pictures are read by Pillow and OpenCV; Qt reads icons (SVG, PNG) and, for the first frame, JPEG
    *(f"plugins/imageformats/libq{name}." for name in ("tiff", "webp", "icns", "tga", "wbmp", "gif", "ico")),
    "pyqtgraph/icons/peegee",
    ".dist-info/RECORD",  # lists of files, for installers
)  # fmt: skip
#: What PySide6 brings for programmers, which an application never contains. ``lrelease`` stays: a source tree needs it.
FOR_PROGRAMMERS = (
    "PySide6/Qt/metatypes/", "PySide6/include/", "PySide6/typesystems/", "PySide6/doc/", "PySide6/glue/",
    "PySide6/qmlls", "PySide6/qmlformat", "PySide6/qmllint", "PySide6/qmlcachegen", "PySide6/lupdate", "PySide6/linguist",
    "PySide6/assistant", "PySide6/designer", "PySide6/svgtoqml", "PySide6/balsam", "PySide6/qsb",
)  # fmt: skip


def is_unused(name: str, parts: tuple[str, ...] = UNUSED_FILES) -> bool:
    """Whether a file, by its path from the folder of packages, is one of these."""
    return any(part in name.replace("\\", "/") for part in parts)


def unused_files_of_qt(packages: Path) -> Iterator[Path]:
    """Files of PySide6 below a folder of packages that the program never uses."""
    for path in sorted((packages / "PySide6").rglob("*")):
        if path.is_file() and is_unused(path.relative_to(packages).as_posix(), UNUSED_FILES + FOR_PROGRAMMERS):
            yield path


def main() -> int:
    """Remove them from this environment."""
    spec = find_spec("PySide6")
    if spec is None or spec.origin is None:
        print("PySide6 is not installed here", file=sys.stderr)
        return 1
    found = list(unused_files_of_qt(Path(spec.origin).parents[1]))
    freed = sum(path.stat().st_size for path in found)
    for path in found:
        path.unlink()
    print(f"Removed {len(found)} files of Qt that Atrous does not use: {freed / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
