"""A training recipe: every choice of a run as one frozen record, read from and written to TOML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_type_hints

import tomli_w

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.inference.geometry import frame_for
from deeplab_core.nn.factory import check_architecture
from deeplab_core.nn.options import check_stride
from deeplab_core.reading import convert, read_toml, shorten
from deeplab_core.records import Preprocessing

ClassWeighting = Literal["none", "median_frequency", "log_1.02", "log_1.10"]
Loss = Literal["cross_entropy", "ohem", "top_k", "focal"]
Precision = Literal["fp32", "bf16", "fp16"]
NormMode = Literal["train", "frozen"]
Optimizer = Literal["sgd", "adamw"]
DecoderStart = Literal["random", "identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained. Defaults are DeepLabv3+'s (Chen et al. 2018, section 4), with the rate of a run from scratch.

    Attributes:
        network, backbone, options, backbone_options: arguments of :func:`deeplab_core.nn.create_model`.
            With ``init`` an empty network or backbone is the checkpoint's; else an empty network is DeepLabv3+, an empty backbone
            MobileNetV2 for DeepLabv3 and v3+ and the network's usual one otherwise. Where one of the four is named beside
            ``init``, the head is built as named here and only the encoder is the checkpoint's.
        output_stride: likewise; 0 takes 16 or the only one that the network has, and of ``init`` the one it was trained with.
        sigmoid: one channel for a catalog of two classes: the logit of the second against the first, trained with binary cross
            entropy and read with a threshold. Without it the network has a channel for each of the two, which softmax makes the
            same model with twice the classifier. A checkpoint of one channel keeps it if there are two classes.
        name, summary, licence: what the finished model's card says.
        init: checkpoint to start from (any file that ``load_model`` reads); empty starts from scratch. What fits is taken
            (:mod:`deeplab_core.training.transfer`): the encoder whole, other layers where name and shape agree, the classifier
            where the classes agree too. Mean, std and channel order of the input are then the checkpoint's.
        init_options: options that the weights of ``init`` do not contain; see :func:`deeplab_core.weights.load_model`.
        decoder_start: ``identity`` gives a DeepLabv3 of ``init`` the decoder of DeepLabv3+, which passes the features on
            unchanged at first: the run begins with the scores of ``init``, and its pyramid and classifier are taken
            (:mod:`deeplab_core.training.decoder_start`). ``options`` then name only what concerns the decoder.
        average_with: more checkpoints of the same network and classes; the run begins with the mean of the weights of ``init``
            and these (a uniform model soup, Wortsman et al. 2022): runs that went apart from one start on several machines.
        epochs: passes over the training images. ``steps`` above 0 wins.
        steps: optimiser steps of the whole run; 0 derives them from ``epochs``.
        batch: images per optimiser step, over all processes and accumulation rounds.
        accumulate: rounds that a step is split into, to fit a batch into memory.
        crop: (height, width) of a training crop in px.
        scales: (least, most) random scale of an image.
        scale_step: random scales are multiples of this (0.25 in the paper); 0 draws them evenly.
        flip: mirror half of the crops.
        jitter: largest relative change of brightness, contrast and saturation, and a tenth of it in hue; 0 for none.
        hue: largest further turn of the colour circle, 0.5 for any hue; for classes that colour says nothing about.
        blur, noise: probability of a small Gaussian blur, and of sensor noise.
        hard_classes: names of classes; images that hold one are seen ``hard_repeat`` times in an epoch (DeepLabv3, section 4).
        hard_repeat: see ``hard_classes``.
        optimizer: SGD with momentum as in the papers; AdamW (Loshchilov and Hutter 2019) gets further in short runs from scratch.
        rate: base learning rate of the head.
        backbone_rate: factor on the rate of the backbone.
        init_rate: factor on the rate of every layer that was taken from ``init``; both factors multiply.
        freeze: shell patterns of module names, e.g. ``encoder.blocks.1[0-2]``: everything inside these modules stays as it is,
            norms too.
        freeze_norms: likewise, but only the batch norms inside stay as they are.
        fixed_scales: a fixed set of views in place of random ones: every image at each of these scales (of the largest the crop
            is taken; smaller ones show the same part with fewer pixels), plain and, with ``flip``, mirrored. Place and colour are
            drawn once for each view. An epoch passes all views, each batch at one scale. Empty draws at random.
        cache_features: what the frozen layers give for each view is computed once and kept on disk, in half precision. Needs
            ``fixed_scales`` and frozen layers.
        power: of the poly schedule ``rate * (1 - step / steps) ** power``.
        warmup: steps of linear warm-up.
        momentum: of SGD.
        weight_decay: of weights. Norms and biases do not decay where ``decay_norms`` is off.
        clip: largest norm of the gradient; 0 for none.
        loss: ``ohem`` keeps pixels with a probability of the true class below ``ohem_threshold`` and at least ``ohem_keep`` of
            them; ``top_k`` keeps that share of the hardest pixels (DeepLab's hard example mining); ``focal`` weighs by
            ``(1 - p) ** 2``.
        ohem_threshold, ohem_keep: see ``loss``; ``ohem_keep`` is a share of the labelled pixels.
        class_weighting: ``median_frequency`` (SegNet), ``log_1.02`` (ENet: 1 / ln(1.02 + frequency)) or ``log_1.10`` (ERFNet).
        auxiliary_weight: of the auxiliary head's loss, where the network has one.
        norm: ``frozen`` keeps batch norm's statistics and affine parameters (fine-tuning with small batches). With ``init`` these
            are the norms that were taken from it; norms of new layers, which have no statistics yet, are trained.
        sync_norm: statistics over the whole batch of all processes; only matters under torchrun.
        precision: autocast of the forward pass.
        channels_last: NHWC memory, faster on CPUs and tensor cores.
        compile: torch.compile; needs a compiler on the machine.
        ema: decay of an exponential moving average of the weights, which is then validated and saved; 0 for none.
        seed: of everything random.
        validate_every: epochs between validations; 0 validates at the end only.
        band_px: width of the boundary band that is validated too.
        resize, padding, mean, std: preprocessing written to the card; ``mean`` and ``std`` on the 0..255 scale. With ``init`` the
            last three are the checkpoint's unless they are named here; other values than its own for ``mean`` and ``std`` are
            refused.
        half: the finished model is stored in half precision.
    """

    network: str = ""
    backbone: str = ""
    output_stride: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    sigmoid: bool = False
    name: str = ""
    summary: str = ""
    licence: str = ""
    init: str = ""
    init_options: Mapping[str, Any] = field(default_factory=dict)
    decoder_start: DecoderStart = "random"
    average_with: tuple[str, ...] = ()
    epochs: float = 50
    steps: int = 0
    batch: int = 16
    accumulate: int = 1
    crop: tuple[int, int] = (512, 512)
    scales: tuple[float, float] = (0.5, 2.0)
    scale_step: float = 0.0
    fixed_scales: tuple[float, ...] = ()
    cache_features: bool = False
    flip: bool = True
    jitter: float = 0.3
    hue: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    hard_classes: tuple[str, ...] = ()
    hard_repeat: int = 2
    optimizer: Optimizer = "sgd"
    rate: float = 0.05
    backbone_rate: float = 1.0
    init_rate: float = 1.0
    freeze: tuple[str, ...] = ()
    freeze_norms: tuple[str, ...] = ()
    power: float = 0.9
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norms: bool = False
    clip: float = 0.0
    loss: Loss = "cross_entropy"
    ohem_threshold: float = 0.7
    ohem_keep: float = 0.1
    class_weighting: ClassWeighting = "none"
    auxiliary_weight: float = 0.4
    norm: NormMode = "train"
    sync_norm: bool = True
    precision: Precision = "fp32"
    channels_last: bool = True
    compile: bool = False
    ema: float = 0.0
    seed: int = 1
    validate_every: int = 1
    band_px: int = 4
    resize: str = "native"
    padding: str = ""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    half: bool = False

    def __post_init__(self) -> None:
        def demand(good: bool, what: str, remedy: str) -> None:
            if not good:
                raise AtrousError(message("training recipe: {what}", what=what), remedy=remedy)

        for item in fields(self):
            value = getattr(self, item.name)
            numbers = value if isinstance(value, tuple) else (value,)
            finite = all(math.isfinite(number) for number in numbers if isinstance(number, float))
            demand(finite, message("{name} = {value} is not finite", name=item.name, value=repr(value)), message("Give a number"))
        demand(
            self.batch >= 1 and self.accumulate >= 1, message("batch and accumulate must be at least 1"), message("Correct them")
        )
        demand(
            self.batch % self.accumulate == 0, message("accumulate must divide batch"), message("Choose a divisor of the batch")
        )
        demand(
            len(self.crop) == 2 and min(self.crop) >= 1, message("crop must be two sizes in px"), message("Give height and width")
        )
        demand(0 < self.scales[0] <= self.scales[1], message("scales must be a least and a most, above 0"), message("Order them"))
        demand(self.epochs > 0 or self.steps > 0, message("epochs or steps must be above 0"), message("Give one of them"))
        demand(self.steps >= 0, message("steps must be at least 0"), message("0 derives them from epochs"))
        demand(self.rate > 0, message("rate must be above 0"), message("Try 0.05 from scratch, 0.007 for fine-tuning"))
        demand(0 <= self.hue <= 0.5, message("hue is a turn of 0..0.5"), message("0.5 allows every hue"))
        demand(0 <= self.ema < 1, message("ema must be in 0..1"), message("Try 0.999"))
        demand(1 <= self.band_px <= 40, message("band_px must be in 1..40"), message("Choose a width there"))
        demand(0 < self.ohem_keep <= 1, message("ohem_keep is a share of the pixels"), message("Choose one in 0..1"))
        demand(
            0 <= self.seed < 1 << 63,
            message("seed {seed} is out of range", seed=self.seed),
            message("Choose a whole number from 0 on"),
        )
        demand(
            len(self.mean) == 3 and len(self.std) == 3,
            message("mean and std have a value per colour"),
            message("Give three numbers"),
        )
        demand(
            min(self.std) > 0,
            message("std {std} divides the colours and must be above 0", std=self.std),
            message("Give the deviation on the 0..255 scale"),
        )
        demand(self.hard_repeat >= 1, message("hard_repeat must be at least 1"), message("1 repeats nothing"))
        demand(0 <= self.momentum < 1, message("momentum must be in 0..1, 1 left out"), message("Try 0.9"))
        rates = ("backbone_rate", "init_rate", "power", "warmup", "weight_decay", "clip", "auxiliary_weight")
        for name in ("scale_step", "jitter", *rates):
            demand(
                getattr(self, name) >= 0,
                message("{name} {value} is below 0", name=name, value=getattr(self, name)),
                message("Give 0 or more"),
            )
        for name in ("blur", "noise"):
            demand(0 <= getattr(self, name) <= 1, message("{name} is a probability", name=name), message("Choose one in 0..1"))
        demand(self.validate_every >= 0, message("validate_every must be at least 0"), message("0 validates at the end only"))
        demand(
            all(scale > 0 for scale in self.fixed_scales),
            message("fixed_scales must be above 0"),
            message("1.0 is the image's own size"),
        )
        demand(
            len(set(self.fixed_scales)) == len(self.fixed_scales),
            message("fixed_scales names a scale twice"),
            message("Name each once"),
        )
        demand(bool(self.fixed_scales) or not self.cache_features, message("cache_features needs a fixed set of views"),
               message("Set fixed_scales, e.g. [0.8, 1.0]"))  # fmt: skip
        demand(bool(self.freeze) or not self.cache_features, message("cache_features needs frozen layers"),
               message('Set freeze, e.g. ["encoder.stem", "encoder.blocks.?"]'))  # fmt: skip
        demand(
            not (self.compile and self.cache_features),
            message("compile does not work on cached features"),
            message("Set one of them to false"),
        )
        try:
            plan = Preprocessing(resize=self.resize, padding=self.padding or "none")
            frame_for((8, 8), plan, align_corners=False)
        except WeightsError as error:
            raise AtrousError(message("training recipe: {what}", what=error.what), remedy=error.remedy) from None
        if self.network:
            try:
                check_architecture(self.network, self.backbone, self.options, self.backbone_options)
            except AtrousError as error:
                raise AtrousError(
                    message("training recipe: {what}", what=error.what), why=error.why, remedy=error.remedy
                ) from None
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            demand(
                value in choices,
                message("{name} '{value}' is unknown", name=name, value=value),
                message("Choose one of {choices}", choices=", ".join(choices)),
            )

    def check_run(self, catalog: ClassCatalog) -> None:
        """Raise AtrousError for what only shows once file and flags are joined and the classes are known.

        ``average_with``, ``init_options`` and a decoder that starts as identity need ``init``, ``sigmoid`` needs two classes, and
        ``hard_classes`` names classes of the catalog.
        """
        for asks, name in (
            (bool(self.average_with), "average_with"),
            (bool(self.init_options), "init_options (--model-option)"),
            (self.decoder_start == "identity", "decoder_start = identity"),
        ):
            if asks and not self.init:
                raise AtrousError(
                    message("training recipe: {name} needs init", name=name),
                    remedy=message("Name the checkpoint to start from there"),
                )
        if self.sigmoid and len(catalog) != 2:
            raise AtrousError(
                message(
                    "training recipe: sigmoid is for two classes, '{catalog}' has {count}",
                    catalog=catalog.name,
                    count=len(catalog),
                ),
                why=message("A network of one channel tells one class from the background"),
                remedy=message("Leave sigmoid out, or name a catalog of background and one class"),
            )
        unknown = [name for name in self.hard_classes if catalog.by_name(name) is None]
        if unknown:
            raise AtrousError(
                message(
                    "training recipe: hard_classes names '{unknown}', which is not a class of '{catalog}'",
                    unknown=unknown[0],
                    catalog=catalog.name,
                ),
                remedy=message("Choose among {names}", names=", ".join(catalog.names)),
            )

    # Conversion

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` is the inverse."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a recipe.

        Raises:
            AtrousError: unknown keys or malformed values, by name.
        """
        return cls().changed(data)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The recipe with some values replaced; lists become tuples, whole numbers become floats where a field is one.

        Raises:
            AtrousError: unknown keys or malformed values, by name.
        """
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise AtrousError(
                message("training recipe: unknown key '{unknown}'", unknown=unknown[0]),
                remedy=message("Known keys: {known}", known=", ".join(known)),
            )
        return replace(self, **{key: _as(key, value, known[key]) for key, value in values.items()})

    @classmethod
    def read(cls, path: Path) -> tuple[Self, dict[str, Any]]:
        """Read a TOML file: its ``[recipe]`` table, and its other tables (``data``) as they stand.

        Raises:
            AtrousError: unreadable or malformed, with the file's name.
        """
        # Paths in foreign bytes are in it unchanged.
        tables = read_toml(path, what="the recipe", remedy="Correct the file", error=AtrousError, foreign=True)
        try:
            recipe = cls.from_dict(tables.pop("recipe", {}))
        except AtrousError as error:
            raise AtrousError(error.what, why=error.why, remedy=error.remedy, path=path) from error
        return recipe, tables

    def to_toml(self, data: Mapping[str, Any] | None = None) -> str:
        """The ``[recipe]`` table with every value that differs from the default, and the ``[data]`` tables where they are given.

        Args:
            data: as ``DataTables.to_dict`` gives it.
        """
        usual = type(self)()
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        tables: dict[str, Any] = {"recipe": {name: value for name, value in values.items() if value != getattr(usual, name)}}
        if data is not None:
            tables["data"] = data
        return tomli_w.dumps(tables)

    @property
    def micro_batch(self) -> int:
        """Images of one forward pass, over all processes."""
        return self.batch // self.accumulate


_CHOICES: dict[str, tuple[str, ...]] = {
    "loss": get_args(Loss),
    "class_weighting": get_args(ClassWeighting),
    "precision": get_args(Precision),
    "norm": get_args(NormMode),
    "optimizer": get_args(Optimizer),
    "decoder_start": get_args(DecoderStart),
}


#: Strides that some network has; whether the recipe's has it is known once it is built.
_STRIDES = (1, 2, 4, 8, 16, 32, 64)


def _as(key: str, value: object, usual: object) -> Any:
    """``value`` in the type of its field; ``usual`` is an example."""
    if key == "output_stride" and value != 0:  # 0 is the network's usual one
        try:
            return check_stride(value, _STRIDES, "a network")
        except AtrousError as error:
            raise AtrousError(message("training recipe: {what}", what=error.what), why=error.why, remedy=error.remedy) from None
    parts = [_whole(part) for part in value] if isinstance(value, (list, tuple)) else _whole(value)
    kind: Any = str if key in _CHOICES else _kinds()[key]  # choices are checked with the rest of the recipe
    try:
        return convert(dict(value) if isinstance(value, Mapping) else parts, kind)
    except ValueError:
        raise AtrousError(
            message("training recipe: {key} = {value} is malformed", key=key, value=shorten(value)),
            remedy=message("It looks like {usual}", usual=repr(usual)),
        ) from None


@cache
def _kinds() -> dict[str, Any]:
    """The type of every field."""
    return get_type_hints(Recipe)


def _whole(value: object) -> object:
    """A number as TOML's writers may give it: ``8.0`` for 8."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
