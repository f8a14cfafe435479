"""What the compiled modules must not change: operators, the short records of elementwise calls, the walk on values."""

import gc
import inspect
import pickle
import shutil
import subprocess
import sys
import weakref

import numpy as np
import pytest

import plugrad as pg
from plugrad import hot
from plugrad.parameter import Parameter


def leaf(*numbers, dtype="float64"):
    return pg.asarray(list(numbers), dtype=dtype).requires_grad_()


class Other:
    """Answers every operator, from either side."""

    def __add__(self, other):
        return "added"

    def __radd__(self, other):
        return "added to"


class Louder(pg.Tensor):
    """A subclass with an operator of its own."""

    __slots__ = ()

    def __rmul__(self, other):
        return "mine"


def test_operators_leave_to_others_what_they_do_not_know():
    x = pg.asarray([1.0, 2.0])
    assert x + Other() == "added to" and Other() + x == "added"
    for wrong in (lambda: x + object(), lambda: object() + x, lambda: x - "a", lambda: None * x, lambda: x < object()):
        with pytest.raises(TypeError):
            wrong()
    assert (x == object()) is False and (x != None) is True  # noqa: E711
    louder = Louder.__new__(Louder)
    louder.restore(x.content())
    assert x * louder == "mine" and (louder * x).tolist() == [1.0, 4.0]


def test_operators_by_their_names():
    x = pg.asarray([1.0, 2.0])
    assert x.__radd__(1).tolist() == [2.0, 3.0] and x.__rsub__(1).tolist() == [0.0, -1.0]
    assert pg.Tensor.__mul__(x, 3).tolist() == [3.0, 6.0] and x.__rtruediv__(1).tolist() == [1.0, 0.5]
    assert x.__add__("a") is NotImplemented and x.__rtruediv__(None) is NotImplemented


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "complex64", "bool"])
@pytest.mark.parametrize("number", [2, 2.5, True, 3 + 1j])
def test_numbers_on_either_side(dtype, number):
    x = pg.asarray([1, 1], dtype=dtype)
    for f in (lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a == b):
        for left in (True, False):
            found = f(number, x) if left else f(x, number)
            lifted = pg.asarray(number, dtype=pg.result_type(x, number))
            wanted = f(lifted, x) if left else f(x, lifted)
            assert found.dtype == wanted.dtype and found.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)


def test_results_of_parameters_are_tensors():
    p = Parameter([1.0, 2.0])
    for y in (p * 2.0, 2.0 * p, p + p, pg.asarray([1.0, 1.0]) * p, p * pg.asarray([1.0, 1.0]), p.exp(), -p):
        assert type(y) is pg.Tensor and y.requires_grad and y.node.inputs[0].dtype == p.dtype


def test_a_short_record_tells_what_a_long_one_does():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    node = (x * y).node
    a, b = node.inputs
    assert a.tolist() == [1.0, 2.0] and b.node is y.node and a.mask == 1 and node.outputs[0].val is None
    assert node.outputs[0].shape == (2,) and node.outputs[0].node is None and node.attrs == {}
    (y * x).sum().backward()
    node = x.exp().node
    assert node.inputs[0].val is None and node.inputs[0].node is x.node and node.outputs[0].tolist() == x.exp().tolist()


EXPRESSIONS = {
    "a chain": lambda x, y: (x * y + y).exp(),
    "one operand twice": lambda x, y: x * x + y,
    "broadcast": lambda x, y: x.reshape((2, 1)) * y + x,
    "through a sum": lambda x, y: (x * (x * y).sum()) + (x + y),
    "a partial that is called": lambda x, y: (x / y + y) * x.sin(),
    "several outputs": lambda x, y: pg.split(x * y, 2)[0] * x + pg.split(x * y, 2)[1],
    "numbers": lambda x, y: 2.0 * x - 1.0 / (y + 3),
    "mixed dtypes": lambda x, y: x * y.astype("float32") + y,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_walk_on_values_agrees_with_the_walk_on_handles(name):
    f = EXPRESSIONS[name]
    found = []
    for create_graph in (False, True):
        x, y = leaf(0.5, -1.25), leaf(2.0, 3.0)
        out = f(x, y)
        out.backward(pg.ones_like(out) * 1.5, create_graph=create_graph)
        found.append((x.grad.tolist(), y.grad.tolist()))
    assert found[0] == found[1]
    gx, gy = pg.grad(lambda x, y: (f(x, y) * 1.5).sum(), argnums=(0, 1))(leaf(0.5, -1.25), leaf(2.0, 3.0))
    assert gx.tolist() == pytest.approx(found[0][0], rel=1e-12) and gy.tolist() == pytest.approx(found[0][1], rel=1e-12)


def test_gradients_never_write_to_what_was_borrowed():
    array = np.array([1.0, 2.0])
    x, y = leaf(1.0, 1.0), leaf(1.0, 1.0)
    (x + y).backward(pg.asarray(array))
    x.grad += 1.0
    assert array.tolist() == [1.0, 2.0] and y.grad.tolist() == [1.0, 2.0] and x.grad.tolist() == [2.0, 3.0]


def test_leaves_that_share_a_cotangent_are_apart():
    x, y = leaf(1.0, 1.0), leaf(1.0, 1.0)
    ((x + y) * 2.0).sum().backward()
    x.grad += 1.0
    assert y.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [3.0, 3.0]


def test_a_complex_product():
    x, y = leaf(1 + 2j, dtype="complex128"), leaf(3 - 1j, dtype="complex128")
    pg.real(x * y).sum().backward()
    assert x.grad.tolist() == [3 + 1j] and y.grad.tolist() == [1 - 2j]  # the conjugate of the other


def test_a_patched_rule_is_the_rule(monkeypatch):
    x = leaf(1.0)
    monkeypatch.setattr(pg.OPS["exp"], "partials", (lambda y, x: y * 0 + 7.0,))
    x.exp().backward(pg.asarray([1.0], dtype="float64"))
    assert x.grad.tolist() == [7.0]


DEEP = """
import gc
gc.disable()
import plugrad as pg
with pg.device("numpy"):
    x = pg.asarray([1.0]).requires_grad_()
    y = x
    for _ in range(300_000):
        y = y + x
    del y
    y = x
    for _ in range(20_000):
        y = pg.reshape(y * x, (1,))
    del y
    y = x
    for _ in range(50_000):
        y = -y
    y.backward(pg.asarray([1.0]), retain_graph=True)
    print(x.grad.item())
"""


def test_deep_tapes_are_freed():
    """In a process of its own: a stack that overflows cannot be caught."""
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr[-500:]


def test_handles_whose_memory_is_used_again_are_new():
    many, gone = 2_000, []
    gc.collect()
    before = sys.getrefcount(pg.Tensor)
    for _ in range(2):
        x = leaf(1.0)
        made = [x * 1.0 for _ in range(many)]
        for y in made:
            y.grad, y.base = y, "kept"  # a cycle
        refs = [weakref.ref(y, lambda _: gone.append(1)) for y in made]
        assert all(ref() is y for ref, y in zip(refs, made, strict=True)) and len({id(y) for y in made}) == many
        del made, y
        gc.collect()
        assert not any(ref() for ref in refs)
        fresh = [pg.asarray([2.0]) for _ in range(many)]
        assert all(t.grad is None and t.base is None and t.node is None and t.tolist() == [2.0] for t in fresh)
        nodes = [(x * 1.0).node for _ in range(many)]
        assert all(n.kept is not None and n.mask == 1 and n.inputs[0].node is x.node for n in nodes)
        del fresh, nodes
    assert len(gone) == 2 * many and abs(sys.getrefcount(pg.Tensor) - before) < many / 10


def test_one_shape_object_for_equal_shapes():
    x, y = pg.asarray([1.0, 2.0]), pg.asarray([3.0, 4.0])
    assert (x + y).shape is x.shape and y.shape is x.shape == (2,)


def test_public_functions_are_what_they_were():
    assert str(inspect.signature(pg.exp)) == "(x: 'Any', /) -> 'Any'"
    assert str(inspect.signature(pg.add)) == "(x: 'Any', y: 'Any', /) -> 'Any'"
    assert pg.exp.__name__ == pg.exp.__qualname__ == "exp" and pg.exp.__module__ == "plugrad.ops.elementwise"
    assert pickle.loads(pickle.dumps(pg.exp)) is pg.exp and "exponential" in pg.exp.__doc__


def test_changed_sources_are_noticed(tmp_path, monkeypatch):
    wanted = {"compiler.calls", "declared", "functions", "handle", "state", "walk"}
    assert not hot.stale() and set(hot.names()) == wanted
    for path in [*hot.sources(), *hot.FOLDER.rglob("*.pxd")]:
        there = tmp_path / path.relative_to(hot.FOLDER)
        there.parent.mkdir(exist_ok=True)
        shutil.copy(path, there)
    monkeypatch.setattr(hot, "FOLDER", tmp_path)
    before = hot.digest()
    with open(tmp_path / "walk.py", "a") as file:
        file.write("\n")
    assert hot.digest() != before and hot.stale() == bool(hot.compiled())
