"""Opening a folder of 20,000 images: the first time, again, and after everything was moved.

Wall seconds of ``Project.open`` in a fresh process, database included. The promise: under 2 s. Run as root, the system's file
cache is dropped before the cold runs; else they are as warm as the machine is. Then the hash of every file and
thumbnails of at most 5,000, with the memory of the process before and after.

    python benchmarks/open_folder.py [COUNT]
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

OPEN = """
import sys, time
start = time.perf_counter()
from app.state.project import Project
imported = time.perf_counter()
project = Project.open(sys.argv[1])
opened = time.perf_counter()
print(f"{opened - imported:.2f} s  (imports {imported - start:.2f} s)", end="  ")
print(f"{len(project.images)} images, {len(project.report.moved)} moved")
if len(sys.argv) > 2:
    for record in project.images[: int(sys.argv[2])]:
        project.content_key(record.id)
        project.set_status(record.id, 2)
project.close()
"""

WORK = """
import os, sys, time
from pathlib import Path
from app.state.project import Project

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def measured(name, work):
    for record in records[:100]:  # libraries and buffers
        work(record)
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    for record in records:
        work(record)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<44} {cpu:.1f} s of CPU, {wall:.1f} s, {before:.0f} MB before, {resident():.0f} MB after")

project = Project.open(sys.argv[1], read_only=True)
records = project.images
measured("hashes of all files", lambda record: project.content_key(record.id))

from app.services.thumbnails import ThumbnailLoader
loader = ThumbnailLoader(Path(sys.argv[2]))
def thumbnail(record):
    picture = loader._load(f"{record.id:08x}"[::-1], project.path_of(record))
    assert not picture.isNull()
records = records[:5000]  # each waits for the disk
measured(f"thumbnails of {len(records):,} images, one thread", thumbnail)
measured("the same, from the disk", thumbnail)
project.close()
"""


def make(folder: Path, count: int) -> None:
    """``count`` small JPEG files in sub-folders of a thousand."""
    template = folder / "template.jpg"
    Image.effect_noise((64, 48), 60).save(template)
    data = template.read_bytes()
    template.unlink()
    for number in range(count):
        path = folder / f"part {number // 1000}" / f"IMG_{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        # A comment behind the end mark makes every file's content its own.
        path.write_bytes(data + f"{number:08}".encode() + bytes(number % 97))


def drop_caches() -> bool:
    with contextlib.suppress(OSError):
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    return False


def measure(name: str, folder: Path, *more: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", OPEN, str(folder), *more], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(f"{name:<44} {result.stdout.strip()}")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photos"
        folder.mkdir()
        make(folder, count)
        cold = "cold" if drop_caches() else "cache not dropped"
        measure(f"first time, {cold}", folder)
        shutil.rmtree(folder / ".atrous")
        measure("first time, warm", folder)
        drop_caches()
        measure(f"again, {cold}", folder)
        measure("again, warm (then 500 images are worked on)", folder, "500")
        for part in sorted(folder.glob("part *")):
            part.rename(folder / part.name.replace("part", "moved"))
        measure("after every sub-folder was renamed", folder)
        measure("again", folder)
        subprocess.run([sys.executable, "-c", WORK, str(folder), f"{temporary}/thumbnails"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
