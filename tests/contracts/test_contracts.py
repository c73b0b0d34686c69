"""The import contracts hold, and each of them can fail: a contract counts only once it was seen broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"


@dataclass(frozen=True)
class Breach:
    """One forbidden import, hidden inside a function of ``module``, and the contract that must notice it."""

    contract: str
    module: str
    line: str


BREACHES = [
    Breach("core-no-qt", "deeplab_core/labels.py", "import PySide6.QtCore"),
    Breach("core-no-qt", "deeplab_core/inference/predictor.py", "import app.paths"),
    Breach("numpy-half-no-torch", "deeplab_core/records.py", "import torch"),
    Breach("numpy-half-no-torch", "deeplab_core/analysis/evaluate.py", "import deeplab_core.nn"),
    Breach("numpy-half-no-torch", "deeplab_core/correction/scribble.py", "import deeplab_core.refine.dense_crf"),
    Breach("core-layers", "deeplab_core/catalogs/catalog.py", "import deeplab_core.masks"),
    Breach("core-layers", "deeplab_core/geometry.py", "import deeplab_core.regions"),
    Breach("core-layers", "deeplab_core/weights/loading.py", "import deeplab_core.inference"),
    Breach("core-layers", "deeplab_core/hub/install.py", "import deeplab_core.training"),
    Breach("ui-process-no-torch", "app/state/document.py", "import torch"),
    Breach("ui-process-no-torch", "app/services/jobs.py", "import app.worker.serve"),
    Breach("ui-process-no-torch", "app/main.py", "import deeplab_core.weights"),
    Breach("worker-no-qt", "app/worker/serve.py", "from PySide6 import QtCore"),
    Breach("worker-no-qt", "app/worker/messages.py", "import app.services.jobs"),
    Breach("state-and-actions-no-qt", "app/state/patch.py", "import PySide6.QtGui"),
    Breach("state-and-actions-no-qt", "app/actions/table.py", "import pyqtgraph"),
    Breach("app-layers", "app/state/tools.py", "import app.controllers.annotate.edit"),
    Breach("app-layers", "app/services/jobs.py", "import app.ui.shell.theme"),
    Breach("app-layers", "app/viewmodels/evaluate/charts.py", "import app.controllers.workspace"),
]


def contracts() -> dict[str, str]:
    """Names of the contracts in pyproject.toml by their ids."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return {contract["id"]: contract["name"] for contract in settings["contracts"]}


def lint(folder: Path) -> dict[str, bool]:
    """Run every contract on a source tree: name -> whether it is kept."""
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, flags=re.MULTILINE))
    assert verdicts, f"import-linter judged nothing:\n{done.stdout}\n{done.stderr}"
    assert (done.returncode == 0) == ("BROKEN" not in verdicts.values())
    return {name: verdict == "KEPT" for name, verdict in verdicts.items()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that a test may break."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("app", "deeplab_core"):
        shutil.copytree(ROOT / package, folder / package, ignore=lambda place, names: _not_source(Path(place), names))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _not_source(place: Path, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or not (name.endswith(".py") or (place / name).is_dir())]


def test_every_contract_is_kept(tree: Path) -> None:
    assert lint(tree) == dict.fromkeys(contracts().values(), True)


def test_every_contract_has_a_breach_that_shows_it_can_fail() -> None:
    assert {breach.contract for breach in BREACHES} == set(contracts())


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach.contract}:{breach.module}:{breach.line.split()[-1]}")
def test_a_hidden_import_breaks_its_contract(tree: Path, breach: Breach) -> None:
    module = tree / breach.module
    source = module.read_text(encoding="utf-8")
    module.write_text(f"{source}\n\ndef _breach() -> None:\n    {breach.line}\n", encoding="utf-8")
    try:
        assert lint(tree)[contracts()[breach.contract]] is False
    finally:
        module.write_text(source, encoding="utf-8")
