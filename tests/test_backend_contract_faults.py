"""The contract's checks can fail: backends with one fault each are caught by the check that is named after the rule."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from faulty_backends import CHECKS, Honest, K, into, kernel, loaded, numbers

import plugrad as pg
from plugrad import dispatch
from plugrad.backend import Backend, Kernel, Spec
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import check_backend
from plugrad.testing.contract import fallback


def neg_in_place(x: Any) -> Any:
    return np.negative(x, out=x) if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim else np.negative(x)


def mul_declines_late(x: Any, y: Any) -> Any:
    if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim == 2:
        x[...] = 0
    return NotImplemented


def by_memory(a: Any, b: Any) -> Any:
    """Takes the elements as they lie in memory, whatever the strides say."""
    return K["matmul"](*[x.ravel(order="K").reshape(x.shape) for x in (a, b)])


def picky_exp(x: Any) -> Any:
    return K["exp"](x) if np.asarray(x).flags.c_contiguous else NotImplemented


def sub_from_scalar(x: Any, y: Any) -> Any:
    return y - x if isinstance(y, (int, float)) else np.subtract(x, y)


def clamped(x: Any, i: Any, *, axis: int) -> Any:
    return np.take(x, i, axis=axis, mode="clip")


def scatter_before_looking(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    x[...] = 0
    return K["scatter_add"](x, i, v, axis=axis)


def last_maximum(x: Any, *, axis: int, keepdims: bool) -> Any:
    last = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis, keepdims=keepdims) if x.size else None
    return K["argmax"](x, axis=axis, keepdims=keepdims) if last is None else last


def swapped_lanes(key: Any, *, shape: Any) -> Any:
    bits = K["random_bits"](key, shape=shape)
    return bits[..., ::-1].copy() if shape else bits


def rounding_cast(x: Any, *, dtype: Any) -> Any:
    return K["cast"](np.rint(x) if x.dtype.kind == "f" and dtype.kind in "iu" else x, dtype=dtype)


def same_shapes_only(c: Any, x: Any, y: Any) -> Any:
    assert c.shape == x.shape == y.shape, "shapes differ"
    return np.where(c, x, y)


def forwards(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    return (
        K["slice"](x, start=start, size=size, step=tuple(abs(k) for k in step))
        if min(step, default=1) > 0
        else (np.resize(x, size))
    )


def update_in_place(x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    NumpyBackend.into["slice_update"](x, x, v, start=start, size=size, step=step)
    return x


def sub_into(out: Any, x: Any, y: Any) -> Any:
    if type(out) is not np.ndarray:
        return NotImplemented
    out[...] = x
    np.subtract(out, y, out=out)
    return None


def half_done(out: Any, x: Any, y: Any) -> Any:
    if type(out) is np.ndarray:
        out[...] = 0
    return NotImplemented


HELD: list[np.ndarray] = []


def kept(value: np.ndarray) -> np.ndarray:
    HELD.append(value)
    return value


SCRATCH: dict[tuple[Any, ...], np.ndarray] = {}


def shared_scratch(x: Any) -> Any:
    """Large results are computed in memory that all threads share."""
    if x.size < 1000:
        return K["exp"](x)
    space = SCRATCH.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
    np.exp(x, out=space)
    for _ in range(50):
        np.add(space, 0, out=space)  # time for other threads
    return space.copy()


class Uncounted:
    """Memory that views refer to without a reference to the value: exported arrays do not count as holders."""

    def from_host(self, array: np.ndarray, device: str) -> np.ndarray:
        return np.array(array, copy=True, order="C")[...]

    def to_host(self, value: Any) -> np.ndarray:
        view = np.asarray(value)[...]
        view.flags.writeable = False
        return view


UNCOUNTED = {"from_host": Uncounted.from_host, "to_host": Uncounted.to_host}
FAULTS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    # what is wrong: (members, the check that finds it, words of its message)
    "add widens": (
        kernel("add", lambda x, y: np.add(x, y, dtype="f8")), "kernels.result_is_as_promised", ("add((3", "float64")),
    "sum forgets keepdims": (
        kernel("sum", lambda x, *, axis, keepdims: K["sum"](x, axis=axis, keepdims=False)),
        "kernels.result_is_as_promised", ("sum(", "keepdims=True")),
    "neg writes its operand": (
        kernel("neg", neg_in_place), "kernels.operands_are_not_written", ("neg((3, 4))", "operand 0")),
    "copy returns its operand": (kernel("copy", lambda x: x), "kernels.result_is_fresh", ("copy((3, 4))", "shares")),
    "matmul ignores strides": (kernel("matmul", by_memory), "values.matmul", ("matmul((3, 4), (4, 2))", "transposed")),
    "exp takes only contiguous operands": (
        kernel("exp", picky_exp), "kernels.every_layout_is_taken", ("exp((3, 4))", "contiguous")),
    "mul declines after writing": (kernel("mul", mul_declines_late), "kernels.decline_without_effect", ("mul((3, 4)",)),
    "when promises too much": (
        kernel("log", Kernel(lambda x: NotImplemented, when=lambda x: True)),
        "kernels.when_keeps_its_promise", ("log((3, 4))", "declines")),
    "when gives no reason": (
        kernel("log", Kernel(K["log"], when=lambda x: False)), "kernels.when_keeps_its_promise", ("False",)),
    "sub turns round with a scalar": (
        kernel("sub", Kernel(sub_from_scalar, scalars=True)), "kernels.scalars", ("sub((3, 4), 2)", "Python scalar")),
    "gather clamps": (kernel("gather", clamped), "kernels.bad_index", ("gather: position 3", "came a result")),
    "scatter_add writes before it looks": (
        kernel("scatter_add", scatter_before_looking), "kernels.bad_index", ("scatter_add", "after the error")),
    "maximum drops NaN": (kernel("maximum", np.fmax), "values.maximum", ("maximum((9, 1), (9,))", "nan")),
    "argmax finds the last": (kernel("argmax", last_maximum), "values.argmax", ("argmax((2, 3, 4)",)),
    "other random bits": (kernel("random_bits", swapped_lanes), "values.random_bits", ("uint32",)),
    "known answer missed": (kernel("random_bits", swapped_lanes), "values.random_known_answer", ("key (0, 0)",)),
    "cast rounds": (kernel("cast", rounding_cast), "values.cast", ("of float32", "dtype=int32")),
    "where does not broadcast": (
        kernel("where", same_shapes_only), "values.where", ("where((3, 1), (4,), ())", "shapes differ")),
    "slice knows no negative step": (kernel("slice", forwards), "values.slice", ("slice((3, 4)", "negative step")),
    "max of an empty result": (
        kernel("max", lambda x, **attrs: K["max"](x, **attrs) if x.size else 1 / 0),
        "values.max", ("max((0, 3)", "raised")),
    "exp is inexact": (
        kernel("exp", lambda x: np.exp(x) * x.dtype.type(1.001)), "derivatives.grad.mlp", ("grad of mlp",)),
    "from_host keeps the array": (
        {"from_host": lambda self, array, device: np.asarray(array)}, "host.from_host_copies", ("from_host", "copy")),
    "from_host loses 0-d": (
        {"from_host": lambda self, a, device: np.ascontiguousarray(a.copy())}, "host.round_trip", ("0-d", "(1,)")),
    "from_host narrows": (
        {"from_host": lambda self, a, device: np.array(a, "f4" if a.dtype == "f8" else a.dtype)},
        "host.round_trip", ("float64", "came float32")),
    "to_host may be written": ({"to_host": lambda self, value: value}, "host.to_host_is_not_written", ("read-only",)),
    "to_host is no array": ({"to_host": lambda self, value: value.tolist()}, "host.to_host_is_not_written", ("list",)),
    "exported memory is not counted": (UNCOUNTED, "inplace.exported_arrays_stay", ("exported",)),
    "spec gives a list": (
        {"spec": lambda self, value: Spec(list(value.shape), value.dtype)}, "host.spec", ("expected Spec",)),  # type: ignore[arg-type]
    "spec gives bytes": (
        {"spec": lambda self, value: Spec(value.shape, np.dtype("V4"))}, "host.spec", ("came |V4",)),
    "devices are others": ({"devices": lambda self: ("7",)}, "host.declarations", ("names only",)),
    "empty gives another dtype": (
        {"empty": lambda self, shape, dtype, device: np.empty(shape, "f2")}, "memory.empty", ("asked for",)),
    "slice_update writes its operand": (
        {**kernel("slice_update", update_in_place), "into": {}, "borrow": NumpyBackend.borrow},
        "memory.borrowed_memory", ("the array, after a write",)),
    "into is wrong where out is the second operand": (
        into("sub", sub_into), "inplace.into_values", ("sub((3, 4), (3, 4))", "out is operand 1")),
    "into declines after writing": (
        into("add", half_done), "inplace.into_values", ("add(", "declined, but out changed")),
    "somebody holds every value": (
        {"from_host": lambda self, array, device: kept(np.array(array))}, "inplace.into_is_used", ("not asked",)),
    "threads share scratch memory": (kernel("exp", shared_scratch), "threads.values", ("exp of 20000", "thread")),
}  # fmt: skip


def test_an_honest_backend_passes() -> None:
    check_backend(loaded())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_and_named(fault: str) -> None:
    members, check, words = FAULTS[fault]
    device = loaded(**members)
    with pytest.raises(AssertionError) as caught:
        for _ in range(20 if "thread" in fault else 1):
            CHECKS[check](device)
    missing = [word for word in (*words, device) if word not in str(caught.value)]
    assert missing == [], str(caught.value)


def test_all_faults_are_listed_by_name() -> None:
    device = loaded(kernels={**K, "add": lambda x, y: np.add(x, y) + x.dtype.type(1), "exp": lambda x: 1 / 0})
    with pytest.raises(AssertionError, match=r"faulty_\d+ fails 2 of the contract's checks") as caught:
        check_backend(device, only="values.")
    lines = str(caught.value).splitlines()
    assert "values.exp: AssertionError: exp((3, 4)) of float32" in lines[1] and "ZeroDivisionError" in lines[1]
    assert "values.add: AssertionError: add((3, 4), (3, 4)) of bool" in lines[2]


# -- a device whose work is queued, with memory of its own


class Memory:
    """A value: memory that goes back to the pool with it."""

    pool: ClassVar[list[np.ndarray]] = []

    def __init__(self, data: np.ndarray, pooled: bool) -> None:
        self.data, self.pooled = data, pooled
        self.shape, self.dtype = data.shape, data.dtype

    def __del__(self) -> None:
        if self.pooled:
            self.pool.append(self.data)


def quiet_add(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):
        np.add(x, y, out=out)


class Queued(Backend):
    """Kernels run when somebody waits. ``early``: memory is taken again before queued work on it is done; ``late``: the
    host's array is read when the queue runs.
    """

    is_async = True
    dtypes = "f4"
    early = late = False

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []

    def from_host(self, array: np.ndarray, device: str) -> Memory:
        fits = [m for m in Memory.pool if (m.shape, m.dtype) == (array.shape, array.dtype)] if self.early else []
        data = fits[0] if fits else np.empty_like(array)
        Memory.pool[:] = [m for m in Memory.pool if m is not data]
        if self.late:
            self.queue.append(lambda: np.copyto(data, array))
        elif self.early:
            np.copyto(data, array)
        else:
            private = np.array(array)
            self.queue.append(lambda: np.copyto(data, private))
        return Memory(data, self.early)

    def to_host(self, value: Memory) -> np.ndarray:
        self.synchronize("0")
        return value.data.copy()

    def spec(self, value: Memory) -> Spec:
        return Spec(value.shape, value.dtype)

    def synchronize(self, device: str) -> None:
        while self.queue:
            self.queue.pop(0)()

    def _add(self, x: Memory, y: Memory) -> Memory:
        out = np.empty(np.broadcast_shapes(x.shape, y.shape), x.dtype)
        one, two = x.data, y.data
        self.queue.append(lambda: quiet_add(one, two, out))
        return Memory(out, self.early)

    @property
    def kernels(self) -> dict[str, Any]:  # type: ignore[override]
        return {"add": self._add}


def queued(**members: Any) -> str:
    name = f"queued_{next(numbers)}"
    Memory.pool.clear()
    dispatch.add_backend(type("Faulty", (Queued,), {"name": name, **members})())
    return name


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
def test_a_queue_of_work() -> None:
    honest = queued()
    for name in ("host.from_host_copies", "host.round_trip", "inplace.dropped_inputs", "values.add", "inplace.values"):
        CHECKS[name](honest)
    with pytest.raises(AssertionError, match="elements written after the call show"):
        CHECKS["host.from_host_copies"](queued(late=True))
    with pytest.raises(AssertionError, match="inputs were dropped"):
        CHECKS["inplace.dropped_inputs"](queued(early=True))


# -- faults that would be the core's


def test_a_shape_rule_that_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    device = loaded()
    monkeypatch.setattr(pg.OPS["concat"], "spec", lambda *xs, axis: Spec((8,), xs[0].dtype))
    with pytest.raises(AssertionError, match=r"concat \(3, 4\) and \(5,\)"):
        CHECKS["failures.shapes"](device)


def test_an_op_without_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pg.OPS, "novel", SimpleNamespace(name="novel", run=None, opaque=False))
    with pytest.raises(AssertionError, match="no calls of novel"):
        CHECKS["values.every_op_is_sampled"]("numpy")


def test_counts_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    device, report = loaded(), fallback.fallback_report
    monkeypatch.setattr(fallback, "fallback_report", lambda: [c._replace(calls=c.calls * 2) for c in report()])
    with pytest.raises(AssertionError, match="expected 3 calls and .* came 6"):
        CHECKS["fallback.counted"](device)


def test_a_warning_that_points_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "LINE", 3)
    with pytest.raises(AssertionError, match="it points at"):
        CHECKS["fallback.warned_once"](loaded())


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
def test_a_fallback_that_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = fallback.mode
    monkeypatch.setattr(fallback, "mode", lambda value: mode(None))
    with pytest.raises(AssertionError, match="ran all the same"):
        CHECKS["fallback.refused"](loaded())


def test_a_name_that_no_check_has() -> None:
    with pytest.raises(ValueError, match=r"contains 'vlaues\.'; did you mean values\. .*begin with host\., values\."):
        check_backend("numpy", only="vlaues.")


def test_a_device_that_is_not_there_is_said_once() -> None:
    with pytest.raises(pg.errors.BackendUnavailableError, match="'nmupy' is unknown"):
        check_backend("nmupy")


def test_nothing_is_asked_of_a_backend_whose_way_in_is_wrong() -> None:
    class Reversing(Honest):
        def from_host(self, array: np.ndarray, device: str) -> Any:
            return super().from_host(array[::-1] if array.ndim else array, device)

    device = loaded(from_host=Reversing.from_host)
    with pytest.raises(AssertionError) as caught:
        check_backend(device)
    _, *lines, last = str(caught.value).splitlines()
    assert all(line.startswith("host.") for line in lines) and 1 <= len(lines) < 8
    left = len(CHECKS) - len([name for name in CHECKS if name.startswith("host.")])
    assert last == f"{left} further checks were not run: mend the way in and out first"


def test_dtypes_that_the_core_needs() -> None:
    device = loaded(dtypes="b1 i4 u4")
    with pytest.raises(AssertionError, match="stores 'b1 i4 u4'; it needs i8 f4 too"):
        CHECKS["host.dtypes"](device)


def test_a_slice_that_reads_a_step_wrongly_is_named_as_the_maker_of_operands() -> None:
    def forward(x: Any, *, start: Any, size: Any, step: Any) -> Any:
        return x[tuple(slice(a, a + n * k, k) for a, n, k in zip(start, size, step, strict=True))]

    device = loaded(**kernel("slice", forward))
    with pytest.raises(AssertionError, match=r"a negative step operand, made by movement ops.* made a \w+ \(0, 0\)"):
        CHECKS["values.neg"](device)
    names = [name for name in CHECKS if name.startswith("values.")]
    assert names.index("values.slice") < names.index("values.neg") < names.index("values.tanh")


def test_a_result_that_to_host_cannot_read_is_named() -> None:
    device = loaded(**kernel("neg", lambda x: {"not": "an array"}), to_host=lambda self, value: value.view())
    with pytest.raises(AssertionError, match=r"to_host of a builtins.dict on \w+: raised AttributeError"):
        CHECKS["values.neg"](device)
