"""What is stored beside the tensors and describes how the network was built: settings files, arguments, hyper-parameters, file
names.

A tensor says how many channels a layer has, never its rate, its stride or how features are enlarged. Training scripts write that
down in many places under many names; here they become a flat table of names and values, each with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from deeplab_core.errors import AtrousError
from deeplab_core.reading import parse_json, read_json, read_yaml, shorten
from deeplab_core.weights.pickled_values import Global
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.unwrapping import entries

#: Settings files beside a checkpoint, the surest first.
_BESIDE = (
    "config.json", "hparams.yaml", "args.json", "args.yaml", "hyper_parameters.json", "config.yaml", "config.yml", "opt.json",
    "opt.yaml",
)  # fmt: skip
#: Entries of a checkpoint that hold settings; plain values at its top count too.
_INSIDE = (
    "hyper_parameters", "hparams", "args", "config", "cfg", "opt", "opts", "options", "params", "model_config", "meta", "kwargs",
)  # fmt: skip
#: Names of one setting, as the field writes them in lower case without underscores.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "output_stride": ("encoderoutputstride", "outputstride", "outstride", "os", "downsamplefactor", "outputstrides"),
    "atrous_rates": (
        "decoderatrousrates", "atrousrates", "asppdilate", "asppdilations", "asppdilation", "aspprates", "dilations", "rates",
    ),
    "interpolation": ("decoderinterpolation", "interpolation", "upsamplemode", "upsamplingmode", "interpolationmode"),
    "align_corners": ("aligncorners",),
    "encoder": ("encodername", "backbone", "backbonename", "encoder", "basenetwork", "basemodel"),
    "network": ("modelclass", "architectures", "arch", "architecture", "modelname", "model", "net", "modeltype", "archname"),
    "depth": ("encoderdepth",),
    "activation": ("activation",),
    "attention": ("decoderattentiontype",),
    "in_channels": ("inchannels", "nchannels", "inputchannels"),
    "mean": ("mean", "imagemean", "normmean", "pixelmean", "rgbmean"),
    "std": ("std", "imagestd", "normstd", "pixelstd", "rgbstd"),
    "names": ("classnames", "classes", "id2label", "labels", "labelnames", "classlabels"),
    "palette": ("palette", "classcolors", "colors", "colormap"),
    "dataset": ("dataset", "datasetname", "data"),
}  # fmt: skip
#: Entries of one mapping that are looked at.
_MOST_SETTINGS = 2000
_CANONICAL = {name: fact for fact, names in _NAMES.items() for name in names}

_STRIDE = re.compile(r"(?<![a-z0-9])(?:os|output[_-]?stride|out[_-]?stride|stride)[_=-]?(8|16|32)(?![0-9])")
_DATASETS = {
    "voc": "voc21", "pascal": "voc21", "cityscapes": "cityscapes19", "camvid": "camvid11", "ade20k": "ade20k150",
    "ade": "ade20k150",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A setting and where it stands: ``"config.json"``, ``"hyper_parameters in the file"``, ``"the file's name"``."""

    value: Any
    source: str


@dataclass(slots=True)
class Facts:
    """Settings by the names of :data:`_NAMES`.

    Attributes:
        found: the first of each name, the surest source first.
        notes: settings files that could not be read, and why.
    """

    found: dict[str, Fact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """The value of a setting, or None."""
        fact = self.found.get(name)
        return None if fact is None else fact.value

    def without(self, source: str) -> Facts:
        """The same without one source."""
        return Facts({name: fact for name, fact in self.found.items() if fact.source != source}, self.notes)


def gather_facts(checkpoint: Checkpoint) -> Facts:
    """Everything that is said about a checkpoint beside and inside its file."""
    facts = Facts()
    for name, content in _settings_beside(checkpoint.path, facts):
        _take(facts, content, name)
    tops = {key: value for key, value in checkpoint.extras.items() if isinstance(value, (str, int, float, bool, list, tuple))}
    for name, content in checkpoint.extras.items():
        if str(name).lower() in _INSIDE:
            _take(facts, content, f"'{name}' in the file")
    _take(facts, tops, "the file itself")
    for name, text in checkpoint.metadata.items():
        _take(facts, {name: text} if not text.startswith("{") else _parsed(text), "the file's metadata")
    _read_name(facts, checkpoint.path)
    return facts


def _settings_beside(path: Path, facts: Facts) -> Iterator[tuple[str, Any]]:
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "checkpoints" else [])]
    for folder in folders:
        for name in _BESIDE:
            place = folder / name
            try:
                if not place.exists():
                    continue
                content = (read_json if name.endswith("json") else read_yaml)(place, what="the settings file")
                if not isinstance(content, Mapping) and content is not None:
                    facts.notes.append(f"{name} beside the weights was not read: it holds no settings by name")
                yield name, content
            except AtrousError as error:
                facts.notes.append(f"{name} beside the weights was not read: {error.what}. {error.why}".strip())
            except OSError:
                continue


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except AtrousError:
        return {}


def _take(facts: Facts, content: object, source: str, depth: int = 3, seen: set[int] | None = None) -> None:
    """Add settings of a mapping (or an object that holds some) and of what is nested in it, the outer ones first."""
    inside = entries(content)
    seen = set() if seen is None else seen
    if inside is None or id(content) in seen:  # a pickle's mappings may hold each other in a circle
        return
    seen.add(id(content))
    nested = []
    for key, value in islice(inside.items(), _MOST_SETTINGS):
        if not isinstance(key, str) or len(key) > 60:
            continue
        name = _CANONICAL.get(re.sub(r"[^a-z0-9]", "", key.lower()))
        plain = _plain(value)
        if name is not None and plain is not None and name not in facts.found:
            facts.found[name] = Fact(plain, source)
        elif entries(value) is not None and depth:
            nested.append(value)
    for value in nested[:50]:
        _take(facts, value, source, depth - 1, seen)


def _plain(value: object) -> Any:
    """A value of which a setting may consist; None for everything else."""
    if isinstance(value, (bool, int, float, str)):
        return value if not isinstance(value, str) or len(value) <= 200 else None
    if isinstance(value, Global):
        return value.name
    if isinstance(value, (list, tuple)) and len(value) <= 1000:
        return list(value)
    if isinstance(value, Mapping) and value and all(str(key).lstrip("-").isdigit() for key in value):
        return [value[key] for key in sorted(value, key=lambda key: int(key))]  # id2label: {"0": "wall", ...}
    return None


def _read_name(facts: Facts, path: Path) -> None:
    """Stride and data set from a file's name: ``best_deeplabv3plus_mobilenet_voc_os16.pth``."""
    name = path.name.lower()
    source = "the file's name"
    match = _STRIDE.search(name)
    if match is not None:
        facts.found.setdefault("output_stride", Fact(int(match[1]), source))
    for word, catalog in _DATASETS.items():
        if re.search(rf"(?<![a-z]){word}(?![a-z])(?:20\d\d)?", name):
            facts.found.setdefault("dataset", Fact(catalog, source))
            break


def whole_numbers(value: object) -> list[int] | None:
    """A list of positive whole numbers out of a setting (``[6, 12, 18]``, ``"6,12,18"``, ``"(6, 12, 18)"``), or None."""
    if isinstance(value, str):
        if not re.fullmatch(r"[\[(]?\s*\d{1,4}(\s*[,; ]\s*\d{1,4})*\s*[,]?\s*[\])]?", value):
            return None
        value = [int(number) for number in re.findall(r"\d+", value)]
    if not isinstance(value, (list, tuple)) or not value:
        return None
    numbers = [part for part in value if isinstance(part, int) and not isinstance(part, bool) and 0 < part < 10_000]
    return numbers if len(numbers) == len(value) else None


#: Kinds of encoders as settings name them.
_KINDS = ("resnet", "mobilenet", "xception", "hrnet", "drn", "vgg", "efficientnet", "densenet", "resnext")


def of_this_network(facts: Facts, backbone: str) -> Facts:
    """The facts without a source that speaks of another encoder: settings of another network may be in the same folder.

    Args:
        facts: of a checkpoint.
        backbone: that its tensors have.
    """
    fact = facts.found.get("encoder")
    if fact is None or not isinstance(fact.value, str):
        return facts
    told, ours = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (fact.value, backbone))
    kinds = [next((kind for kind in _KINDS if kind in name), "") for name in (told, ours)]
    if not all(kinds):
        return facts
    sizes = [re.findall(r"\d+", name)[:1] for name in (told, ours)]
    if kinds[0] == kinds[1] and (sizes[0] == sizes[1] or not all(sizes)):
        return facts
    kept = facts.without(fact.source)
    note = f"{fact.source} speaks of the encoder {shorten(fact.value)}, the weights are of {backbone}; it was not used"
    return Facts(kept.found, [*facts.notes, note])
