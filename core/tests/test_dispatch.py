"""From a call to a kernel: promotion, scalars, devices, claims of third parties, the fallback through the host, errors
before effects.
"""

import warnings
from typing import ClassVar

import numpy as np
import pytest

import plugrad as pg
from plugrad import Backend, Kernel, Op, Spec, dispatch, table
from plugrad.errors import (
    DeviceError,
    DTypeError,
    PluginError,
    PluginWarning,
    ShapeError,
)
from plugrad.reference.backend import NumpyBackend


class Tiny(Backend):
    """A dozen kernels: the rest is decomposed or goes through the host."""

    name = "tiny"
    kernels = {
        k: NumpyBackend.kernels[k]
        for k in (
            "add",
            "mul",
            "div",
            "neg",
            "exp",
            "log",
            "sum",
            "max",
            "matmul",
            "reshape",
            "permute",
            "broadcast_to",
            "slice",
            "where",
            "less",
            "equal",
            "abs",
        )
    }
    from_host = staticmethod(lambda array, device: np.array(array))
    to_host = staticmethod(lambda value: np.array(value))
    spec = staticmethod(lambda value: Spec(value.shape, value.dtype))


TINY = dispatch.add_backend(Tiny())


@pytest.fixture(autouse=True)
def fresh_report():
    pg.reset_fallback_report()
    yield
    pg.reset_fallback_report()


def test_promotion_of_tensors():
    i, f, d, b = pg.asarray([1]), pg.asarray([1.0]), pg.asarray([1.0], dtype="float64"), pg.asarray([True])
    assert (i + f).dtype == np.float32 and (f + d).dtype == np.float64 and (b + i).dtype == np.int64
    assert (pg.asarray([1], dtype="int32") + pg.asarray([1], dtype="uint32")).dtype == np.int64
    assert (pg.ones(1, dtype="float16") + pg.ones(1, dtype="bfloat16")).dtype == np.float32
    with pytest.raises(DTypeError, match="int64 and uint64"):
        i + pg.asarray([1], dtype="uint64")
    with pg.promotion("strict"), pytest.raises(DTypeError, match="add: no promotion between int64 and float32"):
        i + f


def test_python_scalars_are_weak():
    h, i, b = pg.ones(1, dtype="float16"), pg.asarray([1], dtype="int32"), pg.asarray([True])
    assert (h * 2).dtype == np.float16 and (h + 0.5).dtype == np.float16 and (1 - h).dtype == np.float16
    assert (i + 1).dtype == np.int32 and (i * 0.5).dtype == np.float32 and (b + 1).dtype == np.int64
    assert (h * 1j).dtype == np.complex64
    assert (pg.ones(1) * np.float64(2.0)).dtype == np.float32  # a Python float by inheritance
    assert (pg.ones(1, dtype="float16") * np.float32(2.0)).dtype == np.float32
    with pytest.raises(DTypeError, match="300 does not fit int8"):
        pg.asarray([1], dtype="int8") + 300
    assert (pg.asarray([1.0]) * 0.0).tolist() == [0.0]
    assert str(pg.asarray([1.0]) * -0.0) == str(pg.asarray([-0.0]))


def test_array_operands_keep_their_dtype():
    assert (pg.ones(2) + np.ones(2)).dtype == np.float64
    assert (np.ones(2, np.float32) * pg.ones(2)).dtype == np.float32


def test_illegal_dtypes_are_named():
    with pytest.raises(DTypeError, match=r"exp: not defined for int64; cast with \.astype\(\) to one of float16"):
        pg.exp(pg.asarray([1]))
    with pytest.raises(DTypeError, match="tiny does not store float16"):
        pg.tensor([1.0], dtype="float16", device="tiny") * 2
    with pytest.raises(DTypeError, match="mean: not defined for int64"):
        pg.mean(pg.asarray([1]))
    with pytest.raises(DTypeError, match="not a dtype"):
        pg.ones(2, dtype="float3")


def test_operands_on_different_devices():
    with pytest.raises(DeviceError, match=r"add: operands on 'numpy' and 'tiny'.*\.to\('numpy'\)"):
        pg.ones(2) + pg.ones(2, device="tiny")
    moved = pg.ones(2).to("tiny")
    assert moved.device == "tiny" and (moved + pg.ones(2, device="tiny")).tolist() == [2.0, 2.0]
    assert moved.to("tiny") is moved


def test_moving_is_differentiable():
    x = pg.asarray([1.0, 2.0], dtype="float64")
    g = pg.grad(lambda x: pg.sum(x.to("tiny") * 3.0).to("numpy"))(x)
    assert g.device == "numpy" and g.tolist() == [3.0, 3.0]
    assert pg.vmap(lambda v: v.to("tiny") * 2)(x).device == "tiny"
    assert pg.stage(lambda v: v.to("tiny") * 2, x)(x).tolist() == [2.0, 4.0]


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ShapeError, match=r"mul: shapes \(2,\), \(3,\) do not broadcast"):
        pg.ones(2) * pg.ones(3)
    with pytest.raises(ShapeError, match=r"matmul: \(2, 3\) @ \(2, 3\)"):
        pg.ones((2, 3)) @ pg.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: pg.sum(x, axis=2), "sum: axis 2 is out of range for 2 dimensions; use -2 to 1"),
        (lambda x: pg.sum(x, axis=(0, 0)), "twice"),
        (lambda x: pg.max(x, axis="a"), "max: axis 'a' must be an integer"),
        (lambda x: pg.max(pg.zeros((0, 2)), axis=0), r"max: no elements.*\(0, 2\)"),
        (lambda x: pg.reshape(x, (4, 2)), r"reshape: \(2, 3\) has 6 elements"),
        (lambda x: pg.reshape(x, (-1, 4)), "reshape"),
        (lambda x: pg.permute_dims(x, (0, 0)), "permute"),
        (lambda x: pg.permute_dims(x, (0,)), "not a permutation"),
        (lambda x: pg.broadcast_to(x, (2, 4)), "broadcast_to"),
        (lambda x: pg.broadcast_to(x, (3,)), "broadcast_to"),
        (lambda x: pg.concat([x, pg.ones((3, 3))], axis=1), r"concat: shapes \(2, 3\), \(3, 3\) differ outside axis 1"),
        (lambda x: pg.concat([]), "at least one"),
        (lambda x: pg.stack([x, pg.ones(2)]), "stack: shapes"),
        (lambda x: pg.split(x, 2, axis=1), "split"),
        (lambda x: pg.squeeze(x, 0), "squeeze"),
        (lambda x: pg.pad(x, [(1, 1)]), "pad"),
        (lambda x: pg.pad(x, [(1, -1), (0, 0)]), "non-negative"),
        (lambda x: pg.take(x, [0]), "needs axis="),
        (lambda x: pg.cumulative_sum(x), "needs axis="),
        (lambda x: pg.moveaxis(x, 0, (0, 1)), "moveaxis"),
        (lambda x: pg.matrix_transpose(pg.ones(2)), "matrix_transpose"),
        (lambda x: pg.tensordot(x, x, axes=([0], [1])), "tensordot"),
        (lambda x: pg.outer(x, x), "outer"),
        (lambda x: pg.zeros((-1,)), "zeros"),
        (lambda x: pg.full("a", 1), "full"),
        (lambda x: pg.tril(pg.ones(2)), "tril"),
        (lambda x: pg.take_along_axis(x, pg.asarray([0]), axis=1), "take_along_axis"),
        (lambda x: pg.asarray([[1.0], [1.0, 2.0]]), "inhomogeneous|equal lengths"),
    ],
)
def test_shape_errors(call, words):
    ran = []
    with pg.observe(lambda op, *_: ran.append(op)), pytest.raises((ShapeError, ValueError), match=words):
        call(pg.ones((2, 3)))
    assert set(ran) <= {"full"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pg.where(pg.ones(2), 1.0, 0.0), "where: the condition is float32"),
        (lambda: pg.logical_and(pg.ones(2), pg.ones(2)), "logical_and: needs bool"),
        (lambda: pg.take(pg.ones(2), [0.5]), "take: indices are float64"),
        (lambda: pg.one_hot(pg.ones(2), 3), "one_hot: labels are float32"),
        (lambda: pg.asarray([1]).requires_grad_(), "requires_grad_: this int64"),
        (lambda: pg.Parameter([1]), "Parameter: an int64"),
        (
            lambda: pg.grad(lambda x, y: y, argnums=1)(pg.ones(2), pg.asarray([1, 2])),
            r"argument 1 holds nothing to differentiate, but int64 tensor of shape \(2,\).*\.astype\(plugrad.float32",
        ),
        (
            lambda: pg.value_and_grad(lambda x: x)({"n": pg.asarray([1, 2, 3])}),
            r"argument 0 .*int64 tensor of shape \(3,\).*astype",
        ),
        (lambda: pg.grad(lambda x: x)(3), "argument 0 holds nothing to differentiate, but int;"),
        (
            lambda: pg.jacrev(lambda x: x)(pg.asarray([1])),
            r"jacrev: got an int64 tensor of shape \(1,\).*floating-point",
        ),
    ],
)
def test_dtype_errors(call, words):
    with pytest.raises(DTypeError, match=words):
        call()


def test_grad_needs_a_scalar():
    with pytest.raises(ShapeError, match=r"float32 tensor of shape \(2,\).*\.sum\(\)"):
        pg.grad(lambda x: x * 2)(pg.ones(2))
    with pytest.raises(ShapeError, match="argnums 1 is out of range"):
        pg.grad(lambda x: x, argnums=1)(pg.ones(()))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: pg.vmap(lambda x, y: x)(pg.ones(2), pg.ones(3)),
            r"batch sizes differ: 2 from argument 0.*3 from argument 1",
        ),
        (lambda: pg.vmap(lambda x: x, in_axes=None)(pg.ones(2)), "no argument is mapped"),
        (lambda: pg.vmap(lambda x: x, in_axes=1)(pg.ones(2)), "axis 1 is out of range"),
        (lambda: pg.vmap(lambda x: x, in_axes=(0, 0))(pg.ones(2)), "2 entries for 1 arguments"),
        (lambda: pg.vmap(lambda x: x)(pg.asarray(1.0)), "axis 0 is out of range.*all examples share the axis None"),
        (
            lambda: pg.vmap(lambda x: x, in_axes=({"a": 0},))([pg.ones(2)]),
            "in_axes has a dict at 0, .*a number or None",
        ),
        (lambda: pg.vmap(lambda x: x, in_axes=(["a"],))([pg.ones(2)]), "in_axes has a str at 0.0, where an integer"),
        (lambda: pg.vmap(lambda x: [x], out_axes=(0, 0))(pg.ones(2)), "out_axes does not match: 1 is in one"),
        (lambda: pg.vmap(lambda x: x, randomness="maybe"), "'maybe' is unknown"),
        (
            lambda: pg.jvp(lambda x: x, (pg.ones(2),), (pg.ones(3),)),
            r"tangent of shape \(3,\) for a primal of shape \(2,\)",
        ),
        (lambda: pg.jvp(lambda x: x, (pg.ones(2),), ()), "1 primals and 0 tangents"),
        (lambda: pg.vjp(lambda x: x, pg.ones(2))[1](pg.ones(3)), r"cotangent of shape \(3,\)"),
        (
            lambda: pg.vjp(lambda x: (x, x), pg.ones(2))[1](pg.ones(2)),
            "the cotangent has a Tensor, which has not the structure",
        ),
        (lambda: pg.stage(lambda x: x, pg.ones(2))(pg.ones(3)), "staged for"),
    ],
)
def test_transformation_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


class Affine(pg.Module):
    def __init__(self, *shapes):
        self.parts = [pg.Parameter(np.ones(shape)) for shape in shapes]


@pytest.mark.parametrize("shapes", [[(3, 2), (2,)], [(3, 2), ()], [(3,), (3, 2)]])
def test_vmap_over_a_module_says_how_to_share_it(shapes):
    """Leaves of different sizes, a leaf without a dimension, and leaves that only differ from the other argument."""
    f = pg.vmap(lambda m, x: x * 2.0)
    with pytest.raises(ShapeError, match=r"vmap\(<lambda>\): .*argument 0 of shape.*in_axes=\(None, 0\)"):
        f(Affine(*shapes), pg.ones(5))
    assert pg.vmap(lambda m, x: x * 2.0, in_axes=(None, 0))(Affine(*shapes), pg.ones(5)).shape == (5,)
    with pytest.raises(ShapeError, match="batch sizes differ: 2 .*; give what all examples share the axis None"):
        pg.vmap(lambda x, y: x)(pg.ones(2), pg.ones(3))


def test_axes_of_lists_and_tuples_go_together():
    a, b = pg.vmap(lambda d: [d[0] + 1.0, d[1]], in_axes=([0, 1],), out_axes=(0, 1))((pg.ones(2), pg.ones((3, 2))))
    assert a.shape == (2,) and b.shape == (3, 2)


def test_observers_hear_how_a_kernel_ran():
    heard = []
    with pg.observe(lambda *event: heard.append(event)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pg.cos(pg.tensor([1.0], device="tiny") + 1.0)
    assert heard == [("add", "tiny", "native"), ("cos", "tiny", "fallback")]


def test_capabilities_are_one_table():
    assert table.state_of(pg.OPS["add"], TINY, 11) == "native"
    assert table.state_of(pg.OPS["tanh"], TINY, 11) == "composed"
    assert table.state_of(pg.OPS["sin"], TINY, 11) == "fallback"
    assert table.state_of(pg.OPS["sin"], TINY, 4) == "unsupported"
    assert table.state_of(pg.OPS["sin"], TINY, 9) == "unsupported"


def test_third_party_kernels():
    op = Op("test.twice", elementwise=True, dtypes="float", decompose=lambda x: x + x)
    x = pg.tensor([1.0, 2.0], device="tiny")
    ran = []
    dispatch.add_kernel(
        "test.twice", "tiny", Kernel(lambda v: ran.append("ten") or NotImplemented, priority=10, provider="a")
    )
    dispatch.add_kernel("test.twice", "tiny", Kernel(lambda v: ran.append("five") or v * 2, priority=5, provider="b"))
    assert op(x).tolist() == [2.0, 4.0] and ran == ["ten", "five"]
    with pytest.raises(PluginError, match="a and c both offer a kernel of priority 10; the one of a stays"):
        dispatch.add_kernel("test.twice", "tiny", Kernel(lambda v: v, priority=10, provider="c"))


def test_kernels_registered_before_the_op():
    dispatch.add_kernel("test.later", "tiny", Kernel(lambda v: v * 3, dtypes="f4"))
    op = Op("test.later", elementwise=True, dtypes="float", decompose=lambda x: x * 3.0)
    ran = []
    with pg.observe(lambda name, *_: ran.append(name)):
        assert op(pg.tensor([1.0], device="tiny")).tolist() == [3.0]
        assert op(pg.tensor([1.0], dtype="float64", device="tiny")).tolist() == [3.0]
    assert ran == ["test.later", "mul"]


def test_a_backend_that_only_writes_into_given_memory():
    class Into(Tiny):
        name = "into"
        kernels = {}
        into = {"add": lambda out, x, y: np.add(x, y, out=out) is None or None}
        empty = staticmethod(lambda shape, dtype, device: np.empty(shape, dtype))

    dispatch.add_backend(Into())
    assert (pg.tensor([1.0], device="into") + pg.tensor([2.0], device="into")).tolist() == [3.0]


def test_registration_errors():
    with pytest.raises(PluginError, match="'add' is defined already"):
        Op("add")
    with pytest.raises(PluginError, match="unknown rule 'jpv'"):
        Op("test.typo", jpv=None)
    with pytest.raises(PluginError, match="needs a name"):
        Op()
    with pytest.raises(PluginError, match="'tiny' is loaded already"):
        dispatch.add_backend(Tiny())


def test_devices(monkeypatch):
    with pg.device("tiny"):
        assert pg.zeros(2).device == "tiny" and pg.get_default_device() == "tiny"
        with pg.device("numpy"):
            assert pg.zeros(2).device == "numpy"
    for bad, words in (
        ("tiny:7", "'tiny:7' does not exist"),
        ("tiny:x", "not a device name"),
        (3, "not a device name"),
        ("", "not a device name"),
    ):
        with pytest.raises(DeviceError, match=words):
            pg.zeros(2, device=bad)
    with pytest.raises(DeviceError, match="numpi"):
        pg.zeros(2, device="numpi")


def test_creation():
    assert pg.zeros(2).dtype == np.float32 and pg.full((2,), 3).dtype == np.int64
    assert pg.arange(3).tolist() == [0, 1, 2] and pg.arange(1, 0, -0.5).tolist() == [1.0, 0.5]
    assert pg.arange(3, dtype="float64").dtype == np.float64
    assert pg.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert pg.eye(2, 3, k=1).tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert pg.full_like(pg.asarray([1, 2]), 7).tolist() == [7, 7]
    assert pg.asarray([pg.asarray(1.0), 2.0]).tolist() == [1.0, 2.0]
    assert pg.grad(lambda x: pg.sum(pg.asarray([x, x * 2])))(1.0).item() == 3.0
    assert pg.asarray(0.1, dtype="float64").item() == 0.1
    with pytest.raises(ValueError, match="step is 0"):
        pg.arange(0, 1, 0)


def test_float64_is_never_truncated():
    x = pg.asarray(np.array([1.0 + 1e-12]))
    assert x.dtype == np.float64
    for y in (
        x * 1,
        x + 0.0,
        pg.sum(x),
        x @ x,
        pg.exp(x),
        x.reshape((1, 1)),
        pg.where(x > 0, x, 0.0),
        pg.mean(x),
        pg.var(x),
    ):
        assert y.dtype == np.float64


def test_repr_and_conversion():
    x = pg.asarray([1.0, 2.0])
    assert repr(x) == "Tensor([1., 2.], dtype=float32, device='numpy')"
    assert "requires_grad=True" in repr(x.requires_grad_())
    assert float(pg.asarray(2.5)) == 2.5 and int(pg.asarray(3)) == 3 and bool(pg.asarray(True)) and len(x) == 2
    assert [10, 20][pg.asarray(1)] == 20
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError, match="0-d"):
        len(pg.asarray(1.0))
    with pytest.raises(ValueError, match="2 elements"):
        x.item()
    with pytest.raises(DTypeError, match="not an integer"):
        [1][pg.asarray(0.0)]
    assert pg.asarray(1) == 1 and pg.asarray(1) != 2
    assert (x == "a") is False


def test_a_third_party_s_kernel_is_refused_whole():
    class Later(Tiny):
        name = "later"

    with pytest.raises(DTypeError, match="'float99' is not a dtype"):
        dispatch.add_kernel("exp", "later", Kernel(np.exp, dtypes="float99", priority=1, provider="third"))
    with pytest.warns(PluginWarning, match=r"third on later: the core has no ops expp; .*did you mean 'exp'\?"):
        dispatch.add_kernel("expp", "later", Kernel(np.exp, priority=1, provider="third"))
    index = dispatch.add_backend(Later())
    dispatch.add_kernel("exp", "later", Kernel(np.exp, priority=2, provider="fourth"))
    assert next(k.provider for k in pg.OPS["exp"].chain[index][11]) == "fourth"


def test_a_kernel_and_its_word_on_scalars_are_one_cell():
    """Swapped for one that takes no scalars while a thread calls: never called with one."""

    class Swapped(Tiny):
        name = "swapped"
        kernels: ClassVar = {**Tiny.kernels, "add": Kernel(np.add, scalars=True)}

    index = dispatch.add_backend(Swapped())
    assert pg.OPS["add"].scalars[index][11] is np.add and pg.OPS["mul"].scalars[index][11] is None
    x = pg.asarray(np.ones(3, np.float32), device="swapped")
    seen = []
    dispatch.add_kernel("add", "swapped", Kernel(lambda x, y: seen.append(y) or np.add(x, y), priority=3, provider="z"))
    assert pg.OPS["add"].scalars[index][11] is None
    assert (x + 2).tolist() == [3.0] * 3 and isinstance(seen[0], np.ndarray)


def test_into_may_return_its_result():
    class Returning(Tiny):
        name = "returning"
        kernels: ClassVar = {name: fn for name, fn in Tiny.kernels.items() if name != "add"}
        into: ClassVar = {"add": lambda out, x, y: np.add(x, y, out=out)}

        def empty(self, shape, dtype, device):
            return np.empty(shape, dtype)

    dispatch.add_backend(Returning())
    x = pg.asarray(np.ones(3, np.float32), device="returning")
    pg.reset_fallback_report()
    assert (x + x).tolist() == [2.0] * 3 and not pg.fallback_report()
