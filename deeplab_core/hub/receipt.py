"""What is known of a file that was fetched: kept beside it, so that a later download can be compared with the first."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError
from deeplab_core.reading import read_json

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Written once, when a file was fetched.

    Attributes:
        id: of the published model.
        url: where it came from.
        fetched: day, ISO 8601, UTC.
        bytes: of the published file (for a member of an archive: of the archive).
        sha256: of the published file, lower-case hex.
        checked: what the checksum was compared with; empty where the publisher states none, so that this first download is
            what later ones are compared with.
        installed_bytes: of the file beside this receipt.
    """

    id: str
    url: str
    fetched: str
    bytes: int
    sha256: str
    checked: str
    installed_bytes: int


def receipt_path(installed: Path) -> Path:
    """``net.pth.origin.json`` beside ``net.pth``."""
    return installed.with_name(installed.name + ".origin.json")


def read_receipt(installed: Path) -> Receipt | None:
    """The receipt of a file; None if missing or unreadable."""
    try:
        receipt = Receipt(**read_json(receipt_path(installed)))
    except (AtrousError, TypeError):
        return None
    kinds = {"str": str, "int": int}
    sound = all(type(getattr(receipt, field.name)) is kinds[str(field.type)] for field in fields(receipt))
    return receipt if sound and _SHA256.fullmatch(receipt.sha256) else None


def write_receipt(installed: Path, receipt: Receipt) -> None:
    """Keep a receipt. Raises StorageError."""
    atomic_write(receipt_path(installed), (json.dumps(asdict(receipt), indent=1) + "\n").encode())
