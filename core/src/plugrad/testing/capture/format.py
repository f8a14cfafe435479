"""The file of a capture: what it holds, written at once or not at all, and read with its errors named."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import PlugradError
from ..contract.numbers import Shape
from .attributes import encode
from .elements import Elements

FORMAT = "plugrad capture"
VERSION = 1
"""Of the format. A change that an older plugrad would misread raises it."""
HOW = ("native", "composed", "fallback")


class CaptureError(PlugradError, ValueError):
    """A file of captured calls cannot be read or written, or is not what this plugrad can make again."""


@dataclass(frozen=True)
class Operand:
    """Shape, dtype and what is kept of the elements."""

    shape: Shape
    dtype: str
    elements: Elements


@dataclass(frozen=True)
class Forward:
    """An earlier call whose results are operands of a call, as those of the forward are of its backward.

    ``operands``: positions among the operands of the later call, or operands that it does not have. ``results``:
    position of an operand of the later call, and which result of the earlier one it is.
    """

    op: str
    operands: tuple[int | Operand, ...]
    attrs: Mapping[str, Any]
    results: Mapping[int, int]


@dataclass(frozen=True)
class Call:
    """One distinct call: how often it was made, and how often the backend ran it natively, composed it of others, or
    fell back on the host.
    """

    op: str
    operands: tuple[Operand, ...]
    attrs: Mapping[str, Any]
    count: int
    how: Mapping[str, int]
    forward: Forward | None = None

    @property
    def order(self) -> str:
        """Calls are in this order, whatever the order in which threads made them."""
        return json.dumps([self.op, [[x.dtype, x.shape] for x in self.operands], encoded(self.attrs)])


@dataclass(frozen=True)
class LeftOut:
    """Calls that are not recorded themselves, and why."""

    op: str
    reason: str
    count: int


@dataclass(frozen=True)
class Captured:
    """What a script called, and on which devices: ``plugins`` says which distribution, and version, brought the ops of
    a prefix.
    """

    script: str
    plugrad: str
    devices: tuple[str, ...]
    plugins: Mapping[str, str]
    calls: tuple[Call, ...]
    left_out: tuple[LeftOut, ...] = ()
    path: str = field(default="", compare=False)


def encoded(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes in JSON, by name."""
    return {name: encode(attrs[name]) for name in sorted(attrs)}


def save(captured: Captured, path: str | os.PathLike[str]) -> None:
    """Write the file, one line a call. It is there whole, or as it was before."""
    target = Path(path)
    head = {
        "format": FORMAT,
        "version": VERSION,
        "plugrad": captured.plugrad,
        "script": captured.script,
        "devices": captured.devices,
        "plugins": dict(captured.plugins),
        "left_out": [vars(one) for one in captured.left_out],
    }
    lines = [f'"{name}": {_dumped(value)}' for name, value in head.items()]
    calls = ",\n  ".join(_dumped(_of_call(call)) for call in captured.calls)
    text = "{" + ",\n ".join([*lines, f'"calls": [\n  {calls}\n ]']) + "\n}\n"
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        reason = f"{target}: cannot be written: {error.strerror}; name another file with --out"
        raise CaptureError(reason) from error
    finally:
        part.unlink(missing_ok=True)


def _dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _of_operand(operand: Operand) -> dict[str, Any]:
    return {"shape": operand.shape, "dtype": operand.dtype, **operand.elements}


def _of_call(call: Call) -> dict[str, Any]:
    found = {
        "op": call.op,
        "operands": [_of_operand(x) for x in call.operands],
        "attrs": encoded(call.attrs),
        "count": call.count,
        "how": dict(call.how),
    }
    if call.forward is not None:
        found["forward"] = {
            "op": call.forward.op,
            "operands": [x if isinstance(x, int) else _of_operand(x) for x in call.forward.operands],
            "attrs": encoded(call.forward.attrs),
            "results": {str(i): result for i, result in call.forward.results.items()},
        }
    return found
