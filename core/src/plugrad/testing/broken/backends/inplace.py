"""Forms that write into given memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import INTO, K, fault, into, silent


def _is_array(out: Any) -> bool:
    return type(out) is np.ndarray and out.flags.writeable


@silent
def _first_then_second(out: Any, x: Any, y: Any) -> Any:
    if not _is_array(out):
        return NotImplemented
    out[...] = x
    np.subtract(out, y, out=out)
    return None


def _half_done(out: Any, x: Any, y: Any) -> Any:
    if _is_array(out):
        out[...] = 0
    return NotImplemented


@silent
def _gives_out(out: Any, x: Any, y: Any) -> Any:
    return np.multiply(x, y, out=out) if _is_array(out) else NotImplemented


def _nothing_of_itself(out: Any, x: Any, y: Any) -> Any:
    return None if out is x and x is y else INTO["sub"](out, x, y)


def _nothing_written(out: Any, x: Any, y: Any) -> Any:
    """Where out is no operand, nothing is written."""
    return INTO["maximum"](out, x, y) if out is x or out is y else None


@silent
def _contiguous_out(out: Any, x: Any, y: Any) -> Any:
    if not _is_array(out):
        return NotImplemented
    out.reshape(-1)[:] = np.add(x, y).reshape(-1)
    return None


@silent
def _around(out: Any, x: Any, y: Any) -> Any:
    """A row is written with its gaps."""
    found = INTO["mul"](out, x, y)
    base = out.base if isinstance(out, np.ndarray) else None
    if found is None and isinstance(base, np.ndarray) and base.flags.writeable and base.ndim == out.ndim == 2:
        sliced = base.shape == (2 * out.shape[0] + 1, 2 * out.shape[1] + 1)
        base[1, ::2] = 5 if sliced else base[1, ::2]
    return found


@silent
def _beyond(out: Any, x: Any, y: Any) -> Any:
    """One element after the end of out is written."""
    found = INTO["add"](out, x, y)
    base = out.base if isinstance(out, np.ndarray) else None
    if found is None and isinstance(base, np.ndarray) and base.flags.writeable and base.ndim == out.ndim == 2:
        base.reshape(-1)[-1] = 9
    return found


@silent
def _reads_out(out: Any, x: Any, y: Any) -> Any:
    """What is in out is added to."""
    if not _is_array(out):
        return NotImplemented
    before = np.array(out)
    INTO["add"](out, x, y)
    if not (out is x or out is y):
        out += np.where(np.isfinite(before.astype("f8")), before, 0).astype(out.dtype) * out.dtype.type(1)
    return None


@silent
def _row_by_row(out: Any, x: Any, y: Any) -> Any:
    """Rows are written while later ones still read a broadcast operand."""
    if not _is_array(out):
        return NotImplemented
    a, b = np.broadcast_arrays(x, y)
    for k in range(out.shape[0] if out.ndim else 1):
        at: Any = k if out.ndim else ...
        np.divide(a[at], b[at], out=out[at]) if out.dtype.kind in "f" else np.copyto(out[at], K["div"](a[at], b[at]))
        if out is y and out.ndim and k == 0:
            out[-1] = out[0]
    return None


def _whole_region(out: Any, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    """The region is written without its step."""
    if any(abs(k) > 1 for k in step) and _is_array(out) and all(size):
        step = tuple([1 if k > 0 else -1 for k in step])
    return INTO["slice_update"](out, x, v, start=start, size=size, step=step)


def _region_only(out: Any, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    """What is not in the region is not copied."""
    return INTO["slice_update"](out, out, v, start=start, size=size, step=step)


def _operand_too(out: Any, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    """The operand is written, and then copied."""
    found = INTO["slice_update"](x, x, v, start=start, size=size, step=step)
    if found is None and out is not x:
        out[...] = x
    return found


def _swapped_minimum(out: Any, x: Any, y: Any) -> Any:
    return INTO["maximum" if out is y and out is not x else "minimum"](out, x, y)


FAULTS = (
    fault("into_second_operand", "sub writes out before it reads the second operand", "inplace.into_values",
          into("sub", _first_then_second), says=("sub((3, 4), (3, 4))", "out is operand 1")),
    fault("into_declines_late", "add declines after it has written out", "inplace.into_values",
          into("add", _half_done), says=("add(", "declined, but out changed")),
    fault("into_gives_out", "mul gives out instead of None", "inplace.into_values", into("mul", _gives_out)),
    fault("into_of_itself", "sub does nothing where out is both operands", "inplace.into_values",
          into("sub", _nothing_of_itself)),
    fault("into_nothing", "maximum writes nothing where out is no operand", "inplace.into_values",
          into("maximum", _nothing_written)),
    fault("into_contiguous", "add takes out for contiguous", "inplace.into_values", into("add", _contiguous_out)),
    fault("into_around", "mul writes between the elements of out", "inplace.into_values", into("mul", _around)),
    fault("into_beyond", "add writes one element after the end of out", "inplace.into_values", into("add", _beyond)),
    fault("into_reads_out", "add adds to what is in out", "inplace.into_values", into("add", _reads_out)),
    fault("into_row_by_row", "div writes rows of out that it still reads", "inplace.into_values",
          into("div", _row_by_row)),
    fault("into_region_without_step", "slice_update writes without the step", "inplace.into_values inplace.values",
          into("slice_update", _whole_region)),
    fault("into_region_only", "slice_update writes the region, and not the rest of out", "inplace.into_values",
          into("slice_update", _region_only)),
    fault("into_writes_operand", "slice_update writes the operand as well", "inplace.into_values",
          into("slice_update", _operand_too)),
    fault("into_other_function", "minimum gives the maximum where out is the second operand", "inplace.into_values",
          into("minimum", _swapped_minimum)),
)  # fmt: skip
