"""Project files cut, flipped, zeroed or overwritten at random places: nothing is lost in silence, and nothing stops the program.

``ATROUS_FUZZ=1000`` tries more than the usual few.
"""

import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from app.state.project import Project
from deeplab_core.errors import AtrousError
from tests.unit.app.folders import image_id, make_folder

NAMES = ("a.png", "b.png", "c.png")
TARGETS = ("project.db", "project.db", "project.db-wal", "project.db-wal", "project.db-mark", "project.db-shm")
WAYS = ("cut", "flip", "zero", "garbage", "empty", "grow", "delete")

#: Works on three images (one saved, one folded into the plain file, one in the log only), then dies by SIGKILL.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from app.state.project import Project
from tests.unit.app.folders import image_id, stroke
folder, labels = Path(sys.argv[1]), {}
project = Project.open(folder)
for place, name in enumerate(("a.png", "b.png", "c.png")):
    image = image_id(project, name)
    document = project.load(image).document
    for seed in range(4):
        stroke(project, image, document, 10 * place + seed)
    if name == "a.png":
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    if name == "b.png":
        project.tidy(10**9)
    labels[name] = document.labels
np.savez(folder.parent / "labels.npz", **labels)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("fuzz") / "photos", *NAMES)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    with np.load(folder.parent / "labels.npz") as stored:
        return folder, dict(stored)


def mutated(data: bytes, way: str, rng: random.Random) -> bytes:
    changed = bytearray(data)
    if not changed or way == "empty":
        return b""
    if way == "cut":
        return bytes(changed[: rng.randrange(len(changed))])
    if way == "grow":
        return bytes(changed) + rng.randbytes(4096)
    if way == "flip":
        for _ in range(rng.choice((1, 1, 3, 20))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    start = rng.randrange(len(changed))
    start, length = (start // 4096 * 4096, 4096) if way == "zero" else (start, rng.choice((8, 64, 512, 4096)))
    part = changed[start : start + length]
    changed[start : start + length] = bytes(len(part)) if way == "zero" else rng.randbytes(len(part))
    return bytes(changed)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(int(os.environ.get("ATROUS_FUZZ", "40"))))
def test_damage_is_said_and_costs_no_more_than_it_must(killed, tmp_path, seed):
    """Opened at most twice (the second time after a repair), each image is whole, or something is said."""
    source, labels = killed
    folder = shutil.copytree(source, tmp_path / "copy")
    rng = random.Random(seed)
    path, way = folder / ".atrous" / rng.choice(TARGETS), rng.choice(WAYS)
    if way == "delete":
        path.unlink(missing_ok=True)
    elif path.exists():
        path.write_bytes(mutated(path.read_bytes(), way, rng))
    said, different = [], []
    for _ in range(2):
        refused = False
        with Project.open(folder) as project:
            said += project.notices
            different = []
            for name in NAMES:
                try:
                    loaded = project.load(image_id(project, name))
                except AtrousError as error:
                    said.append(str(error))
                    refused = True
                    continue
                said += [loaded.notice] if loaded.notice else []
                if not np.array_equal(loaded.document.labels, labels[name]):
                    different.append(name)
                for step in reversed([step for step in loaded.steps if not step.undone]):
                    try:
                        loaded.document.apply(step.patch.inverted())
                    except AtrousError as error:  # met at undo only; the window takes the step out of the history
                        said.append(str(error))
                        break
        if not refused:
            break
    assert not different or said, (path.name, way, different)
    if path.name == "project.db-shm":
        assert not different
