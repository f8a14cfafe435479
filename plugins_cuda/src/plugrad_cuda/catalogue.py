"""Every kernel that the table can ask for, in its usual forms: to compile ahead, and to test the text. Runs none."""

from __future__ import annotations

from collections.abc import Iterator

from . import contraction, expressions, generate, indexing, random, reduction, samples, scan
from .generate import Form, Function
from .text import STORED, Entry

ALL = tuple(STORED)
_USUAL = ("f4", "i4", "b1")


def entries() -> Iterator[Entry]:
    """All of them, some 600: per op and dtype the dense form, of the others one or a few each."""
    yield from elementwise()
    yield from reductions()
    yield from contractions()
    for dtype in ALL:
        yield indexing.entry("gather", dtype, (1, 1, 1))
        yield scan.entry(dtype, 1)
    for dtype in indexing.ADDED.split():
        yield indexing.entry("scatter_add", dtype, (1, 2, 1))
    yield random.entry(1)
    yield from samples.entries()


def functions() -> Iterator[Function]:
    """Every elementwise function, casts and creation included."""
    tables = ((expressions.UNARY, 1), (expressions.BINARY, 2), (expressions.COMPARISONS, 2), (expressions.SELECTION, 3))
    for table, count in tables:
        for name, kinds in table.items():
            for dtype in expressions.dtypes(kinds, " ".join(ALL)).split():
                result = "b1" if table is expressions.COMPARISONS else dtype
                operands = ("b1", dtype, dtype) if count == 3 else (dtype,) * count
                yield Function(name, kinds[expressions.kind(dtype)], result, operands)
    for source in ALL:
        for target in ALL:
            if source != target:
                yield Function("cast", expressions.conversion(source, target), target, (source,))
    for dtype in ALL:
        yield Function("full", "x", dtype, (dtype,))
    for dtype in ALL[1:]:
        yield Function("iota", expressions.conversion("i8", dtype), dtype, ("i8",))


def elementwise() -> Iterator[Entry]:
    """Dense forms of all functions; by strides, with 64-bit positions, and with a scalar, of usual dtypes."""
    for function in functions():
        count = len(function.operands)
        letter = {"full": "s", "iota": "n"}.get(function.name, "d")
        forms = [Form(letter * count, generate.lanes_of(function), 0, False)]
        if function.operands[-1] in _USUAL and letter == "d" and function.name != "cast":
            forms.append(Form("v" * count, 0, 3, function.name == "copy"))
            if count == 2:
                forms += [Form("ds", 1, 0, False), Form("uv", 0, 2, True)]
        for form in forms:
            yield generate.entry(function, form)


def reductions() -> Iterator[Entry]:
    """Long rows in parts, whole, and short columns."""
    shapes = (
        ("whole", reduction.Shape(256, True, 1, 1, False)),
        ("part", reduction.Shape(32, True, 2, 2, True)),
        ("last", reduction.Shape(8, False, 1, 1, False)),
        ("whole", reduction.Shape(1, False, 1, 1, False)),
    )
    for fold in reduction.FOLDS.values():
        for dtype in ALL:
            for stage, shape in shapes if dtype in _USUAL else shapes[:1]:
                yield reduction.entry(fold, dtype, stage, shape)


def contractions() -> Iterator[Entry]:
    """Every tile that a dtype may use; operands along rows and columns for float32."""
    for dtype in ALL[1:]:
        for tile in contraction.tiles_of(dtype):
            for rows in ((True, True), (True, False), (False, True)) if dtype in ("f4", "f8") else ((True, True),):
                yield contraction.entry(dtype, contraction.Form(tile, *rows, 1))
