"""A part of ``make soak`` with fixed seeds.

Crash points, power cuts, failing disks, torn files, strangers, surroundings, damaged inputs, a disturbed compute process.
"""

import errno
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.soak.crash import failing_disk, kill_points, power_cuts, record
from tests.soak.damage import torn_files
from tests.soak.fuzz import ROWS, fuzz
from tests.soak.hostile import ATTACKS, User, hostile_folders
from tests.soak.oplog import library
from tests.soak.surroundings import STORIES, NotTried
from tests.soak.window import BOUNDS, Found, growth, play, shrink, sign, slope
from tests.soak.worker import in_a_process as disturbed

pytestmark = pytest.mark.e2e

needs_recorder = pytest.mark.skipif(library() is None, reason="needs Linux and a C compiler to record file operations")

# Number 3 bounds its journal, number 11 starts an image over early.
SEEDS = (1, 3, 11)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    base = tmp_path_factory.mktemp("sessions")
    return {seed: record(base, seed, 60) for seed in SEEDS}


@needs_recorder
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_a_file_operation_nothing_is_lost(recorded, tmp_path, seed):
    assert kill_points(recorded[seed], tmp_path, 60).failures == []


@needs_recorder
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_costs_nothing_that_was_flushed(recorded, tmp_path, seed, strict):
    assert power_cuts(recorded[seed], tmp_path, 60, strict=strict).failures == []


@needs_recorder
@pytest.mark.parametrize(("code", "count"), [(errno.EIO, 1), (errno.ENOSPC, 25), (errno.EIO, 400)])
def test_a_failing_disk_is_waited_for(tmp_path, code, count):
    places = sorted(random.Random(count).sample(range(1, 900), 5))
    assert failing_disk(tmp_path, 2, 50, places, code, count).failures == []


@needs_recorder
@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_files_are_never_taken_without_a_word(recorded, tmp_path, seed):
    assert torn_files(recorded[seed], tmp_path, 40).failures == []


@pytest.fixture(scope="module")
def user():
    with User() as user:
        yield user


@pytest.mark.parametrize("name", ATTACKS)
def test_a_strangers_project_folder_changes_nothing_outside(tmp_path, user, name):
    assert hostile_folders(tmp_path, [name], user).failures == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_surroundings(tmp_path, story):
    try:
        assert story(tmp_path) is None
    except NotTried as error:
        pytest.skip(str(error))


#: Damaged inputs of all readers together.
INPUTS = 500


@pytest.mark.skipif(sys.platform != "linux", reason="memory and processor time are limited on Linux only")
@pytest.mark.parametrize(("family", "share"), ROWS.values(), ids=[family for family, _ in ROWS.values()])
def test_damaged_inputs_are_named(family, share):
    outcome = fuzz(family, round(share * INPUTS))
    assert outcome.failures == []
    assert outcome.tried == round(share * INPUTS)


@pytest.mark.skipif(sys.platform != "linux", reason="handles are counted on Linux only")
def test_a_disturbed_compute_process_answers_each_request_once(model_file):
    assert disturbed(4, 3, model_file).failures == []


@pytest.mark.skipif(sys.platform != "linux", reason="handles are counted on Linux only")
def test_random_actions_in_the_window_break_nothing(tmp_path):
    found = play(tmp_path, 7, 60)
    assert found.failure == "", found.actions
    assert len(found.actions) == 60
    assert found.data["checks"]["journal"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="handles are counted on Linux only")
def test_a_compute_process_that_has_just_ended_is_no_failure():
    from tests.soak.verbs import VERBS  # imports Qt, which the tests above do without

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    turned: list[float] = []
    program = SimpleNamespace(compute=SimpleNamespace(pid=ended.pid), models=SimpleNamespace(card=object()))
    VERBS["kill"].run(SimpleNamespace(program=program, turn=turned.append))
    assert turned == [0.2]


def test_a_slope_ignores_single_peaks_and_sees_a_leak():
    flat = [{"actions": 25.0 * n, "memory": 100.0 + (500 if n % 7 == 0 else 0)} for n in range(60)]
    assert slope(flat, "memory") == 0
    leak = [{"actions": 25.0 * n, "memory": 100.0 + 3 * n + (500 if n % 7 == 0 else 0)} for n in range(60)]
    assert slope(leak, "memory") == pytest.approx(120, rel=0.1)


def test_the_first_half_of_a_run_and_short_runs_are_not_judged():
    warm = [{"actions": 25.0 * n, **dict.fromkeys(BOUNDS, float(min(n, 15)))} for n in range(40)]
    assert set(growth({"samples": warm}).values()) == {0.0}
    assert growth({"samples": warm[:10]}) == {}


def test_failures_of_one_cause_have_one_sign():
    first = 'Traceback:\n  File "a.py", line 3, in load\n  File "b.py", line 70, in read\nValueError: 17 is odd'
    assert sign(first) == sign(first.replace("70", "71").replace("17", "19"))
    assert sign(first) != sign(first.replace("in read", "in write"))


def test_a_list_of_actions_is_shortened_to_those_that_fail(monkeypatch, tmp_path):
    def fake(_base, _seed, _count, actions):
        failed = "undo 3" in actions and "paint 5" in actions
        return Found("ValueError: no" if failed else "", list(actions), {})

    monkeypatch.setattr("tests.soak.window.play", fake)
    actions = [f"{verb} {number}" for number in range(8) for verb in ("paint", "undo")]
    assert shrink(tmp_path, actions, "ValueError: no", 60) == ["undo 3", "paint 5"]
