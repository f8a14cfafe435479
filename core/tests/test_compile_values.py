"""Values asked of tensors that have none yet, numbers that fit no dtype, the sign of zero: as uncompiled, or said."""

import copy
import math
import operator
import pickle
import re

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ConcretizationError

W = pg.asarray([1.0, 2.0], device="numpy")

SAME = {
    "from_dlpack": pg.from_dlpack,
    "len": lambda x: x * len(x),
    "a loop over rows": lambda x: sum(row * 2 for row in x),
    "unpacking": lambda x: operator.mul(*x),
    "reversed": lambda x: pg.stack(list(reversed(x))),
    "copy": copy.copy,
    "hash": lambda x: x * (hash(x) == hash(x)),
    "text": lambda x: x * (len(str(x)) > 0),
    "its namespace": lambda x: x.__array_namespace__().sin(x),
    "an array to the left": lambda x: np.ones(2, np.float32) + x,
    "who it is": lambda x: x * (x in [x]),
}
TOLD = {
    "float": lambda x: x * float(x[0]),
    "int": lambda x: x * int(x[0]),
    "complex": lambda x: x * complex(x[0]),
    "bool": lambda x: x if x[0] > 0 else -x,
    "item": lambda x: x * x[0].item(),
    "tolist": lambda x: pg.asarray(x.tolist()),
    "round": lambda x: x * round(x[0]),
    "format": lambda x: x * len(f"{x[0]:.2f}"),
    "math": lambda x: x * math.floor(x[0]),
    "index": lambda x: x * operator.index(x[0].astype("int32")),
    "range": lambda x: x * len(range(x[0].astype("int32"))),
    "slice": lambda x: x[: x[0].astype("int32")],
    "in": lambda x: x * (1.0 in x),
    "max": lambda x: x * max(x),
    "numpy": lambda x: pg.asarray(x.numpy()),
    "numpy.asarray": lambda x: pg.asarray(np.asarray(x)),
    "numpy.sin": lambda x: pg.asarray(np.sin(x)),
    "numpy.from_dlpack": lambda x: pg.asarray(np.from_dlpack(x)),
    "__dlpack__": lambda x: x * (x.__dlpack__() is None),
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "a mask": lambda x: x[x > 1],
    "linspace": lambda x: pg.linspace(0, 1, x[0].astype("int32")),
}


@pytest.mark.parametrize("captured", [False, True], ids=["given", "captured"])
@pytest.mark.parametrize("name", SAME)
def test_as_uncompiled(name, captured):
    f = SAME[name]
    got = pg.compile(lambda: f(W))() if captured else pg.compile(f)(W)
    assert got.tolist() == f(W).tolist()


@pytest.mark.parametrize("captured", [False, True], ids=["given", "captured"])
@pytest.mark.parametrize("name", TOLD)
def test_the_line_and_the_remedy(name, captured):
    f = TOLD[name]

    def given(x):
        return f(x)

    with pytest.raises(ConcretizationError, match=r"; (use|compute|call)") as told:
        pg.compile(lambda: given(W))() if captured else pg.compile(given)(W)
    assert re.search(rf"called at {re.escape(__file__)}:\d+$", str(told.value)), told.value


NUMBERS = [300, -1, 2**70, -(2**70), 1e39, math.nan, -0.0, 3.7, 1 + 2j, True, 2**63]
OPERATIONS = {
    "full": lambda x, v: pg.full((3,), v, dtype=x.dtype),
    "full_like": pg.full_like,
    "add": lambda x, v: x + v,
    "subtract": lambda x, v: v - x,
    "where": lambda x, v: pg.where(x == x, x, v),
    "clip": lambda x, v: pg.clip(x, None, v),
    "maximum": pg.maximum,
    "less": lambda x, v: x < v,
    "a chain": lambda x, v: (x + v) * v - v,
    "setitem": lambda x, v: x.copy().__setitem__(0, v),
    "arange": lambda x, v: pg.arange(v, v + 2, dtype=x.dtype) if abs(v) < 1e6 else x,
}


def outcome(f, *args):
    try:
        with np.errstate(all="ignore"):
            found = f(*args)
    except Exception as error:
        return type(error), str(error)
    return found if found is None else (found.dtype, found.shape, found.numpy().tobytes())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float16", "float32", "bool", "complex64"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_numbers_that_may_not_fit(name, dtype):
    x, f = pg.asarray(np.array([1, 2, 3]).astype(dtype)), OPERATIONS[name]
    for v in NUMBERS:
        wanted = outcome(f, x, v)
        assert outcome(pg.compile(lambda x, v=v: f(x, v)), x) == wanted
        assert outcome(pg.compile(lambda v=v: f(x, v))) == wanted


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [(), None, 0])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min"])
def test_reductions_of_minus_zero(name, axis, keepdims):
    f = lambda x: getattr(pg, name)(x, axis=axis, keepdims=keepdims)  # noqa: E731
    for array in (np.array([-0.0, 0.0]), np.array([[-0.0]], np.float32), np.array([complex(-0.0, -0.0)])):
        x = pg.asarray(array)
        if array.dtype.kind != "c" or name in ("sum", "prod", "mean"):
            assert outcome(pg.compile(f), x) == outcome(f, x)
            assert outcome(pg.compile(lambda x=x: f(pg.negative(-x)))) == outcome(f, x)


def test_powers_of_complex_numbers():
    x = pg.asarray(np.array([complex(-0.0, -0.0), 1 + 2j], np.complex64))
    f = lambda x: x**1.0  # noqa: E731
    assert outcome(pg.compile(f), x) == outcome(f, x)


def test_borrowed_memory_that_its_owner_writes():
    array = np.array([1.0, 2.0], np.float32)
    f = pg.compile(lambda x: x * pg.asarray(array)[1] + 2.0 * pg.asarray(array))
    assert f(pg.asarray([1.0, 1.0])).tolist() == [4.0, 6.0]
    array[:] = 3.0, 5.0
    assert f(pg.asarray([1.0, 1.0])).tolist() == [11.0, 15.0]
    g = pg.compile(lambda x: x * float(array[0]))
    assert g(pg.asarray(1.0)).item() == 3.0
    array[0] = 7.0
    assert g(pg.asarray(1.0)).item() == 7.0
