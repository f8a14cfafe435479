"""The module as the namespace of the Array API: what it says about itself, and what the array object has to have."""

import inspect

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import DeviceError, DTypeError
from plugrad.reference.backend import NumpyBackend

VERSIONS = ["2021.12", "2022.12", "2023.12", "2024.12", "2025.12"]
INFO = pg.__array_namespace_info__()
WORDS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
INTEGERS = {"floordiv", "mod", "and", "or", "xor", "lshift", "rshift"}


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_a_tensor_names_its_namespace(version):
    assert pg.ones(1).__array_namespace__(api_version=version) is pg
    assert pg.Parameter(pg.ones(1)).__array_namespace__() is pg
    assert pg.__array_api_version__ == VERSIONS[-1]


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match="'2020.01'.*2025.12"):
        pg.ones(1).__array_namespace__(api_version="2020.01")
    assert inspect.signature(pg.Tensor.__array_namespace__).parameters["api_version"].kind.name == "KEYWORD_ONLY"


def test_the_namespace_can_be_a_key():
    assert {pg: 1}[pg.ones(1).__array_namespace__()] == 1 and pg.__name__ == "plugrad"


def test_capabilities():
    found = INFO.capabilities()
    assert found == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    deep = np.ones((1,) * found["max dimensions"])
    assert pg.asarray(deep).ndim == 64


def test_capabilities_are_those_of_the_default_device():
    class Flat(NumpyBackend):
        name, dimensions = "flat", 2

    dispatch.add_backend(Flat())
    with pg.device("flat"):
        assert INFO.capabilities()["max dimensions"] == 2 and INFO.default_device() == "flat"
    assert "flat" in INFO.devices()


def test_devices():
    devices = INFO.devices()
    assert isinstance(devices, tuple) and INFO.default_device() == "numpy" and "numpy" in devices
    assert len(set(devices)) == len(devices)
    for name in devices:
        stored = next(iter(INFO.dtypes(device=name).values()))
        assert pg.asarray(np.zeros(1, stored), device=name).device == name


def test_default_dtypes_are_what_python_numbers_become():
    found = INFO.default_dtypes()
    assert found["real floating"] == pg.asarray(1.5).dtype and found["complex floating"] == pg.asarray(1j).dtype
    assert found["integral"] == pg.asarray(1).dtype and found["indexing"] == pg.argmax(pg.ones(2)).dtype
    assert found == INFO.default_dtypes(device="numpy")
    with pytest.raises(DeviceError):
        INFO.default_dtypes(device="abacus")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("bool", ["bool"]),
        ("signed integer", ["int8", "int16", "int32", "int64"]),
        ("unsigned integer", ["uint8", "uint16", "uint32", "uint64"]),
        ("real floating", ["float32", "float64"]),
        ("complex floating", ["complex64", "complex128"]),
        (("bool", "complex floating"), ["bool", "complex64", "complex128"]),
        ((), []),
    ],
)
def test_dtypes_of_a_kind(kind, names):
    found = INFO.dtypes(kind=kind)
    assert list(found) == names and all(found[name] == np.dtype(name) for name in names)


def test_dtypes_of_several_kinds():
    assert len(INFO.dtypes()) == 13
    assert INFO.dtypes(kind="numeric") == {n: d for n, d in INFO.dtypes().items() if n != "bool"}
    both = INFO.dtypes(kind=("signed integer", "unsigned integer"))
    assert set(INFO.dtypes(kind="integral")) == set(both)
    with pytest.raises(DTypeError, match="'floating'.*real floating"):
        INFO.dtypes(kind="floating")


def test_dtypes_are_those_that_the_device_stores():
    class Narrow(NumpyBackend):
        name, dtypes = "narrow", "b1 i8 f4 bf2"

    dispatch.add_backend(Narrow())
    assert list(INFO.dtypes(device="narrow")) == ["bool", "int64", "float32"]


def test_to_device():
    x = pg.asarray([1.0, 2.0])
    assert x.to_device("numpy") is x
    with pytest.raises(DeviceError, match="stream=3"):
        x.to_device("numpy", stream=3)
    with pytest.raises(TypeError):
        x.to_device(device="numpy")


@pytest.mark.parametrize("word", WORDS.split())
def test_every_operator_has_its_reflected_and_in_place_form(word):
    whole = word in INTEGERS
    a = np.array([[6, 5], [3, 9]]) if whole else np.array([[6.0, 5.0], [3.0, 9.0]])
    b = np.array([[1, 2], [2, 1]]) if whole else np.array([[1.0, 2.0], [2.0, 0.5]])
    forward, backward, into = (getattr(pg.Tensor, f"__{form}{word}__") for form in ("", "r", "i"))
    expected = getattr(a, f"__{word}__")(b)
    np.testing.assert_array_equal(forward(pg.asarray(a), pg.asarray(b)).numpy(), expected)
    np.testing.assert_array_equal(forward(pg.asarray(a), b).numpy(), expected)
    np.testing.assert_array_equal(backward(pg.asarray(b), a).numpy(), expected)
    x = pg.asarray(a, copy=True)
    other = x.detach()
    assert into(x, pg.asarray(b)) is x
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal(other.numpy(), a)
    for form in (forward, backward, into):
        assert form(pg.asarray(a), "text") is NotImplemented


def test_in_place_forms_keep_dtype_and_shape():
    x = pg.asarray([True, False])
    x |= True
    x &= pg.asarray([True, False])
    x ^= True
    assert x.tolist() == [False, True] and x.dtype == np.bool_
    i = pg.asarray([1, 2], dtype="int8")
    i <<= 2
    i >>= 1
    assert i.tolist() == [2, 4] and i.dtype == np.int8
    with pytest.raises(DTypeError):
        i |= pg.asarray([1, 2], dtype="float32")
    m = pg.ones((2, 2))
    with pytest.raises(ValueError, match=r"\(2, 2\), got \(2,\)"):
        m @= pg.ones(2)
    m @= pg.eye(2) * 2.0
    assert m.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_matmul_in_place_is_differentiated():
    def f(v):
        y = v * 1.0
        y @= pg.asarray([[1.0, 2.0], [3.0, 4.0]])
        return pg.sum(y * y)

    v = np.array([[1.0, 2.0]])
    w = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(pg.grad(f)(pg.asarray(v)).numpy(), 2 * v @ w @ w.T)


def test_python_scalars_come_out():
    assert complex(pg.asarray(2.5)) == 2.5 + 0j and complex(pg.asarray(1 + 2j)) == 1 + 2j
    assert float(pg.asarray(True)) == 1.0 and int(pg.asarray(-2.7)) == -2 and bool(pg.asarray([0.0])) is False
    assert [10, 20, 30][pg.asarray(1)] == 20 and range(5)[pg.asarray(2, dtype="uint8")] == 2
    with pytest.raises(TypeError, match="astype"):
        [1, 2][pg.asarray(1.0)]
    with pytest.raises(TypeError):
        len(pg.asarray(1.0))
    with pytest.raises(TypeError):
        iter(pg.asarray(1.0))
    with pytest.raises(TypeError, match="complex"):
        float(pg.asarray(1j))


def test_transposes():
    x = pg.asarray(np.arange(6.0).reshape(1, 2, 3))
    assert x.mT.shape == (1, 3, 2) and x[0].T.tolist() == x[0].mT.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
