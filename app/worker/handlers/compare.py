"""Predicting with other models beside the one in use."""

from __future__ import annotations

from collections import OrderedDict

from app.worker.messages import Compare, Compared, EndCompare
from app.worker.state import WorkerState
from deeplab_core.errors import AtrousError, DeviceOutOfMemory, message
from deeplab_core.inference import Predictor
from deeplab_core.inference.memory import available_bytes, is_out_of_memory, release
from deeplab_core.networks import GraphNetwork
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.weights import load_model

#: Part of the free memory that the weights of compared models may take; the rest is for the forward passes.
_SHARE = 0.25


class Handler:
    """Answers Compare and EndCompare. Compared models stay loaded while their weights fit; the one used longest ago goes first.

    Args:
        room: bytes that may be taken by their weights; None asks the device each time.
    """

    def __init__(self, state: WorkerState, room: int | None = None) -> None:
        self._state = state
        self._peers: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._room = room

    @property
    def loaded(self) -> tuple[str, ...]:
        """Paths of the models that are loaded, the least recently used first."""
        return tuple(path for path, _ in self._peers)

    def answer(self, request: Compare | EndCompare, cancel: IsCancelled | None, progress: ProgressCallback | None) -> Compared:
        return self._end(request) if isinstance(request, EndCompare) else self._predict(request, cancel, progress)

    def _predict(self, request: Compare, cancel: IsCancelled | None, progress: ProgressCallback | None) -> Compared:
        """Predict with the model of the request; nothing is loaded if it is the one in use.

        Raises:
            AtrousError: as ``load_model``, ``read_image`` and :class:`Predictor`.
        """
        notes: list[str] = []
        state = self._state
        if state.predictor is not None and request.model == state.path:
            predictor = state.loaded(request.options.device)
        else:
            predictor = self._peer(request, notes, progress)
        rgb = state.read(request.image, request.source_key, predictor.model.in_channels)
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

    def _end(self, request: EndCompare) -> Compared:
        """Free every model, and the image read last."""
        devices = {predictor.device for predictor in self._peers.values()}
        self._peers.clear()
        self._state.forget_picture()
        for device in devices:
            release(device)
        return Compared(request_id=request.request_id, prediction=None)

    def _peer(self, request: Compare, notes: list[str], progress: ProgressCallback | None) -> Predictor:
        key = request.model, request.options.device
        if key not in self._peers:
            if progress is not None:
                progress(0.0, message("reading the model"))
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
        notes.append(message("{model} was removed from memory and is read again when needed.", model=gone.card.name))
        release(gone.device)


def _weight_bytes(predictor: Predictor) -> int:
    if isinstance(predictor.model, GraphNetwork):
        return predictor.model.weight_bytes
    return sum(tensor.numel() * tensor.element_size() for tensor in predictor.model.state_dict().values())
