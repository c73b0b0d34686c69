"""Seeded damage of all that the program reads: an answer or a named error, in bounded time and memory, never anything else.

Each family of readers runs in a process of its own with a limit of memory; each input has 10 s of processor time.
``python -m tests.soak.fuzz FAMILY FIRST COUNT`` tries the inputs of a family by their numbers.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak.crash import Outcome
from tests.soak.oplog import ROOT

#: Processor time of one input, and memory of a family's process, beyond its libraries, at which it fails.
SECONDS, MEMORY = 10, 3 << 30

#: Title of the table's row -> family, and its share of the inputs.
ROWS = {
    "Text files damaged: cards, catalogs, settings, recipes, marks, reports": ("text", 0.25),
    "Images damaged: pictures, thumbnails, headers": ("images", 0.20),
    "Masks damaged: PNG, TIFF, NumPy, PNM, GIF, BMP": ("masks", 0.16),
    "A project's own masks, steps and predictions damaged": ("own", 0.14),
    "Checkpoints and graphs damaged": ("checkpoints", 0.09),
    "Values of a project's database exchanged": ("rows", 0.08),
    "Answers of servers and archives damaged": ("servers", 0.08),
    "Labels of other programs damaged: JSON, XML, text, masks, arrays, tables, archives": ("labels", 0.20),
}

Read = Callable[[Path], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """An intact file, how it is damaged, and who reads it.

    Attributes:
        name: of the file.
        data: its content.
        read: raises AtrousError, or returns.
        damage: how; None flips, cuts and inserts bytes.
        refused: whether the intact file is refused by a named error, too: it only tries a parser.
    """

    name: str
    data: bytes
    read: Read
    damage: Callable[[bytes, random.Random], bytes] | None = None
    refused: bool = False


def fuzz(family: str, count: int, first: int = 0) -> Outcome:
    """Try inputs ``first`` .. ``first + count - 1`` of a family; the intact files first, where that is the beginning."""
    outcome, last = Outcome(), first + count
    while first < last:
        command = [sys.executable, "-m", "tests.soak.fuzz", family, str(first), str(last - first)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "QT_QPA_PLATFORM": "offscreen"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        for line in lines:
            told = json.loads(line)
            if "failure" in told:
                outcome.add(told["failure"], f"{family} {told['number']}")
            outcome.failures += [f"{family}, intact: {error}" for error in told.get("refused", ())]
        if done.returncode == 0:
            break
        number = json.loads(lines[-1]).get("number", first) if lines else first
        last_line = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        if (lines and "failure" in json.loads(lines[-1])) or not lines:
            outcome.add(f"the process ended with {done.returncode}: {last_line}", f"{family} from {first}")
            break
        outcome.add(f"the process ended with {done.returncode}: {last_line}", f"{family} {number}")
        first = number + 1
    return outcome


class TookTooLong(BaseException):
    """Beyond the time of one input; not to be caught by what reads."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _judge(run: Callable[[], object]) -> str | None:
    """None for an answer or a named error, else what was wrong."""
    from deeplab_core.errors import AtrousError

    try:
        with _limited():
            run()
    except AtrousError as error:
        said = str(error)
        return None if error.what and len(said) < 4000 else f"{len(said)} characters: {said[:200]}"
    except TookTooLong:
        return f"took more than {SECONDS} s of processor time"
    except BaseException as error:  # what any reader lets through is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


# -- damage --------------------------------------------------------------------------------------------------------------

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, zeroed, exchanged for telling numbers, or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 12))):
        if not changed:
            break
        # Half of the places are in the first part, where headers are.
        place = rng.randrange(min(len(changed), 200) if rng.random() < 0.5 else len(changed))
        way = rng.randrange(7)
        if way == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif way == 1:
            changed[place] = rng.randrange(256)
        elif way == 2:
            form = rng.choice((">I", "<I", ">H", "<H"))
            value = rng.choice(_NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
            packed = struct.pack(form, value)
            changed[place : place + len(packed)] = packed
        elif way == 3 and rng.random() < 0.3:
            del changed[place:]
        elif way == 4:
            del changed[place : place + rng.choice((1, 4, 40))]
        elif way == 5:
            changed[place:place] = changed[: rng.choice((1, 4, 64))]
        else:
            changed[place : place + 8] = bytes(min(8, len(changed) - place))
    return bytes(changed)


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """Content of chunks damaged, their checksums right; pixels are damaged after unpacking in half of the cases."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        chunks.append((name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = rng.randrange(len(chunks))
    out = [data[:8]]
    for number, (name, body) in enumerate(chunks):
        content = body
        if number == chosen:
            if name in (b"IDAT", b"prOV") and rng.random() < 0.7:
                try:
                    content = zlib.compress(damaged(zlib.decompress(body), rng), 1)
                except zlib.error:
                    content = damaged(body, rng)
            else:
                content = damaged(body, rng) if body else body
        out.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    if rng.random() < 0.2:
        out.insert(rng.randrange(1, len(out)), out[rng.randrange(1, len(out))])
    return b"".join(out)


def damaged_zip(data: bytes, rng: random.Random) -> bytes:
    """One member of an archive damaged, its checksum right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(name, damaged(content, rng) if name == chosen else content)
    return stream.getvalue()


def _text_damage(suffix: str) -> Callable[[bytes, random.Random], bytes]:
    from tests.unit.core.test_reading_fuzz import exchanged, mutated

    def damage(data: bytes, rng: random.Random) -> bytes:
        text = data.decode()
        return exchanged(text, rng) if suffix == ".json" and rng.random() < 0.35 else mutated(text, rng)

    return damage


# -- families ------------------------------------------------------------------------------------------------------------


def _text(_base: Path) -> list[Case]:
    from tests.unit.core.test_reading_fuzz import INCOMPLETE, READERS

    return [
        Case(f"file{suffix}", text.encode(), read, _text_damage(suffix), refused=name in INCOMPLETE)
        for name, (text, suffix, read) in READERS.items()
    ]


def _picture() -> np.ndarray:
    y, x = np.mgrid[0:37, 0:53]
    return np.stack((x * 4, y * 5, (x + y) * 2), axis=-1).astype(np.uint8)


def _images(base: Path) -> list[Case]:
    import tifffile
    from PIL import Image

    from deeplab_core.images import content_key, probe_image, read_image, read_thumbnail

    def read(path: Path) -> None:
        from deeplab_core.errors import AtrousError

        for one in (read_image, lambda file: read_thumbnail(file, 16), probe_image, content_key):
            try:
                one(path)
            except AtrousError as error:
                last = error
            else:
                last = None
        if last is not None:
            raise last

    rgb = _picture()
    exif = Image.Exif()
    exif[0x0112] = 6
    made: list[tuple[str, dict[str, Any], Any]] = [
        ("a.jpg", {"exif": exif}, rgb), ("progressive.jpg", {"progressive": True}, rgb), ("a.png", {"exif": exif}, rgb),
        ("grey.png", {}, rgb[..., 0]), ("alpha.png", {}, np.dstack((rgb, rgb[..., 0]))), ("a.webp", {"exif": exif}, rgb),
        ("a.bmp", {}, rgb), ("a.gif", {}, rgb[..., 0]), ("a.ppm", {}, rgb), ("a.jp2", {}, rgb), ("a.tif", {}, rgb),
        ("lzw.tif", {"compression": "tiff_lzw"}, rgb), ("jpeg.tif", {"compression": "jpeg"}, rgb),
        ("deep.png", {}, rgb[..., 0].astype(np.uint16) * 200), ("bit.png", {}, rgb[..., 0] > 90),
    ]  # fmt: skip
    cases = []
    for name, options, pixels in made:
        Image.fromarray(pixels).save(base / name, **options)
        data = (base / name).read_bytes()
        cases.append(Case(name, data, read))
        if name.endswith(".png"):
            cases.append(Case(name, data, read, damaged_png))
    for name, values in {"float.tif": rgb[..., 0] / 7.0, "deep.tif": rgb.astype(np.uint16), "stack.tif": rgb[:, :, :2]}.items():
        tifffile.imwrite(base / name, values)
        cases.append(Case(name, (base / name).read_bytes(), read))
    return cases


def _masks(base: Path) -> list[Case]:
    import tifffile
    from PIL import Image

    from deeplab_core.catalogs import get_catalog
    from deeplab_core.datasets.catalog_guess import guess_catalog
    from deeplab_core.masks.png import write_indexed_png
    from deeplab_core.masks.read import load_mask
    from deeplab_core.pictures import holds_labels, picture_kind

    catalog = get_catalog("voc21")
    labels = np.zeros((37, 53), np.uint8)
    labels[10:20, 5:30] = 15
    labels[25:, 40:] = 255
    colors = catalog.palette()[labels]

    def read(path: Path) -> None:
        picture_kind(path)
        holds_labels(path)
        guess_catalog([path])
        load_mask(path, catalog)

    write_indexed_png(base / "own.png", labels, catalog)
    Image.fromarray(labels).save(base / "grey.png")
    Image.fromarray(colors).save(base / "colors.png")
    Image.fromarray(np.dstack((labels, np.full_like(labels, 255))), "LA").save(base / "alpha.png")
    Image.fromarray(labels.astype(np.uint16)).save(base / "deep.png")
    Image.fromarray(labels).save(base / "a.gif")
    Image.fromarray(labels).save(base / "a.bmp")
    Image.fromarray(labels).save(base / "a.pgm")
    Image.fromarray(colors).save(base / "a.ppm")
    np.save(base / "a.npy", labels)
    np.save(base / "float.npy", labels.astype(np.float32))
    tifffile.imwrite(base / "a.tif", labels)
    tifffile.imwrite(base / "tiles.tif", np.pad(labels, 30).astype(np.int32), tile=(16, 16), compression="zlib")
    cases = [Case(path.name, path.read_bytes(), read) for path in sorted(base.iterdir())]
    return cases + [Case(case.name, case.data, read, damaged_png) for case in cases if case.name.endswith(".png")]


def _own(base: Path) -> list[Case]:
    from app.state.document import Document
    from app.state.mask_file import MaskNote, encode_mask, read_mask_file, read_note
    from app.state.patch import TilePatch
    from app.state.predictions import PredictionCache
    from deeplab_core.analysis import ImageAnalysis, inspect_image
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.records import Prediction, PredictOptions, RunReport
    from tests.unit.app.folders import paint

    catalog, shape = get_catalog("voc21"), (90, 130)
    document = Document(np.zeros(shape, np.uint8), catalog=catalog)
    patch = paint(document, 3)
    mask = b"".join(encode_mask(document.labels, document.provenance, catalog, MaskNote(4, "a.png", "k")))
    draw = np.random.default_rng(1)
    prediction = Prediction(
        labels=draw.integers(0, 21, shape).astype(np.uint8), confidence=draw.integers(0, 256, shape).astype(np.uint8),
        card_id="c", options=PredictOptions(), source_key="k", report=RunReport(device="cpu", milliseconds=1.0),
        uncertainty={"margin": 0.25},
    )  # fmt: skip

    def mask_read(path: Path) -> None:
        read_note(path)
        read_mask_file(path, catalog, shape)

    def step(path: Path) -> None:
        data = path.read_bytes()
        TilePatch.salvage(data, 1)
        TilePatch.salvage(data, -1)
        found = TilePatch.from_bytes(data)
        found.check()
        fresh = Document(np.zeros(shape, np.uint8), catalog=catalog)
        fresh.apply(found)
        fresh.apply(found.inverted())

    labels = prediction.labels
    inspection = inspect_image(truth=labels, prediction=np.roll(labels, 3, axis=1), catalog=catalog).to_bytes()

    def inspected(path: Path) -> None:
        ImageAnalysis.from_bytes(path.read_bytes(), catalog)

    def repacked(data: bytes, rng: random.Random) -> bytes:
        end = 8 + int.from_bytes(data[4:8], "little")
        return data[:end] + zlib.compress(damaged(zlib.decompress(data[end:]), rng), 1)

    PredictionCache(base / "cache").put(prediction)
    cases = [
        Case("mask.png", mask, mask_read), Case("mask.png", mask, mask_read, damaged_png), Case("step", patch.to_bytes(), step),
        Case("inspection", inspection, inspected), Case("inspection", inspection, inspected, repacked),
    ]  # fmt: skip
    for kept in sorted(path for path in (base / "cache").rglob("*") if path.is_file()):
        relative = kept.relative_to(base / "cache")

        def cached(path: Path, relative: Path = relative) -> None:
            folder = path.parent / "cache"
            shutil.copytree(base / "cache", folder)
            shutil.copyfile(path, folder / relative)
            cache = PredictionCache(folder)
            for look in (cache.get, cache.look, cache.has, cache.has_confidence):
                look("k", "c", PredictOptions().cache_key())
            cache.kept()
            cache.nbytes()

        ways = (None, damaged_png) if kept.suffix == ".png" else (None, damaged_zip) if zipfile.is_zipfile(kept) else (None,)
        cases += [Case(kept.name, kept.read_bytes(), cached, way) for way in ways]
    return cases


def _checkpoints(base: Path) -> list[Case]:
    import torch

    from deeplab_core.backends import engine_of
    from deeplab_core.weights import load_model
    from deeplab_core.weights.listing import list_models
    from tests.unit.app.tiny_model import save_tiny_model

    def read(path: Path) -> None:
        assert all(entry.error is not None or entry.card is not None for entry in list_models([path.parent]))
        engine_of(path)
        load_model(path)

    save_tiny_model(base / "tiny.safetensors")
    state = {"layer.weight": torch.ones(3, 2), "layer.bias": torch.zeros(3), "n": 3}
    torch.save({"state_dict": state, "epoch": 3, "args": {"arch": "x"}}, base / "zip.pth")
    torch.save(state, base / "old.pth", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file({"a.weight": torch.ones(3, 2)}, base / "small.safetensors", metadata={"atrous_card": '{"name": "x"}'})
    files = ROOT / "tests/data/tensorflow"
    cases = []
    for path in sorted(base.iterdir()):
        refused = path.name != "tiny.safetensors"
        cases.append(Case(path.name, path.read_bytes(), read, refused=refused))
        if path.name == "zip.pth":
            cases += [Case(path.name, path.read_bytes(), read, damaged_zip, refused=True)] * 3
    cases.append(Case("small.pb", (files / "small.pb").read_bytes(), read, refused=True))

    def index(path: Path) -> None:
        for part in files.glob("small.ckpt.data-*"):
            shutil.copyfile(part, path.with_name(part.name))
        read(path)

    cases.append(Case("small.ckpt.index", (files / "small.ckpt.index").read_bytes(), index, refused=True))
    return cases + _graphs(base / "graphs", read)


def _graphs(base: Path, read: Read) -> list[Case]:
    from importlib.util import find_spec

    from tests.unit.core.backends.graphs import write_litert, write_onnx

    base.mkdir()
    cases = []
    if find_spec("onnx") and find_spec("onnxruntime"):
        write_onnx(base / "a.onnx")
        cases.append(Case("a.onnx", (base / "a.onnx").read_bytes(), read))
    if find_spec("ai_edge_litert"):
        write_litert(base / "a.tflite")
        cases.append(Case("a.tflite", (base / "a.tflite").read_bytes(), read))
    return cases


def _rows(base: Path) -> list[Case]:
    from app.state.project import Project
    from deeplab_core.errors import AtrousError
    from tests.unit.app.folders import image_id, make_folder, stroke

    folder = make_folder(base / "photos", "a.png", "b.png")
    with Project.open(folder) as project:
        for name in ("a.png", "b.png"):
            image = image_id(project, name)
            document = project.load(image).document
            for seed in range(3):
                stroke(project, image, document, seed)
            if name == "a.png":
                project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.set_setting("fuzz", "x")

    def use(path: Path) -> None:
        rng = random.Random(path.read_bytes())
        copy = path.parent / "photos"
        shutil.copytree(folder, copy)
        _exchange_values(copy / ".atrous/project.db", rng)
        with Project.open(copy) as project:
            for record in list(project.images):
                try:
                    loaded = project.load(record.id)
                    for step in reversed(loaded.steps):
                        loaded.document.apply(step.patch.inverted())
                    stroke(project, record.id, loaded.document, 9)
                    project.save_mask(
                        record.id, loaded.document.labels, loaded.document.provenance, project.journal.head(record.id)
                    )
                    project.prediction_of(record.id)
                    project.start_over(record.id)
                except AtrousError:
                    continue
            project.tidy(100)
            project.rescan()

    return [Case("seed", b"0", use, lambda _data, rng: str(rng.random()).encode())]


_VALUES = (
    None, -1, 0, 1, 2, 7, 99, 2**31, 2**63 - 1, -(2**63), 0.5, float("inf"), "", "x", "../a.png", "/etc/passwd", "a\0b", "\u202e",
    "[" * 2000, '{"a": 1}', "NaN", "9" * 5000, b"", b"\xff\xfe", b"x" * 100,
)  # fmt: skip


def _exchange_values(database: Path, rng: random.Random) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = [
            name for name in tables
            if not name.startswith("sqlite_") and connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()
        ]  # fmt: skip
        for _ in range(rng.choice((1, 1, 2, 4))):
            table = rng.choice(filled)
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column, value = rng.choice(columns), rng.choice(_VALUES)
            one = "" if rng.random() < 0.3 else " WHERE rowid = (SELECT max(rowid) FROM images)" if table == "images" else ""
            try:
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{one}", (value,))
                connection.commit()
            except sqlite3.Error:  # a constraint of the table says no
                connection.rollback()


def _servers(base: Path) -> list[Case]:
    import tarfile

    from deeplab_core.errors import AtrousError
    from deeplab_core.hub import download
    from deeplab_core.hub.install import take_member
    from tests.lying_server import CONTENT, DIGEST, lying, strange_answer, whole_answer

    settings = sys.modules["deeplab_core.hub.download"]
    settings.BACK_OFF = (0.0, 0.0, 0.0)  # type: ignore[attr-defined]
    settings._Job._wait = lambda _job, _seconds: None  # type: ignore[attr-defined]
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ.pop(name, None)

    def fetch(path: Path) -> None:
        if path.read_bytes() == b"0":  # intact
            return
        rng = random.Random(path.read_bytes())
        target = path.with_name("net.pth")
        with lying() as server:
            server.answers = [strange_answer(rng), strange_answer(rng), rng.choice((whole_answer(), strange_answer(rng)))]
            try:
                download(server.address + "/net.pth", target, sha256_prefix=DIGEST, silence=5)
            except AtrousError:
                assert not target.exists()
                raise
            assert target.read_bytes() == CONTENT

    def unpack(path: Path) -> None:
        take_member(path, "net.pb", path.with_name("net.pb"))

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("release/" + "x" * 120, "release/net.pb"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 700, 1.5
            archive.addfile(info, io.BytesIO(bytes(700)))

    def repacked(data: bytes, rng: random.Random) -> bytes:
        import gzip

        return gzip.compress(damaged(data, rng), 1)

    seed = Case("seed", b"0", fetch, lambda _data, rng: str(rng.random()).encode())
    return [seed, seed, Case("a.tar.gz", plain.getvalue(), unpack, repacked, refused=True)]


def _labels(base: Path) -> list[Case]:
    from tests.soak.label_sources import SOURCES, read_labels
    from tests.unit.core.masks.importing.sources import photographs

    images = photographs(base / "images", ("a.jpg",))
    cases = []
    for key, make in SOURCES.items():
        folder = base / key
        files = make(folder)
        for name in files:

            def read(path: Path, folder: Path = folder, name: str = name, key: str = key) -> None:
                copy = path.parent / "set"
                shutil.copytree(folder, copy)
                shutil.copyfile(path, copy / name)
                read_labels(copy / name if name.endswith(".zip") else copy, images, key)

            path = folder / name
            ways: tuple[Callable[[bytes, random.Random], bytes] | None, ...] = (None,)
            if path.suffix in (".json", ".xml", ".txt", ".yaml"):
                ways = (_text_damage(path.suffix), _text_damage(path.suffix), None)
            elif path.suffix == ".png":
                ways = (None, damaged_png)
            elif path.suffix in (".zip", ".npz"):
                ways = (None, damaged_zip)
            cases += [Case(path.name, path.read_bytes(), read, way) for way in ways]
    return cases


FAMILIES: dict[str, Callable[[Path], list[Case]]] = {
    "text": _text, "images": _images, "masks": _masks, "own": _own, "checkpoints": _checkpoints, "rows": _rows,
    "servers": _servers, "labels": _labels,
}  # fmt: skip


def _refused(cases: list[Case], base: Path) -> list[str]:
    """Files that are refused although nothing is damaged: inputs made of them would try little."""
    from deeplab_core.errors import AtrousError

    found = []
    for number, case in enumerate(cases):
        path = base / f"intact{number}" / case.name
        path.parent.mkdir()
        path.write_bytes(case.data)
        try:
            case.read(path)
        except AtrousError as error:
            if not case.refused:
                found.append(f"{case.name}: {error}")
    return found


def _addresses() -> int:
    """Bytes of addresses that this process has reserved: its libraries, whichever the corpus needed."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize:"))
    return int(line.split()[1]) << 10


def main(family: str, first: int, count: int) -> None:
    """Try the inputs, and print a line before and after each; before the first of all, which intact files are refused."""
    import logging

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="atrous-fuzz-") as name:
        base = Path(name)
        (base / "corpus").mkdir()
        cases = FAMILIES[family](base / "corpus")
        if family not in ("text", "checkpoints"):  # torch reserves more addresses than it uses
            most = _addresses() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        if first == 0:
            print(json.dumps({"refused": _refused(cases, base)}), flush=True)
        for number in range(first, first + count):
            print(json.dumps({"number": number}), flush=True)
            case, rng = cases[number % len(cases)], random.Random(f"{family} {number}")
            folder = base / "input"
            folder.mkdir()
            path = folder / case.name
            path.write_bytes((case.damage or damaged)(case.data, rng))
            failure = _judge(lambda case=case, path=path: case.read(path))  # type: ignore[misc]
            used = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if failure is None and used > MEMORY:
                failure = f"{used / 2**30:.1f} GiB were in use"
            print(json.dumps({"number": number, "failure": failure}), flush=True)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
