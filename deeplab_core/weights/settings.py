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
_SETTINGS_FILES = (
    "config.json", "hparams.yaml", "args.json", "args.yaml", "hyper_parameters.json", "config.yaml", "config.yml", "opt.json",
    "opt.yaml",
)  # fmt: skip
#: Entries of a checkpoint that hold settings; plain values at its top count too.
_SETTINGS_ENTRIES = (
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
_CANONICAL = {name: setting for setting, names in _NAMES.items() for name in names}

_STRIDE = re.compile(r"(?<![a-z0-9])(?:os|output[_-]?stride|out[_-]?stride|stride)[_=-]?(8|16|32)(?![0-9])")
_DATASETS = {
    "voc": "voc21", "pascal": "voc21", "cityscapes": "cityscapes19", "camvid": "camvid11", "ade20k": "ade20k150",
    "ade": "ade20k150",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting and where it stands: ``"config.json"``, ``"hyper_parameters in the file"``, ``"the file's name"``."""

    value: Any
    source: str


@dataclass(slots=True)
class StoredSettings:
    """Settings by the names of :data:`_NAMES`.

    Attributes:
        found: the first of each name, the surest source first.
        notes: settings files that could not be read, and why.
    """

    found: dict[str, Setting] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """The value of a setting, or None."""
        setting = self.found.get(name)
        return None if setting is None else setting.value

    def without(self, source: str) -> StoredSettings:
        """The same without one source."""
        return StoredSettings({name: setting for name, setting in self.found.items() if setting.source != source}, self.notes)


def gather_settings(checkpoint: Checkpoint) -> StoredSettings:
    """Everything that is said about a checkpoint beside and inside its file."""
    settings = StoredSettings()
    for name, content in _settings_files(checkpoint.path, settings):
        _take(settings, content, name)
    tops = {key: value for key, value in checkpoint.extras.items() if isinstance(value, (str, int, float, bool, list, tuple))}
    for name, content in checkpoint.extras.items():
        if str(name).lower() in _SETTINGS_ENTRIES:
            _take(settings, content, f"'{name}' in the file")
    _take(settings, tops, "the file itself")
    for name, text in checkpoint.metadata.items():
        _take(settings, {name: text} if not text.startswith("{") else _parsed(text), "the file's metadata")
    _read_name(settings, checkpoint.path)
    return settings


def _settings_files(path: Path, settings: StoredSettings) -> Iterator[tuple[str, Any]]:
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "checkpoints" else [])]
    for folder in folders:
        for name in _SETTINGS_FILES:
            place = folder / name
            try:
                if not place.exists():
                    continue
                content = (read_json if name.endswith("json") else read_yaml)(place, what="the settings file")
                if not isinstance(content, Mapping) and content is not None:
                    settings.notes.append(f"{name} beside the weights was not read: it holds no settings by name")
                yield name, content
            except AtrousError as error:
                settings.notes.append(f"{name} beside the weights was not read: {error.what}. {error.why}".strip())
            except OSError:
                continue


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except AtrousError:
        return {}


def _take(settings: StoredSettings, content: object, source: str, depth: int = 3, seen: set[int] | None = None) -> None:
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
        if name is not None and plain is not None and name not in settings.found:
            settings.found[name] = Setting(plain, source)
        elif entries(value) is not None and depth:
            nested.append(value)
    for value in nested[:50]:
        _take(settings, value, source, depth - 1, seen)


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


def _read_name(settings: StoredSettings, path: Path) -> None:
    """Stride and data set from a file's name: ``best_deeplabv3plus_mobilenet_voc_os16.pth``."""
    name = path.name.lower()
    source = "the file's name"
    match = _STRIDE.search(name)
    if match is not None:
        settings.found.setdefault("output_stride", Setting(int(match[1]), source))
    for word, catalog in _DATASETS.items():
        if re.search(rf"(?<![a-z]){word}(?![a-z])(?:20\d\d)?", name):
            settings.found.setdefault("dataset", Setting(catalog, source))
            break


#: Kinds of encoders as settings name them.
_KINDS = ("resnet", "mobilenet", "xception", "hrnet", "drn", "vgg", "efficientnet", "densenet", "resnext")


def of_this_network(settings: StoredSettings, backbone: str) -> StoredSettings:
    """The facts without a source that speaks of another encoder: settings of another network may be in the same folder.

    Args:
        settings: of a checkpoint.
        backbone: that its tensors have.
    """
    setting = settings.found.get("encoder")
    if setting is None or not isinstance(setting.value, str):
        return settings
    named, ours = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (setting.value, backbone))
    kinds = [next((kind for kind in _KINDS if kind in name), "") for name in (named, ours)]
    if not all(kinds):
        return settings
    sizes = [re.findall(r"\d+", name)[:1] for name in (named, ours)]
    if kinds[0] == kinds[1] and (sizes[0] == sizes[1] or not all(sizes)):
        return settings
    kept = settings.without(setting.source)
    note = f"{setting.source} speaks of the encoder {shorten(setting.value)}, the weights are of {backbone}; it was not used"
    return StoredSettings(kept.found, [*settings.notes, note])
