"""The fake keeps the contract that the window's tests lean on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.worker.messages import URGENT
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, ComputeError
from tests.fakes.compute import FakeComputeClient, striped_labels
from tests.fakes.recorded import RecordedCompute
from tests.unit.app.tiny_model import save_photograph

CATALOG = ClassCatalog("four", "Four", tuple(ClassInfo(10 * i, f"c{i}", (i, i, i)) for i in range(4)))


@pytest.fixture
def client(qtbot: QtBot) -> RecordedCompute:
    client = RecordedCompute(FakeComputeClient(CATALOG))
    client.start()
    return client


@pytest.fixture
def image(tmp_path: Path) -> str:
    return str(save_photograph(tmp_path / "a.png", 20, 33))


def test_labels_follow_from_the_key(client: RecordedCompute, image: str, qtbot: QtBot) -> None:
    client.load("model")
    with qtbot.waitSignal(client.predicted, timeout=5000) as caught:
        client.predict(image, "key")
    prediction = caught.args[0].prediction
    np.testing.assert_array_equal(prediction.labels, striped_labels(CATALOG, 20, 33, "key"))
    assert set(np.unique(prediction.labels)) == {0, 10, 20, 30}
    with qtbot.waitSignal(client.scores, timeout=5000) as scores:
        client.ask_scores("key", 32, 3)
    assert scores.args[0].class_ids[0] == prediction.labels[3, 32]
    assert sum(scores.args[0].probabilities) == pytest.approx(1.0)


def test_order_pause_cancel_and_errors(client: RecordedCompute, image: str, qtbot: QtBot) -> None:
    client.load("model")
    qtbot.waitUntil(lambda: client.card is not None, timeout=5000)
    client.service.paused = True
    answered: list[tuple[str, int]] = []
    for name in ("predicted", "failed", "cancelled"):
        getattr(client, name).connect(lambda message, name=name: answered.append((name, message.request_id)))
    client.errors["bad.png"] = ComputeError("no", path="bad.png")
    first, bad, dropped = client.predict(image, "a"), client.predict("bad.png", "b"), client.predict(image, "c")
    urgent = client.predict(image, "d", priority=URGENT)
    client.cancel(dropped)
    qtbot.waitUntil(lambda: answered == [("cancelled", dropped)], timeout=5000)
    client.service.paused = False
    qtbot.waitUntil(lambda: len(answered) == 4, timeout=5000)
    assert answered[1:] == [("predicted", urgent), ("predicted", first), ("failed", bad)]
    assert client.waiting == 0


def test_without_a_model_it_fails_as_the_real_one(client: RecordedCompute, image: str, qtbot: QtBot) -> None:
    with qtbot.waitSignal(client.failed, timeout=5000) as caught:
        client.predict(image, "a")
    assert "no model is loaded" in str(AtrousError.from_dict(caught.args[0].error))


def test_a_crash_is_announced_and_followed_by_restarted(client: RecordedCompute, qtbot: QtBot) -> None:
    with qtbot.waitSignals([client.crashed, client.restarted], timeout=5000, order="strict"):
        client.crash()
