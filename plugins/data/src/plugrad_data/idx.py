"""Reads IDX files, the form in which MNIST and its relatives come. Knows bytes and NumPy: no datasets.

Format: two zero bytes, a byte for the dtype, a byte for the number of dimensions, the dimensions as big-endian
uint32, then the elements, big-endian, last dimension fastest (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of
handwritten digits").
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from .errors import DataFileError, MissingDataError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, plain or gzip (told by content, not by name), in this machine's byte order.

    Raises ``MissingDataError`` if there is no such file, and ``DataFileError`` if it is not IDX, is cut short or has
    bytes too many, or if the gzip stream is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"idx.read: no file {path}; check the path")
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if not packed:
            return _parse(raw, path)
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _parse(unpacked, path)
        except (EOFError, OSError, zlib.error) as error:
            raise DataFileError(f"idx.read: {path} is a damaged gzip file ({error}); fetch it again") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path) -> np.ndarray:
    head = stream.read(4)
    if len(head) < 4:
        raise DataFileError(f"idx.read: {path}: expected a header of 4 bytes, found {len(head)}; fetch the file again")
    if head[:2] != b"\0\0" or head[2] not in _DTYPES:
        raise DataFileError(
            f"idx.read: {path} is not an IDX file: expected it to begin 0000 and a dtype, found {head.hex()}; "
            "check the path"
        )
    ndim = head[3]
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataFileError(
            f"idx.read: {path}: expected {4 * ndim} bytes of dimensions, found {len(sizes)}; fetch the file again"
        )
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    dtype = np.dtype(_DTYPES[head[2]])
    expected = math.prod(shape) * dtype.itemsize
    body = _read_at_most(stream, expected + 1)
    if len(body) != expected:
        found = f"only {len(body)}" if len(body) < expected else "more"
        raise DataFileError(
            f"idx.read: {path}: expected {expected} bytes for shape {shape} of {dtype.newbyteorder('=')}, "
            f"found {found}; fetch the file again"
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_at_most(stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytes:
    """Up to ``limit`` bytes, a chunk at a time: memory follows what the file holds, not what its header claims."""
    parts = io.BytesIO()
    while parts.tell() < limit and (chunk := stream.read(min(_CHUNK, limit - parts.tell()))):
        parts.write(chunk)
    return parts.getvalue()
