"""What the Array API asks a namespace about itself: devices, dtypes, capabilities (``__array_namespace_info__``)."""

from __future__ import annotations

from typing import Any

from ..backend import BACKENDS, device_name, index_of
from ..dtypes import DTYPES, KIND, as_dtype, parse
from ..errors import BackendUnavailableError, DTypeError
from ..ops.creation import get_default_device, place
from ..plugins import available_backends, backend_index
from ..tensor import API_VERSIONS

__array_api_version__ = API_VERSIONS[-1]
_CODES = parse("bool int uint float32 float64 complex")
"""The dtypes of the standard."""
_KINDS = {"bool": "b", "signed integer": "i", "unsigned integer": "u", "real floating": "f", "complex floating": "c"}
_KINDS |= {"integral": "iu", "numeric": "iufc"}


_ELSEWHERE = {
    "absolute": "abs", "amax": "max", "amin": "min", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "array": "asarray",
    "concatenate": "concat", "conjugate": "conj", "cumprod": "cumulative_prod", "cumsum": "cumulative_sum",
    "dot": "matmul or vecdot", "flatten": "reshape(x, (-1,))", "hstack": "concat", "invert": "bitwise_invert",
    "mod": "remainder", "norm": "linalg.vector_norm", "power": "pow", "ravel": "reshape(x, (-1,))",
    "relu": "plugrad_nn", "softmax": "plugrad_nn", "swapaxes": "moveaxis", "true_divide": "divide",
    "unique": "unique_values", "vstack": "concat",
}  # fmt: skip
"""What other libraries' names are called here."""


def missing(name: str) -> AttributeError:
    """The error for a name that the namespace does not have."""
    hint = f"; use {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    return AttributeError(f"module 'plugrad' has no attribute {name!r}{hint}")


class _Info:
    """Questions about the namespace; a device of None is the default one."""

    def capabilities(self) -> dict[str, Any]:
        """What the library can do; the number of axes is that of the default device."""
        dimensions = BACKENDS[place(None)[0]].dimensions
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": dimensions}

    def default_device(self) -> str:
        """The name of the default device."""
        return get_default_device()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        """The dtypes of Python's numbers and of positions, the same on every device."""
        place(device)
        numbers = {"real floating": float, "complex floating": complex, "integral": int, "indexing": int}
        return {name: as_dtype(number) for name, number in numbers.items()}

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> dict[str, Any]:
        """The standard's dtypes that the device stores, by name; of one kind or of several."""
        wanted = tuple(_KINDS) if kind is None else kind if isinstance(kind, tuple) else (kind,)
        unknown = [name for name in wanted if name not in _KINDS]
        if unknown:
            raise DTypeError(f"dtypes: {unknown[0]!r} is not a kind of dtype; use one of {', '.join(_KINDS)}")
        kinds = "".join(_KINDS[name] for name in wanted)
        codes = sorted(parse(BACKENDS[place(device)[0]].dtypes) & _CODES)
        return {DTYPES[code].name: DTYPES[code] for code in codes if KIND[code] in kinds}

    def devices(self) -> tuple[str, ...]:
        """The names of all devices that can be used here. Loads their backends."""
        names = [name for name, outcome in available_backends().items() if outcome.available and _loads(name)]
        names += [backend.name for backend in BACKENDS if backend.name not in names]
        found = [index for index in map(index_of, names) if index is not None]
        return tuple(device_name((index, ordinal)) for index in found for ordinal in BACKENDS[index].devices())


def _loads(name: str) -> bool:
    try:
        return backend_index(name) >= 0
    except BackendUnavailableError:
        return False


def __array_namespace_info__() -> _Info:
    """The object that answers questions about the namespace: ``capabilities``, ``default_device``, ``default_dtypes``,
    ``dtypes`` and ``devices``.

    >>> import plugrad
    >>> list(plugrad.__array_namespace_info__().dtypes(kind="complex floating", device="numpy"))
    ['complex64', 'complex128']
    """
    return _Info()
