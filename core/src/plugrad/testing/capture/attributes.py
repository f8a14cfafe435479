"""Attributes of calls in JSON, one form for each, and back."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from ...dtypes import CODE, as_dtype
from ...errors import DTypeError, article


class NoForm(Exception):
    """A value that JSON cannot hold, such as a graph; the text says of what type."""


def encode(value: Any) -> Any:
    """The JSON of an attribute; NoForm for what has none.

    >>> encode((1, None, float("inf"))), encode(np.dtype("float32"))
    ([1, None, {'float': 'inf'}], {'dtype': 'float32'})
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if isinstance(value, tuple):
        return [encode(v) for v in value]
    if isinstance(value, np.dtype) and value in CODE:
        return {"dtype": value.name}
    if isinstance(value, slice):
        return {"slice": [encode(value.start), encode(value.stop), encode(value.step)]}
    raise NoForm("a function" if inspect.isroutine(value) else article(type(value).__name__))


def decode(form: Any) -> Any:
    """The attribute of a JSON; ValueError for what is no form of one.

    >>> decode([{"slice": [0, None, 2]}, {"float": "nan"}])
    (slice(0, None, 2), nan)
    """
    if form is None or isinstance(form, (bool, int, float, str)):
        return form
    if isinstance(form, list):
        return tuple([decode(f) for f in form])
    try:
        ((word, given),) = form.items()
        if word == "float" and given in ("nan", "inf", "-inf"):
            return float(given)
        if word == "complex":
            real, imag = map(decode, given)
            return complex(real, imag)
        if word == "dtype":
            return as_dtype(given)
        if word == "slice":
            start, stop, step = map(decode, given)
            return slice(start, stop, step)
    except (DTypeError, TypeError, ValueError) as error:
        raise ValueError(str(error)) from None
    raise ValueError(f"{word!r} is none of float, complex, dtype, slice")
