"""Messages of the two processes: the same after the pipe, without a second copy of large arrays."""

from __future__ import annotations

import multiprocessing
import threading
import tracemalloc
from multiprocessing.connection import Connection

import numpy as np
import pytest

from app.worker.messages import Cancel, Predicted
from app.worker.pipe import _Head, receive, send
from deeplab_core.records import Prediction, PredictOptions


def predicted(labels: np.ndarray, confidence: np.ndarray) -> Predicted:
    return Predicted(
        request_id=3, prediction=Prediction(labels=labels, confidence=confidence, card_id="card", options=PredictOptions())
    )


@pytest.fixture
def pipe():
    ours, theirs = multiprocessing.Pipe(duplex=True)
    yield ours, theirs
    ours.close()
    theirs.close()


def through(pipe: tuple[Connection, Connection], message: object) -> object:
    thread = threading.Thread(target=send, args=(pipe[1], message))
    thread.start()
    found = receive(pipe[0])
    thread.join()
    return found


@pytest.mark.parametrize("shape", [(3, 5), (1200, 1100), (3000, 2111)])
def test_arrays_of_any_size_are_the_same_and_can_be_written_to(pipe, shape) -> None:
    random = np.random.default_rng(4)
    labels, confidence = (random.integers(0, 255, shape, dtype=np.uint8) for _ in range(2))
    labels.flags.writeable = False
    answer = through(pipe, predicted(labels, confidence))
    assert isinstance(answer, Predicted)
    np.testing.assert_array_equal(answer.prediction.labels, labels)
    np.testing.assert_array_equal(answer.prediction.confidence, confidence)
    answer.prediction.confidence[0, 0] ^= 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2000, 2000), np.uint8)[:, ::2],
        np.arange(3_000_000).reshape(1500, 2000).T,
        np.zeros((0, 7)),
        np.full((1200, 1200), 7, ">u2"),
    ],
)
def test_views_and_other_kinds_of_arrays_arrive(pipe, array) -> None:
    found, other = through(pipe, (array, Cancel(4)))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert other == Cancel(4)


def test_a_message_follows_another(pipe) -> None:
    large = np.arange(2_000_000, dtype=np.uint8)
    for message in (Cancel(1), large, Cancel(2)):
        np.testing.assert_equal(through(pipe, message), message)


def test_it_understands_what_connections_send_and_they_understand_small_messages(pipe) -> None:
    pipe[1].send(Cancel(5))
    assert receive(pipe[0]) == Cancel(5)
    send(pipe[1], Cancel(6))
    assert pipe[0].recv() == Cancel(6)


def test_no_second_copy_of_an_array_is_made(pipe) -> None:
    labels = np.ones((4000, 5000), np.uint8)
    tracemalloc.start()
    try:
        found = through(pipe, predicted(labels, np.zeros((0, 0), np.uint8)))
        assert tracemalloc.get_traced_memory()[1] < 1.6 * labels.nbytes  # one array and a piece of it
    finally:
        tracemalloc.stop()
    assert found.prediction.labels.all()


def test_a_closed_pipe_ends_a_message_in_the_middle() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=True)
    theirs.send(_Head(b"", (10,)))
    theirs.close()
    with pytest.raises(EOFError):
        receive(ours)
    ours.close()
