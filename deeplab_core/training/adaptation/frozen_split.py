"""A network split in two: a frozen part, computed once for each image, and a part that is trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from deeplab_core.errors import message
from deeplab_core.inference import prepare_for_inference
from deeplab_core.learning import Layers
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.models.deeplab import DeepLab, GridWindow
from deeplab_core.training.frozen_part import ReadLevels
from deeplab_core.training.network import freeze_norms
from deeplab_core.training.transfer import classifier_names

Features = tuple[Tensor, ...]

_PROBE_SIDE = 65


class FrozenSplit(Protocol):
    """A frozen part and a trainable part. The network that was split is left as it is.

    Attributes:
        title: what is trained, in words.
        window_margin: of :attr:`deeplab_core.nn.models.deeplab.DeepLab.window_margin`; None where only the whole grid can be
            computed.
    """

    title: str
    window_margin: int | None

    @property
    def trainable(self) -> nn.Module:
        """The modules that :meth:`logits` runs."""

    def encode(self, x: Tensor) -> Features:
        """Features (N, 3, H, W) -> what the trainable part reads; no gradients."""

    def logits(self, features: Features, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) coarse logits with gradients, from the features of inputs of ``size`` (H, W)."""

    def window_logits(self, features: Features, size: tuple[int, int], windows: Sequence[GridWindow]) -> Tensor:
        """(W, C, h, w) coarse logits with gradients, in windows of the grid of one input; needs a ``window_margin``."""

    def parameters(self) -> list[nn.Parameter]:
        """What is trained. Batch norms keep statistics and affine parameters."""

    def class_rows(self) -> list[nn.Parameter]:
        """Parameters with the classes as first axis: weights and biases of the classifiers."""

    def joined(self) -> SegmentationModel:
        """A new network with the trainable part as it is now."""


def split_network(model: SegmentationModel, layers: Layers, device: torch.device | str = "cpu") -> FrozenSplit:
    """Split a network.

    Args:
        model: in eval mode on the CPU; left as it is.
        device: where both parts compute.
        layers: ``"decoder"`` is everything behind the encoder, and the classifier where a network has no separate encoder;
            ``"classifier"`` the last layer, ``"all"`` the whole network.
    """
    if layers == "all":
        return WholeNetwork(model, None, device)
    last = main_classifiers(model)
    if isinstance(getattr(model, "encoder", None), Encoder):
        return BehindEncoder(model, last if layers == "classifier" else None, device)
    if len(last) == 1 and LastLayer.fits(model, last[0]):
        return LastLayer(model, last[0], device)
    return WholeNetwork(model, last, device)


def main_classifiers(model: SegmentationModel) -> tuple[str, ...]:
    """Names of the classifiers that predictions come from; those of an auxiliary head are left out."""
    extra = model.auxiliary_key_prefix
    return tuple(name for name in classifier_names(model) if not (extra and name.startswith(extra)))


def _trainable(model: SegmentationModel, only: tuple[str, ...] | None) -> list[nn.Parameter]:
    model.requires_grad_(False)
    for name in only if only is not None else ("",):
        model.get_submodule(name).requires_grad_(True)
    freeze_norms(model)
    extra = model.auxiliary_key_prefix
    found = []
    for name, parameter in model.named_parameters():
        if extra and name.startswith(extra):
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            found.append(parameter)
    return found


def _margin(model: SegmentationModel) -> int | None:
    return model.window_margin if isinstance(model, DeepLab) else None


def _in_windows(model: SegmentationModel, x: Tensor, windows: Sequence[GridWindow]) -> Tensor:
    assert isinstance(model, DeepLab)
    return model.window_logits(x, windows)


def _rows(model: SegmentationModel) -> list[nn.Parameter]:
    return [parameter for name in main_classifiers(model) for parameter in model.get_submodule(name).parameters()]


class WholeNetwork:
    """Everything (or a classifier that cannot be cut off) is trained; the "features" are the input itself."""

    def __init__(self, model: SegmentationModel, only: tuple[str, ...] | None, device: torch.device | str) -> None:
        self.title: str = message("all layers") if only is None else message("the classifier")
        self.trainable: SegmentationModel = copy.deepcopy(model).eval().to(device)
        self.window_margin = _margin(model)
        self._only = only

    def encode(self, x: Tensor) -> Features:
        """The input itself."""
        return (x,)

    def logits(self, features: Features, size: tuple[int, int]) -> Tensor:  # noqa: ARG002  (the input has this size)
        """See :class:`FrozenSplit`."""
        return self.trainable.coarse_logits(features[0])

    def window_logits(self, features: Features, size: tuple[int, int], windows: Sequence[GridWindow]) -> Tensor:  # noqa: ARG002
        """See :class:`FrozenSplit`."""
        return _in_windows(self.trainable, features[0], windows)

    def parameters(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return _trainable(self.trainable, self._only)

    def class_rows(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return _rows(self.trainable)

    def joined(self) -> SegmentationModel:
        """See :class:`FrozenSplit`."""
        return copy.deepcopy(self.trainable).cpu().requires_grad_(False)


class _Replayed(Encoder):
    """Replaces the encoder and returns the levels that it computed before."""

    def __init__(self, original: Encoder) -> None:
        super().__init__()
        self.level_channels = original.level_channels
        self.minimum_side = original.minimum_side
        self.output_strides = original.output_strides
        self.kept: Sequence[Tensor] = ()

    def set_output_stride(self, output_stride: int) -> None:
        """Nothing to set: the kept features have their stride."""

    def levels(self, x: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002  (it is encoded already)
        """The kept levels; reading them may be recorded."""
        return self.kept  # type: ignore[return-value]


class BehindEncoder:
    """What follows the encoder is trained; the levels that it reads are the features."""

    def __init__(self, model: SegmentationModel, only: tuple[str, ...] | None, device: torch.device | str) -> None:
        original = model.encoder
        assert isinstance(original, Encoder)
        self.title: str = message("everything behind the encoder") if only is None else message("the classifier")
        self.window_margin = _margin(model)
        self._whole, self._only = model, only
        self._encoder = prepare_for_inference(model, device).encoder
        self._replay = _Replayed(original)
        # A copy of everything but the encoder, replaced by the replay.
        self.trainable: SegmentationModel = copy.deepcopy(model, {id(original): self._replay}).eval().to(device)
        side = max(_PROBE_SIDE, model.minimum_side)
        probe = torch.zeros(1, model.in_channels, side, side, device=device)
        with torch.no_grad():
            levels = ReadLevels(self._levels_of(probe))
            self._replay.kept = levels
            self.trainable.coarse_logits(probe)
        self._count, self._places = len(levels), tuple(sorted(levels.read))

    def _levels_of(self, x: Tensor) -> tuple[Tensor, ...]:
        assert isinstance(self._encoder, Encoder)
        return self._encoder.levels(x)

    def encode(self, x: Tensor) -> Features:
        """See :class:`FrozenSplit`."""
        with torch.no_grad():
            levels = self._levels_of(x)
        return tuple(levels[place] for place in self._places)

    def logits(self, features: Features, size: tuple[int, int]) -> Tensor:
        """See :class:`FrozenSplit`."""
        return self.trainable.coarse_logits(self._replaying(features, size))

    def window_logits(self, features: Features, size: tuple[int, int], windows: Sequence[GridWindow]) -> Tensor:
        """See :class:`FrozenSplit`."""
        return _in_windows(self.trainable, self._replaying(features, size), windows)

    def _replaying(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Have the encoder return features of :meth:`encode`. Of the input that comes back only the size matters any more."""
        kept = [features[0]] * self._count
        for place, level in zip(self._places, features, strict=True):
            kept[place] = level
        self._replay.kept = kept
        return features[0].new_zeros(()).expand(features[0].shape[0], self.trainable.in_channels, *size)

    def parameters(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return _trainable(self.trainable, self._only)

    def class_rows(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return _rows(self.trainable)

    def joined(self) -> SegmentationModel:
        """See :class:`FrozenSplit`."""
        whole = copy.deepcopy(self._whole).eval()
        whole.load_state_dict({**whole.state_dict(), **self.trainable.state_dict()})
        return whole.requires_grad_(False)


class LastLayer:
    """The classifier is trained; its input are the features. For networks without a separate encoder."""

    title: str = message("the classifier")
    window_margin: int | None = None

    def __init__(self, model: SegmentationModel, name: str, device: torch.device | str) -> None:
        self._whole, self._name = model, name
        self._frozen = prepare_for_inference(model, device)
        self.trainable = copy.deepcopy(model.get_submodule(name)).to(device)

    @staticmethod
    def fits(model: SegmentationModel, name: str) -> bool:
        """Whether the network's coarse logits are just what this layer gives."""
        given: list[Tensor] = []
        layer = model.get_submodule(name)
        handle = layer.register_forward_hook(lambda _module, _inputs, output: given.append(output))
        side = max(_PROBE_SIDE, model.minimum_side)
        try:
            with torch.no_grad():
                logits = model.coarse_logits(torch.zeros(1, model.in_channels, side, side))
        finally:
            handle.remove()
        return len(given) == 1 and given[0].shape == logits.shape and bool(torch.equal(given[0], logits))

    def encode(self, x: Tensor) -> Features:
        """See :class:`FrozenSplit`."""
        given: list[Tensor] = []
        layer = self._frozen.get_submodule(self._name)
        handle = layer.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
        try:
            with torch.no_grad():
                self._frozen.coarse_logits(x)
        finally:
            handle.remove()
        return (given[0],)

    def logits(self, features: Features, size: tuple[int, int]) -> Tensor:  # noqa: ARG002  (a plain layer needs no size)
        """See :class:`FrozenSplit`."""
        out: Tensor = self.trainable(features[0])
        return out

    def window_logits(self, features: Features, size: tuple[int, int], windows: Sequence[GridWindow]) -> Tensor:
        """A last layer costs too little for it."""
        raise NotImplementedError

    def parameters(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return list(self.trainable.requires_grad_(True).parameters())

    def class_rows(self) -> list[nn.Parameter]:
        """See :class:`FrozenSplit`."""
        return list(self.trainable.parameters())

    def joined(self) -> SegmentationModel:
        """See :class:`FrozenSplit`."""
        whole = copy.deepcopy(self._whole)
        whole.get_submodule(self._name).load_state_dict(self.trainable.state_dict())
        return whole.eval().requires_grad_(False)


def multiply_adds(
    split: FrozenSplit, features: Features, size: tuple[int, int], windows: Sequence[GridWindow] | None = None
) -> int:
    """What one forward pass of the trainable part costs, over the whole grid or in windows: multiply-adds of its convolutions.

    Counted by hooks, because torch's own counter imports its compiler, which takes seconds.
    """
    total = 0

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        kernel = module.kernel_size[0] * module.kernel_size[1]
        total += output.numel() * kernel * module.in_channels // module.groups

    layers = [module for module in split.trainable.modules() if isinstance(module, nn.Conv2d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            if windows is None:
                split.logits(features, size)
            else:
                split.window_logits(features, size, windows)
    finally:
        for handle in handles:
            handle.remove()
    return total
