"""What goes wrong most, each with the class, the op, the shapes and the remedy that its message must have."""

import subprocess
import sys

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch, errors
from plugrad.errors import ConcretizationError, LeakedTracerError, UnknownNameError
from plugrad.reference.backend import NumpyBackend


class Other(NumpyBackend):
    """A second device, with one kernel."""

    name = "other"
    kernels = {"add": np.add}


if "other" not in [backend.name for backend in dispatch.BACKENDS]:
    dispatch.add_backend(Other())

KEPT = []


def T(a, **kwargs):
    return pg.asarray(np.asarray(a, np.float32), **kwargs)


def leaf():
    return T([1.0, 2.0]).requires_grad_()


def twice(y):
    y.backward()
    y.backward()


def freed():
    y = leaf() * 2
    y.sum().backward()
    (y + 1).sum().backward()


def unrecorded():
    x = leaf()
    with pg.no_grad():
        y = x.sum()
    y.backward()


def leak(use):
    pg.vmap(lambda v: KEPT.append(v) or v)(T([1.0, 2.0]))
    use(KEPT.pop())


def write(x, value):
    x[0] = value


def add_to(x, y):
    x += y


def write_to_temporary():
    x = pg.ones((2, 3))
    x[0][1] = 1.0


def write_outside():
    total = pg.zeros((3,))
    pg.vmap(lambda v: add_to(total, v))(T([1.0, 2.0]))


SHAPE, DTYPE, TAPE = errors.ShapeError, errors.DTypeError, errors.RecordingError
LEAK, NO_VALUE, DEVICE = LeakedTracerError, ConcretizationError, errors.DeviceError
# a name, the call; the class, the op at the head, what the message shows, and its remedy (parts in order)
CASES = [
    # the tape
    ("twice", lambda: twice(leaf().sum()), TAPE, "backward", ["sum", "()"], "retain_graph=True"),
    ("freed", freed, TAPE, "backward", ["mul", "(2,)"], "retain_graph=True"),
    ("no grad", unrecorded, TAPE, "backward", ["()", "not recorded"], "requires_grad_() ... outside no_grad"),
    ("not a scalar", lambda: (leaf() * 2).backward(), TAPE, "backward", ["(2,)"], "gradient= ... .sum()"),
    ("gradient", lambda: (leaf() * 2).backward(T([1.0])), TAPE, "backward", ["(1,)", "(2,)"], "must agree"),
    ("leaf +=", lambda: add_to(leaf(), 1.0), TAPE, "add", ["(2,)", "leaf"], "no_grad() ... .assign()"),
    ("leaf []", lambda: write(leaf(), 1.0), TAPE, "setitem", ["(2,)", "leaf"], "no_grad() ... .assign()"),
    ("not a leaf", lambda: (leaf() * 2).requires_grad_(), TAPE, "requires_grad_", ["(2,)", "mul"], "detach"),
    ("int leaf", lambda: pg.asarray([1]).requires_grad_(), DTYPE, "requires_grad_", ["int64", "(1,)"], "astype"),
    ("numpy", lambda: (leaf() * 2).numpy(), TAPE, "numpy", ["(2,)"], "detach"),
    # transformations
    ("int", lambda: pg.grad(pg.sum)(pg.asarray([1, 2])), DTYPE, "grad(sum)", ["int64", "(2,)"], "astype"),
    ("Python int", lambda: pg.grad(pg.sum)(3), DTYPE, "grad(sum)", ["but int"], "floating-point"),
    ("ints", lambda: pg.jvp(pg.sum, (pg.asarray([1]),), (pg.asarray([1]),)), DTYPE, "jvp(sum)", ["(1,)"], "astype"),
    ("int of jacfwd", lambda: pg.jacfwd(pg.sum)(pg.asarray([1])), DTYPE, "jacfwd", ["int64", "(1,)"], "floating"),
    ("vector", lambda: pg.grad(pg.exp)(T([1.0, 2.0])), SHAPE, "grad(exp)", ["(2,)"], ".sum()"),
    ("pair", lambda: pg.grad(lambda x: (x.sum(), 1))(T([1.0])), SHAPE, "grad", ["tuple"], "has_aux=True"),
    ("leaked", lambda: leak(pg.sin), LEAK, "sin", ["()", "vmap", "ended"], "return it"),
    ("leaked value", lambda: leak(float), LEAK, "float", ["()", "vmap", "ended"], "return it"),
    ("if", lambda: pg.vmap(lambda x: x if x > 0 else -x)(T([1.0])), NO_VALUE, "bool", ["()", "vmap"], "where"),
    ("if staged", lambda: pg.stage(lambda x: bool(x), T(1.0)), NO_VALUE, "bool", ["()", "stage"], "where"),
    ("float", lambda: pg.vmap(float)(T([1.0])), NO_VALUE, "float", ["float32", "vmap"], "outside the"),
    ("write outside", write_outside, errors.StateError, "write", ["(3,)", "vmap"], "return it ... Buffer"),
    ("batches", lambda: pg.vmap(pg.add)(T([1.0]), T([1.0, 2.0])), SHAPE, "vmap(add)", ["(1,)", "(2,)"], "None"),
    # shapes and devices
    ("matmul", lambda: pg.ones((2, 3)) @ pg.ones((4, 5)), SHAPE, "matmul", ["(2, 3)", "(4, 5)"], "must equal"),
    ("add", lambda: pg.ones((2, 3)) + pg.ones((4,)), SHAPE, "add", ["(2, 3)", "(4,)"], "must agree or be 1"),
    ("+=", lambda: add_to(pg.ones((2,)), pg.ones((3, 2))), SHAPE, "add", ["(3, 2)", "(2,)"], "x = x + y"),
    ("devices", lambda: T([1.0]) + T([1.0], device="other"), DEVICE, "add", ["'numpy'", "'other'", "(1,)"], ".to("),
    ("truth", lambda: bool(pg.ones((2,))), SHAPE, "bool", ["(2,)"], ".any()"),
    ("item", lambda: pg.ones((2,)).item(), SHAPE, "item", ["(2,)"], "index it"),
    ("assign", lambda: pg.ones((2,)).assign(pg.ones((3,))), SHAPE, "assign", ["(2,)", "(3,)"], "must agree"),
    ("temporary", write_to_temporary, errors.ViewWriteError, "setitem", ["temporary"], "x[0, 1] = v"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "op", "said", "remedy"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_messages(call, kind, op, said, remedy):
    with pytest.raises(kind) as found:
        call()
    text = str(found.value)
    assert type(found.value) is kind and text.startswith(op)
    assert [word for word in (*said, *remedy.split(" ... ")) if word not in text] == [], text


def test_a_write_into_a_view(monkeypatch):
    monkeypatch.setenv("PLUGRAD_VIEW_WRITE", "error")
    x = pg.ones((2, 3))
    row = x[0]
    with pytest.raises(errors.ViewWriteError, match=r"setitem: .*write x\[\.\.\.\] = v on .*shape \(3,\)"):
        row[1] = 5.0


def test_no_value_is_an_error_of_both_kinds():
    """What JAX's users expect (a TypeError), and still what leaked before."""
    assert issubclass(ConcretizationError, TypeError) and issubclass(ConcretizationError, LeakedTracerError)


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [("FALLBACK", "use one of warn, error, report"), ("VIEW_WRITE", "use one of warn, error, ignore")],
)
def test_unknown_settings(monkeypatch, variable, remedy):
    monkeypatch.setenv(f"PLUGRAD_{variable}", "eror")
    x, far = pg.ones((2, 3)), pg.ones((2,), device="other")
    row = x[0]
    said = rf"PLUGRAD_{variable}=eror is not known \(did you mean 'error'\?\); {remedy}"
    with pytest.raises(UnknownNameError, match=said):
        pg.sin(far) if variable == "FALLBACK" else write(row, 5.0)


def test_a_pipe_that_is_closed():
    command = f'"{sys.executable}" -m plugrad plugins; "{sys.executable}" -m plugrad --help'
    done = subprocess.run(f"({command}) | true", shell=True, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
