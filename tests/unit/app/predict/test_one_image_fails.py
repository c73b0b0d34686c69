"""Whatever goes wrong with one image fails that image, names its file, and the run over the others goes on with status 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.worker.messages import AskReceptive, Compare, Failed, Predict
from deeplab_core.errors import AtrousError, Cancelled, ComputeError, ImageFailed, ImageReadError, image_error, one_image
from deeplab_core.inference import Predictor
from deeplab_core.refine import DenseCRF
from tests.fakes.inprocess import InProcessService
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

TROUBLE: list[Exception] = [
    RuntimeError("Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3)"),
    MemoryError(),
    ValueError("operands could not be broadcast"),
    ComputeError("the network gave numbers that are not finite"),
    ZeroDivisionError("division by zero"),
]
NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "truth").mkdir()
    (tmp_path / "masks").mkdir()
    for seed, name in enumerate(NAMES):
        save_photograph(tmp_path / "images" / name, 40, 56, seed)
        labels = np.zeros((40, 56), np.uint8)
        labels[5:20, 10:30] = 1 + seed % 2
        Image.fromarray(labels).save(tmp_path / "truth" / name)
        Image.fromarray(labels).save(tmp_path / "masks" / name)
    classes = [{"id": i, "name": f"class {i}", "color": [i, 2 * i, 3 * i]} for i in range(5)]
    (tmp_path / "five.json").write_text(json.dumps({"name": "five", "classes": classes}))
    return tmp_path


def second_fails(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, trouble: Exception) -> None:
    """Let the second call of a method raise."""
    trouble = copy(trouble)  # an error takes the name of the first file that it is about
    honest: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1000))

    def sometimes(*args: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise trouble
        return honest(*args, **options)

    monkeypatch.setattr(owner, name, sometimes)


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("command", ["predict", "predict --json", "rank", "refine"])
def test_a_run_over_images_goes_on(
    command: str,
    trouble: Exception,
    model: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, out = str(folder / "images"), folder / "out"
    if command == "refine":
        second_fails(monkeypatch, DenseCRF, "marginals", trouble)
        arguments = ["refine", images, "--masks", str(folder / "masks"), "-o", str(out), "--catalog", str(folder / "five.json")]
    else:
        second_fails(monkeypatch, Predictor, "scores", trouble)
        verb, *more = command.split()
        arguments = [verb, images, "--model", str(model), "--device", "cpu", *more]
        arguments += ["--json", str(out / "rank.json")] if verb == "rank" else ["-o", str(out)]
    assert run(arguments) == 1
    printed = capsys.readouterr()
    said = printed.err + printed.out
    assert "b.png" in said
    assert "Traceback" not in said
    if command != "rank":
        assert sorted(path.name for path in out.glob("*.png")) == ["a.png", "c.png"]
    else:
        data = json.loads((out / "rank.json").read_text())
        assert data["rankings"]["entropy"]["images"][0]["image"] in ("a.png", "c.png")
    if command == "predict --json":
        rows = [json.loads(line) for line in printed.out.splitlines()]
        assert [Path(row["image"]).name for row in rows if "error" in row] == ["b.png"]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_a_comparison_of_masks_goes_on(
    command: str, trouble: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import deeplab_core.analysis.evaluate as evaluating
    import deeplab_core.analysis.inspection as inspecting

    second_fails(monkeypatch, inspecting, "map_errors", trouble)
    second_fails(monkeypatch, evaluating, "count_labels", trouble)
    catalog = ["--catalog", str(folder / "five.json")]
    assert run([command, "--prediction", str(folder / "masks"), "--truth", str(folder / "truth"), *catalog]) == 1
    printed = capsys.readouterr()
    assert ".png" in printed.err
    assert "Traceback" not in printed.err
    assert type(trouble).__name__ in printed.err or "memory" in printed.err or "not finite" in printed.err


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda error: type(error).__name__)
def test_training_reads_the_other_images(trouble: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.training.dataset import SegmentationDataset
    from deeplab_core.training.samples import Sample

    honest = Sample.load

    def load(self: Sample, catalog: Any) -> Any:
        if self.image.name == "b.png":
            raise copy(trouble)
        return honest(self, catalog)

    monkeypatch.setattr(Sample, "load", load)
    said: list[str] = []
    samples = [Sample(folder / "images" / name, folder / "truth" / name) for name in NAMES]
    data = SegmentationDataset(samples, get_catalog(folder / "five.json"), say=said.append)
    assert [sample.image.name for sample in data.samples] == ["a.png", "c.png"]
    assert any("b.png" in line for line in said)


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda error: type(error).__name__)
def test_the_compute_process_names_the_image(
    trouble: Exception, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = InProcessService()
    service.load(str(model), device="cpu")
    path = str(folder / "images" / "a.png")

    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise copy(trouble)

    monkeypatch.setattr(Predictor, "scores", fail)
    monkeypatch.setattr("app.worker.handlers.receptive.receptive_field", fail)
    requests = (
        Predict(request_id=1, image=path, source_key="k"),
        Compare(request_id=2, model=str(model), image=path, source_key="k"),
        AskReceptive(request_id=3, image=path, source_key="k", x=1, y=1),
    )
    for request in requests:
        answer = service._session.answer(request)
        assert isinstance(answer, Failed)
        assert answer.error["path"] == path


def test_errors_keep_what_they_say_and_get_a_file() -> None:
    known = ImageReadError("damaged", path="/x/own.png")
    assert image_error(known, "/x/a.png") is known
    assert known.path == Path("/x/own.png")
    unnamed = ComputeError("no numbers")
    assert image_error(unnamed, "/x/a.png").path == Path("/x/a.png")
    bug = image_error(KeyError("stem"), "/x/a.png")
    assert isinstance(bug, ImageFailed)
    assert "KeyError: 'stem'" in bug.why
    assert AtrousError.from_dict(bug.to_dict()).to_dict() == bug.to_dict()
    assert "does not fit into memory" in image_error(MemoryError(), "/x/a.png").what
    assert len(image_error(ValueError("long " * 1000 + "\nsecond line"), "/x/a.png").why) < 400


@pytest.mark.parametrize("passing", [Cancelled(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_a_run_passes(passing: BaseException) -> None:
    with pytest.raises(type(passing)) as caught, one_image("/x/a.png"):
        raise passing
    assert caught.value is passing
    if isinstance(passing, Cancelled):
        assert passing.path is None
