"""The compute client against a scripted process: every request gets one answer, whatever the process does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.services import compute as compute_module
from app.services.compute import ComputeClient
from app.services.compute_link import ending
from app.worker import heartbeat
from app.worker.messages import NORMAL, URGENT
from deeplab_core.errors import AtrousError
from tests.conftest import PATIENCE_MS
from tests.fakes.recorded import RecordedCompute
from tests.gui import scripted_worker

SIGNALS = (
    "hello", "loaded", "predicted", "scores", "progress", "failed", "cancelled", "crashed", "restarted", "gave_up",
    "unresponsive", "responsive",
)  # fmt: skip


class Heard:
    """Everything that a client said, in order."""

    def __init__(self, client: RecordedCompute, qtbot: QtBot) -> None:
        self.events: list[tuple[str, object]] = []
        self._qtbot = qtbot
        for name in SIGNALS:
            getattr(client, name).connect(partial(self._note, name))

    def _note(self, name: str, *what: object) -> None:
        self.events.append((name, what[0] if what else None))

    def names(self, *leave_out: str) -> list[str]:
        return [name for name, _ in self.events if name not in ("progress", *leave_out)]

    def of(self, name: str) -> list:  # type: ignore[type-arg]
        return [what for event, what in self.events if event == name]

    def wait(self, name: str, times: int = 1) -> None:
        self._qtbot.waitUntil(lambda: len(self.of(name)) >= times)

    def answers(self) -> dict[int, str]:
        """Request id -> the signal that answered it; fails if there were two."""
        found: dict[int, str] = {}
        for name, what in self.events:
            if name in ("loaded", "predicted", "scores", "failed", "cancelled"):
                assert what.request_id not in found, f"{name} and {found[what.request_id]} for {what.request_id}"  # type: ignore[attr-defined]
                found[what.request_id] = name  # type: ignore[attr-defined]
        return found


@pytest.fixture
def client(qtbot: QtBot) -> Iterator[RecordedCompute]:
    client = RecordedCompute(ComputeClient(target=scripted_worker.run))
    yield client
    client.stop()
    assert client.pid is None


@pytest.fixture
def heard(client: RecordedCompute, qtbot: QtBot) -> Heard:
    return Heard(client, qtbot)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_asks_before_the_process_is_there_are_kept(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    load = client.load("a.safetensors", device="cpu")
    predict = client.predict("x.png", "key")
    ask = client.ask_scores("key", 1, 2)
    assert client.waiting == 3
    heard.wait("predicted")
    assert heard.answers() == {load: "loaded", ask: "scores", predict: "predicted"}
    assert heard.names()[0] == "hello"
    (predicted,) = heard.of("predicted")
    assert predicted.prediction.source_key == "key"
    assert predicted.prediction.card_id == "a.safetensors"
    assert client.card is not None
    assert client.card.id == "a.safetensors"
    assert client.waiting == 0


def test_the_image_in_view_jumps_the_queue(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    heard.wait("hello")
    slow = client.predict("slow", "s")
    heard.wait("progress")
    folder = [client.predict(f"{n}.png", str(n), priority=NORMAL) for n in range(3)]
    view = client.predict("view.png", "view", priority=URGENT)
    client.cancel(slow)
    heard.wait("predicted", 4)
    assert [message.request_id for message in heard.of("predicted")] == [view, *folder]


def test_cancel_of_waiting_and_running_requests(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    heard.wait("hello")
    running = client.predict("slow", "s")
    heard.wait("progress")
    waiting, kept = client.predict("a.png", "a"), client.predict("b.png", "b")
    client.cancel(waiting)
    heard.wait("cancelled")
    client.cancel(running)
    client.cancel(running)  # twice is once
    client.cancel(987)
    heard.wait("predicted")
    assert heard.answers() == {waiting: "cancelled", running: "cancelled", kept: "predicted"}
    assert "crashed" not in heard.names()


def test_cancel_before_the_process_is_there(client: RecordedCompute, heard: Heard) -> None:
    first, second = client.predict("a.png", "a"), client.predict("b.png", "b")
    client.cancel(first)
    heard.wait("cancelled")
    client.start()
    heard.wait("predicted")
    assert heard.answers() == {first: "cancelled", second: "predicted"}


def test_cancel_all(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    heard.wait("hello")
    client.predict("slow", "s")
    for n in range(200):
        client.predict(f"{n}.png", str(n))
    heard.wait("progress")
    client.cancel_all()
    heard.wait("cancelled", 201)
    assert client.waiting == 0


def test_killed_in_the_middle_it_comes_back_and_goes_on(client: RecordedCompute, heard: Heard, tmp_path: Path) -> None:
    client.start()
    load = client.load("model", device="cpu")
    heard.wait("loaded")
    first_pid = client.pid
    victim = client.predict(str(tmp_path / "once"), "v")
    after = client.predict("after.png", "a")
    heard.wait("predicted", 2)
    assert heard.names("hello") == ["loaded", "crashed", "restarted", "predicted", "predicted"]
    assert heard.answers() == {load: "loaded", victim: "predicted", after: "predicted"}
    assert {message.prediction.card_id for message in heard.of("predicted")} == {"model"}, "the model was loaded again first"
    assert heard.of("crashed") == ["it was ended by SIGKILL; often the system was short of memory"]
    assert client.pid != first_pid


def test_an_image_that_kills_twice_fails_by_name_and_the_rest_goes_on(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    before, poison, after = (client.predict(name, name) for name in ("a.png", "poison", "z.png"))
    heard.wait("predicted", 2)
    assert heard.answers() == {before: "predicted", poison: "failed", after: "predicted"}
    (failed,) = heard.of("failed")
    error = AtrousError.from_dict(failed.error)
    assert str(error.path) == "poison"
    assert "ended the compute process twice" in str(error)
    assert len(heard.of("crashed")) == 2


def test_a_process_that_keeps_dying_is_given_up_and_can_be_started_again(
    client: RecordedCompute, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute_module, "BACK_OFF", (0.0, 0.01, 0.01))
    client.service._target = partial(scripted_worker.run, greeting="dies")
    client.start()
    waiting = client.predict("a.png", "a")
    heard.wait("gave_up")
    assert heard.names() == ["crashed"] * 4 + ["failed", "gave_up"]
    assert "died 4 times within a minute" in heard.of("gave_up")[0]
    late = client.predict("b.png", "b")
    heard.wait("failed", 2)
    assert heard.answers() == {waiting: "failed", late: "failed"}

    client.service._target = scripted_worker.run
    client.start()
    again = client.predict("c.png", "c")
    heard.wait("predicted")
    assert heard.answers()[again] == "predicted"


@pytest.mark.parametrize(("greeting", "reason"), [("qt", "PySide6.QtGui"), ("protocol", "protocol version 2")])
def test_a_worker_with_qt_or_another_protocol_is_refused(qtbot: QtBot, greeting: str, reason: str) -> None:
    client = RecordedCompute(ComputeClient(target=partial(scripted_worker.run, greeting=greeting)))
    heard = Heard(client, qtbot)
    client.start()
    client.predict("a.png", "a")
    heard.wait("gave_up")
    assert reason in heard.of("gave_up")[0]
    assert heard.names() == ["crashed", "failed", "gave_up"]
    client.stop()


def test_a_process_that_never_starts_is_ended_and_named(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.compute.HELLO_PATIENCE", 0.0)
    client = RecordedCompute(ComputeClient(target=partial(scripted_worker.run, greeting="stops")))
    heard = Heard(client, qtbot)
    client.start()
    heard.wait("crashed")
    assert heard.of("crashed")[0] == "it did not start within 0 seconds and was ended"
    client.stop()


def test_a_request_that_does_not_stop_is_ended_with_its_process(
    client: RecordedCompute, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute_module, "CANCEL_PATIENCE", 0.2)
    client.start()
    deaf, after = client.predict("deaf", "d"), client.predict("after.png", "a")
    heard.wait("progress")
    client.cancel(deaf)
    heard.wait("predicted")
    assert heard.names("hello") == ["cancelled", "crashed", "restarted", "predicted"]
    assert heard.answers() == {deaf: "cancelled", after: "predicted"}
    assert "did not stop a cancelled request" in heard.of("crashed")[0]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is reported soon; whether it is one is decided as ever."""
    monkeypatch.setattr(heartbeat, "SILENCE", 2.5)
    monkeypatch.setattr(compute_module, "LOOK_MS", 100)


@pytest.mark.parametrize("name", ["stops", "locked"])
def test_a_hung_process_is_reported_and_waiting_changes_nothing(name: str, impatient: None, qtbot: QtBot, tmp_path: Path) -> None:
    client = RecordedCompute(ComputeClient(target=scripted_worker.run))
    heard = Heard(client, qtbot)
    client.start()
    hung, after = client.predict(name, "h"), client.predict("after.png", "a")
    heard.wait("unresponsive")
    assert name in heard.of("unresponsive")[0]
    assert heard.answers() == {}
    assert client.waiting == 2
    if name == "stops":
        client.signal(signal.SIGCONT)
        heard.wait("responsive")
        heard.wait("predicted", 2)
        assert heard.answers() == {hung: "predicted", after: "predicted"}
        assert "crashed" not in heard.names()
    client.stop()


def test_restarted_it_answers_each_request_once(client: RecordedCompute, heard: Heard, impatient: None, tmp_path: Path) -> None:
    client._pulse.setInterval(100)
    client.start()
    load = client.load("model", device="cpu")
    hung, after = client.predict(str(tmp_path / "stops"), "h"), client.predict("after.png", "a")
    heard.wait("unresponsive")
    client.restart()
    client.restart()  # twice is once
    heard.wait("predicted", 2)
    assert heard.names("hello") == ["loaded", "unresponsive", "responsive", "crashed", "restarted", "predicted", "predicted"]
    assert heard.answers() == {load: "loaded", hung: "predicted", after: "predicted"}
    assert "at your request" in heard.of("crashed")[0]


def test_a_request_that_hangs_twice_fails_by_name(client: RecordedCompute, heard: Heard, impatient: None) -> None:
    client.start()
    hung, after = client.predict("stops", "h"), client.predict("after.png", "a")
    for time_ in (1, 2):
        heard.wait("unresponsive", time_)
        client.restart()
    heard.wait("predicted")
    assert heard.answers() == {hung: "failed", after: "predicted"}
    error = AtrousError.from_dict(heard.of("failed")[0].error)
    assert str(error.path) == "stops"
    assert "did not answer" in error.why


def test_a_process_that_is_stopped_while_it_starts_is_reported(impatient: None, qtbot: QtBot) -> None:
    client = RecordedCompute(ComputeClient(target=partial(scripted_worker.run, greeting="stops")))
    heard = Heard(client, qtbot)
    client.start()
    waiting = client.predict("a.png", "a")
    heard.wait("unresponsive")
    assert "while it was starting" in heard.of("unresponsive")[0]
    client.service._target = scripted_worker.run
    client.restart()
    heard.wait("predicted")
    assert heard.answers() == {waiting: "predicted"}
    client.stop()


def test_an_idle_process_that_is_stopped_is_reported_and_cancel_still_answers(
    client: RecordedCompute, heard: Heard, impatient: None
) -> None:
    client.start()
    heard.wait("hello")
    client.signal(signal.SIGSTOP)
    heard.wait("unresponsive")
    assert "nothing to do" in heard.of("unresponsive")[0]
    late = client.predict("late.png", "l")
    client.cancel(late)
    heard.wait("cancelled")
    assert heard.answers() == {late: "cancelled"}
    heard.wait("restarted")


def test_stopping_the_client_ends_a_stopped_process(client: RecordedCompute, heard: Heard, impatient: None) -> None:
    client.start()
    heard.wait("hello")
    pid = client.pid
    client.signal(signal.SIGSTOP)
    heard.wait("unresponsive")
    client.stop()
    assert pid is not None
    assert gone(pid)


def test_a_process_with_failing_imports_is_not_tried_again(qtbot: QtBot) -> None:
    client = RecordedCompute(ComputeClient(target=partial(scripted_worker.run, greeting="broken")))
    heard = Heard(client, qtbot)
    client.start()
    waiting = client.predict("a.png", "a")
    heard.wait("gave_up")
    assert heard.names() == ["crashed", "failed", "gave_up"]
    assert heard.answers() == {waiting: "failed"}
    assert heard.of("gave_up") == ["torch cannot be imported (OSError: libtorch.so). Install torch again"]
    client.stop()


def test_an_unreadable_message_counts_as_a_death(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    garbage = client.predict("garbage", "g")
    heard.wait("failed")
    assert heard.answers() == {garbage: "failed"}
    assert "something unreadable" in heard.of("crashed")[0]


def test_stop_leaves_no_process(client: RecordedCompute, heard: Heard) -> None:
    client.start()
    heard.wait("hello")
    pid = client.pid
    client.predict("slow", "s")
    client.stop()
    assert pid is not None
    assert gone(pid)
    client.stop()  # again is harmless


def test_stop_right_after_start(client: RecordedCompute) -> None:
    client.start()
    client.start()  # twice is once
    client.stop()


def test_starting_and_asking_do_not_block(client: RecordedCompute) -> None:
    """Both only hand work to the threads of the link: no process exists yet when they return."""
    client.start()
    client.predict("a.png", "a")
    assert client.pid is None or not gone(client.pid)
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while client.pid is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reasons_for_the_end_are_plain() -> None:
    assert ending(-signal.SIGSEGV) == "it was ended by SIGSEGV; an error in a native library"
    assert ending(1) == "it ended with status 1"
    assert ending(-200) == "it was ended by signal 200"
    assert ending(None) == "it stopped responding"
