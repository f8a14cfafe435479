"""Numbers that are kept on the host, such as an optimizer's count of steps, in compiled functions on this device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import Spec
from plugrad.errors import ShapeError
from plugrad.program import Eqn, Lit, Program

F4, I8 = np.dtype("float32"), np.dtype("int64")


def number(value: Any, dtype: str = "int64") -> pg.Buffer:
    return pg.Buffer(pg.asarray(value, dtype=dtype, device="numpy"))


def row(*values: float) -> pg.Tensor:
    return pg.asarray(list(values), dtype="float32", device="cpu")


def executable(f: Any) -> Any:
    return next(iter(f.graphs.values()))[-1].executable


def test_a_count_is_part_of_the_program() -> None:
    count, rate, w = number(0), number(0.5, "float64"), pg.Buffer(row(1.0, 2.0))

    def step(x: pg.Tensor) -> pg.Tensor:
        count.assign(count + 1)
        factor = (rate ** count.astype("float64")).to("cpu").astype("float32")
        w.assign(w + x * factor)
        return w * 1.0

    f, x = pg.compile(step), row(1.0, 1.0)
    assert f(x).tolist() == [1.5, 2.5] and f(x).tolist() == [1.75, 2.75]
    assert count.item() == 2 and count.device == "numpy" and isinstance(count.val, np.ndarray)
    (only,) = executable(f).lowered.steps
    assert only.program.host_inputs and only.program.host_outputs and executable(f).direct is not None
    rate.assign(pg.asarray(1.0, dtype="float64", device="numpy"))
    count.assign(pg.asarray(10, device="numpy"))
    assert f(x).tolist() == [2.75, 3.75] and count.item() == 11
    count += 1  # in place, where the host may
    assert f(x).tolist() == [3.75, 4.75] and count.item() == 13
    assert "of the host" in str(only.program)


def test_a_number_that_the_host_reads_too() -> None:
    count, w = number(3), pg.Buffer(row(1.0, 2.0))

    def step(x: pg.Tensor) -> tuple[pg.Tensor, pg.Tensor]:
        count.assign(count + 1)
        table = pg.cumulative_sum(pg.stack([count, count * 2]))  # no scalar: it stays on the host
        w.assign(w + count.to("cpu").astype("float32") * x)
        return table, w * 1.0

    f = pg.compile(step)
    table, y = f(row(1.0, 1.0))
    assert table.tolist() == [4, 12] and table.device == "numpy" and y.tolist() == [5.0, 6.0] and count.item() == 4
    table, y = f(row(1.0, 1.0))
    assert table.tolist() == [5, 15] and y.tolist() == [10.0, 11.0] and count.item() == 5


def test_what_the_host_makes_for_the_device_alone() -> None:
    table = pg.Buffer(pg.asarray([1.0, 2.0, 3.0], dtype="float32", device="numpy"))
    f = pg.compile(lambda x: x * pg.sum(table).to("cpu") + pg.reshape(pg.sum(table * 2.0), ()).to("cpu"))
    assert f(row(1.0, 2.0)).tolist() == [18.0, 24.0]
    table.assign(table * 2.0)
    assert f(row(1.0, 2.0)).tolist() == [36.0, 48.0]


def test_results_and_arguments_on_the_host() -> None:
    def f(n: pg.Tensor, x: pg.Tensor) -> tuple[pg.Tensor, pg.Tensor, pg.Tensor]:
        m = n * 2
        return m, x * m.to("cpu").astype("float32"), n

    g = pg.compile(f)
    for k in (2, 5):
        m, y, n = g(pg.asarray(k, device="numpy"), row(1.0, 3.0))
        assert (m.item(), m.device, y.tolist()) == (2 * k, "numpy", [2.0 * k, 6.0 * k])
        assert (n.item(), n.device) == (k, "numpy")


def test_an_op_between_programs_reads_a_number_that_a_program_made() -> None:
    count = number(1)

    def step(x: pg.Tensor) -> pg.Tensor:
        count.assign(count + 1)
        y = x * count.to("cpu").astype("float32")
        y = pg.fori_loop(0, 3, lambda i, v: v + 1.0, y)
        return y * (count * 2).to("cpu").astype("float32")

    f = pg.compile(step)
    assert f(row(1.0)).tolist() == [20.0] and f(row(1.0)).tolist() == [36.0] and count.item() == 3


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float64", "complex64", "complex128"])
def test_every_number(dtype: str) -> None:
    held = number(1, dtype)
    f = pg.compile(lambda x: (held.to("cpu") + x, held + held))
    for value in (1, 0):
        held.assign(pg.asarray(value, dtype=dtype, device="numpy"))
        x = pg.zeros((3,), dtype=dtype, device="cpu")
        there, here = f(x)
        assert there.tolist() == pg.asarray([value] * 3, dtype=dtype).tolist() and here.dtype == x.dtype
        assert here.tolist() == (held + held).tolist()


def test_a_wrong_number_is_refused(backend: Any, kit: Any) -> None:
    specs = (Spec((), I8), Spec((), I8))
    program = Program(specs, (0,), {}, (Eqn("add", (0, Lit(1, I8)), (1,)),), (1,))
    run = backend.compile(program.replace(host_inputs=frozenset({0}), host_outputs=frozenset({0})), "0")
    assert run(np.array(4))[0] == 5
    for wrong in (np.array([4]), np.array(4.0)):
        with pytest.raises(ShapeError, match="the program takes a int64"):
            run(wrong)


def test_a_call_from_python_reads_a_number(backend: Any) -> None:
    specs = (Spec((), F4), Spec((), F4), Spec((), F4))
    eqns = (Eqn("tan", (0,), (1,)), Eqn("add", (1, Lit(1.0, F4)), (2,)))
    program = Program(specs, (0,), {}, eqns, (2,), host_inputs=frozenset({0}), host_outputs=frozenset({0}))
    kernel = backend.kernels["tan"]
    calls = (getattr(kernel, "fn", kernel), lambda x: backend.kernels["add"].fn(x, 1.0))
    run = backend.compile(program.replace(calls=calls, foreign=frozenset({0})), "0")
    for value in (0.5, 1.0):
        assert run(np.array(value, F4))[0] == pytest.approx(np.tan(value) + 1, rel=1e-6)
