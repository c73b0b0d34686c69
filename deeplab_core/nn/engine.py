"""What is said of a network that torch does not compute."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The engine of a network with its own graph in the file (ONNX, LiteRT).

    Attributes:
        name: library and version, e.g. ``"onnxruntime 1.20.1"``.
        device: what it computes on, e.g. ``"cpu"`` or ``"cuda:0"``; not always what the network was moved to.
        precision: ``fp32``, ``fp16`` or ``int8``, as the file has it; options do not change it.
        input_size: the only (height, width) that the graph takes, None for a free side. Smaller windows are padded by the
            network itself, larger canvases have to be cut into tiles.
        labels_only: the graph gives labels without scores; its probabilities are 1 everywhere and say nothing.
        notes: what the user should know of its predictions.
    """

    name: str
    device: str = "cpu"
    precision: str = "fp32"
    input_size: tuple[int | None, int | None] = (None, None)
    labels_only: bool = False
    notes: tuple[str, ...] = ()

    def tile_for(self, canvas: tuple[int, int]) -> int | None:
        """Side of the largest square tile that the graph takes of a canvas (height, width); None where it takes it whole."""
        sides = [side for side in self.input_size if side is not None]
        fits = all(side is None or length <= side for length, side in zip(canvas, self.input_size, strict=True))
        return None if fits else min(sides)
