"""Promotion is the Array API's table and its documented extension; complex derivatives follow Re<g, t>."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad import dtypes
from plugrad.errors import DTypeError
from plugrad.testing import check_derivatives, check_vmap

STANDARD = [
    n
    for n in [
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
        "complex64",
        "complex128",
        "bool",
    ]
]


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(STANDARD, 2)))
def test_promotion(a, b):
    da, db = np.dtype(a), np.dtype(b)
    same = (da.kind in "iu") == (db.kind in "iu") and (da.kind == "b") == (db.kind == "b")
    if {da.kind, db.kind} == {"i", "u"} and "uint64" in (a, b):
        with pytest.raises(DTypeError):
            dtypes.promote("add", dtypes.CODE[da], dtypes.CODE[db])
        return
    found = dtypes.DTYPES[dtypes.promote("add", dtypes.CODE[da], dtypes.CODE[db])]
    assert found == dtypes.DTYPES[dtypes.promote("add", dtypes.CODE[db], dtypes.CODE[da])]
    if same:
        assert found == np.promote_types(da, db)
    elif "b" in (da.kind, db.kind):
        assert found == (db if da.kind == "b" else da)
    else:
        floating = da if da.kind in "fc" else db
        assert found == floating
        with pg.promotion("strict"), pytest.raises(DTypeError):
            dtypes.promote("add", dtypes.CODE[da], dtypes.CODE[db])


def test_float8_is_stored_not_computed():
    x = pg.asarray([1.0, 0.3]).astype("float8_e4m3fn")
    assert x.dtype.name == "float8_e4m3fn" and x.astype("float32").tolist() == [1.0, 0.3125]
    with pytest.raises(DTypeError, match="float8_e4m3fn"):
        x + x


def test_names():
    assert (
        dtypes.as_dtype(int) == np.int64
        and dtypes.as_dtype(float) == np.float32
        and dtypes.as_dtype(complex) == np.complex64
    )
    assert dtypes.parse("f4 bf2 bool") == {dtypes.F4, dtypes.BF2, dtypes.B1}
    for bad in ("U3", object, "float128x"):
        with pytest.raises(DTypeError):
            dtypes.as_dtype(bad)
    with pytest.raises(ValueError, match="'loose' is unknown"), pg.promotion("loose"):
        pass


R = np.random.default_rng(2)
Z = R.normal(size=(3, 3)) + 1j * R.normal(size=(3, 3))
COMPLEX = {
    "exp": pg.exp,
    "log": pg.log,
    "sin": pg.sin,
    "sqrt": pg.sqrt,
    "mul": lambda z: z * z * (1 + 2j),
    "div": lambda z: 1.0 / (z + 3.0),
    "conj": lambda z: pg.conj(z) * z,
    "real": lambda z: pg.real(z) * z,
    "imag": pg.imag,
    "abs": pg.abs,
    "matmul": lambda z: pg.matmul(z, z),
    "var": lambda z: pg.var(z, axis=0),
    "prod": lambda z: pg.prod(z, axis=0),
    "index": lambda z: z[1:, ::-1] - z[0],
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_derivatives(name):
    z = pg.asarray(Z)
    check_derivatives(COMPLEX[name], z)
    check_vmap(COMPLEX[name], z)


def test_a_complex_step_descends():
    """d Re(z^2) = conj(2 z) dz under Re<g, t>, so z - lr * grad goes downhill."""
    g = pg.grad(lambda z: pg.sum(pg.real(z * z)))(pg.asarray([1 + 2j]))
    assert g.tolist() == [2 - 4j]
    f = lambda z: pg.sum(pg.abs(z - (3 - 1j)) ** 2)  # noqa: E731
    z = pg.asarray([0j])
    for _ in range(50):
        z = z - 0.2 * pg.grad(f)(z)
    np.testing.assert_allclose(z.numpy(), [3 - 1j], atol=1e-5)


def test_real_inputs_keep_real_gradients():
    g = pg.grad(lambda x: pg.sum(pg.abs(x * (1 + 2j))))(pg.asarray([1.0, -2.0], dtype="float64"))
    assert g.dtype == np.float64
    np.testing.assert_allclose(g.numpy(), [5**0.5, -(5**0.5)])


def test_a_cast_to_bfloat16_rounds_once():
    """By way of float32, 1 + 2^-8 + 2^-40 would become the tie 1 + 2^-8, and then the even 1."""
    x = np.array([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 2.0**-8 - 2.0**-40, -(1 + 2.0**-8 + 2.0**-40)])
    wanted = [1 + 2.0**-7, 1.0, 1.0, -(1 + 2.0**-7)]
    assert pg.asarray(x, device="numpy").astype("bfloat16").astype("float64").tolist() == wanted
    edges = [0.0, -0.0, np.inf, -np.inf, 1e-320, 1e300, -3.4e38, 2.0**-133]
    found = pg.asarray(np.array(edges), device="numpy").astype("bfloat16").astype("float64").numpy()
    np.testing.assert_array_equal(found, [0.0, -0.0, np.inf, -np.inf, 0.0, np.inf, -np.inf, 2.0**-133])
    assert np.signbit(found[1]) and np.isnan(
        pg.asarray(np.nan, device="numpy").astype("bfloat16").numpy().astype(float)
    )
    whole = pg.asarray(np.array([2**53 + 1, -5, 2**24 + 2**16 + 1]), device="numpy").astype("bfloat16")
    assert whole.astype("float64").tolist() == [2.0**53, -5.0, 2.0**24 + 2**17]
