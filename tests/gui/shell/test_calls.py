"""Calls: one answer for each, and of several wishes the newest."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.services.calls import Call, LatestCall
from app.services.compute import ComputeClient
from app.worker.messages import URGENT, InspectModel, LoadModel, ScoresAt
from deeplab_core.errors import AtrousError, WeightsError
from tests.fakes.compute import FakeComputeClient
from tests.gui import scripted_worker
from tests.gui.shell.test_compute_fake import CATALOG


@pytest.fixture
def service(qtbot: QtBot) -> FakeComputeClient:
    service = FakeComputeClient(CATALOG)
    service.start()
    service.paused = True
    return service


class Wish:
    """Submits a file to be inspected, and writes down what comes of it."""

    def __init__(self, service: FakeComputeClient, path: str, log: list[str]) -> None:
        self._service, self._path, self._log = service, path, log

    def __call__(self) -> Call[object]:
        self._log.append(f"sent {self._path}")
        return self._service.submit(InspectModel(path=self._path)).on(
            done=lambda _answer: self._log.append(f"done {self._path}"),
            failed=lambda error: self._log.append(f"failed {self._path}"),
            cancelled=lambda: self._log.append(f"cancelled {self._path}"),
        )


def test_each_ending_is_heard_once_and_then_the_end(service: FakeComputeClient, qtbot: QtBot) -> None:
    service.errors["bad"] = WeightsError("no network")
    heard: list[object] = []
    calls = [service.submit(InspectModel(path=path)) for path in ("good", "bad", "dropped")]
    for call in calls:
        call.on(
            done=lambda answer: heard.append(type(answer).__name__),
            failed=heard.append,
            cancelled=lambda: heard.append("cancelled"),
            finished=lambda: heard.append("end"),
        )
    calls[2].cancel()
    calls[2].cancel()
    service.paused = False
    qtbot.waitUntil(lambda: heard.count("end") == 3, timeout=10_000)
    assert heard[:3] == ["cancelled", "end", "Inspected"]
    assert isinstance(heard[4], WeightsError)
    assert not any(call.running for call in calls)
    calls[0].cancel()  # over: nothing happens
    calls[0].resolve(ScoresAt(request_id=1, class_ids=(), probabilities=()))
    assert len(heard) == 6


def test_an_abandoned_call_says_nothing_but_that_it_is_over(service: FakeComputeClient, qtbot: QtBot) -> None:
    heard: list[str] = []
    call = service.submit(InspectModel(path="a")).on(
        cancelled=lambda: heard.append("cancelled"), finished=lambda: heard.append("end")
    )
    call.abandon()
    qtbot.waitUntil(lambda: not call.running, timeout=10_000)
    assert heard == ["end"]


def test_a_newer_wish_takes_the_place_of_the_running_and_the_waiting_call(service: FakeComputeClient, qtbot: QtBot) -> None:
    log: list[str] = []
    latest = LatestCall()
    for path in ("a", "b", "c"):
        latest.ask(Wish(service, path, log))
    assert log == ["sent a"]
    service.paused = False
    qtbot.waitUntil(lambda: latest.idle, timeout=10_000)
    assert log == ["sent a", "sent c", "done c"]


def test_a_call_that_may_not_be_interrupted_is_answered_first(service: FakeComputeClient, qtbot: QtBot) -> None:
    log: list[str] = []
    latest = LatestCall()
    latest.ask(Wish(service, "quick", log), interruptible=False)
    latest.ask(Wish(service, "exact", log))
    service.paused = False
    qtbot.waitUntil(lambda: latest.idle, timeout=10_000)
    assert log == ["sent quick", "done quick", "sent exact", "done exact"]


def test_an_answer_may_ask_for_the_next_call(service: FakeComputeClient, qtbot: QtBot) -> None:
    log: list[str] = []
    latest = LatestCall()

    def first() -> Call[object]:
        log.append("sent first")
        return service.submit(InspectModel(path="first")).on(done=lambda _answer: latest.ask(Wish(service, "second", log)))

    latest.ask(first)
    service.paused = False
    qtbot.waitUntil(lambda: log[-1] == "done second", timeout=10_000)
    assert log == ["sent first", "sent second", "done second"]
    assert latest.idle


def test_stopped_it_asks_for_nothing_more(service: FakeComputeClient, qtbot: QtBot) -> None:
    log: list[str] = []
    latest = LatestCall()
    latest.ask(Wish(service, "a", log))
    latest.ask(Wish(service, "b", log))
    latest.stop()
    service.paused = False
    qtbot.waitUntil(lambda: latest.idle, timeout=10_000)
    assert log == ["sent a"]
    latest.ask(lambda: None)  # nothing to ask any more
    assert latest.idle


def test_a_model_that_cannot_be_loaded_again_is_named(qtbot: QtBot, tmp_path) -> None:
    client = ComputeClient(target=scripted_worker.run)
    lost: list[AtrousError] = []
    client.model_lost.connect(lost.append)
    client.start()
    loaded: list[object] = []
    client.submit(LoadModel(priority=URGENT, path=str(tmp_path / "loads once"))).on(done=loaded.append)
    qtbot.waitUntil(lambda: bool(loaded), timeout=60_000)
    client.restart()
    qtbot.waitUntil(lambda: bool(lost), timeout=60_000)
    assert "loads once" in str(lost[0])
    assert client.card is None
    client.stop()
