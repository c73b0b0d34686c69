"""What the window's process and the compute process say to each other. Plain dataclasses; numpy only.

A request carries a ``request_id`` that the client chose; every answer repeats it. Requests are served one at a time in order
of priority; ``Cancel`` and ``Shutdown`` are heard at once. Errors travel as dictionaries of
:class:`deeplab_core.errors.AtrousError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.learning import LearnOptions, LearnPair, LearnReport, PackedLabels
from deeplab_core.notes import Note
from deeplab_core.receptive import ReceptiveField
from deeplab_core.records import CRFEngine, CRFParams, ModelCard, Prediction, PredictOptions

#: Version of this protocol; the client refuses a worker that speaks another one.
PROTOCOL = 1

#: Priorities: the image in view jumps the queue of a folder run.
URGENT, NORMAL = 0, 10


# -- requests ------------------------------------------------------------------------------------------------------------


#: The answer to a request.
#: Covariant: a request is read for its answer only, so that ``Request[Answer]`` is any request.
A_co = TypeVar("A_co", bound="Answer", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[A_co]):
    """Base of everything that is answered by exactly one answer of its own kind, Failed or WasCancelled.

    Attributes:
        request_id: given when it is submitted.
        priority: smaller comes first.
        handler: the module of :mod:`app.worker.handlers` that answers it.
    """

    handler: ClassVar[str]

    request_id: int = 0
    priority: int = NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel(Request["Loaded"]):
    """Load a checkpoint and keep it; the model loaded before is freed, or stays where this fails.

    ``path`` is a file or a ``save_pretrained`` folder. ``options`` are what its weights do not tell, as ``load_model`` takes
    them; they are kept in the card beside the file, so that every later request sees them. ``trials`` is the file in which
    trials of engines are remembered; empty remembers them with the model.
    """

    handler = "models"

    path: str
    device: str = "auto"
    output_stride: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    trials: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectModel(Request["Inspected"]):
    """Open a checkpoint to see whether it can be used, and forget it again; the model in use stays. ``path`` is a file."""

    handler = "models"

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict(Request["Predicted"]):
    """Predict one image file with the loaded model. ``source_key`` is the image's content key."""

    handler = "predict"

    image: str
    source_key: str
    options: PredictOptions = field(default_factory=PredictOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskScores(Request["ScoresAt"]):
    """The ``top`` most probable classes of one pixel, from the kept coarse scores of an image."""

    handler = "predict"

    source_key: str
    x: int
    y: int
    top: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineBase:
    """What a CRF refines: the kept class scores of an image, or, without a network, a mask.

    Attributes:
        image: the file.
        source_key: content key of the image.
        ignore: void in the window's catalog.
        channel_ids: what each class of the model becomes, in channel order, in the window's ids; the probabilities of classes
            that become the same are added up. Empty where ``labels`` are refined.
        labels: the mask that is refined without a network: (H, W) of the image, or of the context of a box.
        certainty: how sure a label of ``labels`` is, 0..1.
        renamed: (source, target), ids of the image or of the context of a box: per pixel, which class of the scores is read as
            which other class, by the user's choice; ``ignore`` if none is. None without such pixels.
        engine: what computes it.
        threshold: of a two-class (sigmoid) network: the CRF starts from odds that are even there; None for every other one.
    """

    image: str
    source_key: str
    ignore: int = 255
    channel_ids: tuple[int, ...] = ()
    labels: LabelMap | None = None
    renamed: tuple[NDArray[Any], NDArray[Any]] | None = None
    certainty: float = 0.7
    engine: CRFEngine = "auto"
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refine(Request["Refined"]):
    """Refine a whole image with a dense CRF. Answered by Refined.

    Attributes:
        base: what is refined.
        params: of the CRF.
        strokes: (H, W) ids that the user has set, ``base.ignore`` elsewhere; they are clamped. None if none.
        quick: compute at a smaller scale and carry the correction up, for a slider that is being dragged; labels of a large
            image then come at a smaller size.
    """

    handler = "refine"

    base: RefineBase
    params: CRFParams
    strokes: LabelMap | None = None
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineBox(Request["Refined"]):
    """Refine what a stroke touched. Answered by Refined with the labels of ``box``.

    Attributes:
        base: what is refined; its ``labels``, if any, are those of ``context``.
        params: of the CRF.
        box: within the image.
        context: the box around it that takes part.
        strokes: ids that the user has set within ``context``, ``base.ignore`` elsewhere.
        reach: px over which a stroke makes its class believable.
    """

    handler = "refine"

    base: RefineBase
    params: CRFParams
    box: Box
    context: Box
    strokes: LabelMap
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRefine(Request["Refined"]):
    """Compile the CRF's loops, read the image and build its lattices ahead. Answered by Refined without labels."""

    handler = "refine"

    base: RefineBase
    params: CRFParams


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedImage:
    """An image that the user has corrected.

    Attributes:
        name: what reports call it.
        image: the file.
        known: labels that the user confirmed, void elsewhere.
        mask: the whole mask as it is now.
    """

    name: str
    image: str
    known: PackedLabels
    mask: PackedLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnTask:
    """What a model shall learn from.

    Attributes:
        model: checkpoint to start from.
        target: safetensors file to write.
        corrected: at least one image.
        untouched: files of images without corrections.
        labels: catalog of the corrected masks.
        pairs: (class id of the model, id in ``labels`` or None) for every class of the model.
        options: see :class:`deeplab_core.learning.LearnOptions`.
        device, output_stride: as for LoadModel; model_options: as ``options`` there.
    """

    model: str
    target: str
    corrected: tuple[CorrectedImage, ...]
    untouched: tuple[str, ...]
    labels: ClassCatalog
    pairs: tuple[tuple[int, int | None], ...]
    options: LearnOptions = field(default_factory=LearnOptions)
    device: str = "auto"
    output_stride: int | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learn(Request["Learned"]):
    """Adapt a model to corrections and write it to a file. Answered by Learned.

    The loaded model stays in use, and urgent requests are answered in between.
    """

    handler = "adapt"

    task: LearnTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Request["Compared"]):
    """Predict one image file with a model that need not be the one in use, which stays in use. Answered by Compared.

    Attributes:
        model: checkpoint; it stays loaded for the next image as long as memory allows.
        image, source_key, options: as for Predict; the scores are not kept.
    """

    handler = "compare"

    model: str
    image: str
    source_key: str
    options: PredictOptions = field(default_factory=PredictOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCompare(Request["Compared"]):
    """Free the models that were loaded for comparing. Answered by Compared without a prediction."""

    handler = "compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReceptive(Request["Receptive"]):
    """What the loaded model looks at when it labels one pixel. Answered by Receptive.

    Attributes:
        image, source_key: the file and its content key.
        x, y: pixel of the oriented image.
        options: output stride and resize are looked at.
    """

    handler = "receptive"

    image: str
    source_key: str
    x: int
    y: int
    options: PredictOptions = field(default_factory=PredictOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareClicks(Request["Clicked"]):
    """Load a click network and compute its features of an image ahead. Answered by Clicked without masks.

    Attributes:
        model: its file, or encoder and decoder; it stays loaded, in place of another one.
        image, source_key: the file and its content key.
        device: ``"auto"`` is that of the model in use.
    """

    handler = "clicks"

    model: tuple[str, ...]
    image: str
    source_key: str
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskClicks(PrepareClicks):
    """What a click network makes of clicks, of a box, or of both; PrepareClicks need not come first. Answered by Clicked.

    Attributes:
        points: x and y of the clicks in image px, in their order; each inside the image.
        positive: of each click, whether it is on the object.
        box: left, top, right, bottom in image px, or None.
        previous: (H, W) uint8, 1 where the class is now.
    """

    previous: PackedLabels
    points: tuple[tuple[float, float], ...] = ()
    positive: tuple[bool, ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndClicks(Request["Clicked"]):
    """Free the click network. Answered by Clicked without masks."""

    handler = "clicks"


# -- out-of-band ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a request between tiles, or drop it from the queue; -1 cancels all."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the process after the current tile."""


# -- answers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First word of a worker.

    Attributes:
        protocol: see :data:`PROTOCOL`.
        pid: of the process.
        qt_modules: names of Qt modules found loaded; the client refuses a worker that has any.
        versions: torch, numpy, python, cuda.
        devices: device string -> the name as shown, e.g. ``{"cpu": "2 threads", "cuda:0": "NVIDIA ..."}``.
        notes: why something is missing, e.g. why CUDA cannot be used.
    """

    protocol: int
    pid: int
    qt_modules: tuple[str, ...]
    versions: dict[str, str]
    devices: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Base of answers to a request."""

    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Answer):
    """Sent at most ten times a second while a request runs. ``fraction`` is 0..1."""

    fraction: float
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Answer):
    """The model is ready on ``device``; ``note`` says why it is not the device asked for."""

    card: ModelCard
    device: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected(Answer):
    """The checkpoint can be used; its card."""

    card: ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted(Answer):
    """A finished prediction.

    Attributes:
        image_notes: what was scaled or left out of the image file.
    """

    prediction: Prediction
    image_notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresAt(Answer):
    """Class ids and probabilities, most probable first; empty where the scores were not kept any more."""

    class_ids: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined(Answer):
    """What came of refining.

    Attributes:
        labels: of the image or box asked for, in the window's ids; a quick result may be smaller. None after PrepareRefine, and
            where the scores of the image are not kept (any more): then the model has to be run on it again.
        milliseconds: that it took in the compute process.
        no_scores: whether the scores were missing.
        note: how it differs from the exact computation; empty where it does not.
    """

    labels: LabelMap | None
    milliseconds: float = 0.0
    no_scores: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(Answer):
    """A model has learned and is in a file; it is not accepted yet.

    Attributes:
        path: the file.
        card: of the adapted model, with its lineage.
        report: before and after.
        pairs: predictions before and after of some corrected images.
    """

    path: str
    card: ModelCard
    report: LearnReport
    pairs: tuple[LearnPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Answer):
    """A prediction for a comparison.

    Attributes:
        prediction: None after EndCompare.
        note: what happened to the memory: which models made room for this one; empty where all fit.
    """

    prediction: Prediction | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receptive(Answer):
    """A receptive field."""

    found: ReceptiveField


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicked(Answer):
    """What a click network answers.

    Attributes:
        masks: (H, W) uint8 each, 1 on the object, best first: for ``Corrector.merge_clicks``.
        title: what the network is; empty after EndClicks.
        notes: what is unusual about it.
        milliseconds: that it took in the compute process.
    """

    masks: tuple[PackedLabels, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Answer):
    """The request failed with an error that the user can read; ``traceback`` is set for a bug."""

    error: dict[str, Any]
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasCancelled(Answer):
    """The request was cancelled; nothing of it remains."""
