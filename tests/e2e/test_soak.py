"""A part of ``make soak`` with fixed seeds.

Crash points, power cuts, failing disks, torn files, strangers, surroundings, damaged inputs, a disturbed compute process.
"""

import errno
import random
import sys

import pytest

from tests.soak.crash import failing_disk, kill_points, power_cuts, record
from tests.soak.damage import torn_files
from tests.soak.fuzz import ROWS, fuzz
from tests.soak.hostile import ATTACKS, User, hostile_folders
from tests.soak.oplog import library
from tests.soak.surroundings import STORIES, NotTried
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
