"""When a process counts as silent: not before it is, and not because another process slept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.worker import heartbeat
from app.worker.heartbeat import LONG_CALL, SILENCE, CancelWait, HeartbeatMonitor, Vitals, read_vitals

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def idle(seconds: float = 3.0) -> Callable[[], Vitals]:
    return lambda: Vitals(False, False, seconds)


def reported_after(look: Callable[[float], Vitals | None], *, heard: bool = True, tick: float = 0.5) -> float:
    """Seconds of silence until a watch reports."""
    watch = HeartbeatMonitor(0.0)
    now = 0.0
    if heard:
        now = tick
        watch.tick(now, 1, lambda: None)
    began = now
    while not watch.silent:
        now += tick
        watch.tick(now, 0, partial(look, now - began))
        assert now < 300
    return now - began


def test_a_process_that_does_nothing_is_reported_within_ten_seconds_of_its_last_beat() -> None:
    assert reported_after(lambda _: Vitals(False, False, 3.0)) + heartbeat.BEAT <= 10.0
    assert reported_after(lambda _: None) == SILENCE, "where the system says nothing"


def test_a_stopped_process_is_reported_whatever_it_did_before() -> None:
    """It computed with every core until it was stopped."""
    assert reported_after(lambda since: Vitals(True, False, min(since, 2.0) * 64)) == SILENCE
    assert reported_after(lambda _: Vitals(True, False, 0.0), heard=False) == SILENCE, "stopped while it was starting"


@pytest.mark.parametrize("share", [0.02, 0.5, 8.0])
def test_a_long_call_has_more_time(share: float) -> None:
    """A library that holds Python's lock keeps the beats back; a busy machine gives it a fiftieth of a core."""
    assert reported_after(lambda since: Vitals(False, False, share * since)) == LONG_CALL


def test_waiting_for_the_disk_is_no_silence() -> None:
    assert reported_after(lambda _: Vitals(False, True, 0.0)) == LONG_CALL


def test_work_that_ended_does_not_count() -> None:
    """Busy for five seconds, then nothing more: reported soon after, not at the end of a long call."""
    assert reported_after(lambda since: Vitals(False, False, min(since, 5.0))) <= SILENCE + 5


def test_threads_that_wait_for_each_other_are_no_work() -> None:
    assert reported_after(lambda since: Vitals(False, False, 0.003 * since)) == SILENCE


def test_before_the_first_beat_a_system_that_says_nothing_has_more_time() -> None:
    assert reported_after(lambda _: None, heard=False) == LONG_CALL


@given(st.lists(st.floats(0, 100_000), min_size=1, max_size=4))
def test_a_sleeping_computer_reports_nothing(sleeps: list[float]) -> None:
    """The clock jumps; the beats go on after it."""
    watch, now = HeartbeatMonitor(0.0), 0.0
    for sleep in sleeps:
        for _ in range(3):
            now += 0.5
            assert not watch.tick(now, 1, idle())
        now += sleep
        assert not watch.tick(now, 0, idle())
        now += 0.5
        assert not watch.tick(now, 0, idle())


@given(st.lists(st.floats(-5, 5), max_size=40))
def test_a_clock_that_goes_back_breaks_nothing(steps: list[float]) -> None:
    watch, now = HeartbeatMonitor(0.0), 0.0
    for step in steps:
        now += step
        watch.tick(now, 0, idle())
        assert 0 <= watch.silence <= 2 * len(steps)


def test_a_beat_ends_the_silence_and_only_a_beat() -> None:
    watch, now = HeartbeatMonitor(0.0), 0.0
    watch.tick(now, 1, idle())
    while not watch.silent:
        now += 0.5
        watch.tick(now, 0, idle())
    assert watch.tick(now + 0.5, 0, lambda: Vitals(False, False, 1e6)), "work alone is not an answer"
    assert not watch.tick(now + 1, 1, idle())
    assert watch.silence == 0


@linux
def test_vitals_of_a_real_process() -> None:
    mine = read_vitals(os.getpid())
    assert mine is not None
    assert not mine.stopped
    assert mine.seconds > 0
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        os.kill(sleeper.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
        stopped = read_vitals(sleeper.pid)
        assert stopped is not None
        assert stopped.stopped
    finally:
        sleeper.kill()
        sleeper.wait()
    assert read_vitals(sleeper.pid) is None
    assert read_vitals(None) is None


def _compute(connection: object) -> None:
    """Long calls that let Python's lock go, as torch's and our kernels do."""
    import hashlib

    block = bytes(200_000_000)
    connection.send("begun")  # type: ignore[attr-defined]
    for _ in range(40):
        hashlib.sha256(block).digest()


def test_it_beats_while_the_main_thread_computes() -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    pulse, beating = context.Pipe(duplex=False)
    process = context.Process(target=heartbeat.run_alive, args=(_compute, theirs, beating), daemon=True)
    process.start()
    try:
        assert ours.poll(120)
        assert ours.recv() == "begun"
        while pulse.poll():
            pulse.recv_bytes()
        for _ in range(2):
            assert pulse.poll(60), "a beat while it computes"
            pulse.recv_bytes()
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


PARENT = """
import multiprocessing, sys, time
from multiprocessing import get_context
from pathlib import Path
from app.worker.heartbeat import run_alive

def sleep(connection):
    connection.send("begun")
    time.sleep(600)

if __name__ == "__main__":
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    pulse, beating = context.Pipe(duplex=False)
    process = context.Process(target=run_alive, args=(sleep, theirs, beating), daemon=True)
    process.start()
    ours.recv()
    print(process.pid, flush=True)
    time.sleep(600)
"""


@linux
def test_a_stopped_process_ends_with_its_window(tmp_path: Path) -> None:
    import psutil

    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        child.suspend()
        while child.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        parent.kill()
        parent.wait()
        _gone, alive = psutil.wait_procs([child], timeout=600)
        for orphan in alive:
            orphan.kill()
        assert alive == []
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()


def had(busy: float, seconds: float, *, disk: bool = False, stopped: bool = False, known: bool = True) -> float:
    """Time that a process has had after so many seconds by the clock, with this share of a core."""
    wait, found = CancelWait(100.0), 0.0
    for look in range(1, round(4 * seconds) + 1):
        at = look / 4
        found = wait.tick(100.0 + at, Vitals(stopped, disk, busy * at) if known else None)
    return found


def test_a_cancelled_request_has_the_time_in_which_its_process_could_work() -> None:
    assert had(1.0, 4) == pytest.approx(4, abs=0.3)  # alone on its core
    assert had(2.0, 4) == pytest.approx(4, abs=0.3)  # with two threads, not sooner
    assert had(0.1, 20) == pytest.approx(2, abs=0.3)  # a tenth of a core: 20 s by the clock are 2
    assert had(0.0, 4) == 4  # it rests, and could have answered
    assert had(0.1, 4, stopped=True) == 4
    assert had(0.1, 4, known=False) == 4  # the system says nothing
    assert had(0.0, 20, disk=True) < 1
    assert had(0.01, 61) >= 60  # a minute by the clock is enough


def test_a_computer_that_slept_has_not_waited() -> None:
    wait = CancelWait(0.0)
    wait.tick(0.25, Vitals(False, False, 0.25))
    assert wait.tick(50.0, Vitals(False, False, 0.25)) <= 2.5
