"""What ``atrous doctor``, commands and the window report about sound and broken parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import run
from app.cli.probes import _MARK, PROBES, Row, run_probe
from app.import_trouble import explain, is_import_trouble, package_of, show_without_qt

ROOT = Path(__file__).resolve().parents[4]

LIBRARY = "cannot open shared object file: No such file or directory"
BROKEN = {
    "torch": ("torch", f"raise OSError('libtorch_cpu.so: {LIBRARY}')", "libtorch_cpu.so", "install --force-reinstall torch"),
    "cuda": ("torch", f"raise ImportError('libcudart.so.12: {LIBRARY}')", "libcudart", "install --force-reinstall torch"),
    "libGL": ("cv2", f"raise ImportError('libGL.so.1: {LIBRARY}')", "libGL.so.1", "apt-get install libgl1"),
    "numba": ("numba", "raise ImportError('Numba needs NumPy 2.2 or less. Got 2.4.')", "NumPy 2.2", "--upgrade numba numpy"),
    "abi": ("cv2", "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')", "size", "--upgrade"),
    "numpy": ("numpy", "raise ImportError('numpy._core.multiarray failed to import')", "multiarray", "--upgrade"),
    "qt": ("PySide6", f"raise ImportError('libEGL.so.1: {LIBRARY}')", "libEGL.so.1", "apt-get install libegl1"),
    "crash": ("cv2", "import ctypes; ctypes.string_at(0)", "SIGSEGV", "install --force-reinstall opencv-python-headless"),
    "status": ("PIL", "import os; os._exit(3)", "status 3", "install --force-reinstall Pillow"),
    "old": ("tifffile", "import numpy; numpy.no_such_name", "no_such_name", "install --force-reinstall tifffile"),
}
PROBE = {"torch": "torch", "cv2": "opencv", "numba": "numba", "numpy": "numpy", "PySide6": "qt", "PIL": "pillow",
         "tifffile": "tifffile"}  # fmt: skip


def break_module(folder: Path, module: str, code: str) -> str:
    """Put a package that fails in front of the real one; the search path to use."""
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(code, encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_broken_part_is_a_row_with_a_remedy(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, code, sign, remedy = BROKEN[kind]
    monkeypatch.setenv("PYTHONPATH", break_module(tmp_path, module, code))
    row = run_probe(PROBE[module])
    assert row.state == "failed"
    assert sign in row.text
    assert remedy in row.remedy


def test_a_part_that_hangs_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", break_module(tmp_path, "tifffile", "import time; time.sleep(3600)"))
    row = run_probe("tifffile", patience=3.0)
    assert row.state == "failed"
    assert "did not finish" in row.text
    assert "tifffile" in row.remedy


def test_a_package_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.probes._installed", lambda _package: None)
    assert run_probe("heic").state == "missing"
    assert "atrous[heic]" in run_probe("heic").remedy
    assert run_probe("torch").state == "failed"
    assert "install torch" in run_probe("torch").remedy


def test_the_built_application_is_not_told_to_install_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr("app.cli.probes._installed", lambda _package: None)
    rows = [run_probe(name) for name, probe in PROBES.items() if probe.package]
    assert {row.state for row in rows} == {"missing", "failed"}
    said = [row.remedy for row in rows] + [explain(ModuleNotFoundError("No module named 'yaml'", name="yaml"), "yaml")[1]]
    assert [remedy for remedy in said if " install " in remedy] == []


def test_folders_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    row = run_probe("folders")
    assert row.state == "failed"
    assert str(tmp_path / "config") in row.text
    assert "writable" in row.remedy


#: All probes in one process: each in its own would import torch five times.
ALL_PROBES = "from app.cli.probes import PROBES, answer_probe\nfor name in PROBES: print(answer_probe(name))"


def test_every_part_of_this_installation_works(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    done = subprocess.run([sys.executable, "-c", ALL_PROBES], cwd=ROOT, capture_output=True, text=True, check=True)
    answers = [json.loads(line.removeprefix(_MARK)) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    found = {name: Row(name, **answer) for name, answer in zip(PROBES, answers, strict=True)}
    monkeypatch.setattr("app.cli.doctor.run_probe", found.__getitem__)
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in report["probes"]}
    assert set(rows) == set(PROBES)
    assert [row for row in rows.values() if row["state"] == "failed"] == []
    assert "heartbeat is heard" in rows["worker"]["text"]
    assert "cpu" in report["devices"]
    assert report["facts"]["torch"]
    assert report["problems"] == []


def test_one_broken_part_fails_the_doctor_and_the_rest_is_still_tried(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.doctor.PROBES", {name: PROBES[name] for name in ("torch", "sqlite", "numba")})
    monkeypatch.setenv("PYTHONPATH", break_module(tmp_path, *BROKEN["torch"][:2]))
    assert run(["doctor"]) == 1
    shown = capsys.readouterr()
    assert "FAILED  torch cannot be imported" in shown.out
    assert "sqlite  ok" in shown.out
    assert "numba  ok" in shown.out
    assert "atrous: torch: torch cannot be imported" in shown.err


def test_a_command_with_a_broken_package_reports_it_in_one_line(tmp_path: Path) -> None:
    path = break_module(tmp_path / "broken", *BROKEN["torch"][:2])
    done = subprocess.run(
        [sys.executable, "-m", "app", "predict", str(ROOT / "resources/sample_project/images"), "-o", str(tmp_path / "out"),
         "--model", str(ROOT / "resources/models/rooms-voc.safetensors")],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join((path, str(ROOT)))},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "torch cannot be imported" in done.stderr
    assert "atrous doctor" in done.stderr


def test_errors_of_the_program_itself_are_no_import_trouble() -> None:
    with pytest.raises(ValueError, match="a bug") as caught:
        raise ValueError("a bug")
    assert not is_import_trouble(caught.value)
    assert is_import_trouble(ModuleNotFoundError("No module named 'torch'", name="torch"))


def test_a_module_that_is_missing_is_installed_and_not_reinstalled() -> None:
    reason, remedy = explain(ModuleNotFoundError("No module named 'cv2'", name="cv2"))
    assert reason.startswith("cv2 cannot be imported")
    assert "install opencv-python-headless" in remedy
    assert package_of("PIL.Image") == "Pillow"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs Linux: the others bring a dialog of their own")
@pytest.mark.parametrize("tool", ["zenity", "kdialog", "xmessage"])
def test_without_qt_and_terminal_the_desktop_says_it(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / tool
    program.write_text(f'#!{sys.executable}\nimport sys\nopen("{tmp_path}/said", "w").write("\\n".join(sys.argv[1:]))\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert show_without_qt("Atrous cannot open", "libEGL.so.1 is missing")
    said = (tmp_path / "said").read_text()
    assert "Atrous cannot open" in said
    assert "libEGL.so.1 is missing" in said
    program.unlink()
    assert not show_without_qt("Atrous", "there is no screen")
