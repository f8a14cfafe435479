"""Structured control flow over pytrees: ``cond``, ``while_loop``, ``scan``, ``fori_loop``, with the meaning that they
have in JAX.

Outside a graph they run as Python does. In a graph (``stage``, ``compile``) each is one equation, never unrolled, whose
functions are graphs of their own. Functions may use, and be differentiated with respect to, tensors from outside;
writes to those (a generator's draws and running statistics too) happen once for each time that the function runs.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from . import structured, tree
from .dtypes import KIND, bool_
from .errors import ArgumentError, DTypeError, PlugradError, ShapeError, article
from .ops.common import device_of
from .ops.creation import arange, asarray
from .parameter import Buffer
from .state import state
from .tape import entering, plain
from .tensor import Tensor, Tensors
from .transforms import as_tensor, functions

F = Callable[..., Any]


def _tensors(what: str, x: Any, device: str | None, real: Any = None) -> Any:
    """Numbers (floats of dtype ``real``) and arrays in tuples, lists and dicts become tensors; the errors of what
    cannot say ``what`` it is.
    """
    try:
        return _converted(x, device, real)
    except RecursionError:
        raise ShapeError(f"{what}: {tree.too_deep(x)}") from None
    except PlugradError as error:
        error.args = (f"{what}: {error}",)
        raise


def _converted(x: Any, device: str | None, real: Any) -> Any:
    if type(x) is float:
        return asarray(x, dtype=real, device=device)
    if isinstance(x, (bool, int, float, complex)) or (hasattr(x, "__array__") and not isinstance(x, Tensor)):
        return asarray(x, device=device)
    if isinstance(x, dict):
        kind = OrderedDict if isinstance(x, OrderedDict) else dict
        return kind((key, _converted(v, device, real)) for key, v in x.items())
    if isinstance(x, (tuple, list)):
        parts = [_converted(v, device, real) for v in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


class _Tree:
    """The leaves of a tree of operands, and its structure."""

    def __init__(self, x: Any, unique: bool = False) -> None:
        self.leaves, _, self.build = tree.flatten(x, unique=unique)

    def again(self, leaves: Any) -> Any:
        """The tree around new leaves, as handles that may be written to. A Buffer is state: the caller's own stays."""
        pairs = zip(self.leaves, leaves, strict=True)
        return self.build([b if isinstance(b, Buffer) else plain(entering(x)) for b, x in pairs])

    def agree(self, what: str, name: str, other: _Tree, verbs: tuple[str, str]) -> None:
        """ShapeError or DTypeError unless another tree has this one's structure, shapes, dtypes and devices."""
        if self.build != other.build:
            a, b = [", ".join(tree.paths(t.build, name)) or "no tensor" for t in (self, other)]
            rule = "structures must agree" + (", containers and what is no tensor too" if a == b else "")
            raise ShapeError(f"{what}: {name} {verbs[0]} with {a}, {verbs[1]} with {b}; {rule}")
        for i, (x, y) in enumerate(zip(self.leaves, other.leaves, strict=True)):
            if (x.shape, x.dt, x.be, x.dev) != (y.shape, y.dt, y.be, y.dev):
                path = tree.paths(self.build, name)[i]
                error = ShapeError if x.shape != y.shape else DTypeError
                at = [f" on {t.device}" if x.device != y.device else "" for t in (x, y)]
                found = [f"as {t.dtype} {t.shape}{where}" for t, where in zip((x, y), at, strict=True)]
                rule = "they must agree" + (
                    "; cast one with .astype(), or give a number as a tensor" if x.dt != y.dt else ""
                )
                raise error(f"{what}: {path} {verbs[0]} {found[0]}, {verbs[1]} {found[1]}; {rule}")


class _Carry(_Tree):
    """What a loop carries. A Python float in it adapts to the floating tensors beside it, the rows among them."""

    def __init__(self, what: str, init: Any, xs: Any = None) -> None:
        beside = [t for t in tree.leaves((init, xs)) if isinstance(t, Tensor)]
        self.what, self.device = what, device_of(*beside)
        found = {t.dtype for t in beside if KIND[t.dt] == "f"}
        self.real = found.pop() if len(found) == 1 else None
        super().__init__(_tensors(f"{what}: init", init, self.device, self.real))

    def step(self, new: Any) -> list[Any]:
        """The leaves of what a step gives, which must be like those that it got."""
        found = _Tree(_tensors(f"{self.what}: the carry", new, self.device, self.real))
        self.agree(self.what, "carry", found, ("enters", "leaves"))
        return found.leaves


def _predicate(what: str, p: Any) -> Tensor:
    try:
        t = p if isinstance(p, Tensor) else asarray(p)
    except PlugradError as error:
        error.args = (f"{what}: the predicate: {error}",)
        raise
    if t.shape != ():
        remedy = "reduce it with .any() or .all(), or map over it with vmap"
        raise ShapeError(f"{what}: the predicate has shape {t.shape}, it must be a scalar; {remedy}")
    return t if t.dtype == bool_ else t != 0


def cond(pred: Any, true_fn: F, false_fn: F, *operands: Any) -> Any:
    """``true_fn(*operands)`` if the scalar ``pred`` holds, else ``false_fn(*operands)``.

    Only that branch runs, unless under ``vmap`` the predicate differs between examples: then both run, each on operands
    of examples that take it, so that a NaN of the other branch reaches neither values nor derivatives. A Python bool
    decides while staging. In a graph both branches must give trees of one structure, shapes and dtypes; the derivative
    runs the branch again.

    >>> import plugrad
    >>> f = lambda x: cond(x > 0, lambda v: v * v, lambda v: -v, x)
    >>> f(plugrad.asarray(3.0)).item(), plugrad.grad(f)(-2.0).item()
    (9.0, -1.0)
    """
    functions("cond", true_fn=true_fn, false_fn=false_fn)
    given = _Tree([as_tensor(x) for x in operands], unique=True)
    device, results = device_of(pred, *given.leaves), {}

    def run(which: str) -> F:
        def flat(*leaves: Tensor) -> list[Any]:
            f = true_fn if which == "true_fn" else false_fn
            results[which] = found = _Tree(_tensors("cond: a result", f(*given.again(leaves)), device))
            if len(results) == 2:
                results["true_fn"].agree("cond", "result", found, ("comes from true_fn", "from false_fn"))
            return found.leaves

        return flat

    if isinstance(pred, (bool, np.bool_)):
        leaves: Any = run("true_fn" if pred else "false_fn")(*given.leaves)
    else:
        leaves = structured.choose(_predicate("cond", pred), (run("true_fn"), run("false_fn")), given.leaves)
    return next(iter(results.values())).again(leaves)


def while_loop(cond_fn: F, body_fn: F, init: Any, *, max_steps: int | None = None) -> Any:
    """``init`` after as many ``body_fn`` as it takes until ``cond_fn`` of it, a scalar, no longer holds.

    ``body_fn`` must keep the structure, shapes and dtypes of its argument. Under ``vmap`` the loop runs until the last
    example is done; the others keep what they have. In a graph the backward runs the loop again and keeps the carry of
    each step; a gradient of that gradient needs ``max_steps``: then the loop is a ``scan`` over so many steps, and
    stops there in any case.

    >>> while_loop(lambda x: x < 100, lambda x: x * 2, 3).item()
    192
    """
    functions("while_loop", cond_fn=cond_fn, body_fn=body_fn)
    carry = _Carry("while_loop", init)
    if not carry.leaves:
        raise ShapeError("while_loop: init holds no tensor; give what the loop changes")
    if max_steps is not None:
        return _bounded(cond_fn, body_fn, carry, _whole("while_loop: max_steps", max_steps))

    def test(*leaves: Tensor) -> Tensors:
        return (_predicate("while_loop", cond_fn(carry.again(leaves))),)

    def body(*leaves: Tensor) -> list[Any]:
        return carry.step(body_fn(carry.again(leaves)))

    return carry.again(structured.iterate(test, body, carry.leaves))


def _bounded(cond_fn: F, body_fn: F, carry: _Carry, most: int) -> Any:
    """In a graph a scan of conds; else a loop that counts."""
    init = carry.build(carry.leaves)

    def test(c: Any) -> Tensor:
        return _predicate("while_loop", cond_fn(c))

    if state().stage is None:
        count = asarray(0, device=carry.device)
        counted = lambda c: cond(c[0] < most, test, lambda _: False, c[1])  # noqa: E731
        return while_loop(counted, lambda c: (c[0] + 1, body_fn(c[1])), (count, init))[1]
    return scan(lambda c, _: (cond(test(c), body_fn, lambda c: c, c), None), init, length=most)[0]


def scan(f: F, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` for each row ``x`` of ``xs`` along axis 0, beginning with the carry ``init``: the last
    carry, and the ys stacked along axis 0, in the order of the rows.

    ``xs`` is a tree of tensors of one length, or None with ``length`` given. ``f`` must keep the structure, shapes and
    dtypes of the carry. ``reverse`` begins with the last row. In a graph the backward keeps the carries and runs each
    step again; elsewhere it is that of the steps written one after the other.

    >>> import plugrad
    >>> total, sums = scan(lambda c, x: (c + x, c + x), 0.0, plugrad.asarray([1.0, 2.0, 3.0]))
    >>> total.item(), sums.tolist()
    (6.0, [1.0, 3.0, 6.0])
    """
    functions("scan", f=f)
    return _scan("scan", f, init, xs, length, reverse)


def _scan(name: str, f: F, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """``scan`` for the function called ``name``."""
    carry = _Carry(name, init, xs)
    rows = _Tree(_tensors("scan: xs", xs, carry.device))
    n = _length(rows, length)
    results: list[_Tree] = []
    k, leaves = len(carry.leaves), rows.leaves
    if not k and not leaves:  # an op needs an operand
        leaves = [arange(n, device=carry.device)]

    def step(*flat: Tensor) -> list[Any]:
        found = f(carry.again(flat[:k]), rows.again(flat[k : k + len(rows.leaves)]))
        if not isinstance(found, tuple) or len(found) != 2:
            raise ShapeError(f"scan: the function returned a {type(found).__name__}; it must return a pair, (carry, y)")
        new = carry.step(found[0])
        y = _Tree(_tensors("scan: y", found[1], carry.device))
        if results:
            results[0].agree("scan", "y", y, ("begins", "goes on"))
        results[:] = [y]
        return [*new, *y.leaves]

    out = structured.fold(step, carry.leaves, leaves, n, reverse)
    return carry.again(out[:k]), results[0].build(out[k:])


def _length(rows: _Tree, length: int | None) -> int:
    """How many rows the operands of a scan have."""
    sizes = {} if length is None else {_whole("scan: length", length): f"length={length}"}
    for path, x in zip(tree.paths(rows.build, "xs"), rows.leaves, strict=True):
        if not x.ndim:
            raise ShapeError(f"scan: {path} is a scalar, which has no rows; put it in the carry, or let f capture it")
        sizes.setdefault(x.shape[0], f"{path} of shape {x.shape}")
    if len(sizes) != 1:
        got = " and ".join(sizes.values()) or "neither xs nor length"
        raise ShapeError(f"scan: got {got}; give xs whose sizes along axis 0 agree, or length=")
    return next(iter(sizes))


def fori_loop(lower: Any, upper: Any, body_fn: F, init: Any) -> Any:
    """``init`` after ``body_fn(i, carry)`` for i from ``lower`` to ``upper - 1``: a scan if both are Python integers,
    else a ``while_loop``.

    >>> fori_loop(1, 5, lambda i, x: x * i, 1).item()
    24
    """
    functions("fori_loop", body_fn=body_fn)
    if isinstance(lower, int) and isinstance(upper, int):
        steps = arange(lower, max(lower, upper), device=device_of(*tree.leaves(init)))
        return _scan("fori_loop", lambda c, i: (body_fn(i, c), None), init, steps)[0]
    _bound("lower", lower)
    _bound("upper", upper)
    return while_loop(lambda c: c[0] < upper, lambda c: (c[0] + 1, body_fn(c[0], c[1])), (lower, init))[1]


def _whole(what: str, n: Any) -> int:
    """A number of steps; ArgumentError for what is none."""
    try:
        n = operator.index(n)
    except (TypeError, ShapeError):
        raise ArgumentError(f"{what}: got {article(type(n).__name__)}, where an integer is needed") from None
    if n < 0:
        raise ArgumentError(f"{what}: {n} is negative; give 0 or more steps")
    return n


def _bound(name: str, x: Any) -> None:
    """ArgumentError unless ``x`` is an integer or a tensor with one."""
    if isinstance(x, Tensor) and x.shape == () and KIND[x.dt] in "iu":
        return
    if not isinstance(x, int):
        got = x.describe() if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"fori_loop: {name} is {article(got)}; give an integer, or a scalar tensor of integers")
