"""The fully connected CRF of one image."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.arrays import as_array
from deeplab_core.errors import AtrousError, message
from deeplab_core.flavour import has_torch, install_command, require_torch
from deeplab_core.kernels.filter import padded
from deeplab_core.parallel import IsCancelled
from deeplab_core.records import CRFEngine, CRFParams
from deeplab_core.refine.lattice import Lattice, TooLargeError, bilateral_strips, position_strips
from deeplab_core.refine.marginals import Marginals
from deeplab_core.refine.mean_field import Term
from deeplab_core.refine.parameters import check_params
from deeplab_core.refine.pruning import START, pruned_mean_field
from deeplab_core.refine.reduced import (
    MEMORY_LIMIT,
    OTHERS_LIMIT,
    carried_up,
    needed_bytes,
    scale_for,
    scaled_params,
    shrunk_probabilities,
    shrunk_strokes,
)
from deeplab_core.refine.strips import StripField
from deeplab_core.refine.unary import ProbabilitySource, Unary, active_labels, unary_terms

Engine = Literal["native", "torch", "pydensecrf"]


def choose_engine(wanted: CRFEngine, device: str) -> Engine:
    """The engine for a setting: ``auto`` is ours, by torch where ``device`` is a CUDA device, else by compiled loops.

    Raises:
        MissingPackage: ``torch`` is wanted, and it is not installed.
    """
    if wanted == "auto":
        return "torch" if device.startswith("cuda") and has_torch() else "native"
    if wanted == "torch":
        require_torch(message("The engine {engine}", engine=wanted))
    return wanted


#: Lattices of the appearance kernel kept per image: now, and before the last change.
_KEPT_LATTICES = 2
#: Pixels of an image from which marginals are not kept between the steps.
_STRIPS_FROM = 2_500_000
#: Bytes a pixel of a computation in strips: simplices, masses, and rows of four labels; and what images usually take in all.
_LEAST_BYTES, _USUAL_BYTES = 72, 130
#: Bytes a pixel of the smoothness kernel with its simplices and masses.
_POSITION_BYTES = 28


class DenseCRF:
    """Refines the class probabilities of one image (Krähenbühl and Koltun 2011; energies of DeepLab v1, equations 1 and 2).

    The lattices of the two kernels depend on the image and on their standard deviations only: they are built at first use and
    kept, so weights, iterations, probabilities and strokes may change at the price of the iterations alone.

    Args:
        rgb: (H, W, 3) uint8, the raw picture (never a normalised one).
        params: what is used where a call does not say otherwise.
        engine: ``"native"`` is ours, for CPUs; ``"torch"`` ours on ``device``; ``"pydensecrf"`` the reference implementation
            (extra ``crf``), one thread, lock held.
        prune: leave out labels that are nowhere probable (:mod:`~deeplab_core.refine.pruning`); their marginals become 0.
        device: of the torch engine.
        threads: threads of the native engine; each beyond the first takes a vertex table more.
        memory_limit: bytes beyond which the image is refined at a smaller scale (:mod:`~deeplab_core.refine.reduced`); the
            marginals' note then records it. None is 1.6 GB for the native engine and 3 GB for the others.

    Raises:
        ValueError: not an (H, W, 3) uint8 array.
        AtrousError: ``engine`` is not installed.
    """

    def __init__(
        self,
        rgb: NDArray[np.uint8],
        params: CRFParams | None = None,
        *,
        engine: Engine = "native",
        prune: bool = True,
        device: str = "cuda",
        threads: int = 1,
        memory_limit: int | None = None,
    ) -> None:
        rgb = as_array(rgb, "pixels of the picture")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
            raise ValueError(f"the picture is (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
        self.rgb = np.ascontiguousarray(rgb)
        self.params = params or CRFParams()
        self.engine = engine
        self.prune = prune
        self.device = device
        self.threads = threads
        self.memory_limit = memory_limit if memory_limit is not None else MEMORY_LIMIT if engine == "native" else OTHERS_LIMIT
        self._origin = (0, 0)
        self._small: DenseCRF | None = None
        self._lattices: OrderedDict[tuple[float, float], Lattice] = OrderedDict()

    @classmethod
    def of_part(
        cls, rgb: NDArray[np.uint8], origin: tuple[int, int], params: CRFParams | None = None, *, threads: int = 1
    ) -> DenseCRF:
        """The CRF of a part of an image, which begins at row and column ``origin``: its lattices have the cells of the whole."""
        crf = cls(rgb, params, threads=threads)
        crf._origin = origin
        return crf

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.rgb.shape[0], self.rgb.shape[1]

    def refine(
        self,
        probabilities: NDArray[np.float32],
        *,
        params: CRFParams | None = None,
        clamp: NDArray[Any] | None = None,
        ignore: int = 255,
        cancel: IsCancelled | None = None,
    ) -> NDArray[np.float32]:
        """Refine (C, H, W) float32 probabilities; the result has the same shape. Other arguments as :meth:`marginals`."""
        return self.marginals(probabilities, params=params, clamp=clamp, ignore=ignore, cancel=cancel).probabilities()

    def marginals(
        self,
        probabilities: NDArray[np.float32] | ProbabilitySource,
        *,
        params: CRFParams | None = None,
        clamp: NDArray[Any] | None = None,
        ignore: int = 255,
        scale: float | None = None,
        cancel: IsCancelled | None = None,
    ) -> Marginals:
        """Marginals in compact form, for labels without (C, H, W) in between.

        Args:
            probabilities: (C, H, W) float32 (a torch tensor too), or a source that gives them in strips.
            params: instead of the object's own.
            clamp: (H, W) integers: channels that the user has set, ``ignore`` elsewhere; such a pixel keeps its label and
                pulls its surroundings.
            ignore: what marks a pixel without stroke.
            scale: of the sides, 0..1: compute at this scale and carry the correction up, for a quick look; None is exact
                within the memory limit.
            cancel: asked before every step.

        Raises:
            ValueError: shapes do not fit, a stroke names a channel that does not exist, or values below 0 or above 1, which are
                no probabilities.
            TypeError: neither arrays nor torch tensors.
            ComputeError: a probability is not a number.
            AtrousError: parameters out of range.
            Cancelled: ``cancel`` returned True.
        """
        params = params or self.params
        check_params(params)
        if clamp is not None:
            clamp = as_array(clamp, "strokes")
        source = probabilities if isinstance(probabilities, ProbabilitySource) else ProbabilitySource.of(probabilities)
        if source.size != self.size or (clamp is not None and clamp.shape != self.size):
            raise ValueError(f"picture {self.size}, probabilities {source.size} and strokes differ in size")
        active = active_labels(source, START if self.prune else 0.0, clamp, ignore)
        native = self.engine == "native"
        if native and (scale is None or scale >= 1.0) and not self._plain(active.size):
            try:
                return self._in_strips(source, active, params, clamp, ignore, cancel)
            except TooLargeError as error:
                scale = float(np.sqrt(self.memory_limit / error.needed))
        largest = 1.0 if native else scale_for(self.rgb.shape[0] * self.rgb.shape[1], active.size, 1, self.memory_limit)
        scale = largest if scale is None else min(scale, largest)
        if scale < 1.0:
            return self._reduced(source, active, params, scale, clamp, ignore, cancel)
        unary = unary_terms(
            source, active, clip=params.clip, temperature=params.temperature, clamp=clamp, ignore=ignore
        )  # fmt: skip
        if self.engine == "pydensecrf":
            q = reference_mean_field(self.rgb, unary.logits, active.size, params)
        elif self.engine == "torch":
            from deeplab_core.refine.torch_mean_field import torch_mean_field

            q = torch_mean_field(
                unary.logits, active.size, self._terms(params), params.iterations, self.device, cancel=cancel
            )  # fmt: skip
        else:
            q, active = pruned_mean_field(
                unary, self._terms(params), params.iterations, prune=self.prune, threads=self.threads, cancel=cancel
            )
        return Marginals.of(q, active, source.classes, source.size)

    def _plain(self, labels: int) -> bool:
        """Whether all marginals are kept between steps, which is faster; large images are computed in strips."""
        pixels = self.rgb.shape[0] * self.rgb.shape[1]
        return pixels <= _STRIPS_FROM and needed_bytes(pixels, labels, self.threads) <= self.memory_limit

    def _in_strips(
        self,
        source: ProbabilitySource,
        active: NDArray[np.int64],
        params: CRFParams,
        clamp: NDArray[Any] | None,
        ignore: int,
        cancel: IsCancelled | None,
    ) -> Marginals:
        def unary(channels: NDArray[np.int64], first: int, last: int) -> Unary:
            strokes = None if clamp is None else clamp[first:last]
            return unary_terms(
                source.part(first, last), channels, clip=params.clip, temperature=params.temperature, clamp=strokes, ignore=ignore
            )

        pixels = self.rgb.shape[0] * self.rgb.shape[1]
        if pixels * _LEAST_BYTES > self.memory_limit:  # known before the lattice is built
            raise TooLargeError(pixels * _USUAL_BYTES)
        field = StripField(
            source, active, unary, self._terms(params, active.size), limit=self.memory_limit, threads=self.threads, cancel=cancel
        )  # fmt: skip
        field.run(params.iterations, prune=self.prune)
        return Marginals(field.marginals, field.active, source.classes, source.size)

    def _reduced(
        self,
        source: ProbabilitySource,
        active: NDArray[np.int64],
        params: CRFParams,
        scale: float,
        clamp: NDArray[Any] | None,
        ignore: int,
        cancel: IsCancelled | None,
    ) -> Marginals:
        height, width = (max(1, round(side * scale)) for side in self.size)
        if self._small is None or self._small.size != (height, width):
            rgb = np.asarray(cv2.resize(self.rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            self._lattices.clear()
            self._small = DenseCRF(rgb, engine=self.engine, device=self.device, threads=self.threads, memory_limit=1 << 62)
        self._small.prune = self.prune
        probabilities = shrunk_probabilities(source, active, (height, width))
        strokes = None
        if clamp is not None:
            inside = np.full(source.classes + 1, active.size, np.int64)
            inside[active] = np.arange(active.size)
            strokes = shrunk_strokes(inside[np.where(clamp == ignore, source.classes, clamp)], (height, width), active.size)
        small = self._small.marginals(
            probabilities, params=scaled_params(params, scale), clamp=strokes, ignore=active.size, cancel=cancel
        )  # fmt: skip
        small = replace(small, active=active[small.active], classes=source.classes)
        return carried_up(source, small, probabilities, active, params, clamp, ignore, cancel)

    def prepare(self, params: CRFParams | None = None) -> None:
        """Build the lattices now, so that the first call need not."""
        self._terms(params or self.params)

    def _terms(self, params: CRFParams, labels: int = 0) -> list[Term]:
        """The kernels; ``labels`` is the number of labels of a computation in strips."""
        terms = []
        appearance = None
        if params.bilateral_compat != 0.0:
            appearance = self._lattice(params.bilateral_sxy, params.bilateral_srgb)
        if params.gaussian_compat != 0.0:
            keep = self._keeps_positions(params.gaussian_sxy, appearance, labels)
            smoothness = position_lattice(*self.size, params.gaussian_sxy, *self._origin, keep)
            terms.append(Term(smoothness, params.gaussian_compat, params.normalization))
        if appearance is not None:
            terms.append(Term(appearance, params.bilateral_compat, params.normalization))
        return terms

    def _keeps_positions(self, sxy: float, appearance: Lattice | None, labels: int) -> bool:
        """Whether the smoothness kernel's simplices are kept: in strips only where they fit beside two sets of tables."""
        pixels = self.rgb.shape[0] * self.rgb.shape[1]
        if pixels <= _STRIPS_FROM:
            return True
        # A lattice of two dimensions has 2 / sqrt(3) vertices in a square of one standard deviation.
        vertices = min(1.0, 1.2 / sxy**2) * pixels
        held, others = (0, 0) if appearance is None else (appearance.nbytes, appearance.count)
        tables = 2 * 4 * padded(labels) * (vertices + others)
        return bool(held + _POSITION_BYTES * pixels + 12 * vertices + tables <= self.memory_limit)

    def _lattice(self, sxy: float, srgb: float) -> Lattice:
        lattice = self._lattices.get((sxy, srgb))
        if lattice is None:
            top, left = self._origin
            lattice = Lattice.build(bilateral_strips(self.rgb, sxy, srgb, top=top, left=left), limit=self.memory_limit)
            self._lattices[sxy, srgb] = lattice
            while len(self._lattices) > _KEPT_LATTICES:
                self._lattices.popitem(last=False)
        self._lattices.move_to_end((sxy, srgb))
        return lattice


@lru_cache(maxsize=2)
def position_lattice(height: int, width: int, sxy: float, top: int, left: int, keep: bool = True) -> Lattice:
    """The smoothness kernel's lattice: it knows no colours, so pictures of one size share it. ``keep`` as in its ``build``."""
    return Lattice.build(position_strips(height, width, sxy, top=top, left=left), keep=keep)


def warm_up() -> None:
    """Compile the loops, or load them from the disk, so that the first image does not wait; seconds if nothing is kept."""
    rgb = np.zeros((2, 2, 3), np.uint8)
    for classes in (2, 5, 9):
        probabilities = np.full((classes, 2, 2), 1.0 / classes, np.float32)
        marginals = DenseCRF(rgb, CRFParams(iterations=5), prune=classes == 9).marginals(probabilities)
        marginals.labels()


def reference_mean_field(
    rgb: NDArray[np.uint8], logits: NDArray[np.float32], labels: int, params: CRFParams
) -> NDArray[np.float32]:
    """Marginals by pydensecrf, in the layout of :func:`~deeplab_core.refine.mean_field.mean_field`.

    Args:
        rgb: (H, W, 3) uint8.
        logits: (H W, P) float32: minus the unary energies.
        labels: columns of ``logits`` that are labels.
        params: kernels, normalisation and iterations.

    Returns:
        (H W, P) float32; columns beyond ``labels`` are 0.

    Raises:
        AtrousError: pydensecrf is not installed.
    """
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise AtrousError(
            message("the reference CRF is not installed"),
            why=str(error),
            remedy=message("Choose the native engine, or install the extra: {command}", command=install_command("crf")),
        ) from error
    normalization = {
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
        "after": densecrf.NORMALIZE_AFTER,
        "none": densecrf.NO_NORMALIZATION,
    }[params.normalization]
    height, width = rgb.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-logits[:, :labels].T))
    if params.gaussian_compat != 0.0:
        crf.addPairwiseGaussian(sxy=params.gaussian_sxy, compat=params.gaussian_compat, normalization=normalization)
    if params.bilateral_compat != 0.0:
        picture = np.require(rgb, requirements=["C", "W"])  # it refuses read-only arrays
        crf.addPairwiseBilateral(
            sxy=params.bilateral_sxy, srgb=params.bilateral_srgb, rgbim=picture, compat=params.bilateral_compat,
            normalization=normalization,
        )  # fmt: skip
    q = np.zeros_like(logits)
    q[:, :labels] = np.asarray(crf.inference(params.iterations)).T
    return q
