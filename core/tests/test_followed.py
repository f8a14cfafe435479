"""What a derivative follows is not dropped without a word: it is kept, or an error says how to drop it."""

import copy
import pickle

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ArgumentError, DeviceError, DTypeError, ExchangeError, RecordingError
from plugrad.ops.elementary import log2, log10
from plugrad.testing import check_derivatives


@pytest.fixture(autouse=True)
def device():
    with pg.device("numpy"):
        yield


def forward(f, x):
    x = pg.asarray(x, dtype="float64")
    return pg.jvp(f, (x,), (pg.ones_like(x),))[1].item()


def backward(f, x):
    return pg.grad(f)(pg.asarray(x, dtype="float64")).item()


@pytest.mark.parametrize("derive", [forward, backward])
@pytest.mark.parametrize(
    ("leave", "error"),
    [
        (np.asarray, RecordingError),
        (np.sin, RecordingError),
        (lambda x: x.numpy(), RecordingError),
        (pg.from_dlpack, ExchangeError),
        (np.from_dlpack, ExchangeError),
        (copy.deepcopy, RecordingError),
        (lambda x: pickle.loads(pickle.dumps(x)), RecordingError),
    ],
)
def test_what_leaves_plugrad_raises(leave, error, derive):
    with pytest.raises(error, match=r"is recorded.*\.?detach\(\)"):
        derive(lambda x: pg.asarray(leave(x)) * x, 3.0)
    assert derive(lambda x: pg.asarray(leave(x.detach())) * 0.0 + x, 3.0) == 1


@pytest.mark.parametrize("derive", [forward, backward])
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: copy.copy(x) * x, 6.0),
        (lambda x: pg.tensor(x) * x, 6.0),
        (lambda x: pg.tensor([x]).sum() * x, 6.0),
        (lambda x: pg.sum(pg.arange(x, 5.0, 1.0)), 2.0),
        (lambda x: pg.sum(pg.arange(0, 10.0, x)), 6.0),
        (lambda x: pg.sum(pg.linspace(0.0, x, 3)), 1.5),
        (lambda x: pg.sum(pg.linspace(x, 2 * x, 3, endpoint=False)), 4.0),
    ],
)
def test_what_stays_is_differentiated(f, slope, derive):
    assert derive(f, 3.0) == slope


def test_values_of_arange_and_linspace_are_the_same_where_they_are_followed():
    x = pg.asarray(0.3, dtype="float64")
    for f in (
        lambda x: pg.arange(x, 5),
        lambda x: pg.arange(x, 5, x, dtype="float64"),
        lambda x: pg.linspace(x, 2, 7),
        lambda x: pg.linspace(1 - x * 1j, x, 4),
    ):
        y, _ = pg.jvp(f, (x,), (x,))
        np.testing.assert_allclose(y.numpy(), f(x).numpy(), rtol=1e-6)
        assert y.dtype == f(x).dtype and y.device == f(x).device


def test_copies_of_leaves_are_leaves():
    p = pg.Parameter([1.0, 2.0])
    for made in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(made) is pg.Parameter and made.requires_grad and made.is_leaf
    x = pg.asarray([1.0])
    made = copy.copy(x)
    made += 1
    assert x.item() == 1 and made.item() == 2
    assert pg.vmap(copy.copy)(pg.asarray([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_a_new_leaf_of_a_leaf():
    p = pg.Parameter([1.0, 2.0])
    leaf = pg.tensor(p, requires_grad=True)
    pg.sum(leaf * leaf).backward()
    assert leaf.grad.tolist() == [2.0, 4.0] and p.grad is None
    pg.sum(pg.tensor(p) * 3.0).backward()
    assert p.grad.tolist() == [3.0, 3.0]


def test_no_grad_counts_forward_as_backward():
    def f(x):
        with pg.no_grad():
            y = x * 1.0
        return y * x

    assert forward(f, 2.0) == backward(f, 2.0) == pg.jacfwd(f)(pg.asarray(2.0)).item() == 2
    assert forward(pg.compile(f), 2.0) == 2
    with pg.no_grad():  # around the transformation it says nothing about what is inside
        assert forward(lambda x: x * x, 3.0) == backward(lambda x: x * x, 3.0) == 6
        assert forward(f, 2.0) == 2


def test_a_shape_is_not_set():
    x = pg.asarray([1.0, 2.0])
    with pytest.raises(AttributeError, match=r"shape: .* cannot be set to \(2, 1\); use what x.reshape\(\) returns"):
        x.shape = (2, 1)
    assert x.shape == x.numpy().shape == (2,)


def test_a_forward_rule_may_call_its_own_function():
    @pg.custom_vjp
    def f(x):
        return x * x

    f.defvjp(lambda x: (f(x), x), lambda x, g: (3 * x * g,))
    x = pg.asarray(2.0)
    assert f(x).item() == 4 and pg.grad(f)(x).item() == 6 and pg.grad(pg.grad(f))(x).item() == 3
    assert pg.grad(lambda x: f(f(x)))(x).item() == 72

    @pg.custom_vjp
    def bad(x):
        return x

    bad.defvjp(lambda x: 1 / 0, lambda x, g: (g,))
    for _ in range(2):  # an error leaves it as it was
        with pytest.raises(ZeroDivisionError):
            bad(x)


@pytest.mark.parametrize("transform", [pg.compile, pg.vmap, pg.checkpoint, pg.jacfwd, pg.jacrev])
def test_keywords_reach_the_function(transform):
    f = transform(lambda x, scale=1.0: x * scale)
    x = pg.asarray([1.0, 2.0])
    plain = f(x).numpy()
    np.testing.assert_array_equal(f(x, scale=3.0).numpy(), 3 * plain)
    np.testing.assert_array_equal(f(x, scale=pg.asarray(5.0)).numpy(), 5 * plain)
    assert pg.grad(lambda s: pg.sum(f(x, scale=s)))(pg.asarray(2.0)).item() == plain.sum()


def test_a_keyword_is_no_dict_for_a_graph():
    f = pg.compile(
        lambda x, scale=None: x if scale is None else x * scale["scale"] if type(scale) is dict else x * scale
    )
    x, two = pg.asarray(3.0), pg.asarray(2.0)
    assert f(x, {"scale": two}).item() == f(x, scale=two).item() == 6 and len(f.graphs) == 2
    assert pg.hessian(lambda x, power: x**power)(x, power=3).item() == 18


def test_jacobians_say_what_they_take():
    with pytest.raises(ArgumentError, match=r"jacrev: argnums is \(0, 1\); it takes the number of one argument"):
        pg.jacrev(lambda x, y: x * y, argnums=(0, 1))(1.0, 2.0)


def test_a_float_that_is_carried_adapts():
    rows = pg.asarray([1.0, 2.0], dtype="float64")
    total, _ = pg.scan(lambda c, x: (c + x, c), 0.0, rows)
    assert total.dtype == "float64" and total.item() == 3
    last = pg.while_loop(lambda c: c[1] < 2.5, lambda c: (c[0], c[1] + c[0]), (rows[0], 0.0))
    assert last[1].dtype == "float64" and last[1].item() == 3
    pair, _ = pg.scan(lambda c, x: ((c[0] + x, 0.5), None), (rows[0], 0.0), rows)
    assert pair[1].dtype == "float64"
    with pytest.raises(
        DTypeError, match=r"as int64 \(\), leaves as float64 \(\); they must agree; .* number as a tensor"
    ):
        pg.scan(lambda c, x: (c + x, c), 0, rows)


def test_a_list_of_tensors_on_two_devices():
    other = next((d for d in pg.__array_namespace_info__().devices() if d != "numpy"), None)
    if other is None:
        pytest.skip("no CUDA device nor another backend")
    rows = [pg.ones(1), pg.ones(1, device=other)]
    with pytest.raises(DeviceError, match="asarray: a list with tensors on .*; say device="):
        pg.asarray(rows)
    assert pg.asarray(rows, device="numpy").device == "numpy"


def test_composed_logarithms_of_complex_zeros():
    z = pg.asarray([0j, -1 + 0j, complex(-1, -0.0), 2 + 1j])
    for f, reference in ((log2, np.log2), (log10, np.log10)):
        with np.errstate(all="ignore"):
            wanted = reference(z.numpy())
        np.testing.assert_allclose(pg.OPS[f.__name__].decompose(z).numpy(), wanted, rtol=1e-6)
    check_derivatives(lambda x: pg.OPS["log2"].decompose(x), pg.asarray([2 + 1j, -3 + 0.5j], dtype="complex128"))


def test_names_of_other_libraries():
    with pytest.raises(AttributeError, match="no attribute 'cumsum'; use cumulative_sum"):
        _ = pg.cumsum
    with pytest.raises(AttributeError, match="no attribute 'nothing'$"):
        _ = pg.nothing
    assert not hasattr(pg, "concatenate")
    for name, here in pg.interop.array_api._ELSEWHERE.items():
        if here.isidentifier() and not here.startswith("plugrad"):
            assert not hasattr(pg, name) and hasattr(pg, here), (name, here)


def test_an_error_names_the_function_that_was_called_alone():
    with pytest.raises(IndexError, match="^take: index 5 is out of range"):
        pg.take(pg.ones(3), [5])
    with pytest.raises(DTypeError, match="^random.normal: the first argument must be a key"):
        pg.random.normal(3, (2,))


def test_a_carry_of_fori_loop_is_named_so():
    with pytest.raises(DTypeError, match=r"^fori_loop: carry enters as float32 \(\), leaves as float64"):
        pg.fori_loop(0, 2, lambda i, c: c.astype("float64"), pg.asarray(1.0))
