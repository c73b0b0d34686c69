"""The smaller application folder: what takes the place of a library does the same, and what is needed stays."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.packaging import shrink

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or any(shutil.which(tool) is None for tool in ("cc", "strip", "readelf", "nm", "ld")),
    reason="needs Linux with binutils and a C compiler",
)

#: Large matrices, so that OpenCV asks LAPACK, and small ones, which it computes itself.
_CV = """
import ctypes, sys
if sys.argv[1:]:
    import numpy.linalg
    ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)  # the loader takes this one wherever the name is asked for
import cv2, numpy as np
mapped = open("/proc/self/maps").read()
found = {line.split()[-1] for line in mapped.splitlines() if "libopenblas" in line}
assert not sys.argv[1:] or found == {sys.argv[1]}, found
for kind in (np.float32, np.float64):
    for side in (5, 250):
        random = np.random.default_rng(side)
        a, b = random.random((side, side)).astype(kind), random.random((side, 3)).astype(kind)
        square, tall = a @ a.T + side * np.eye(side, dtype=kind), random.random((2 * side, side)).astype(kind)
        close = dict(rtol=0, atol=2e-2 if kind is np.float32 else 1e-8)
        np.testing.assert_allclose(cv2.gemm(a, b, 2.0, None, 0.0), 2 * a @ b, **close)
        for method in (cv2.DECOMP_LU, cv2.DECOMP_CHOLESKY, cv2.DECOMP_SVD, cv2.DECOMP_QR, cv2.DECOMP_EIG):
            assert cv2.solve(square, b, flags=method)[0], method
            np.testing.assert_allclose(square @ cv2.solve(square, b, flags=method)[1], b, **close)
        np.testing.assert_allclose(cv2.invert(square)[1] @ square, np.eye(side), **close)
        np.testing.assert_allclose(cv2.determinant(square / side), np.linalg.det(square.astype(float) / side), rtol=1e-3)
        rhs = tall @ b
        np.testing.assert_allclose(cv2.solve(tall, rhs, flags=cv2.DECOMP_QR)[1], b, **close)
        w, u, vt = cv2.SVDecomp(tall)
        np.testing.assert_allclose(u * w.ravel() @ vt, tall, **close)
plane = np.random.default_rng(1).random((120, 120))
np.testing.assert_allclose(np.sort(cv2.eigenNonSymmetric(plane)[0].ravel())[-1], max(np.linalg.eigvals(plane).real), rtol=1e-6)
"""

#: What sorts as before: general rules, Korean, numbers within text, the rules of another language.
_QT = """
import ctypes, sys
if sys.argv[1:]:
    ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
from PySide6.QtCore import QCollator, QLocale, QStringConverter
assert not sys.argv[1:] or sys.argv[1] in open("/proc/self/maps").read()
words = "나 가 chair Chair Äpfel Zebra image10 image9 ä a z 漢 각 ㄱ .x é".split()
for name in ("en", "ko", "sv", "de", "zh"):
    collator = QCollator(QLocale(name))
    collator.setNumericMode(True)
    print(name, sorted(words, key=collator.sortKey))
print(QLocale("ko").toUpper("straße"), QLocale("ko").toString(1234.5), QLocale("tr").toUpper("i"))
"""


def _packages(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


def _told(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_opencv_computes_with_numpys_openblas(tmp_path: Path) -> None:
    packages = _packages("cv2")
    (own,) = (packages / "opencv_python_headless.libs").glob("libopenblas*")
    for folder in ("cv2", "opencv_python_headless.libs", "numpy.libs"):
        (tmp_path / folder).mkdir()
        for library in (packages / folder).glob("*.so*"):
            (tmp_path / folder / library.name).symlink_to(library)
    made = tmp_path / "opencv_python_headless.libs" / own.name
    for needed in (made, tmp_path / "cv2" / "cv2.abi3.so"):
        target = needed.resolve()
        needed.unlink()
        shutil.copy(target, needed)
    shrink.share_openblas(tmp_path)
    assert made.stat().st_size < 1e5
    _told(_CV)
    _told(_CV, str(made))


def test_opencv_keeps_its_openblas_if_functions_would_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("cv2", "opencv_python_headless.libs", "numpy.libs"):
        (tmp_path / folder).mkdir()
    _library(tmp_path / "numpy.libs" / "libscipy_openblas64_-1.so", "void scipy_f_64_(void) {}")
    own = tmp_path / "opencv_python_headless.libs" / "libopenblas-1.so"
    _library(own, "void f_(void) {} void g_(void) {}")
    user = tmp_path / "cv2" / "cv2.abi3.so"
    _library(user, "void f_(void); void g_(void); void h(void) { f_(); g_(); }", own)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "blas.c").write_text("void scipy_f_64_(void); void f_(void) { scipy_f_64_(); }", encoding="ascii")
    monkeypatch.setattr(shrink, "HERE", tmp_path / "here")
    before = own.read_bytes()
    shrink.share_openblas(tmp_path)
    assert own.read_bytes() == before
    assert "lacks g_" in capsys.readouterr().err


def test_text_is_sorted_as_before_with_less_data(tmp_path: Path) -> None:
    (library,) = (_packages("PySide6") / "PySide6" / "Qt" / "lib").glob("libicudata.so.*")
    made = tmp_path / library.name
    shutil.copy(library, made)
    shrink.reduce_icu(made)
    assert made.stat().st_size < library.stat().st_size / 5
    assert _told(_QT, str(made)) == _told(_QT)


def test_a_package_of_icu_is_read_as_it_was_written() -> None:
    model = b"\x20\0\xda\x27" + b"\x14\0\0\0\0\0\2\0CmnD" + b"\1\0\0\0\3\0\0\0" + b"text\0\0\0\0"
    files = {"icudt1l/b.res": b"2" * 16, "icudt1l/a.res": b"1" * 5, "icudt1l/coll/c.res": b"3" * 40}
    package = shrink.icu_package(model, files)
    assert {name: content.rstrip(b"\0") for name, content in shrink.icu_files(package).items()} == files
    assert list(shrink.icu_files(package)) == sorted(files)
    with pytest.raises(SystemExit, match="no package of ICU data"):
        shrink.icu_files(b"\0" * 64)


def _library(target: Path, code: str, *others: Path) -> None:
    source = target.with_suffix(".c")
    source.write_text(code, encoding="ascii")
    named = f"-Wl,--no-as-needed,-soname,{target.name}"
    subprocess.run(["cc", "-g", "-shared", "-fPIC", named, "-o", target, source, *others], check=True)
    source.unlink()


def test_libraries_that_nothing_needs_go_and_all_others_stay(tmp_path: Path) -> None:
    internal = tmp_path / "_internal"
    (internal / "package").mkdir(parents=True)
    for name, others in (("libdeep.so.1", ()), ("libused.so.1", ("libdeep.so.1",)), ("libalone.so.1", ())):
        _library(internal / name, f"int {name[3:-5]}(void) {{ return 1; }}", *(internal / other for other in others))
    _library(internal / "libvain.so.1", "int alone(void); int vain(void) { return alone(); }", internal / "libalone.so.1")
    _library(internal / "libpython3.so", "int python(void) { return 1; }")
    user = internal / "package" / "user.abi3.so"
    _library(user, "int used(void); int user(void) { return used(); }", internal / "libused.so.1")
    (internal / "link").symlink_to("libvain.so.1")
    gone = shrink.remove_unneeded(internal)
    assert {path.name for path in gone} == {"libvain.so.1", "libalone.so.1"}
    left = {path.name for path in internal.rglob("*") if path.name != "package"}
    assert left == {"libdeep.so.1", "libused.so.1", "libpython3.so", "user.abi3.so"}


def test_debugging_symbols_go_and_damaged_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "libx.so"
    _library(target, "int x(void) { return 1; }")
    whole = target.read_bytes()
    monkeypatch.setattr(shrink, "is_loadable", lambda _library: False)
    shrink.strip(tmp_path)
    assert target.read_bytes() == whole
    monkeypatch.undo()
    shrink.strip(tmp_path)
    assert target.stat().st_size < len(whole)
    assert shrink.is_loadable(target)


def test_libraries_of_cuda_keep_their_symbols(tmp_path: Path) -> None:
    for name in ("nvidia/cu13/lib/libx.so", "torch/lib/libtorch_cuda.so", "torch/lib/libtorch_cpu.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        _library(tmp_path / name, "int x(void) { return 1; }")
    before = {path: path.stat().st_size for path in shrink.binaries(tmp_path)}
    shrink.strip(tmp_path)
    assert [path.name for path, size in before.items() if path.stat().st_size < size] == ["libtorch_cpu.so"]


_PLOT = """
import runpy, sys
sys.argv.append("--multiprocessing-fork")
runpy.run_path(sys.argv[1])
assert not any(name.startswith("PySide6") for name in sys.modules), "a compute process is refused with a module of Qt"
sys.argv.pop()
runpy.run_path(sys.argv[1])
assert not any(name.startswith("PySide6") and name not in ("PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets") for name in sys.modules)
from PySide6.QtWidgets import QApplication
app = QApplication([])
import pyqtgraph
plot = pyqtgraph.PlotWidget()
plot.plot([1, 2, 3], [3, 1, 2])
assert not plot.grab().isNull()
assert not hasattr(sys.modules["PySide6.QtOpenGL"], "__file__")
"""


def test_plots_are_drawn_without_qts_opengl_modules() -> None:
    _told(_PLOT, str(ROOT / "tools" / "packaging" / "without_opengl.py"))
