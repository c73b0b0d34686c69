"""The largest chairs called sofas, and sofas called chairs, cut out of their rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deeplab_core.analysis import component_mask
from deeplab_core.analysis.cutout import cutout
from deeplab_core.datasets.find import find_images
from deeplab_core.images import read_image
from deeplab_core.masks.read import read_mask
from tools.studies.chairs_and_sofas.runs import FURNITURE, Result

_FONT = Path(__file__).resolve().parents[3] / "resources" / "fonts" / "Inter-Regular.otf"
_SIDE, _GAP, _FOOT, _PAPER, _INK = 200, 8, 22, (255, 255, 255), (60, 66, 78)


def draw_confusions(result: Result, path: Path, *, each: int = 4) -> None:
    """Two rows of cut-outs, largest first: chair called sofa above, sofa called chair below. Rendered rooms only."""
    font = ImageFont.truetype(str(_FONT), 13)
    catalog = result.catalog
    ids = [catalog.classes[catalog.names.index(name)].id for name in FURNITURE]
    images = {Path(name).stem: result.data.folder / "images" / name for name in find_images(result.data.folder / "images")}
    sheet = Image.new("RGB", (each * (_SIDE + _GAP) - _GAP, 2 * (_SIDE + _FOOT + _GAP) - _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, (truth_id, called_id) in enumerate((ids, ids[::-1])):
        top = row * (_SIDE + _FOOT + _GAP)
        found = result.inspection.analysis.errors.components(truth=truth_id, prediction=called_id, limit=each)
        for column, component in enumerate(found):
            pair = result.inspection.pairs[component.image]
            truth, labels = read_mask(pair.truth, catalog), read_mask(pair.prediction, catalog)
            mask = component_mask(component, truth=truth, prediction=labels)
            picture = cutout(read_image(images[Path(component.image).stem]).rgb, component, mask, side=_SIDE)
            left = column * (_SIDE + _GAP)
            held = Image.fromarray(np.ascontiguousarray(picture))
            sheet.paste(held, (left + (_SIDE - held.width) // 2, top + (_SIDE - held.height) // 2))
            text = f"{FURNITURE[row]} called {FURNITURE[1 - row]}, {component.pixels:,} px"
            pen.text((left, top + _SIDE + 3), text, fill=_INK, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
