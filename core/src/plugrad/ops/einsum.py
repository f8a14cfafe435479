"""Einstein summation: subscripts name the axes of each operand; the sum of products runs over names that the result
lacks.

Any number of operands is contracted two at a time, each pair as one matrix product (or one elementwise product where
nothing is summed), so derivatives, batching and dtypes are those of the ops below. The order of the pairs comes from
opt_einsum where it is installed (Smith and Gray, "opt_einsum", Journal of Open Source Software 2018), else from
``numpy.einsum_path``.
"""

from __future__ import annotations

import functools
import importlib
import math
import string
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import bind
from ..dtypes import DTYPES, KIND, int64, promote
from ..errors import ShapeError
from ..tensor import Tensor
from .common import alias, cast, tensors
from .contraction import MATMUL
from .elementwise import not_equal
from .movement import SLICE, permute_dims, reshape, reshaped
from .reduction import sum as sum_

__all__ = ["einsum"]

Label = Hashable
Labels = tuple[Label, ...]
Sizes = tuple[int, ...]
Shapes = tuple[Sizes, ...]
Path = tuple[tuple[int, ...], ...]
Step = tuple[int, int, frozenset[Label]]
"""Two places in the list of what is left, the second after the first, and the names that are needed later."""
_NO_LIMIT = 2**62


def einsum(subscripts: Any, *operands: Any, optimize: Any = "auto") -> Tensor:
    """Sum of products by NumPy's rules: ``einsum("ij,jk->ik", a, b)``, or ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.

    A name that occurs twice in one operand takes its diagonal; ``...`` stands for axes that broadcast; an axis of size
    1 broadcasts against any. Without ``->`` the result has the names that occur once, in order, after the axes of
    ``...``. Operands promote; results of bool operands are whether any product is true.

    ``optimize``: "auto", "optimal" or "greedy" order of the pairs, False for left to right, or a path as
    ``numpy.einsum_path`` gives it. ShapeError where sizes of one name disagree or names and axes differ in number;
    ValueError for what is not a subscript.

    >>> a, b = asarray([[1.0, 2.0], [3.0, 4.0]]), asarray([1.0, 10.0])
    >>> einsum("ij,j->i", a, b).tolist(), einsum("ii", a).item(), einsum(a, [0, 1], [1, 0]).tolist()
    ([21.0, 43.0], 5.0, [[1.0, 3.0], [2.0, 4.0]])
    """
    terms, output, given = _parsed(subscripts, operands)
    xs = tensors(*given)
    if not isinstance(optimize, (str, bool)):
        optimize = tuple([tuple(step) for step in optimize if not isinstance(step, str)])
    terms, output, steps = _prepared(terms, output, tuple([x.shape for x in xs]), optimize)
    code = functools.reduce(functools.partial(promote, "einsum"), [x.dt for x in xs])
    counted = int64 if KIND[code] == "b" else DTYPES[code]
    parts = [_simple(cast(x, counted), labels) for x, labels in zip(xs, terms, strict=True)]
    for i, j, keep in steps:
        two, one = parts.pop(j), parts.pop(i)
        parts.append(_product(one, two, keep))
    out = _ordered(_summed(parts[0], output), output)
    return not_equal(out, 0) if KIND[code] == "b" else alias(out) if out is xs[0] else out


# -- reading the subscripts


def _parsed(subscripts: Any, operands: tuple[Any, ...]) -> tuple[tuple[Labels, ...], Labels | None, Sequence[Any]]:
    """The names of each operand's axes and of the result's (None: implicit), and the operands."""
    output: Labels | None
    if isinstance(subscripts, str):
        terms, output = _read(subscripts)
    else:
        listed, last = (subscripts, *operands), len(operands) % 2 == 0
        operands = listed[: len(listed) - last : 2]
        terms = tuple([tuple(labels) for labels in listed[1::2]])
        output = tuple(listed[-1]) if last else None
    if len(terms) != len(operands):
        raise ShapeError(f"einsum: {len(terms)} terms of subscripts for {len(operands)} operands; give one for each")
    return terms, output, operands


@functools.lru_cache(1024)
def _read(subscripts: str) -> tuple[tuple[Labels, ...], Labels | None]:
    inputs, arrow, output = subscripts.partition("->")
    terms = tuple([_letters(term, subscripts) for term in inputs.split(",")])
    return terms, _letters(output, subscripts) if arrow else None


def _letters(term: str, subscripts: str) -> Labels:
    """The letters of one term, ``...`` as Ellipsis."""
    before, dots, after = term.replace(" ", "").partition("...")
    if bad := next((c for c in before + after if not c.isalpha()), ""):
        raise ValueError(f"einsum: {bad!r} in {subscripts!r} names no axis; use letters, ',', '->' and '...'")
    return (*before, *(...,) * bool(dots), *after)


@functools.lru_cache(1024)
def _prepared(
    terms: tuple[Labels, ...], output: Labels | None, shapes: Shapes, optimize: Any
) -> tuple[tuple[Labels, ...], Labels, tuple[Step, ...]]:
    """Terms and output with a name for every axis (None for one that broadcasts), and the products to take."""
    rank = max([len(s) - len(t) + 1 for t, s in zip(terms, shapes, strict=True) if ... in t], default=0)
    full = tuple([_named(i, t, len(s) - len(t) + 1, s) for i, (t, s) in enumerate(zip(terms, shapes, strict=True))])
    every = [label for labels in full for label in labels]
    around = tuple([(..., k) for k in reversed(range(rank))])
    if output is None:
        names: Any = {label for label in every if label not in around and every.count(label) == 1}
        output = (*around, *sorted(names))
    else:
        at = output.index(...) if ... in output else len(output)
        if at == len(output) and rank:
            raise ShapeError(f"einsum: the result must have ... too, for the {rank} axes that it stands for")
        output = (*output[:at], *around, *output[at + 1 :])
    for label in output:
        if output.count(label) > 1 or label not in every:
            fault = "twice in the result" if label in every else "in the result, but in no operand"
            raise ValueError(f"einsum: {label!r} is {fault}; name each axis of the result once")
    sizes = _sizes(full, shapes)
    spread = [[d == 1 != sizes[n] for n, d in zip(t, s, strict=True)] for t, s in zip(full, shapes, strict=True)]
    kept = tuple(
        [tuple([None if b else n for n, b in zip(t, s, strict=True)]) for t, s in zip(full, spread, strict=True)]
    )
    return kept, output, _steps(kept, output, _path(kept, output, sizes, optimize))


def _named(i: int, labels: Labels, missing: int, shape: Sizes) -> Labels:
    """One operand's names with those of the axes that ``...`` stands for, which are counted from the last."""
    if labels.count(...) > 1 or missing < 0 or (... not in labels and missing != 1):
        rule = "each axis needs one name, and ... stands once for the rest"
        shown = "".join(["..." if n is ... else str(n) for n in labels])
        raise ShapeError(f"einsum: operand {i} of shape {shape} has {len(shape)} axes for subscripts {shown!r}; {rule}")
    if ... not in labels:
        return labels
    at = labels.index(...)
    return (*labels[:at], *[(..., k) for k in reversed(range(missing))], *labels[at + 1 :])


def _sizes(terms: tuple[Labels, ...], shapes: Shapes) -> dict[Label, int]:
    """The size of every name; that of an axis of size 1 is whatever the others have."""
    sizes: dict[Label, int] = {}
    for labels, shape in zip(terms, shapes, strict=True):
        own: dict[Label, int] = {}
        for label, d in zip(labels, shape, strict=True):
            if own.setdefault(label, d) != d or (1 not in (d, sizes.get(label, 1)) and sizes[label] != d):
                which = "an axis of ..." if isinstance(label, tuple) else f"the name {label!r}"
                both = f"{own[label] if own[label] != d else sizes[label]} and {d}"
                raise ShapeError(
                    f"einsum: {which} has sizes {both} in shapes {', '.join(map(str, shapes))}; they must agree"
                )
            if sizes.get(label, 1) == 1:
                sizes[label] = d
    return sizes


# -- the order of the products


@functools.cache
def _opt_einsum() -> Callable[..., Any] | None:
    """Its search for a path, if it is installed."""
    try:
        found: Callable[..., Any] = importlib.import_module("opt_einsum").contract_path
    except ImportError:
        return None
    return found


def _path(terms: tuple[Labels, ...], output: Labels, sizes: dict[Label, int], optimize: Any) -> Path:
    """Which operands to multiply in each step; the result of a step goes to the end of the list."""
    count = len(terms)
    if isinstance(optimize, tuple):
        return _checked(optimize, count)
    if isinstance(optimize, str) and optimize not in ("auto", "optimal", "greedy"):
        raise ValueError(f"einsum: optimize is {optimize!r}; use 'auto', 'optimal', 'greedy', True, False or a path")
    if count < 3 or optimize is False:
        return (tuple(range(count)),)
    letters = dict(zip(sizes, string.ascii_letters, strict=False))
    if len(letters) < len(sizes):
        return (tuple(range(count)),)  # neither library has so many letters
    named = [[n for n in dict.fromkeys(labels) if n is not None] for labels in terms]
    inputs = ",".join(["".join([letters[n] for n in labels]) for labels in named])
    equation = f"{inputs}->{''.join([letters[n] for n in output])}"
    shapes = [tuple([sizes[n] for n in labels]) for labels in named]
    if (search := _opt_einsum()) is not None:
        return tuple(search(equation, *shapes, shapes=True, optimize="auto" if optimize is True else optimize)[0])
    kind = ("optimal" if count < 5 else "greedy") if optimize in ("auto", True) else optimize
    arrays = [np.broadcast_to(np.float32(0), shape) for shape in shapes]  # their elements are not looked at
    found: Any = np.einsum_path(equation, *arrays, optimize=(kind, _NO_LIMIT))[0]
    return tuple(found[1:])


def _checked(path: Path, count: int) -> Path:
    left = count
    for step in path:
        if len(set(step)) != len(step) or not step or min(step) < 0 or max(step) >= left:
            raise ValueError(f"einsum: step {step} of the path does not name some of the {left} operands left")
        left -= len(step) - 1
    return path if left == 1 else (*path, tuple(range(left)))


def _steps(terms: tuple[Labels, ...], output: Labels, path: Path) -> tuple[Step, ...]:
    """The path in products of two, the first two of a longer step first, each with the names that are needed later."""
    left, steps = [set(labels) for labels in terms], []
    for step in path:
        places = sorted(step)
        while len(places) > 1:
            i, j = sorted(places[:2])
            two, one = left.pop(j), left.pop(i)
            keep = frozenset(output).union(*left)
            steps.append((i, j, keep))
            left.append((one | two) & keep)
            places = [len(left) - 1, *[k - (k > i) - (k > j) for k in places[2:]]]
    return tuple(steps)


# -- products of two, with the names of their axes

Part = tuple[Tensor, Labels]


def _simple(x: Tensor, labels: Labels) -> Part:
    """Without axes that only broadcast, and with one axis for each name: the diagonal of several."""
    if None in labels:
        x = reshape(x, tuple([d for d, n in zip(x.shape, labels, strict=True) if n is not None]))
        labels = tuple([n for n in labels if n is not None])
    while len(set(labels)) < len(labels):
        one = next(n for n in labels if labels.count(n) > 1)
        i, j = [i for i, n in enumerate(labels) if n == one][:2]
        rest = [k for k in range(x.ndim) if k not in (i, j)]
        size, shape = x.shape[i], tuple([x.shape[k] for k in rest])
        flat = reshape(permute_dims(x, (*rest, i, j)), (*shape, size * size))
        region = {"start": (0,) * flat.ndim, "size": (*shape, size), "step": (*(1,) * len(shape), size + 1)}
        x, labels = bind(SLICE, (flat,), region), (*[labels[k] for k in rest], one)
    return x, labels


def _summed(part: Part, keep: Collection[Label]) -> Part:
    """Summed over the names that nobody needs, in the dtype of the operand."""
    x, labels = part
    axes = tuple([i for i, n in enumerate(labels) if n not in keep])
    return (sum_(x, axes, dtype=x.dtype), tuple([n for n in labels if n in keep])) if axes else part


def _ordered(part: Part, labels: Labels) -> Tensor:
    """The axes in this order."""
    x, own = part
    return x if own == labels else permute_dims(x, [own.index(n) for n in labels])


class _Form(NamedTuple):
    """How two operands are laid out for a product: order and shape of each, shape and names of the result."""

    one: tuple[Labels, Sizes]
    two: tuple[Labels, Sizes]
    summed: bool
    result: tuple[Labels, Sizes]


@functools.lru_cache(4096)
def _form(one: Labels, a: Sizes, two: Labels, b: Sizes, keep: frozenset[Label]) -> _Form:
    """As a matrix product over the names of both that are not kept, with those that are kept as leading axes; where
    there is nothing to sum, as an elementwise product.
    """
    size = dict(zip(one + two, a + b, strict=True))
    both = [n for n in one if n in two]
    batch, inner = [n for n in both if n in keep], [n for n in both if n not in keep]
    left, right = [n for n in one if n not in both], [n for n in two if n not in both]
    first, rows, depth, columns = [tuple([size[n] for n in group]) for group in (batch, left, inner, right)]
    if inner:
        many = (math.prod(first),) * bool(batch)
        shapes = (*many, math.prod(rows), math.prod(depth)), (*many, math.prod(depth), math.prod(columns))
    else:
        shapes = (*first, *rows, *(1,) * len(right)), (*first, *(1,) * len(left), *columns)
    orders, result = ((*batch, *left, *inner), (*batch, *inner, *right)), (*batch, *left, *right)
    return _Form((orders[0], shapes[0]), (orders[1], shapes[1]), bool(inner), (result, (*first, *rows, *columns)))


def _product(one: Part, two: Part, keep: frozenset[Label]) -> Part:
    """The product of two, summed over the names that are not kept: those of one operand alone before it."""
    one, two = _summed(one, keep.union(two[1])), _summed(two, keep.union(one[1]))
    form = _form(one[1], one[0].shape, two[1], two[0].shape, keep)
    a = reshaped(_ordered(one, form.one[0]), form.one[1])
    b = reshaped(_ordered(two, form.two[0]), form.two[1])
    return reshaped(bind(MATMUL, (a, b), {}) if form.summed else a * b, form.result[1]), form.result[0]
