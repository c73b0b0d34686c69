"""A process of its own finds the errors of a very large image: the same ones, and what happens when it fails."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.paths import SAMPLE_PROJECT
from app.state import measurement
from app.state.ground_truth import GroundTruth
from app.state.measurement import KeptModels, Measured, Measurement, Part
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.project_analysis import inspect_sample
from app.state.provenance import Provenance
from app.state.samples import EvaluationSample, load_sample
from app.worker import inspect_apart
from app.worker.inspect_apart import InspectApart
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.errors import Cancelled, ComputeError, ImageReadError
from deeplab_core.kernels.compiled import allow_compiled
from deeplab_core.masks.read import read_mask
from deeplab_core.records import TrimapBand

VOC = get_catalog("voc21")
NAME = "room_00005"


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest):
    """Part of a room with its ground truth and a mask. No loop is compiled for one that is so small."""
    box = getattr(request, "param", (200, 200, 500, 400))
    for folder, suffix in (("images", ".jpg"), ("truth", ".png"), ("masks", ".png")):
        (tmp_path / folder).mkdir()
        with Image.open(SAMPLE_PROJECT / folder / f"{NAME}{suffix}") as picture:
            picture.crop(box).save(tmp_path / folder / f"{NAME}{suffix}")
    with Project.open(tmp_path / "images", catalog=VOC) as opened:
        record = opened.images[0]
        truth = find_truth(tmp_path / "images", [record.relative_path], truth_folder=tmp_path / "truth", catalog=VOC)
        opened.ground_truth = GroundTruth(truth)
        labels = read_mask(tmp_path / "masks" / f"{NAME}.png", VOC)
        document = opened.load(record.id, labels.shape).document
        made = np.full_like(document.provenance, Provenance.IMPORT)
        patch = diff_patch(document.labels, document.provenance, labels, made)
        opened.append_step(record.id, "Import", Provenance.IMPORT, patch)
        yield opened


def running() -> list[multiprocessing.process.BaseProcess]:
    """Processes that inspect; other tests may have left some of other kinds."""
    return [process for process in multiprocessing.active_children() if process.name == "atrous-inspect"]


def sample_of(project: Project, **more: bool) -> EvaluationSample:
    return load_sample(project, project.images[0].id, **more)


def measured(project: Project, apart: InspectApart | None) -> Measured:
    image = project.images[0].id
    return Measurement(
        project, image, Part.ERRORS | Part.SCORE, TrimapBand(rule="edge"), lambda: None, KeptModels(project), apart=apart
    ).run()


@pytest.mark.parametrize("project", [(0, 0, 640, 480)], indirect=True)
def test_the_errors_are_the_same_to_the_bit(project: Project) -> None:
    sample = sample_of(project, rgb=True)
    exclude = np.zeros(sample.labels.shape, bool)
    exclude[100:200, 150:400] = True
    sample = EvaluationSample(sample.labels, sample.truth, exclude, sample.scored, rgb=sample.rgb)
    listed = SAMPLE_PROJECT / "objects" / f"{NAME}.json"
    allow_compiled(False)  # as in the window
    try:
        here = inspect_sample(project, sample, listed)
    finally:
        allow_compiled(True)
    there = InspectApart()(project, project.images[0].id, sample, listed)()
    assert there.to_bytes() == here.to_bytes()
    assert not running()


def test_a_large_image_is_measured_apart_and_its_pixels_are_not_read_here(project: Project, monkeypatch) -> None:
    here = measured(project, None)
    monkeypatch.setattr(measurement, "LARGE_PX", 1000)

    def refuse(*_arguments: object) -> None:
        raise AssertionError("the window reads or inspects a large image")

    monkeypatch.setattr("app.state.samples.read_image", refuse)
    monkeypatch.setattr(measurement, "inspect_sample", refuse)
    there = measured(project, InspectApart())
    assert there.errors.record.to_bytes() == here.errors.record.to_bytes()
    assert there.errors.key == here.errors.key
    assert there.score.to_bytes() == here.score.to_bytes()


def test_a_photograph_that_cannot_be_read_is_named(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(measurement, "LARGE_PX", 1000)
    sample = sample_of(project)
    path = project.path_of(project.images[0])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageReadError) as caught:
        InspectApart()(project, project.images[0].id, sample, None)()
    assert caught.value.path == path
    found = measured(project, InspectApart())  # what needs no pixels is measured all the same
    assert isinstance(found.problem, ImageReadError)
    assert found.errors is None
    assert found.score is not None


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="only POSIX systems stop a process by a signal")
def test_what_nobody_waits_for_is_ended(project: Project, monkeypatch) -> None:
    apart, began = InspectApart(), threading.Event()
    start = apart._start

    def start_stopped() -> object:
        process, connection = start()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)  # it never answers
        began.set()
        return process, connection

    monkeypatch.setattr(apart, "_start", start_stopped)
    caught: list[Exception] = []
    sample = sample_of(project)

    def work() -> None:
        try:
            apart(project, project.images[0].id, sample, None)()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(60)
    apart.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(caught[0], Cancelled)
    assert not running()


def test_nothing_begins_after_a_stop(project: Project, monkeypatch) -> None:
    apart = InspectApart()
    apart.stop()
    with pytest.raises(Cancelled):
        apart(project, project.images[0].id, sample_of(project), None)
    monkeypatch.setattr(measurement, "LARGE_PX", 1000)
    monkeypatch.setattr(measurement, "load_sample", None)  # and nothing is read, after a wait for another image
    with pytest.raises(Cancelled):
        measured(project, apart)
    assert not running()


def test_a_process_that_dies_is_an_error_of_its_image(project: Project) -> None:
    apart = InspectApart()
    wait = apart(project, project.images[0].id, sample_of(project), None)
    (process,) = running()
    process.kill()
    with pytest.raises(ComputeError) as caught:
        wait()
    assert "SIGKILL" in str(caught.value.why)
    assert caught.value.path == project.path_of(project.images[0])


def test_without_a_process_it_is_inspected_here(project: Project, monkeypatch) -> None:
    def fail(self: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(InspectApart, "_start", fail)
    found = InspectApart()(project, project.images[0].id, sample_of(project), None)()
    assert found.to_bytes() == inspect_sample(project, sample_of(project, rgb=True), None).to_bytes()


def test_the_process_imports_neither_qt_nor_torch() -> None:
    code = f"import json, sys, {inspect_apart.__name__}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"PySide6", "torch", "numba"}
