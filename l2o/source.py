"""Bytes and text from a path or from standard input, with a bound on what is read and one-line errors."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

from l2o.problems.instance import InvalidInstance

LARGEST_FILE = 1 << 29
"""Bytes, after unpacking; the largest public instances are a tenth of it."""
GZIP = b"\x1f\x8b"


def load(path: str | os.PathLike[str]) -> str:
    """Text of the file at ``path``, or of standard input for ``-``; gzip is unpacked.

    Bytes that are not UTF-8 are replaced: they matter in no number. Raises :class:`InvalidInstance` for what cannot be
    read and for more than :data:`LARGEST_FILE`.
    """
    try:
        if str(path) == "-":
            data = _standard_input()
        else:
            with _opened(path) as stream:
                data = stream.read(LARGEST_FILE + 1)
        if data[:2] == GZIP:
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(LARGEST_FILE + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInstance(f"{path}: found damaged gzip data ({error}), expected whole; fetch it again") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if len(data) > LARGEST_FILE:
        raise _too_large(path)
    return data.decode("utf-8-sig", errors="replace")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise InvalidInstance("-: found no standard input, expected a file there; give a path")
    return sys.stdin.buffer.read(LARGEST_FILE + 1)


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    if "\0" in str(path):
        raise InvalidInstance(f"{str(path)!a}: found a path with a zero byte, expected none; correct it")
    if Path(path).stat().st_size > LARGEST_FILE:  # before a byte is read
        raise _too_large(path)
    return Path(path).open("rb")


def unreadable(path: str | os.PathLike[str], error: OSError) -> InvalidInstance:
    """The error to raise when the system refuses to read ``path``."""
    reason = (error.strerror or type(error).__name__).lower()
    return InvalidInstance(f"{path}: found no readable file ({reason}), expected one; check the path")


def _too_large(path: str | os.PathLike[str]) -> InvalidInstance:
    return InvalidInstance(f"{path}: found more than {LARGEST_FILE >> 20} MiB, expected less; cut the instance down")
