"""How tensors and Modules print: what they are, bounded, and without ever raising."""

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.backend import Backend
from plugrad.reference.backend import NumpyBackend


class Boxed(NumpyBackend):
    """Values that are no arrays; counts what is copied to the host."""

    name = "boxed"
    kernels = {"slice": lambda x, start, size, step: [_cut(x[0], start, size, step)], "add": lambda x, y: [x[0] + y[0]]}
    borrow = Backend.borrow
    copied = 0
    broken = False

    def from_host(self, array, device):
        return [np.array(array)]

    def to_host(self, value):
        if self.broken:
            raise RuntimeError("the device is gone\nfor good")
        self.copied += value[0].size
        return value[0]


def _cut(x, start, size, step):
    return x[tuple(slice(a, a + n * s, s) for a, n, s in zip(start, size, step, strict=True))]


BOXED = Boxed()
if "boxed" not in [backend.name for backend in dispatch.BACKENDS]:
    dispatch.add_backend(BOXED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0, 2.0], "Tensor([1., 2.], dtype=float32, device='numpy')"),
        (3, "Tensor(3, dtype=int64, device='numpy')"),
        ([True, False], "Tensor([ True, False], dtype=bool, device='numpy')"),
        (np.complex64(1 + 2j), "Tensor(1.+2.j, dtype=complex64, device='numpy')"),
        (np.zeros(0), "Tensor([], dtype=float64, device='numpy')"),
        (np.zeros((0, 3)), "Tensor([], shape=(0, 3), dtype=float64, device='numpy')"),
    ],
)
def test_values(value, text):
    assert repr(pg.asarray(value)) == str(pg.asarray(value)) == text


def test_bfloat16():
    assert repr(pg.asarray([1.5], dtype=pg.bfloat16)) == "Tensor([1.5], dtype=bfloat16, device='numpy')"


def test_the_place_on_the_tape():
    x = pg.asarray([1.0]).requires_grad_()
    assert repr(x) == "Tensor([1.], dtype=float32, device='numpy', requires_grad=True)"
    y = x * 2
    text = "Tensor([2.], dtype=float32, device='numpy', requires_grad=True, op=mul)"
    assert repr(y) == text
    y.sum().backward()
    assert repr(y) == text  # the tape is freed
    assert repr(y.detach()) == "Tensor([2.], dtype=float32, device='numpy')"
    seen = []
    pg.grad(lambda v: seen.extend([repr(v), repr(v * 2)]) or v)(1.0)
    assert seen == ["Tensor(1., dtype=float32, device='numpy')", "Tensor(2., dtype=float32, device='numpy', op=mul)"]


def test_parameters_buffers_and_modules():
    class Net(pg.Module):
        def __init__(self):
            self.w, self.b = pg.Parameter([1.0]), pg.Buffer([2.0])

    net = Net()
    assert repr(net.w) == "Parameter([1.], dtype=float32, device='numpy', requires_grad=True)"
    assert repr(net.b) == "Buffer([2.], dtype=float32, device='numpy')"
    one = "Parameter(shape=(1,), dtype=float32, device='numpy')"
    assert repr(net) == f"Net(\n  w: {one}\n  b: {one.replace('Parameter', 'Buffer')}\n)"


def test_inside_transformations():
    seen, kept = [], []

    def f(x):
        kept.append(x)
        seen.append(repr(x))
        return x * 2

    x = pg.ones((4, 3))
    pg.vmap(f)(x)
    pg.vmap(lambda v: pg.jvp(f, (v,), (v,))[0])(x)
    pg.stage(f, x)
    rest = "shape=(3,), dtype=float32, device='numpy')"
    assert seen[:2] == [f"Tensor(<vmap>, {rest}", f"Tensor(<jvp in vmap>, {rest}"]
    assert seen[2] == "Tensor(<stage>, shape=(4, 3), dtype=float32, device='numpy')"
    assert repr(kept[0]) == f"Tensor(<vmap that has ended>, {rest}"
    assert repr(x.ghost(None, 0)).startswith("Tensor(<not kept>, shape=(4, 3)")


def test_big_tensors_are_summarised_and_not_copied():
    array = np.arange(30000.0).reshape(100, 300)
    here, there = pg.asarray(array), pg.asarray(array, device="boxed")
    BOXED.copied = 0
    text = repr(there)
    assert text == repr(here).replace("'numpy'", "'boxed'")
    assert "..." in text and len(text) < 700 and "]], shape=(100, 300), dtype=" in text
    assert BOXED.copied == 7 * 7
    with np.printoptions(threshold=10, edgeitems=1):
        text = repr(pg.asarray(np.arange(20.0), device="boxed"))
        assert text.startswith("Tensor([ 0., ..., 19.], shape=(20,)")
    assert "..." not in repr(pg.asarray(np.arange(999.0)))


def test_big_tensors_inside_a_transformation_are_read_at_their_own_level():
    big, seen = pg.asarray(np.arange(3000.0), device="boxed"), []

    def f(x):
        seen.append(repr(big))
        return x + x

    x = pg.ones((2,), device="boxed")
    graph = pg.stage(f, x).graph
    assert [e.op.name for e in graph.equations] == ["add"]
    pg.vmap(f)(x)
    assert seen[0] == seen[1] and "2.999e+03], shape=(3000,)" in seen[0]


def test_a_device_that_fails(monkeypatch):
    x = pg.asarray([1.0], device="boxed")
    monkeypatch.setattr(BOXED, "broken", True)
    said = "<cannot be read: RuntimeError: the device is gone>"
    assert repr(x) == f"Tensor({said}, shape=(1,), dtype=float32, device='boxed')"
