"""Other models beside the one in use, and what the one in use looks at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from app.worker.messages import AskReceptive, Compare, Compared, EndCompare, Receptive
from deeplab_core.errors import AtrousError, DeviceOutOfMemory, ImageReadError
from deeplab_core.images import ImageData, read_image
from deeplab_core.inference import Predictor
from deeplab_core.inference.memory import available_bytes, is_out_of_memory, release
from deeplab_core.inference.pixels import RGB
from deeplab_core.inference.receptive_field import receptive_field
from deeplab_core.weights import load_model

Cancel = Callable[[], bool]
ReportProgress = Callable[[float, str], None]

#: Part of the free memory that the weights of compared models may take; the rest is for the forward passes.
_SHARE = 0.25


class CompareSession:
    """Models that are compared, the least recently used first; they stay loaded while their weights fit.

    Args:
        room: bytes that may be taken by their weights; None asks the device each time.
    """

    def __init__(self, room: int | None = None) -> None:
        self._peers: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._room = room
        self._picture: tuple[str, str, ImageData] | None = None

    @property
    def loaded(self) -> tuple[str, ...]:
        """Paths of the models that are loaded, the least recently used first."""
        return tuple(path for path, _ in self._peers)

    def predict(
        self,
        request: Compare,
        in_use: Predictor | None = None,
        cancel: Cancel | None = None,
        progress: ReportProgress | None = None,
    ) -> Compared:
        """Predict with the model of the request.

        Args:
            in_use: the model in use, where it is the one that the request names; nothing is loaded then.

        Raises:
            AtrousError: as ``load_model``, ``read_image`` and :class:`Predictor`.
        """
        notes: list[str] = []
        predictor = in_use or self._peer(request, notes, progress)
        rgb = self._read(request.image, request.source_key, predictor)
        try:
            prediction = predictor(
                rgb, source_key=request.source_key, options=request.options, cancel=cancel, progress=progress
            )  # fmt: skip
        except DeviceOutOfMemory:
            if not self._make_room(predictor, notes):
                raise
            prediction = predictor(
                rgb, source_key=request.source_key, options=request.options, cancel=cancel, progress=progress
            )  # fmt: skip
        return Compared(request_id=request.request_id, prediction=prediction, note=" ".join(notes))

    def end(self, request: EndCompare) -> Compared:
        """Free every model and picture."""
        devices = {predictor.device for predictor in self._peers.values()}
        self._peers.clear()
        self._picture = None
        for device in devices:
            release(device)
        return Compared(request_id=request.request_id, prediction=None)

    def receptive(self, request: AskReceptive, predictor: Predictor, cancel: Cancel | None = None) -> Receptive:
        """The receptive field of a pixel in the model in use."""
        rgb = self._read(request.image, request.source_key, predictor)
        found = receptive_field(predictor, rgb, request.x, request.y, options=request.options, cancel=cancel)
        return Receptive(request_id=request.request_id, found=found)

    def _peer(self, request: Compare, notes: list[str], progress: ReportProgress | None) -> Predictor:
        key = request.model, request.options.device
        if key not in self._peers:
            if progress is not None:
                progress(0.0, "reading the model")
            self._peers[key] = self._load(request, notes)
            self._fit(notes)
        self._peers.move_to_end(key)
        return self._peers[key]

    def _load(self, request: Compare, notes: list[str]) -> Predictor:
        try:
            model, card = load_model(request.model)
            return Predictor(model, card, device=request.options.device)
        except AtrousError:
            raise
        except Exception as error:
            if not is_out_of_memory(error) or not self._make_room(None, notes):
                raise
        model, card = load_model(request.model)
        return Predictor(model, card, device=request.options.device)

    def _fit(self, notes: list[str]) -> None:
        """Free the models that were used longest ago until the weights fit; the newest always stays."""
        newest = next(reversed(self._peers.values()))
        taken = sum(_weight_bytes(predictor) for predictor in self._peers.values())
        # Their own weights are no longer free memory.
        room = self._room if self._room is not None else int((available_bytes(newest.device) + taken) * _SHARE)
        while len(self._peers) > 1 and sum(map(_weight_bytes, self._peers.values())) > room:
            self._drop_oldest(notes)

    def _make_room(self, keep: Predictor | None, notes: list[str]) -> bool:
        """Free every other model; whether there was one."""
        others = [key for key, predictor in self._peers.items() if predictor is not keep]
        for key in others:
            self._peers.move_to_end(key, last=False)
            self._drop_oldest(notes)
        return bool(others)

    def _drop_oldest(self, notes: list[str]) -> None:
        _, gone = self._peers.popitem(last=False)
        notes.append(f"{gone.card.name} was put out of memory and is read again when it is its turn.")
        release(gone.device)

    def _read(self, image: str, key: str, predictor: Predictor) -> RGB:
        channels = predictor.model.in_channels
        kept = self._picture
        if kept is None or kept[:2] != (image, key) or (channels == 4 and kept[2].four is None):
            self._picture = None
            try:
                kept = self._picture = (image, key, read_image(image, fourth=channels == 4))
            except MemoryError as error:
                raise ImageReadError("the image does not fit into memory", path=image) from error
        return kept[2].pixels(channels)


def _weight_bytes(predictor: Predictor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in predictor.model.state_dict().values())
