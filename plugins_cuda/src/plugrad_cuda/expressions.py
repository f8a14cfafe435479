"""What each elementwise op computes, as a C expression of its operands x, y, z, by kind of dtype. The one table from
which kernels are generated.

In an expression T is the operands' type, U its unsigned counterpart, R the result's. Kinds: b bool, i signed, u
unsigned, f float.
"""

from __future__ import annotations

from plugrad.dtypes import KIND, SHORT

Kinds = dict[str, str]


def kind(short: str) -> str:
    """The kind of a dtype by its short name."""
    return KIND[SHORT.index(short)]


def _all(kinds: str, expression: str) -> Kinds:
    return dict.fromkeys(kinds, expression)


_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "erf", "floor")


UNARY: dict[str, Kinds] = {
    "copy": _all("biuf", "x"),
    "neg": _all("iu", "T(U(0) - U(x))") | {"f": "-x"},
    "abs": {"i": "x < 0 ? T(U(0) - U(x)) : x", "u": "x", "f": "fabs(x)"},
    "sign": _all("iu", "T((x > 0) - (x < 0))") | {"f": "x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x"},
    "invert": {"b": "!x"} | _all("iu", "T(~x)"),
    **{name: {"f": f"{name}(x)"} for name in _FUNCTIONS},
    "nn.relu": {"f": "x > 0 || x != x ? x : T(0)"},
    "nn.sigmoid": {"f": "T(1) / (T(1) + exp(-x))"},
    "nn.silu": {"f": "x / (T(1) + exp(-x))"},
}

BINARY: dict[str, Kinds] = {
    "add": {"b": "x || y"} | _all("iu", "T(U(x) + U(y))") | {"f": "x + y"},
    "sub": _all("iu", "T(U(x) - U(y))") | {"f": "x - y"},
    "mul": {"b": "x && y"} | _all("iu", "T(1u * U(x) * U(y))") | {"f": "x * y"},
    "div": {"f": "x / y"},
    "pow": {"f": "pow(x, y)"},
    "maximum": {"b": "x || y"} | _all("iu", "x > y ? x : y") | {"f": "maximum_float(x, y)"},
    "minimum": {"b": "x && y"} | _all("iu", "x < y ? x : y") | {"f": "minimum_float(x, y)"},
    "remainder": {"i": "remainder_signed(x, y)", "u": "y ? T(x % y) : T(0)", "f": "remainder_float(x, y)"},
    "floor_divide": {"i": "floor_divide_signed(x, y)", "u": "y ? T(x / y) : T(0)", "f": "floor_divide_float(x, y)"},
    "bitwise_and": {"b": "x && y"} | _all("iu", "T(x & y)"),
    "bitwise_or": {"b": "x || y"} | _all("iu", "T(x | y)"),
    "bitwise_xor": {"b": "x != y"} | _all("iu", "T(x ^ y)"),
    "shift_left": _all("iu", "shift_left(x, y)"),
    "shift_right": _all("iu", "shift_right(x, y)"),
    "nn.relu_bwd": {"f": "y > 0 ? x : T(0)"},
}

COMPARISONS: dict[str, Kinds] = {
    "equal": _all("biuf", "x == y"),
    "less": _all("biuf", "x < y"),
    "less_equal": _all("biuf", "x <= y"),
}

SELECTION: dict[str, Kinds] = {"where": _all("biuf", "x ? y : z")}


def dtypes(kinds: Kinds, stored: str) -> str:
    """The dtypes, of those ``stored``, that a row of a table covers."""
    return " ".join(name for name in stored.split() if kind(name) in kinds)


def conversion(source: str, target: str) -> str:
    """The expression of a cast. A float outside an integer's range, or NaN, gives an unspecified integer, as in NumPy;
    negative floats wrap around in unsigned integers as they do there.
    """
    if target == "b1":
        return "x != 0"
    if kind(source) != "f" or kind(target) == "f":
        return "R(x)"
    if target in ("i1", "i2", "u1", "u2"):
        return "R(int(x))"
    return {"u4": "R(int64(x))", "u8": "x < 0 ? R(int64(x)) : R(x)"}.get(target, "R(x)")
