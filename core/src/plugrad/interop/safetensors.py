"""Tensors in safetensors files, bfloat16 and float8 included.

>>> from plugrad.interop.safetensors import load, save
>>> load(save({"w": pg.asarray([1.0, 2.0], dtype="bfloat16")}))["w"]
Tensor([1, 2], dtype=bfloat16, device='numpy')
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..dtypes import as_dtype
from ..errors import DTypeError
from ..ops.creation import asarray
from ..tensor import Tensor

_SIZED = {f"{letter}{n}": f"{kind}{n}" for letter, kind in (("I", "int"), ("U", "uint")) for n in (8, 16, 32, 64)}
_NAMES = _SIZED | {f"F{n}": f"float{n}" for n in (16, 32, 64)}
_NAMES |= {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
DTYPES = {name: as_dtype(dtype) for name, dtype in _NAMES.items()}
"""The dtypes that a file can hold, by the names that it gives them."""


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A file's bytes: the values of tensors by name, and text by name.

    Raises DTypeError for a dtype that files cannot hold, such as complex128.
    """
    for name, x in tensors.items():
        if x.dtype not in DTYPES.values():
            raise DTypeError(f"save: {name!r} is {x.dtype}, which safetensors cannot hold; cast it with .astype()")
    arrays = {name: np.array(x.detach().numpy(), order="C") for name, x in tensors.items()}
    return safetensors.numpy.save(arrays, None if metadata is None else dict(metadata))


def save_file(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """``save`` into a file, which is replaced as a whole or not at all."""
    data, target = save(tensors, metadata), Path(path)
    scratch = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(data)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def load(data: bytes, *, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file's bytes, on a device."""
    return _load(data, device, "load: these bytes are")


def load_file(path: str | os.PathLike[str], *, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file, on a device. Raises ValueError for what is no safetensors file."""
    return _load(Path(path).read_bytes(), device, f"load_file: {path} is")


def _load(data: bytes, device: str | None, what: str) -> dict[str, Tensor]:
    try:
        found = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{what} not of the safetensors format ({error}); was it cut off?") from error
    tensors = {}
    for name, entry in found:
        if entry["dtype"] not in DTYPES:
            raise DTypeError(f"{what} right, but {name!r} is {entry['dtype']}, which plugrad does not have")
        array = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = asarray(array, device=device, copy=True)
    return tensors
