"""Makes project.zip: a folder of drawn images with a project, settings and a learned model, all written by commit 8f62d5b.

Run once, with the code of that commit: ``git worktree add /tmp/old 8f62d5b && PYTHONPATH=/tmp/old python make.py TARGET.zip``.
Later versions must open it with every stroke and every setting (tests/unit/app/project/test_project_of_8f62d5b.py).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SHAPE = (60, 84)
NAMES = ["a.png", "b.png", "c.png", "deep/d.png", "e.png"]
MAPPING = {"0": 0, "1": 9, "2": 18, "3": None, "4": None}


def draw(path: Path, seed: int) -> None:
    """Smooth coloured blobs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(SHAPE[::-1], Image.Resampling.BICUBIC).save(path)


def stroke(project, image, document, seed, source):
    from app.state.edits import StrokeSession

    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.uniform((0, 0), SHAPE[::-1], size=(4, 2))]
    session = StrokeSession(document, value=int(rng.integers(1, 20)), diameter=float(rng.integers(3, 20)))
    session.begin(*points[0])
    session.extend(points[1:])
    return project.append_step(image, f"Brush {seed}", source, session.commit())


def undo(project, image, document, step):
    document.apply(step.patch.inverted())
    project.journal.undo(image, step.seq)


def learned_model(root: Path, folder: Path, target: Path) -> None:
    """A network of zeros, which packs to a few kB; its last layer has learned from two images."""
    import torch

    from app.worker.messages import CorrectedImage, LearnTask
    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
    from deeplab_core.learning import LearnOptions, PackedLabels
    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model
    from tests.fakes.inprocess import InProcessService

    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=5, output_stride=16).eval()
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    catalog = ClassCatalog("tiny", "Tiny", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))
    card = ModelCard(
        id="tiny", name="Tiny", architecture=dict(model.architecture), catalog=catalog, align_corners=model.align_corners
    )
    save_model(root / "tiny.safetensors", model, card)
    mask = np.full(SHAPE, 3, np.uint8)
    mask[:, : SHAPE[1] // 3] = 1
    packed = PackedLabels.of(mask)
    task = LearnTask(
        model=str(root / "tiny.safetensors"), target=str(target), labels=catalog, pairs=tuple((i, i) for i in range(5)),
        device="cpu", untouched=(str(folder / "e.png"),), options=LearnOptions(layers="classifier"),
        corrected=tuple(
            CorrectedImage(name=name, image=str(folder / name), known=packed, mask=packed) for name in ("a.png", "b.png")
        ),
    )  # fmt: skip
    InProcessService().learn(task)


def work(folder: Path, root: Path) -> None:
    """Everything a project can hold; ends by a kill, so that the last strokes are in the log only."""
    from app.state.image_record import ImageStatus
    from app.state.project import Project
    from app.state.provenance import Provenance
    from deeplab_core.records import Prediction, PredictOptions

    project = Project.open(folder)
    ids = {record.relative_path: record.id for record in project.images}
    documents = {}

    def begin(name):
        documents[name] = project.load(ids[name]).document
        return ids[name], documents[name]

    def save(name):
        document = documents[name]
        project.save_mask(ids[name], document.labels, document.provenance, project.journal.head(ids[name]))

    image, document = begin("a.png")  # strokes, undo and redo, a mask, reviewed, one stroke behind the mask
    steps = [stroke(project, image, document, seed, Provenance.USER) for seed in range(4)]
    undo(project, image, document, steps[3])
    undo(project, image, document, steps[2])
    document.apply(steps[2].patch)
    project.journal.redo(image, steps[2].seq)
    save("a.png")
    project.set_status(image, ImageStatus.REVIEWED)

    image, document = begin("b.png")  # a model's step, corrected, and a newer prediction that waits
    stroke(project, image, document, 10, Provenance.MODEL)
    stroke(project, image, document, 11, Provenance.USER)
    save("b.png")
    random = np.random.default_rng(3)
    prediction = Prediction(
        labels=random.integers(0, 5, SHAPE, dtype=np.uint8), confidence=random.integers(0, 255, SHAPE, dtype=np.uint8),
        card_id="tiny", options=PredictOptions(flip=True), source_key=project.content_key(image),
    )  # fmt: skip
    project.keep_prediction(image, prediction, suggestion=True)

    image, document = begin("c.png")  # only the journal: a superseded step and an undone one
    first = stroke(project, image, document, 20, Provenance.USER)
    undo(project, image, document, first)
    stroke(project, image, document, 21, Provenance.IMPORT)
    undo(project, image, document, stroke(project, image, document, 22, Provenance.CRF))

    image, document = begin("deep/d.png")  # one step, saved; the journal's bound then drops the oldest saved step of all
    stroke(project, image, document, 30, Provenance.USER)
    save("deep/d.png")
    project.journal.prune(project.journal.nbytes() - 1)

    project.set_failed(ids["e.png"], "the model ran out of memory")
    run = project.runs.start("Predict 3 images", "tiny", "{}", [ids[name] for name in ("a.png", "c.png", "e.png")])
    project.runs.finish_item(run, ids["a.png"], project_state("DONE"))
    project.put_result(ids["a.png"], "confusion", "move 5", bytes(range(256)))
    project.set_catalog(project.catalog.recolored(9, (1, 2, 3)))
    for key, value in settings().items():
        project.set_setting(key, value)
    project.tidy(10**9)
    stroke(project, ids["a.png"], documents["a.png"], 5, Provenance.USER)  # in the log only
    write_expected(root, project, ids, documents, prediction)
    os.kill(os.getpid(), 9)


def project_state(name):
    from app.state.runs import ItemState

    return ItemState[name]


def settings() -> dict[str, object]:
    return {
        "view": {"opacity": 0.5},
        "class_keys": {"9": "q"},
        "hidden_classes": [1, 2],
        "truth_folder": "/somewhere/truth",
        "queue_order": "doubt",
    }


def write_expected(root, project, ids, documents, prediction) -> None:
    arrays = {"prediction/labels": prediction.labels, "prediction/confidence": prediction.confidence}
    images = {}
    for name, image in ids.items():
        record = project.record(image)
        document = documents.get(name)
        if document is not None:
            arrays[f"{name}/labels"], arrays[f"{name}/provenance"] = document.labels, document.provenance
        images[name] = {
            "id": image, "status": int(record.status), "flags": int(record.flags), "note": record.note, "mask": record.mask,
            "prediction": record.prediction, "content_key": record.content_key,
            "steps": [[s.seq, s.title, int(s.source), s.pixels, s.undone] for s in project.journal.steps(image)],
        }  # fmt: skip
    stored = {key: project.setting(key) for key in settings()}
    expected = {
        "images": images, "settings": stored, "catalog": project.catalog.to_dict(),
        "waiting": project.runs.waiting(1), "run": project.runs.get(1).title,
    }  # fmt: skip
    (root / "expected.json").write_text(json.dumps(expected, indent=1))
    np.savez_compressed(root / "expected.npz", **arrays)


def write_settings(path: Path) -> None:
    from PySide6.QtCore import QCoreApplication

    from app.services.settings import SettingsStore

    application = QCoreApplication([])
    store = SettingsStore(path)
    for key, value in {
        "look.theme": "light", "canvas.opacity": 70, "canvas.contours": False, "work.autosave_seconds": 9,
        "brush.diameter": 55, "crf.certainty": 0.6, "compare.models": ["one", "two"], "keys": {"edit.undo": ["Ctrl+Z", "F5"]},
        "model.path": "/models/tiny.safetensors", "folders.recent": ["/photos/one", "/photos/two"],
    }.items():  # fmt: skip
        store.set(key, value)
    store.flush()
    del application


def main(target: Path) -> None:
    root = Path(tempfile.mkdtemp())
    folder = root / "images"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    child = subprocess.run([sys.executable, __file__, "work", str(folder), str(root)], check=False)
    assert child.returncode == -9, child
    learned_model(root, folder, folder / ".atrous" / "models" / "tiny-learned.safetensors")
    (root / "tiny.safetensors").unlink()
    write_settings(root / "settings.toml")
    for name in ("project.db-shm", "lock"):
        (folder / ".atrous" / name).unlink(missing_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(root))
    shutil.rmtree(root)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]))
