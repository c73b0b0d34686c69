"""Learning in the real compute process: it goes on while the user asks for other things, and can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.services.compute import ComputeClient
from app.worker.messages import URGENT, CorrectedImage, Learned, LearnTask
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.learning import LearnOptions, PackedLabels
from deeplab_core.records import PredictOptions
from tests.fakes.recorded import RecordedCompute
from tests.unit.app.tiny_model import save_photograph

pytestmark = pytest.mark.e2e
PATIENCE = 120_000
HEIGHT, WIDTH = 40, 56
LABELS = ClassCatalog("tiny", "Tiny", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    return [str(save_photograph(folder / f"photo {seed}.png", HEIGHT, WIDTH, seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def client(qapp: object, model_file: Path) -> Iterator[RecordedCompute]:
    client = RecordedCompute(ComputeClient())
    client.start()
    client.load(str(model_file), device="cpu")
    yield client
    client.stop()


def task(model: Path, images: list[str], target: Path) -> LearnTask:
    """Two images with class 1 in the left half and class 3 in the right half; two more are untouched."""
    mask = np.full((HEIGHT, WIDTH), 3, np.uint8)
    mask[:, : WIDTH // 2] = 1
    packed = PackedLabels.of(mask)
    return LearnTask(
        model=str(model), target=str(target), labels=LABELS, pairs=tuple((i, i) for i in range(5)), device="cpu",
        corrected=tuple(CorrectedImage(name=Path(image).name, image=image, known=packed, mask=packed) for image in images[:2]),
        untouched=tuple(images[2:]), options=LearnOptions(layers="classifier"),
    )  # fmt: skip


def test_urgent_requests_are_answered_while_a_model_learns(
    client: RecordedCompute, model_file: Path, images: list[str], qtbot: QtBot, tmp_path: Path
) -> None:
    qtbot.waitUntil(lambda: client.card is not None, timeout=PATIENCE)
    order: list[object] = []
    fractions: list[float] = []
    client.predicted.connect(lambda message: order.append(message.prediction.card_id))
    client.learned.connect(order.append)
    client.progress.connect(lambda message: fractions.append(message.fraction) if message.request_id == request else None)
    request = client.learn(task(model_file, images, tmp_path / "new" / "learned.safetensors"))
    qtbot.waitUntil(lambda: any(fractions), timeout=PATIENCE)
    with qtbot.waitSignal(client.learned, timeout=PATIENCE):
        client.predict(images[3], "in view", PredictOptions(), URGENT)
        client.predict(images[2], "folder run", PredictOptions())  # waits its turn
    qtbot.waitUntil(lambda: len(order) == 3, timeout=PATIENCE)
    old, learned, after = order
    assert isinstance(learned, Learned)
    assert old == after == client.card.id, "the model in use is the one before"
    assert fractions == sorted(fractions)
    assert (learned.report.images, learned.report.background) == (2, 2)
    assert learned.report.held_out is not None
    assert learned.card.id != old
    assert Path(learned.path).is_file()
    client.load(learned.path, device="cpu")
    qtbot.waitUntil(lambda: client.card is not None and client.card.id == learned.card.id, timeout=PATIENCE)
    with qtbot.waitSignal(client.predicted, timeout=PATIENCE) as caught:
        client.predict(images[0], "by the new one")
    assert caught.args[0].prediction.card_id == learned.card.id


def test_learning_that_is_stopped_leaves_no_file(
    client: RecordedCompute, model_file: Path, images: list[str], qtbot: QtBot, tmp_path: Path
) -> None:
    target = tmp_path / "learned.safetensors"
    with qtbot.waitSignal(client.progress, timeout=PATIENCE, check_params_cb=lambda message: message.fraction > 0):
        request = client.learn(task(model_file, images, target))
    pid = client.pid
    with qtbot.waitSignal(client.cancelled, timeout=PATIENCE) as caught:
        client.cancel(request)
    assert caught.args[0].request_id == request
    assert client.pid == pid, "the process itself lived on"
    assert not target.exists()


def test_a_picture_that_is_gone_is_named(
    client: RecordedCompute, model_file: Path, images: list[str], qtbot: QtBot, tmp_path: Path
) -> None:
    gone = [str(tmp_path / "gone.png"), str(tmp_path / "gone too.png")]
    with qtbot.waitSignal(client.failed, timeout=PATIENCE) as caught:
        client.learn(task(model_file, [*gone, *images[2:]], tmp_path / "learned.safetensors"))
    error = caught.args[0].error
    assert error["what"] == "there is nothing to learn from"
    assert "gone.png" in error["why"]
    assert caught.args[0].traceback == ""
