"""The probes of ``atrous doctor``: each part of the program is imported and used a little, in a process of its own.

A broken native library may end the process that loads it, or hang: neither ends the doctor, which reports it as a row. A probe
returns what it found in one clause, or raises; packages are imported inside of it only.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.import_trouble import REBUILT, explain, is_frozen, package_of
from app.worker.heartbeat import ending
from deeplab_core.errors import AtrousError
from deeplab_core.flavour import has_torch, install_command
from deeplab_core.reading import json_text, parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A probe that takes longer hangs, in seconds. Importing torch from a cold disk on a busy machine takes a minute.
PATIENCE = 240.0
_MARK = "atrous-probe:"

State = Literal["ok", "failed", "missing"]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one probe.

    Attributes:
        name: of the part.
        state: ``missing`` is an optional package that is not installed, which is not a problem.
        text: what was found, or what is wrong.
        remedy: what to do; empty if nothing is.
        more: values that the probe found besides.
    """

    name: str
    state: State
    text: str
    remedy: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def run_probe(name: str, patience: float = PATIENCE) -> Row:
    """Run one probe in a process of its own and say what came of it."""
    probe = PROBES[name]
    if name == "torch" and not _installed("torch") and _installed("onnxruntime"):
        remedy = "The full application has it" if is_frozen() else f"To train, learn and open checkpoints: {_pip()} install torch"
        return Row(name, "missing", "not installed: this is a light installation", remedy)
    if probe.package and not _installed(probe.package):
        if probe.extra and is_frozen():
            return Row(name, "missing", "not installed", "This application comes without it; Atrous from pip can have it")
        if probe.extra:
            return Row(name, "missing", "not installed", f"If you need it: {install_command(probe.extra, _pip())}")
        return Row(name, "failed", "not installed", REBUILT if is_frozen() else f"Run: {_pip()} install {probe.package}")
    command = [sys.executable, *(() if is_frozen() else ("-m", "atrous")), "doctor", "--probe", name]
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=patience, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": search},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Row(name, "failed", f"did not finish within {patience:.0f} seconds", probe.remedy)
    except OSError as error:
        return Row(name, "failed", f"could not be started ({error})", "Install Atrous again")
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(_MARK):
            found = parse_json(line.removeprefix(_MARK), what="the answer of a probe")
            return Row(name, found["state"], found["text"], found["remedy"], found["more"])
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("  ")]
    telling = [line for line in lines if line.startswith("Fatal Python error")] or lines[-1:]
    message = f" ({telling[0][:200]})" if telling else ""
    return Row(name, "failed", f"{ending(done.returncode)}{message}", probe.remedy)


def answer_probe(name: str) -> str:
    """Run one probe in this process; the line that :func:`run_probe` reads."""
    probe = PROBES[name]
    try:
        found = probe.run()
        text, more = found if isinstance(found, tuple) else (found, {})
        row = Row(name, "ok", text, more=more)
    except AtrousError as error:
        row = Row(name, "failed", f"{error.what}{f' ({error.why})' if error.why else ''}", error.remedy or probe.remedy)
    except Exception as error:
        if probe.package or isinstance(error, ImportError):
            reason, remedy = explain(error, probe.module)
            row = Row(name, "failed", reason, remedy.partition(". 'atrous")[0])
        else:
            row = Row(name, "failed", " ".join(f"{type(error).__name__}: {error}".split()), probe.remedy)
    return _MARK + json_text({"state": row.state, "text": row.text, "remedy": row.remedy, "more": row.more})


def _pip() -> str:
    return f"{sys.executable} -m pip"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# -- what is tried -------------------------------------------------------------------------------------------------------


def _torch() -> tuple[str, dict[str, Any]]:
    import torch

    from deeplab_core.inference import list_devices
    from deeplab_core.nn import create_model

    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=2, output_stride=16).eval()
    devices, notes = list_devices()
    broken = []
    for device in devices:
        try:
            with torch.inference_mode():
                finite = bool(torch.isfinite(model.to(device)(torch.zeros(1, 3, 65, 65, device=device))).all())
        except (RuntimeError, OSError) as error:
            broken.append(f"{device} computes nothing ({' '.join(str(error).split())[:200]})")
            continue
        if not finite:
            broken.append(f"{device} computes something that is not a number")
    if broken:
        raise AtrousError("; ".join(broken), remedy="Choose the CPU as device, or install the build of torch for your driver")
    text = f"a network ran on {', '.join(devices)}"
    return text, {"devices": devices, "notes": list(notes)}


def _numba() -> str:
    import numba
    import numpy as np

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
    def total(values: NDArray[np.int64]) -> int:
        result = 0
        for value in values:
            result += value
        return result

    if int(total(np.arange(10))) != 45:
        raise ValueError("a compiled loop counts wrongly")
    return "compiled a loop and ran it"


def _numpy() -> str:
    import numpy as np

    if not np.allclose(np.linalg.inv(np.eye(3) * 2), np.eye(3) / 2):
        raise ValueError("the linear algebra computes wrongly")
    return "computed"


def _opencv() -> str:
    import cv2
    import numpy as np

    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for suffix in (".png", ".jpg", ".bmp", ".tiff"):
        written, data = cv2.imencode(suffix, picture)
        read = cv2.imdecode(data, cv2.IMREAD_COLOR) if written else None
        if read is None or read.shape != picture.shape or (suffix != ".jpg" and not (read == picture).all()):
            raise ValueError(f"{suffix} files cannot be written and read back")
    return "wrote and read PNG, JPEG, BMP and TIFF"


def _pillow() -> str:
    import io

    from PIL import Image

    picture = Image.new("RGB", (8, 8), (200, 30, 60))
    kinds = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
    for kind in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        read = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
        if read.size != picture.size or abs(read.getpixel((4, 4))[0] - 200) > 40:  # type: ignore[index]
            raise ValueError(f"{kind} files cannot be written and read back")
    return f"wrote and read {', '.join(kinds)}"


def _import_only(module: str) -> Callable[[], str]:
    def probe() -> str:
        importlib.import_module(module)
        return "imported"

    return probe


def _qt_offscreen() -> str:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return _qt()


def _qt() -> str:
    from PySide6.QtSvg import QSvgRenderer
    from PySide6.QtWidgets import QApplication, QLabel

    application = QApplication([])
    label = QLabel("Atrous")
    label.show()
    application.processEvents()
    picture = label.grab()
    if picture.isNull() or not QSvgRenderer(b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>').isValid():
        raise ValueError("nothing can be drawn")
    name = application.platformName()
    application.shutdown()
    return f"drew a window ({name})"


def _window() -> str:
    importlib.import_module("app.main")
    importlib.import_module("app.controllers.workspace")
    importlib.import_module("app.ui.shell.presenter")
    importlib.import_module("app.ui.shell.window_commands")
    return "all of its modules were imported"


def _sqlite() -> str:
    import sqlite3
    from contextlib import closing

    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "a.db", isolation_level=None)) as db:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("CREATE TABLE t (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        for _ in range(2):
            (value,) = db.execute(
                "INSERT INTO t VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value"
            ).fetchone()
        if value != 2 or db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise ValueError("the database answers wrongly")
        with closing(sqlite3.connect(Path(folder) / "b.db")) as copy:
            db.backup(copy)
    return f"version {sqlite3.sqlite_version}, {'write-ahead log' if mode == 'wal' else f'journal {mode}'}, upsert, backup"


def _folders() -> str:
    import platformdirs

    from app.paths import download_folder
    from app.services.folders import log_folder, settings_file, thumbnail_folder

    folders = {
        "settings": settings_file().parent, "data": Path(platformdirs.user_data_dir("Atrous", appauthor=False)),
        "models": download_folder(), "cache": thumbnail_folder(), "logs": log_folder(),
        "temporary files": Path(tempfile.gettempdir()),
    }  # fmt: skip
    troubles = []
    for name, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as stream:
                stream.write(b"0" * 65_536)
                stream.flush()
        except OSError as error:
            troubles.append(f"{folder} ({name}) cannot be written: {error.strerror or error}")
    if troubles:
        raise AtrousError("; ".join(troubles), remedy="Make these folders writable for your user, or free some space there")
    return ", ".join(f"{name} {folder}" for name, folder in folders.items())


def _worker() -> tuple[str, dict[str, Any]]:
    import queue
    import time

    from app.services.compute_link import WorkerLink
    from app.worker import bootstrap
    from app.worker.bootstrap import CannotStart
    from app.worker.messages import Hello, Shutdown

    messages: queue.Queue[object] = queue.Queue()
    link = WorkerLink(on_message=messages.put, on_end=messages.put, target=bootstrap.run)
    began = time.monotonic()
    link.start()
    try:
        first = messages.get(timeout=PATIENCE * 0.9)
        if isinstance(first, CannotStart):
            raise AtrousError(first.reason, remedy=first.remedy.partition(". 'atrous")[0])
        if not isinstance(first, Hello):
            raise AtrousError(f"it ended before it said anything: {first}", remedy="Look at the row of torch")
        seconds = time.monotonic() - began
        link.beats()
        until = time.monotonic() + 30
        while not (beats := link.beats()) and time.monotonic() < until:
            time.sleep(0.1)
        if not beats:
            raise AtrousError("its heartbeat is not heard", remedy="Install Atrous again")
        if first.qt_modules:
            raise AtrousError(f"it has loaded {', '.join(first.qt_modules[:3])}", remedy="Install Atrous again")
        link.send(Shutdown())
    except queue.Empty:
        raise AtrousError("it did not say that it is there", remedy="Look at the row of torch") from None
    finally:
        link.join()
    return f"started in {seconds:.1f} s, its heartbeat is heard", {
        "versions": first.versions,
        "devices": first.devices,
        "notes": list(first.notes),
    }


def _engines() -> str:
    """What may run a network of ours, and what trials found on this machine."""
    from collections import Counter

    if not has_torch():
        return "ONNX Runtime runs the graphs"
    from app.services.folders import engine_trials_file
    from deeplab_core.backends.engines import installed_engines
    from deeplab_core.inference.engine_trial import TrialRecord

    trials = TrialRecord(engine_trials_file()).all()
    fastest = Counter(trial.engine for trial in trials.values())
    found = ", ".join(f"{name} {number}" for name, number in fastest.most_common())
    return f"{', '.join(('torch', *installed_engines()))}; {f'chosen in trials: {found}' if found else 'no trial yet'}"


def _onnx() -> str:
    if not has_torch():
        return _bundled_graph()
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    importlib.import_module("onnxscript")
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", kinds[:1], kinds[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    if session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() != [2.0, 2.0]:
        raise ValueError("a graph computes wrongly")
    return f"ran a graph ({', '.join(onnxruntime.get_available_providers())})"


def _bundled_graph() -> str:
    import numpy as np

    from app.paths import FIRST_MODEL
    from deeplab_core.networks import GraphNetwork
    from deeplab_core.weights import load_model

    model, card = load_model(FIRST_MODEL)
    if not isinstance(model, GraphNetwork) or not np.isfinite(model.coarse_logits(np.zeros((1, 3, 65, 65), np.float32))).all():
        raise ValueError("a network computes wrongly")
    return f"ran {card.name} ({model.engine.name})"


def _heic() -> str:
    import io

    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 60)).save(buffer, "HEIF")
    Image.open(io.BytesIO(buffer.getvalue())).load()
    return "wrote and read HEIF"


def _densecrf() -> str:
    import numpy as np
    from pydensecrf import densecrf

    field_ = densecrf.DenseCRF2D(4, 4, 2)
    field_.setUnaryEnergy(np.ones((2, 16), np.float32))
    field_.inference(1)
    return "ran"


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try.

    Attributes:
        run: the probe itself.
        package, extra, module: what it needs: as pip knows it, the extra of Atrous that brings it, as Python imports it.
        remedy: if it ends or hangs without a word.
    """

    run: Callable[[], str | tuple[str, dict[str, Any]]]
    package: str = ""
    extra: str = ""
    module: str = ""
    remedy: str = "Install Atrous again"


def _of(run: Callable[[], str | tuple[str, dict[str, Any]]], module: str, extra: str = "", package: str = "") -> Probe:
    package = package or package_of(module)
    remedy = REBUILT if is_frozen() else f"Run: {_pip()} install --force-reinstall {package}"
    return Probe(run, package, extra, module, remedy)


def _imports(module: str, extra: str = "", package: str = "") -> Probe:
    return _of(_import_only(module), module, extra, package)


PROBES: dict[str, Probe] = {
    "numpy": _of(_numpy, "numpy"),
    "torch": _of(_torch, "torch"),
    "numba": _of(_numba, "numba"),
    "opencv": _of(_opencv, "cv2"),
    "pillow": _of(_pillow, "PIL"),
    "safetensors": _imports("safetensors.numpy", package="safetensors"),
    "tifffile": _imports("tifffile"),
    "pycocotools": _imports("pycocotools.mask", package="pycocotools"),
    "pyqtgraph": _imports("pyqtgraph"),
    "yaml": _imports("yaml"),
    "msgspec": _imports("msgspec"),
    "tomli-w": _imports("tomli_w", package="tomli-w"),
    "qt": _of(_qt_offscreen, "PySide6"),
    "screen": Probe(_qt, remedy="On Debian and Ubuntu: sudo apt-get install libxcb-cursor0 libegl1 libxkbcommon-x11-0"),
    "window": Probe(_window),
    "sqlite": Probe(_sqlite, remedy="Install a Python with SQLite 3.35 or newer"),
    "folders": Probe(_folders),
    "worker": Probe(_worker, remedy="Look at the row of torch"),
    "onnx": _of(_onnx, "onnxruntime", "onnx"),
    "openvino": _imports("openvino", "openvino"),
    "engines": Probe(_engines, remedy="Look at the row of torch"),
    "litert": _imports("ai_edge_litert.interpreter", "litert", "ai-edge-litert"),
    "densecrf": _of(_densecrf, "pydensecrf", "crf"),
    "hub": _imports("huggingface_hub", "hub", "huggingface-hub"),
    "timm": _imports("timm", "timm"),
    "heic": _of(_heic, "pillow_heif", "heic"),
}
