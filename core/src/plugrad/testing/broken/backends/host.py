"""The way in and out: arrays that are kept, elements that are changed on the way, shapes and dtypes that are not so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....backend import Spec
from ....reference.backend import NumpyBackend
from .base import fault


def _kept_if(condition: Callable[[Any], bool]) -> dict[str, Any]:
    return {"from_host": lambda self, a, device: a[...] if condition(a) else np.array(a, order="C")}


def _taken(change: Callable[[np.ndarray], Any]) -> dict[str, Any]:
    return {"from_host": lambda self, a, device: change(np.array(a, order="C"))}


def _narrowed(a: np.ndarray, name: str, by: str) -> np.ndarray:
    return a.astype(by) if a.dtype == name else a


def _handed_out(lent: Callable[[Any], bool], change: Callable[[Any], Any]) -> dict[str, Any]:
    return {"to_host": lambda self, v: change(np.asarray(v)) if lent(v) else NumpyBackend.to_host(self, v)}


def _as_stored(v: Any) -> np.ndarray:
    return np.asarray(v).ravel(order="K").reshape(v.shape).copy()


def _said(spec: Callable[[Any], Any]) -> dict[str, Any]:
    return {"spec": lambda self, v: spec(v)}


def _reversed_spec(v: Any) -> Spec:
    turned = v.ndim > 1 and v.flags.f_contiguous and not v.flags.c_contiguous
    return Spec(v.shape[::-1] if turned else v.shape, v.dtype)


FAULTS = (
    fault("from_host_keeps", "from_host keeps the caller's array", "host.from_host_copies",
          {"from_host": lambda self, a, device: np.asarray(a)}, says=("from_host", "copy")),
    fault("from_host_keeps_float64", "from_host keeps arrays of float64", "host.from_host_copies",
          _kept_if(lambda a: bool(a.dtype == "f8"))),
    fault("from_host_keeps_views", "from_host keeps arrays that are views", "host.from_host_copies",
          _kept_if(lambda a: a.base is not None)),
    fault("from_host_keeps_read_only", "from_host keeps arrays that are read-only", "host.from_host_copies",
          _kept_if(lambda a: not a.flags.writeable)),
    fault("from_host_keeps_large", "from_host keeps arrays of a megabyte", "host.from_host_copies",
          _kept_if(lambda a: a.nbytes > 500_000)),
    fault("from_host_makes_an_axis", "from_host gives a 0-d array one axis", "host.round_trip",
          {"from_host": lambda self, a, device: np.ascontiguousarray(a.copy())}, says=("0-d", "(1,)")),
    fault("from_host_narrows", "float64 is advertised but stored as float32", "host.round_trip",
          _taken(lambda a: _narrowed(a, "f8", "f4")), says=("float64", "came float32")),
    fault("from_host_narrows_int64", "int64 is advertised but stored as int32", "host.round_trip host.spec",
          _taken(lambda a: _narrowed(a, "i8", "i4")), says=("int64", "came int32")),
    fault("int64_held_in_doubles", "int64 is held in 53 bits", "host.round_trip",
          _taken(lambda a: a.astype("f8").astype("i8") if a.dtype == "i8" else a)),
    fault("float64_held_in_floats", "float64 is held in 24 bits", "host.round_trip",
          _taken(lambda a: a.astype("f4").astype("f8") if a.dtype == "f8" else a)),
    fault("from_host_loses_zero_signs", "-0.0 becomes 0.0 on the way in", "host.round_trip",
          _taken(lambda a: a + a.dtype.type(0) if a.dtype.kind == "f" else a)),
    fault("from_host_reads_on", "from_host reads the memory as it lies", "host.round_trip",
          {"from_host": lambda self, a, device: _as_stored(a)}),
    fault("from_host_reverses", "from_host turns the first axis round", "host.round_trip",
          _taken(lambda a: a[::-1].copy() if a.ndim else a)),
    fault("to_host_writable", "to_host gives its own memory, which may be written", "host.to_host_is_not_written",
          {"to_host": lambda self, v: v}, says=("read-only",)),
    fault("to_host_writable_float64", "to_host gives its own memory of float64", "host.to_host_is_not_written",
          _handed_out(lambda v: bool(v.dtype == "f8"), lambda v: v)),
    fault("to_host_no_array", "to_host gives a list", "host.to_host_is_not_written",
          {"to_host": lambda self, v: v.tolist()}, says=("list",)),
    fault("to_host_reads_on", "to_host of a view reads the memory as it lies", "values.permute",
          _handed_out(lambda v: v.ndim > 1, _as_stored)),
    fault("to_host_squeezes", "to_host of one element has no axes", "host.round_trip values.reshape",
          _handed_out(lambda v: v.size == 1, lambda v: v.reshape(()).copy())),
    fault("spec_list", "the shape of spec is a list", "host.spec",
          _said(lambda v: Spec(list(v.shape), v.dtype)), says=("expected Spec",)),  # type: ignore[arg-type]
    fault("spec_bytes", "spec knows how long the elements are, and no more", "host.spec",
          _said(lambda v: Spec(v.shape, np.dtype(f"V{v.dtype.itemsize}"))), says=("came |V",)),
    fault("spec_numpy_ints", "spec counts in NumPy's integers", "host.spec",
          _said(lambda v: Spec(tuple([np.int64(d) for d in v.shape]), v.dtype))),  # type: ignore[misc]
    fault("spec_of_transposed", "spec gives the shape of the memory, not of the transposed view", "values.permute",
          _said(_reversed_spec)),
    fault("devices_others", "devices() names another device only", "host.declarations",
          {"devices": lambda self: ("7",)}, says=("names only",)),
    fault("dtypes_lacking", "neither int64 nor a float is stored", "host.dtypes",
          {"dtypes": "b1 i4 u4"}, says=("it needs i8 f4 too",)),
    fault("kernels_no_function", "an entry of kernels cannot be called", "host.declarations",
          lambda: {"kernels": {**NumpyBackend.kernels, "tanh": "tanh"}}),
)  # fmt: skip
