"""Every measure against its reference, as ``benchmarks/exactness.py`` prints it, with and without compiled loops."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import pytest

from deeplab_core.kernels import compiled
from tests.benchmark_scripts import load_script


@pytest.fixture(scope="module")
def exactness() -> ModuleType:
    return load_script("exactness")


@pytest.fixture(params=["plain", "compiled"])
def loops(request: pytest.FixtureRequest):
    """Both ways of counting, whatever the size of the scenes."""
    compiled.allow_compiled(request.param == "compiled")
    compiled.use_compiled(compiled.LARGE)
    yield
    compiled.allow_compiled(True)


def test_definitions_written_out(exactness: ModuleType, loops) -> None:
    found = list(exactness.formulas(2))
    assert len(found) == 14
    assert [check for check in found if not check.holds] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("package", "run", "rows"),
    [
        ("torchmetrics", "torchmetrics_checks", 9),
        ("pycocotools", "pycocotools_checks", 1),
        ("cityscapesscripts", "cityscapes_checks", 8),
    ],
)
def test_reference_programs(exactness: ModuleType, loops, package: str, run: str, rows: int) -> None:
    try:
        version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed; it is the reference")
    found = list(getattr(exactness, run)(2))
    assert len(found) == rows
    assert [check for check in found if not check.holds] == []


def test_a_difference_is_seen(exactness: ModuleType) -> None:
    assert not exactness.compare("x", "y", iter([([1.0, 2.0], [1.0, 2.1])])).holds
    assert not exactness.compare("x", "y", iter([([1.0, float("nan")], [1.0, 2.0])])).holds
    assert not exactness.compare("x", "y", iter([])).holds
    assert "**differs**" in exactness.table([exactness.compare("x", "y", iter([([1.0], [2.0])]))])
