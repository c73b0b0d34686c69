"""Jobs, messages, logs and the crash watch."""

from __future__ import annotations

import logging
import os
import sys
import threading

import pytest
from shiboken6 import delete

from app.services.crash import CrashReporter
from app.services.jobs import Job, JobRegistry, JobState
from app.services.logs import LOG_NAME, report_text, start_logging
from app.services.notifications import Notifier, Severity
from deeplab_core.errors import StorageError


@pytest.fixture
def registry(qapp):
    made = JobRegistry()
    yield made
    assert made.wait()


def test_a_job_counts_progress_and_leaves_when_finished(registry):
    job = registry.add(Job("Folder run", guards_close=True))
    job.progress(3, 12, "cow.jpg", part=0.5)
    assert job.fraction == pytest.approx(3.5 / 12)
    assert registry.running == (job,)
    assert registry.guards_close() == (job,)
    job.finish()
    job.finish(JobState.FAILED)
    assert job.state is JobState.DONE
    assert registry.running == ()


def test_cancel_is_asked_once(registry):
    asked = []
    job = registry.add(Job("Export", stop=lambda: asked.append(True)))
    registry.cancel_all()
    job.cancel()
    assert asked == [True]
    assert job.running
    job.finish(JobState.CANCELLED)


def test_a_job_that_cannot_be_stopped_is_marked(registry):
    job = registry.add(Job("Look for images"))
    assert not job.can_cancel
    job.cancel()
    assert not job.cancel_asked
    job.finish()


def test_background_results_come_back_on_this_thread(registry, qtbot):
    threads = []
    registry.run(
        lambda: threads.append(threading.current_thread()) or 42,
        lambda result: threads.append((result, threading.current_thread())),
        threads.append,
    )
    qtbot.waitUntil(lambda: len(threads) == 2)
    assert threads[0] is not threading.main_thread()
    assert threads[1] == (42, threading.main_thread())


def test_background_errors_come_back_as_themselves(registry, qtbot):
    failures = []

    def fail():
        raise StorageError("the disk is full")

    registry.run(fail, failures.append, failures.append)
    qtbot.waitUntil(lambda: bool(failures))
    assert isinstance(failures[0], StorageError)


def test_a_reported_error_says_what_why_and_remedy(qapp):
    notifier = Notifier()
    notifier.report(StorageError("the file cannot be written", why="The disk is full", remedy="Free some space", path="/x/a.png"))
    (message,) = notifier.messages
    assert message.severity is Severity.ERROR
    assert message.title == "a.png: the file cannot be written"
    assert message.detail == "The disk is full. Free some space."


def test_an_unhandled_error_is_raised_not_reported(qapp):
    notifier = Notifier()
    notifier.report_or_raise(StorageError("the disk is full"), replace_key="save")
    with pytest.raises(ZeroDivisionError):
        notifier.report_or_raise(ZeroDivisionError("a bug"), replace_key="save")
    (message,) = notifier.messages
    assert (message.title, message.replace_key) == ("The disk is full", "save")


def test_the_report_has_the_log_and_hides_the_home_folder(tmp_path, monkeypatch):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        start_logging(tmp_path / "logs")
        logging.getLogger("test").info("opened %s/photos", tmp_path)
        text = report_text(tmp_path / "logs", {"device": "cpu"})
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
    assert (tmp_path / "logs" / LOG_NAME).is_file()
    assert "device: cpu" in text
    assert "opened ~/photos" in text


@pytest.fixture
def watch(qapp, tmp_path):
    made = CrashReporter(tmp_path)
    hook, thread_hook = sys.excepthook, threading.excepthook
    yield made
    made.stop()
    sys.excepthook, threading.excepthook = hook, thread_hook


def test_traces_of_a_crashed_run_are_found_once(watch, tmp_path):
    (tmp_path / "crash-999999999.txt").write_text("Fatal Python error: Segmentation fault\n")
    (tmp_path / f"crash-{os.getppid()}.txt").write_text("still running")
    assert watch.start(os.getpid()) == ["Fatal Python error: Segmentation fault"]
    watch.stop()
    assert watch.start(os.getpid()) == []
    assert (tmp_path / f"crash-{os.getppid()}.txt").exists()


def test_unexpected_exceptions_of_any_thread_are_reported(watch, qtbot):
    heard = []
    watch.unexpected.connect(lambda short, details: heard.append((short, details)))
    watch.start(os.getpid())
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: bool(heard))
    assert heard[0][0].startswith("ZeroDivisionError")
    assert "test_services" in heard[0][1]


def test_work_that_outlives_the_program_ends_in_silence(qtbot, capsys) -> None:
    jobs, go, ended = JobRegistry(), threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10)
        ended.set()

    jobs.run(work, lambda _result: None, lambda _error: None)
    threading.Timer(0.2, go.set).start()  # while the registry waits for its threads
    delete(jobs)
    assert ended.is_set()
    assert "Traceback" not in capsys.readouterr().err
