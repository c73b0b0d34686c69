"""How objects show themselves in a notebook: a small HTML table, or a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray


def html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """An HTML table that takes the notebook's own style; every text is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<div><strong>{escape(title)}</strong><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def png_of(rgb: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 as the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG")
    return buffer.getvalue()


def percent(value: float) -> str:
    """0..1 as per cent with one decimal; a dash where it is not a number."""
    return "–" if value != value else f"{100 * value:.1f} %"


def data_frame(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as a pandas data frame.

    Raises:
        AtrousError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        from deeplab_core.errors import AtrousError, message
        from deeplab_core.flavour import install_command

        raise AtrousError(
            message("this needs pandas"), remedy=message("Install it: {command}", command=install_command("notebook"))
        ) from error
    return pd.DataFrame(list(rows))
