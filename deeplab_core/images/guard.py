"""One answer to whatever a decoder raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeplab_core.errors import AtrousError, message

#: What to do about a file with broken content.
COPY_AGAIN = message("Copy the file again from its source, or leave it out")

#: Characters of a decoder's message that are quoted: some quote the whole file.
_LONGEST = 300


@contextmanager
def decoder_guard(kind: type[AtrousError], what: str, path: Path, remedy: str = COPY_AGAIN) -> Iterator[None]:
    """Turn any exception of a foreign decoder into ``kind``, which names the file.

    Decoders raise what they like for damaged files: OSError, struct.error, KeyError, tokenize.TokenError, cv2.error and more.
    Our own errors, and running out of memory, pass unchanged. Keep the guarded block to the decoder's calls, so that a mistake
    of ours is not taken for a damaged file.
    """
    try:
        yield
    except (AtrousError, MemoryError):
        raise
    except Exception as error:
        early = isinstance(error, EOFError) or any(word in str(error).lower() for word in ("truncated", "incomplete", "end of"))
        text = str(error).strip().split("\n")[0]
        why = "The file ends too early" if early else text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
        raise kind(what, why=why, remedy=remedy, path=path) from error
