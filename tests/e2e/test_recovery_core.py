"""Kill the program at any instant: every completed stroke is there at the next start, and its undo steps."""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.state.document import Document
from app.state.log_mark import INTERRUPTED
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.errors import StorageError
from tests.unit.app.folders import make_folder, paint, same

ROOT = Path(__file__).resolve().parents[2]

SESSION = """
import sys
from PySide6.QtCore import QCoreApplication, QTimer
from app.services.autosave import Autosaver
from app.services.undo import UndoHistory
from app.state.project import Project
from app.state.provenance import Provenance
from tests.unit.app.folders import paint

application = QCoreApplication([])
project = Project.open(sys.argv[1])
history, saver = UndoHistory(), Autosaver(project, idle_ms=15, sync_ms=5)
history.stepPushed.connect(saver.record_step)
history.stepMoved.connect(saver.record_move)
loaded = [project.load(record.id) for record in project.images]
turn = 0

def work():
    global turn
    image = turn // 7 % 2
    record, document = project.images[image], loaded[image].document
    if turn % 7 == 0:
        history.open(record.id, document, loaded[image].steps)
        saver.watch(record.id, document, saved=saver.held(record.id) is None)
    if turn % 7 == 5:
        history.undo()
        word = "undo"
    else:
        patch = paint(document, turn)
        history.push(f"Brush {turn}", patch, Provenance.USER)
        word = "nothing" if patch.empty else "paint"
    print(word, image, turn, flush=True)
    turn += 1

timer = QTimer(interval=2)
timer.timeout.connect(work)
timer.start()
application.exec()
"""


def replay(lines):
    """What the session said it had completed, done again here: a document and its done and undone titles per image."""
    documents = [Document.blank((90, 130), _catalog()) for _ in range(2)]
    done, undone = ([], []), ([], [])
    for line in lines:
        word, image, turn = line.split()
        image = int(image)
        if word == "paint":
            done[image].append((f"Brush {turn}", paint(documents[image], int(turn))))
            undone[image].clear()
        elif word == "undo":
            step = done[image].pop()
            documents[image].apply(step[1].inverted())
            undone[image].insert(0, step)
    return documents, done, undone


def histories(done, undone):
    """Per image: (title, undone) of every step, as the journal lists them."""
    return [[*((title, False) for title, _ in d), *((title, True) for title, _ in u)] for d, u in zip(done, undone, strict=True)]


def _catalog():
    from deeplab_core.catalogs import get_catalog

    return get_catalog("voc21")


@pytest.mark.e2e
@pytest.mark.parametrize("strokes", [3, 40, 150])
def test_sigkill_in_a_stream_of_strokes(tmp_path, strokes):
    folder = make_folder(tmp_path / "photos", "a.png", "b.png")
    command = [sys.executable, "-c", SESSION, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        lines = [child.stdout.readline() for _ in range(strokes)]
        child.send_signal(signal.SIGKILL)
        # Not communicate(): it reads the pipe itself and leaves out what readline() has already read ahead.
        lines += child.stdout.readlines()
    lines = [line for line in lines if line.endswith("\n")]
    assert len(lines) >= strokes

    with Project.open(folder) as project:
        # Killed while it saved a step that it had not reported yet: the project mentions that step, and nothing else.
        assert len(project.notices) <= 1
        assert all(str(INTERRUPTED) in notice and notice.startswith("The last 1 change") for notice in project.notices)
        loaded = [project.load(record.id) for record in project.images]
        documents, done, undone = replay(lines)
        found = [[(step.title, step.undone) for step in image.steps] for image in loaded]
        told = histories(done, undone)
        if found != told and not project.notices:
            # The current step may have reached the disk before its line was read.
            turn = len(lines)
            extra = f"{'undo' if turn % 7 == 5 else 'paint'} {turn // 7 % 2} {turn}"
            documents, done, undone = replay([*lines, extra])
            told = histories(done, undone)
        assert found == told
        for image, document in zip(loaded, documents, strict=True):
            assert same(image.document, document)
            for step in reversed([step for step in image.steps if not step.undone]):
                image.document.apply(step.patch.inverted())
            assert (image.document.labels == 255).all()


#: What a child does while it is killed at some line of ours: two strokes, a saved mask, an undo, a stroke, a saved mask again.
def _work(folder, say):
    project = Project.open(folder)
    image = project.images[0].id
    document = project.load(image).document

    def draw(seed):
        patch = paint(document, seed)
        step = project.append_step(image, f"Brush {seed}", Provenance.USER, patch)
        say()
        return step

    draw(1)
    step = draw(2)
    project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    document.apply(step.patch.inverted())
    project.journal.undo(image, step.seq)
    say()
    draw(3)
    project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    project.tidy(0)
    draw(4)
    project.close()


def _states():
    """The document after 0, 1, 2, ... completed steps of :func:`_work`."""
    document = Document.blank((90, 130), _catalog())
    states = [_copy(document)]
    paint(document, 1)
    states.append(_copy(document))
    second = paint(document, 2)
    states.append(_copy(document))
    document.apply(second.inverted())
    states.append(_copy(document))
    for seed in (3, 4):
        paint(document, seed)
        states.append(_copy(document))
    return states


def _copy(document):
    return Document(document.labels.copy(), document.catalog, document.provenance.copy())


def _killed_at(line, folder):
    """Run :func:`_work` in a fork that dies by SIGKILL at its ``line``-th line of our own code; how many steps it completed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame, event, _):
            nonlocal left
            if "/app/state/" not in frame.f_code.co_filename and "/formats/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        _work(folder, lambda: os.write(writer, b"."))
        sys.settrace(None)
        os.write(writer, b"!")
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as stream:
        return stream.read().decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to die at a chosen line")
def test_sigkill_at_any_line_of_the_saving_code(tmp_path):
    states = _states()
    folder = make_folder(tmp_path / "photos", "a.png")
    rng = random.Random(1)
    line, tried = 1, 0
    while True:
        said = _killed_at(line, folder)
        completed = said.count(".")
        if (folder / ".atrous/project.db").exists():
            with Project.open(folder) as project:
                image = project.images[0].id
                loaded = project.load(image)
                allowed = states[completed : completed + 2]
                assert any(same(loaded.document, state) for state in allowed), f"killed at line {line} after {completed} steps"
                # And the project goes on working.
                project.append_step(image, "more", Provenance.USER, paint(loaded.document, 77))
                assert same(project.load(image).document, loaded.document)
        tried += 1
        if said.endswith("!"):
            break
        shutil.rmtree(folder / ".atrous", ignore_errors=True)
        line += rng.randint(1, 300)
    assert tried > 20, tried
    assert completed == 5


def _fill(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="mounts a small disk")
def test_a_real_full_disk(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(mount), b"tmpfs", 0, b"size=3m") != 0:
        pytest.skip(f"cannot mount a tmpfs here: {os.strerror(ctypes.get_errno())}")
    try:
        folder = make_folder(tmp_path / "photos", "a.png")
        filler = mount / "filler"
        with Project.open(folder, mount / "project") as project:
            image = project.images[0].id
            document = project.load(image).document
            done, seed = 0, 0
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
            mask = (mount / "project/masks/a.png.png").read_bytes()
            while True:
                patch = paint(document, seed)
                seed += 1
                try:
                    project.append_step(image, f"Brush {seed}", Provenance.USER, patch)
                except StorageError as error:
                    refusal = str(error)
                    break
                done += 1
                if done == 20:
                    _fill(filler)
            assert "disk is full" in refusal
            with pytest.raises(StorageError, match="disk is full"):
                project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
            assert (mount / "project/masks/a.png.png").read_bytes() == mask
            assert len(project.load(image).steps) == done
            filler.unlink()
            project.append_step(image, "kept in memory until now", Provenance.USER, patch)
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        with Project.open(folder, mount / "project") as project:
            loaded = project.load(image)
            assert loaded.saved
            assert same(loaded.document, document)
            assert len(loaded.steps) == done + 1
    finally:
        libc.umount2(os.fsencode(mount), 2)
