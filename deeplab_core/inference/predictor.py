"""One RGB image in, one :class:`Prediction` out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from deeplab_core.backends.engines import PACKAGES
from deeplab_core.catalogs import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.flavour import require_torch
from deeplab_core.inference.device import describe_device, pick_device, pick_precision
from deeplab_core.inference.geometry import NetworkFrame
from deeplab_core.inference.image_run import ImageRun
from deeplab_core.inference.memory import BYTES_PER_PIXEL, TILE_FLOOR, SharedRoom, available_bytes, pass_bytes
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.network import ChosenEngine, TiledNetwork, prepared
from deeplab_core.inference.pixels import RGB, PixelCanvas, check_rgb
from deeplab_core.inference.scores import Scores, uncertainty_scores
from deeplab_core.model_cards import catalog_of, settled_card
from deeplab_core.networks import ComputeDevice, GraphNetwork
from deeplab_core.parallel import IsCancelled, ProgressCallback, available_cores
from deeplab_core.records import (
    Device,
    EngineChoice,
    ModelCard,
    Prediction,
    PredictOptions,
    Preprocessing,
    RunReport,
    check_threshold,
)

if TYPE_CHECKING:
    from torch import nn

    from deeplab_core.inference.batches import WindowBatches
    from deeplab_core.inference.engine_trial import EngineChooser
    from deeplab_core.inference.torch_network import Canvas
    from deeplab_core.nn import SegmentationModel

#: Sides of tiles that are chosen without being asked. Steps of two, so that the choice, and with it the last bit of a
#: score, does not follow every change of free memory.
_TILE_SIDES = (2048, 1024, 512, TILE_FLOOR)
#: A canvas up to this much larger than a tile is computed whole rather than in two tiles.
_WHOLE_SLACK = 1.25
#: Network pixels of the largest canvas that is computed whole.
_LARGEST_WHOLE = _TILE_SIDES[0] ** 2 * _WHOLE_SLACK


class Predictor:
    """Predicts images with one network.

    Args:
        model: from ``load_model`` or ``create_model``; it is copied, never changed.
        card: how its inputs look and what its classes are called.
        options: what is used where a call does not say otherwise.
        device: as ``options.device``, which it overrides unless ``"auto"``.
        trials: file in which trials of engines are remembered on this machine; None remembers them with this object only.

    Attributes:
        device: the device in use.
        at_once: how many threads predict at a time.
        room: the memory that they share; None counts what is free for each image. Tiles do not depend on ``at_once``, because
            other tiles give other labels: an image that does not fit beside the others waits.
        batches: joins the windows of these threads in one pass; None computes each by itself.
        device_note: why it is not the one asked for, and what else the user should know of the engine; empty where all is as
            asked.

    Raises:
        WeightsError: network and card disagree on the number of classes, or on the threshold.
        DeviceError: no such device.
    """

    def __init__(
        self,
        model: SegmentationModel | GraphNetwork,
        card: ModelCard,
        options: PredictOptions | None = None,
        device: Device = "auto",
        trials: Path | None = None,
    ) -> None:
        self.card = settled_card(card, model.num_classes, inputs=model.in_channels)
        self.options = options or PredictOptions()
        self.device, self.device_note = pick_device(device if device != "auto" else self.options.device)
        self.model = prepared(model, self.device)
        self._follow_engine()
        self._chooser = self._engine_chooser(trials)
        self.at_once = 1
        self.room: SharedRoom | None = None
        self.batches: WindowBatches | None = None
        self._tile_limit: int | None = None
        self._radius: dict[int, int] = {}

    @classmethod
    def of(
        cls,
        module: nn.Module,
        *,
        classes: str | ClassCatalog | Sequence[str] | int,
        preprocessing: Preprocessing | None = None,
        device: Device = "auto",
        name: str = "",
    ) -> Predictor:
        """A predictor for any module, e.g. one of torchvision or of your own training.

        Args:
            module: a network of this package, or any ``nn.Module`` that gives logits; see
                :class:`deeplab_core.nn.module.ModuleNetwork`.
            classes: a built-in catalog's name, a catalog, names in channel order, or their number.
            preprocessing: what the module expects; None normalises 0..255 RGB with ImageNet's mean and deviation, and pads sides
                to multiples of 32 unless it is a network of this package.
            device: where it runs.
            name: for reports; the class of the module if it is empty.

        Raises:
            CatalogError: unknown classes.
            WeightsError: another number of classes than the network has.
        """
        require_torch(message("A network of another program"))
        from deeplab_core.nn import SegmentationModel
        from deeplab_core.nn.module import ModuleNetwork

        catalog = catalog_of(classes)
        channels = len(catalog)
        model = module if isinstance(module, SegmentationModel) else ModuleNetwork(module, num_classes=channels)
        if preprocessing is None:
            preprocessing = Preprocessing(padding="none" if model is module else "multiple:32")
        title = name or type(module).__name__
        card = ModelCard(
            id=title, name=title, architecture=model.architecture, catalog=catalog, preprocessing=preprocessing,
            align_corners=model.align_corners, output_stride=model.output_stride, output_strides=model.output_strides,
        )  # fmt: skip
        return cls(model, card, device=device)

    def __call__(
        self,
        rgb: RGB,
        *,
        source_key: str = "",
        options: PredictOptions | None = None,
        uncertainty: bool = True,
        confidence: bool = True,
        cancel: IsCancelled | None = None,
        progress: ProgressCallback | None = None,
    ) -> Prediction:
        """Predict one image.

        Args:
            rgb: (H, W, 3) uint8, oriented; (H, W, 4) for a network of four channels.
            source_key: content key of the image, handed through.
            options: instead of the predictor's own; ``device`` in them is not looked at.
            uncertainty: also measure what needs the probabilities of all classes; False where only the masks are written.
            confidence: False leaves the confidence out, (0, 0), unless a CRF gives it anyway; labels are the same.
            cancel: asked before every layer; the work stops once it returns True.
            progress: called with a fraction 0..1 and what is being done.

        Returns:
            Labels and confidence at the size of ``rgb``.

        Raises:
            Cancelled: ``cancel`` returned True.
            DeviceOutOfMemory: even tiles of :data:`TILE_FLOOR` pixels do not fit.
            ComputeError: the network gave numbers that are not finite, or its grid cannot be tiled.
            AtrousError: an output stride that the network does not have.
        """
        scores = self.scores(rgb, options=options, cancel=cancel, progress=progress)
        return self.decide(scores, source_key, options, rgb=rgb, uncertainty=uncertainty, confidence=confidence, cancel=cancel)

    def decide(
        self,
        scores: Scores,
        source_key: str = "",
        options: PredictOptions | None = None,
        *,
        rgb: RGB | None = None,
        uncertainty: bool = True,
        confidence: bool = True,
        cancel: IsCancelled | None = None,
    ) -> Prediction:
        """Labels and confidence from scores, refined with the CRF of the options where they have one; that needs ``rgb``.

        Args as for :meth:`__call__`.

        Raises:
            ValueError: the options have a CRF and there is no ``rgb``.
            Cancelled: ``cancel`` returned True.
        """
        options = self._with_threshold(options or self.options)
        began, cpu_began = time.perf_counter(), time.process_time()
        notes = scores.report.notes
        labels_only = self.model.engine is not None and self.model.engine.labels_only
        if options.crf is None and not confidence:
            labels, certain = scores.labels(options.threshold), np.empty((0, 0), np.uint8)
        elif options.crf is None:
            labels, certain = scores.label_map(options.threshold)
            if labels_only:
                certain.fill(255)  # a pixel between two labels is no less certain than the others
        elif rgb is None:
            raise ValueError("a CRF needs the picture")
        else:
            from deeplab_core.refine import DenseCRF, ProbabilitySource, choose_engine  # compiles or loads its loops

            device = str(self.device)
            engine = choose_engine(options.crf_engine, device)
            crf = DenseCRF(
                rgb[..., :3],
                options.crf,
                engine=engine,
                device=device,
                threads=1 if self.at_once > 1 else min(2, available_cores()),
            )
            marginals = crf.marginals(ProbabilitySource.of_scores(scores.weighed(options.threshold)), cancel=cancel)
            catalog = scores.catalog
            labels, certain = marginals.labels(catalog.ids.astype(catalog.dtype)), marginals.confidence()
            notes = (*notes, marginals.note) if marginals.note else notes
        took = scores.report.milliseconds + 1e3 * (time.perf_counter() - began)
        cpu_took = scores.report.cpu_milliseconds + 1e3 * (time.process_time() - cpu_began)
        return Prediction(
            labels=labels, confidence=certain, card_id=self.card.id, options=options, source_key=source_key,
            report=replace(scores.report, milliseconds=took, cpu_milliseconds=cpu_took, notes=notes),
            uncertainty=uncertainty_scores(scores.weighed(options.threshold)) if uncertainty and not labels_only else {},
        )  # fmt: skip

    def scores(
        self,
        rgb: RGB,
        *,
        options: PredictOptions | None = None,
        cancel: IsCancelled | None = None,
        progress: ProgressCallback | None = None,
    ) -> Scores:
        """Class scores of one image; arguments and errors as :meth:`__call__`.

        Several scales, and the mirrored image, are averaged as probabilities (DeepLabv3, section 4.1).
        """
        check_rgb(rgb, self.model.in_channels)
        began, cpu_began = time.perf_counter(), time.process_time()
        options = options or self.options
        self._set_stride(options)
        engine = self.model.engine
        precision, precision_note = pick_precision("fp32" if engine else options.precision, self.device)
        if engine and options.precision not in ("auto", engine.precision):
            precision_note = f"This graph computes in {engine.precision}, whatever precision is chosen."
        notes = [note for note in (self.device_note, precision_note) if note]
        network = TiledNetwork(self.model, self.device, precision, self.batches)
        run = ImageRun(self, options, network, ProgressMonitor(cancel, progress), notes)
        # A pass that images share ends for none of them before it is done; Cancel is asked between passes then.
        with run.monitor.over(self.model) if self.batches is None else nullcontext():
            grids = run.grids(rgb)
        run.monitor.done()
        if engine and not engine.shares_context and run.tiles > len(grids):
            notes.append("Computed in tiles, of which this graph sees each by itself, without the context of the whole image.")
        if self.model.engine is not None:  # what the graph refused shows in the run
            notes += [note for note in self.model.engine.notes if note not in self.device_note]
        notes += self.batches.notes if self.batches is not None else []
        compiled = run.network.compiled
        device = describe_device(self.device) if compiled is None else f"{self.device} ({compiled.title})"
        report = RunReport(
            device=f"{engine.device} ({engine.name})" if engine else device,
            precision=engine.precision if engine else run.network.precision if compiled is None else compiled.precision,
            milliseconds=1e3 * (time.perf_counter() - began),
            cpu_milliseconds=1e3 * (time.process_time() - cpu_began),
            tiles=run.tiles,
            notes=tuple(dict.fromkeys(notes)),
        )
        return Scores(grids, self.card.catalog, report)

    def check(self, options: PredictOptions) -> None:
        """Raise AtrousError for an output stride, or a threshold, that the network does not have."""
        self._set_stride(options)
        self._with_threshold(options)

    def probabilities(self, rgb: RGB, *, options: PredictOptions | None = None) -> NDArray[np.float32]:
        """Class probabilities of every pixel.

        Args:
            rgb: (H, W, 3) uint8.
            options: instead of the predictor's own.

        Returns:
            (C, H, W) float32 in channel order, C-contiguous; sums to 1 within 1e-5. 4 bytes per class and pixel.
        """
        return np.ascontiguousarray(self.scores(rgb, options=options).probabilities())

    def logits(self, rgb: RGB, *, options: PredictOptions | None = None) -> NDArray[np.float32]:
        """Logits of every pixel, (C, H, W) float32, up to a constant per pixel; see :meth:`Scores.logits`."""
        return np.ascontiguousarray(self.scores(rgb, options=options).logits())

    def move(self, device: Device) -> None:
        """Compute on another device from now on; :attr:`device_note` says why it is not the one asked for."""
        self.device, self.device_note = pick_device(device)
        if isinstance(self.model, GraphNetwork):
            self.model.move(self.device)
        else:
            self.model = self.model.to(str(self.device))
        self._follow_engine()
        self._tile_limit = None

    def give_back_memory(self) -> None:
        """Free the memory that an engine other than torch keeps between two images; the next one takes it again."""
        if self._chooser is not None:
            self._chooser.give_back_memory()

    def choose_engine(
        self, rgb: RGB, options: PredictOptions | None = None
    ) -> Literal["torch", "onnx", "openvino", "amx", "cuda-graph"]:
        """The engine that computes images like this one, after a trial if none is remembered; for runs that keep to one.

        Args:
            rgb: as for :meth:`__call__`.
            options: instead of the predictor's own.
        """
        options = options or self.options
        self._set_stride(options)
        run = ImageRun(self, options, TiledNetwork(self.model, self.device, "fp32"), ProgressMonitor(None, None), [])
        return run.choose_engine(rgb).name

    def _engine_chooser(self, trials: Path | None) -> EngineChooser | None:
        """What chooses between torch and other engines; None for a graph, which has one."""
        if isinstance(self.model, GraphNetwork):
            return None
        from deeplab_core.inference.engine_trial import EngineChooser, TrialRecord

        return EngineChooser(self.model, self.card.sha256, TrialRecord(trials))

    def _engine_for(
        self, options: PredictOptions, frame: NetworkFrame, canvas: Callable[[], Canvas | PixelCanvas]
    ) -> ChosenEngine:
        """What computes the canvases of an image, of which this is the largest; it is made for a trial only."""
        own = self.model.engine
        if options.engine == "torch" or (options.engine == "onnx" and own is not None and own.name.startswith(PACKAGES["onnx"])):
            return ChosenEngine(None)
        reason = self._engine_refusal(options.engine)
        if self._chooser is None or reason:
            return ChosenEngine(None, "" if options.engine == "auto" else f"{options.engine} is not used: {reason}.")
        precision = pick_precision(options.precision, self.device)[0]
        tile = self._first_tile(frame, options)
        height, width = (side if tile is None else min(side, tile) for side in frame.canvas)
        return self._chooser.choose(
            options.engine, precision, (height, width), lambda: cast("Canvas", canvas()).window(0, 0, height, width),
            on=describe_device(self.device),
        )  # fmt: skip

    def _engine_refusal(self, asked: EngineChoice) -> str:
        """Why nothing but torch, or the graph itself, computes here; empty where another engine may."""
        if self.model.engine is not None:
            return f"the model is a graph for {self.model.engine.name}"
        fitting = {"cpu": ("auto", "onnx", "openvino", "amx"), "cuda": ("auto", "cuda-graph")}.get(self.device.type, ())
        return "" if asked in fitting else f"{self.device} computes"

    def _follow_engine(self) -> None:
        """An engine other than torch may compute elsewhere than it was asked to."""
        if self.model.engine is not None:
            self.device = ComputeDevice.parse(self.model.engine.device)
            self.device_note = " ".join(note for note in (self.device_note, *self.model.engine.notes) if note)

    def _with_threshold(self, options: PredictOptions) -> PredictOptions:
        """The options with the threshold that decides; None for a network without one.

        Raises:
            AtrousError: a threshold was asked for, and the network has several channels; or it is out of range.
        """
        if not self.model.sigmoid:
            if options.threshold is None:
                return options
            raise AtrousError(
                message("this model takes no threshold"),
                why=message(
                    "it has a score for each of its {count} classes, and the largest decides", count=self.model.num_classes
                ),
                remedy=message("Leave the threshold out, or choose a model of one channel (sigmoid)"),
            )
        if options.threshold is None:
            return replace(options, threshold=self.card.threshold)
        try:
            check_threshold(options.threshold)
        except ValueError as error:
            raise AtrousError(str(error), remedy=message("Choose a number such as 0.5")) from error
        return options

    def _set_stride(self, options: PredictOptions) -> None:
        stride = options.output_stride or self.card.output_stride
        if self.model.output_stride != stride:
            self.model.output_stride = stride

    def usable_bytes(self) -> int:
        """How much of the free memory predictions may use: half of it."""
        return available_bytes(self.device) // 2

    def needed_bytes(self, rgb: RGB, options: PredictOptions | None = None) -> int:
        """About the memory that one prediction of an image takes, tiled as it would be now."""
        options = options or self.options
        run = ImageRun(self, options, TiledNetwork(self.model, self.device, "fp32"), ProgressMonitor(None, None), [])
        frame = run.frame((rgb.shape[0], rgb.shape[1]), max(options.scales))
        return pass_bytes(frame.canvas, self._first_tile(frame, options))

    def _first_tile(self, frame: NetworkFrame, options: PredictOptions) -> int | None:
        """Side of the tiles to begin with; None computes the canvas whole."""
        longest = max(frame.canvas)
        fixed = self.model.engine.tile_for(frame.canvas) if self.model.engine is not None else None
        if fixed is not None:  # where corners are aligned, tiles are one pixel longer than their name
            return min(fixed - int(self.model.align_corners), options.tile or fixed)
        limit = self._tile_limit
        if options.tile is not None:
            tile = max(min(options.tile, limit or options.tile), self.model.minimum_side)
            return tile if longest > tile + 1 else None
        room = self.usable_bytes() if self.room is None else self.room.total
        tile = next((side for side in _TILE_SIDES if side * side * BYTES_PER_PIXEL <= room), TILE_FLOOR)
        if limit is not None:
            tile = min(tile, limit)
            return tile if longest > tile + 1 else None
        area = frame.canvas[0] * frame.canvas[1]
        fits = area <= _LARGEST_WHOLE and area * BYTES_PER_PIXEL <= room
        return tile if area > tile * tile * _WHOLE_SLACK and not fits else None

    def _short_of_memory(self, frame: NetworkFrame, options: PredictOptions) -> bool:
        """Whether a canvas in tiles would be computed whole if more memory were free."""
        fixed = self.model.engine is not None and self.model.engine.tile_for(frame.canvas) is not None
        return not fixed and options.tile is None and frame.canvas[0] * frame.canvas[1] <= _LARGEST_WHOLE

    def _margin(self, tile: int, options: PredictOptions) -> int:
        """Context of a tile on every inner side: the network's theoretical radius, but no more than a sixth of the tile.

        With the whole radius tiles give the labels of the whole image, to the pixel, image-level pooling included. Less context
        is nearly as good and cheaper: a sixth costs at most 2.25 times the arithmetic (image-level pooling adds one pass
        of the encoder), and is taken where a network has no such radius. Measured with a trained DeepLabv3 (MobileNetV2,
        radius 245 px, pooling shared) on two photographs of 1.1 megapixels in tiles of 512: context 0 agrees with the
        untiled labels on 98.0 and 99.6 % of the pixels, 64 on 99.5 and 99.9 %, a sixth on 99.7 and 99.9 %, 128 on 99.8
        and 99.97 %, the radius on 100 %. The tiles of 2048 that are chosen where memory allows have 341.
        """
        if options.overlap is not None:
            return options.overlap
        stride = self.model.output_stride
        if stride not in self._radius:
            try:
                self._radius[stride] = self.model.receptive_radius()
            except AtrousError:  # of another program: attention, or compiled by TorchScript
                self._radius[stride] = sys.maxsize
        return min(self._radius[stride], tile // 6)
