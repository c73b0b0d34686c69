"""A project's own files may come from a stranger: names that lead out, links, pipes, and bytes that unpack without end."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from app.state.mask_file import MaskNote, encode_mask, read_mask_file, read_note
from app.state.own_files import contained, read_plain
from app.state.patch import TilePatch
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProjectError
from deeplab_core.reading import unpack

VOC = get_catalog("voc21")
BOMB = 300_000_000  # bytes that 300 KB unpack to


def bomb():
    engine = zlib.compressobj(9)
    block = bytes(10_000_000)
    return b"".join([*(engine.compress(block) for _ in range(BOMB // len(block))), engine.flush()])


@pytest.fixture
def memory():
    """Asserts that no bomb went off: a tenth of it would be seen."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BOMB // 10, f"{peak} bytes"


@pytest.mark.parametrize(
    "name",
    ["../a.png", "masks/../../a.png", "/etc/passwd", "masks//etc", "masks/./a.png", "masks", "masks/", "", "project.db",
     "lock", "masks/a\0b.png", "predictions/a.png", "masksx/a.png"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(ProjectError, match="does not belong to it"):
        contained(tmp_path, name, below="masks")


@pytest.mark.parametrize("name", ["masks/a.png", "masks/deep/er/a b.jpg.png", "masks/..a.png", "masks/12:30\\x.png"])
def test_names_inside_are_taken(tmp_path, name):
    assert contained(tmp_path, name, below="masks") == tmp_path / name


def test_links_and_other_things_are_refused(tmp_path):
    outside, project = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    project.mkdir()
    (outside / "a.png").write_bytes(b"mine")
    (project / "masks").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ProjectError, match="link"):
        contained(project, "masks/a.png", below="masks")
    (project / "masks").unlink()
    (project / "masks" / "sub").mkdir(parents=True)
    (project / "masks" / "a.png").symlink_to(outside / "a.png")
    (project / "masks" / "gone.png").symlink_to(outside / "gone.png")
    os.mkfifo(project / "masks" / "pipe.png")
    for name in ("a.png", "gone.png", "pipe.png", "sub"):
        with pytest.raises(ProjectError, match=r"link|plain"):
            contained(project, f"masks/{name}", below="masks")
    with pytest.raises(ValueError, match="plain"):
        read_plain(project / "masks" / "pipe.png", 100)
    with pytest.raises(OSError):
        read_plain(project / "masks" / "a.png", 100)
    with pytest.raises(ValueError, match="4 bytes"):
        read_plain(outside / "a.png", 3)
    assert read_plain(outside / "a.png", 4) == b"mine"


@pytest.mark.parametrize("size", [0, 1, 100, 70_000])
def test_unpacking_is_exact_up_to_its_bound(size):
    raw = np.random.default_rng(size).integers(0, 4, size).astype(np.uint8).tobytes()
    packed = zlib.compress(raw, 1)
    assert unpack(packed, size) == raw
    assert unpack(packed, size + 5) == raw
    if size:
        with pytest.raises(ValueError, match="more than"):
            unpack(packed, size - 1)
    for cut in (0, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ValueError, match=r".*"):
            unpack(packed[:cut], size + 5)


def test_provenance_that_unpacks_without_end_is_refused(tmp_path, memory):
    labels = np.zeros((200, 300), np.uint8)
    data = b"".join(encode_mask(labels, labels, VOC, MaskNote(1, "a.png")))
    start = data.index(b"prOV") - 4
    (length,) = struct.unpack_from(">I", data, start)
    content = bomb()
    chunk = struct.pack(">I", len(content)) + b"prOV" + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(b"prOV")))
    path = tmp_path / "a.png"
    path.write_bytes(data[:start] + chunk + data[start + 12 + length :])
    with pytest.raises(ProjectError, match="Provenance"):
        read_mask_file(path, VOC)


def test_a_mask_file_of_gigabytes_is_not_read(tmp_path, memory):
    labels = np.zeros((200, 300), np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(b"".join(encode_mask(labels, labels, VOC, MaskNote(1, "a.png"))))
    with path.open("r+b") as stream:
        stream.truncate(3_000_000_000)  # takes no room on the disk
    with pytest.raises(ProjectError, match="3000000000 bytes"):
        read_mask_file(path, VOC, (200, 300))


def test_the_largest_mask_that_can_be_is_read(tmp_path):
    """Noise in labels and provenance, which nothing packs."""
    rng = np.random.default_rng(1)
    labels, provenance = rng.integers(0, 21, (200, 300)).astype(np.uint8), rng.integers(0, 5, (200, 300)).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(b"".join(encode_mask(labels, provenance, VOC, MaskNote(1, "a.png"))))
    content = read_mask_file(path, VOC, (200, 300))
    assert np.array_equal(content.labels, labels)
    assert np.array_equal(content.provenance, provenance)


def test_a_step_that_unpacks_without_end_is_refused(memory):
    content = bomb()
    head = struct.pack("<4sIIBII", b"ATP1", 90, 130, 1, 1, 5)
    patch = TilePatch.from_bytes(head + struct.pack("<HHII", 0, 0, len(content), len(content)) + content + content)
    with pytest.raises(ProjectError, match="damaged"):
        patch.check()


@pytest.mark.parametrize("move", ["1e400", "-1", "9223372036854775807", "[" * 5000])
def test_a_note_that_makes_no_sense_is_damage(tmp_path, move):
    labels = np.zeros((20, 30), np.uint8)
    data = b"".join(encode_mask(labels, labels, VOC, MaskNote(1, "a.png")))
    start = data.index(b"tEXtAtrous\0") - 4
    (length,) = struct.unpack_from(">I", data, start)
    content = b"Atrous\0" + b'{"image": "a.png", "content_key": "", "move": ' + move.encode() + b"}"
    chunk = struct.pack(">I", len(content)) + b"tEXt" + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(b"tEXt")))
    path = tmp_path / "a.png"
    path.write_bytes(data[:start] + chunk + data[start + 12 + length :])
    with pytest.raises(ProjectError, match="note"):
        read_note(path)
