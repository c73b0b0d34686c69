"""Which files are models: one list of endings, ``save_pretrained`` folders, and weights in several parts. No torch."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from deeplab_core.errors import UnsafeCheckpoint, WeightsError, message
from deeplab_core.reading import expecting, read_json, shorten

#: Endings of files that :func:`deeplab_core.weights.load_model` opens, lower case: for dialogs, drops, lists and commands.
MODEL_SUFFIXES = (
    ".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl", ".tar", ".tar.gz", ".pb", ".index", ".onnx", ".tflite",
    ".safetensors.index.json", ".bin.index.json",
)  # fmt: skip
#: Endings of graphs of other engines, which need a library of their own.
ENGINE_SUFFIXES = (".onnx", ".tflite")
#: Endings of models of other programs: they are opened only to say by name why they cannot be used.
FOREIGN_SUFFIXES = (
    ".h5", ".hdf5", ".keras", ".gguf", ".pdparams", ".caffemodel", ".mlmodel", ".msgpack", ".npz", ".torchscript", ".ptl",
    ".engine",
)  # fmt: skip
#: Weights inside a folder, the first that is there.
FOLDER_NAMES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors",
)  # fmt: skip
#: The frozen graph of a release of TensorFlow's.
GRAPH_NAME = "frozen_inference_graph.pb"
_PARTS = re.compile(r"(.+)\.(?:data-\d{5}-of-\d{5}|meta)")
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(\.(?:safetensors|bin))")
_INDEX = re.compile(r".+\.(safetensors|bin)\.index\.json", re.IGNORECASE)


def is_model_file(path: Path) -> bool:
    """Whether a file's name is that of a model: by :data:`MODEL_SUFFIXES`, in any case of letters. Parts of one are not."""
    name = path.name.lower()
    return name.endswith(MODEL_SUFFIXES) and _SHARD.fullmatch(name) is None


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a part of weights in several files."""
    return _SHARD.fullmatch(name) is not None


def is_foreign_model(path: Path) -> bool:
    """Whether a file's name is that of another program's model; see :data:`FOREIGN_SUFFIXES`."""
    return path.name.lower().endswith(FOREIGN_SUFFIXES)


def file_filter(title: str = "Models") -> str:
    """The list of endings as a file dialog takes it."""
    patterns = " ".join(f"*{ending}" for ending in MODEL_SUFFIXES)
    return f"{title} ({patterns});;All files (*)"


def model_in_folder(folder: Path) -> Path | None:
    """The weights of a ``save_pretrained`` folder, or None if it is none."""
    return next((folder / name for name in FOLDER_NAMES if (folder / name).is_file()), None)


def tensorflow_file(path: Path) -> Path | None:
    """The file to open for a folder, a checkpoint's prefix, or one of its other files; None if none is TensorFlow's."""
    if path.is_dir():
        if (path / GRAPH_NAME).is_file():
            return path / GRAPH_NAME
        indices = sorted(path.glob("*.index"), key=lambda one: [int(n) for n in re.findall(r"\d+", one.name)])
        return indices[-1] if indices else None
    match = _PARTS.fullmatch(path.name)
    prefix = path.with_name(match[1]) if match else path
    index = prefix.with_name(prefix.name + ".index")
    return index if (match or not path.exists()) and index.is_file() else None


def find_models(folders: Iterable[str | Path]) -> list[Path]:
    """Model files directly inside folders, and ``save_pretrained`` folders there, sorted by name; each once.

    A folder that is missing or may not be listed holds none.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    for folder in folders:
        try:
            inside = sorted(Path(folder).iterdir(), key=lambda path: path.name.lower())
        except OSError:
            continue
        for path in inside:
            try:
                mode = path.stat().st_mode
                model = model_in_folder(path) if stat.S_ISDIR(mode) else path if is_model_file(path) else None
                wanted = model is not None and model.is_file() and path.resolve() not in seen
            except OSError:
                continue  # a link that leads nowhere
            if wanted:
                seen.add(path.resolve())
                found.append(path)
    return found


def find_odd_files(folders: Iterable[str | Path]) -> list[Path]:
    """What has the name of a model file and is not a file, directly inside folders: pipes, devices, links that lead nowhere."""
    found: list[Path] = []
    for folder in folders:
        with contextlib.suppress(OSError):
            named = [path for path in sorted(Path(folder).iterdir()) if is_model_file(path)]
            found += [path for path in named if not path.is_file() and not path.is_dir()]
    return found


def index_of(path: Path) -> Path | None:
    """The index of weights in several parts, for the index itself or one of its parts; None for everything else."""
    if _INDEX.fullmatch(path.name):
        return path
    match = _SHARD.fullmatch(path.name)
    index = path.with_name(f"{match[1]}{match[2]}.index.json") if match else None
    return index if index is not None and index.is_file() else None


def read_index(index: Path) -> dict[str, list[str]]:
    """Which tensors are in which part.

    Returns:
        Names of tensors by the part's file name, in the index's order.

    Raises:
        WeightsError: no index, or a part is missing.
        UnsafeCheckpoint: a part lies outside the folder.
    """
    content = read_json(index, limit=32 << 20, what="the index of the weights", error=WeightsError)
    parts: dict[str, list[str]] = {}
    with expecting("not an index of weights", error=WeightsError, path=index):
        for key, name in content["weight_map"].items():
            if not isinstance(name, str):
                raise TypeError(f"the part of {shorten(key)} is {shorten(name)}")
            parts.setdefault(name, []).append(key)
        if not parts:
            raise ValueError("it names no parts")
    for name in parts:
        if Path(name).name != name or name in ("", ".", "..") or "\\" in name or "\0" in name:
            raise UnsafeCheckpoint(
                message("the index names files outside its folder"),
                why=message("{name}", name=shorten(name)),
                remedy=message("Do not use this file"),
                path=index,
            )
        if not (index.parent / name).is_file():
            raise WeightsError(
                message("the part {name} is missing", name=shorten(name)),
                why=message("the index lists {count} parts", count=len(parts)),
                remedy=message("Copy all parts into one folder"),
                path=index,
            )
    return parts
