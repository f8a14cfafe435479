"""Model, optimizer and place in a run, in one safetensors file that is never half written and never half loaded.

Layout: a model's tensors lie under their ``state_dict`` paths, so any reader of safetensors finds them; tensors of
the optimizer under ``optimizer/...``. The metadata entry ``plugrad`` is JSON (format version, shape of the optimizer
state, ``meta``), and ``plugrad_sha256`` covers that and every tensor: the format itself would not notice a changed
bit. safetensors is imported by the functions that need it, since registering the plugin imports this module.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plugrad.errors import CheckpointError

from .files import write_atomically
from .packing import pack, to_array, unpack

_VERSION = 1
_OPTIMIZER = "optimizer/"


def save(path: str | os.PathLike[str], model: Any, optimizer: Any = None, **meta: Any) -> None:
    """Write the state of ``model``, that of ``optimizer`` if given, and ``meta`` (JSON values) to a safetensors file.

    The file is replaced in one step: a crash at any moment leaves the old one whole. Missing folders are made. Raises
    ``CheckpointError``, leaving the old file, for what the format cannot hold (complex128) and if the disk refuses.
    """
    import safetensors.numpy

    from plugrad.interop.safetensors import DTYPES

    arrays = {key: to_array(value) for key, value in model.state_dict().items()}
    taken = sorted(key for key in arrays if key.startswith(_OPTIMIZER))
    if taken:
        raise CheckpointError(
            f"save: {path}: the model's {', '.join(taken)} would be taken for the optimizer's; rename that attribute"
        )
    try:
        packed = None if optimizer is None else pack(optimizer.state_dict(), _OPTIMIZER + "state", arrays)
        text = json.dumps({"version": _VERSION, "optimizer": packed, "meta": meta}, default=_plain)
    except TypeError as error:
        raise CheckpointError(f"save: {path}: {error}; leave it out, or turn it into plain values") from error
    unfit = [f"{key!r} ({a.dtype})" for key, a in arrays.items() if a.dtype not in DTYPES.values()]
    if unfit:
        raise CheckpointError(
            f"save: {path}: safetensors cannot hold {_listed(unfit)}; cast it, complex128 to complex64 for example"
        )
    data = safetensors.numpy.save(arrays, {"plugrad": text, "plugrad_sha256": _digest(text, arrays)})
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(
            f"save: {path} could not be written ({error}); check the folder and the space left"
        ) from error


def load(path: str | os.PathLike[str], model: Any, optimizer: Any = None) -> dict[str, Any]:
    """Put a checkpoint into ``model``, and into ``optimizer`` if given, and return the ``meta`` it was saved with.

    Everything is checked before anything is changed: the file's integrity, and that its keys, shapes and dtypes are
    the model's. Files of other programs load too, if their keys fit. Raises ``CheckpointError`` naming the file and
    every key that does not fit.
    """
    found = read(path)
    found.check(model, optimizer)
    found.apply(model, optimizer)
    return found.meta


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file: model arrays by key, the optimizer's state (None: not saved), and ``meta``."""

    path: Path
    arrays: dict[str, np.ndarray]
    optimizer: Any
    meta: dict[str, Any]

    def check(self, model: Any, optimizer: Any = None) -> None:
        """Raise ``CheckpointError`` unless the file has exactly the model's keys, shapes and dtypes, and optimizer
        state if asked."""
        own = model.state_dict()
        problems = [f"missing {k!r}" for k in own if k not in self.arrays]
        problems += [f"unexpected {k!r}" for k in self.arrays if k not in own]
        for key in own.keys() & self.arrays.keys():
            here, there = own[key], self.arrays[key]
            if tuple(here.shape) != there.shape or here.dtype != there.dtype:
                problems.append(
                    f"{key!r} is {there.dtype} {there.shape} in the file, {here.dtype} {tuple(here.shape)} in the model"
                )
        if problems:
            raise CheckpointError(
                f"load: {self.path} does not fit {type(model).__name__}: {_listed(sorted(problems))}. "
                "Build the model with the configuration it was saved with"
            )
        if optimizer is not None and self.optimizer is None:
            raise CheckpointError(f"load: {self.path} holds no optimizer state; load it without the optimizer")

    def apply(self, model: Any, optimizer: Any = None) -> None:
        """Load the state.

        The optimizer comes first: its ``load_state_dict`` checks before it changes, and only it can still
        refuse.
        """
        if optimizer is not None:
            try:
                optimizer.load_state_dict(self.optimizer)
            except (ValueError, TypeError, LookupError, RuntimeError) as error:
                raise CheckpointError(
                    f"load: {self.path} does not fit {type(optimizer).__name__}: {error}. "
                    "Build the optimizer as it was when saved"
                ) from error
        model.load_state_dict(self.arrays)


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint's content, checked for integrity; raises ``CheckpointError`` if it is absent, cut short or
    changed."""
    import safetensors

    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"load: no checkpoint at {path}; check the path, or train from the start") from None
    except OSError as error:
        raise CheckpointError(f"load: {path} could not be read ({error}); check the path") from error
    try:
        entries = safetensors.deserialize(data)
        notes = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"load: {path} ({len(data)} bytes) is cut short or is not safetensors ({error}); use another copy"
        ) from error
    arrays = {key: _array(path, key, entry) for key, entry in entries}
    if notes.keys().isdisjoint({"plugrad", "plugrad_sha256"}):  # written by another program
        return Checkpoint(path, arrays, None, {})
    text = notes.get("plugrad", "")
    if notes.get("plugrad_sha256") != _digest(text, arrays):
        raise CheckpointError(f"load: {path} is damaged: its checksum does not match its content; use another copy")
    return _parse(path, text, arrays)


def _parse(path: Path, text: str, arrays: dict[str, np.ndarray]) -> Checkpoint:
    header = json.loads(text)
    if header["version"] != _VERSION:
        raise CheckpointError(
            f"load: {path} has format version {header['version']}, this plugrad-train reads {_VERSION}; upgrade it"
        )
    model = {key: a for key, a in arrays.items() if not key.startswith(_OPTIMIZER)}
    return Checkpoint(path, model, unpack(header["optimizer"], arrays), header["meta"])


def _array(path: Path, key: str, entry: Mapping[str, Any]) -> np.ndarray:
    from plugrad.interop.safetensors import DTYPES

    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise CheckpointError(
            f"load: {path}: {key!r} has dtype {entry['dtype']}, which plugrad does not know; convert the file"
        )
    return np.frombuffer(entry["data"], dtype).reshape(entry["shape"])


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        array = arrays[key]
        total.update(json.dumps([key, array.dtype.name, array.shape]).encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _plain(value: Any) -> Any:
    """NumPy scalars in ``meta`` become Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"meta has a {type(value).__name__}, which JSON cannot hold")


def _listed(problems: list[str], most: int = 20) -> str:
    rest = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {rest} more" if rest > 0 else "")
