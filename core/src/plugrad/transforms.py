"""The public transformations, over pytrees: reverse and forward mode, batching, Jacobians, staging."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from . import tree
from .dtypes import KIND
from .errors import ArgumentError, DTypeError, ShapeError, StateError, article, shown
from .interpreters.levels import JVP, Batch
from .interpreters.stage import Graph, Stage
from .module import Module
from .ops import creation, movement
from .parameter import Buffer, Parameter
from .state import Scope, state
from .tape import backprop, entering, leaf, live, plain, strip
from .tensor import Node, Tensor

F = Callable[..., Any]


def as_tensor(x: Any) -> Any:
    """A bare number or array counts as a tensor."""
    if not isinstance(x, Tensor) and (isinstance(x, (float, complex)) or hasattr(x, "__array__")):
        return creation.asarray(x)
    return x


def as_array(x: Any) -> Any:
    """As ``as_tensor``, but Python numbers stay as they are: they are weak, a tensor would not be."""
    return x if isinstance(x, (float, complex)) else as_tensor(x)


def as_leaves(x: Any, unique: bool = True) -> tree.Flat:
    """Flatten an argument or a result."""
    return tree.flatten(as_tensor(x), unique=unique)


def paired(structure: tree.TreeDef, primals: Sequence[Tensor], given: Any, what: str) -> list[Tensor | None]:
    """The tangents or cotangents of a tree by the places of the primals, on their devices and in their dtypes."""
    found: list[Tensor | None] = tree.leaves_like(structure, given, what)
    for i, (x, t) in enumerate(zip(primals, found, strict=True)):
        if t is not None and t.shape != x.shape:
            raise ShapeError(f"{what} of shape {t.shape} for a primal of shape {x.shape}; they must agree")
        found[i] = None if t is None else creation.to(t, x.device).astype(x.dtype)
    return found


def named(f: F, what: str) -> str:
    """How messages call a transformation of ``f``; ArgumentError for what is no function."""
    if not callable(f):
        raise ArgumentError(f"{what}: got {article(type(f).__name__)} where a function is needed")
    return f"{what}({getattr(f, '__name__', type(f).__name__)})"


def functions(what: str, **fs: Any) -> None:
    """ArgumentError, naming the argument, unless all of them are functions."""
    for name, f in fs.items():
        named(f, f"{what}: {name}")


def _nothing(what: str, given: Any, leaves: Sequence[Tensor]) -> DTypeError:
    """The error for an argument without anything that has a derivative."""
    got = "; ".join(dict.fromkeys([t.describe() for t in leaves])) or type(given).__name__
    remedy = "give floating-point tensors (cast with .astype(plugrad.float32)), or a Module with Parameters"
    return DTypeError(f"{what} nothing to differentiate, but {got}; {remedy}")


def _with(args: Sequence[Any], numbers: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The arguments with other values at some places."""
    full = list(args)
    for n, value in zip(numbers, values, strict=True):
        full[n] = value
    return full


# -- reverse mode


def vjp(f: F, *primals: Any, has_aux: bool = False) -> Any:
    """``y, pullback``: the result of ``f`` and the function that maps a cotangent of ``y`` to cotangents of the
    primals, a tuple of trees.

    Floating tensors of a pytree are differentiated; of a Module its Parameters, everything else comes back as None.
    With ``has_aux`` the function returns (y, aux), and the result is (y, pullback, aux). The pullback may be called
    any number of times, and is itself differentiable.

    >>> import plugrad
    >>> y, pullback = vjp(lambda x: x * x, plugrad.asarray([3.0]))
    >>> pullback(plugrad.asarray([1.0]))[0].tolist()
    [6.0]
    """
    named(f, "vjp")
    leaves, trained, build = tree.flatten_each([as_tensor(p) for p in primals])
    with Scope() as scope:
        # a Module in functional use is off the user's tape, or every loss that is kept would hold it whole
        inputs = [leaf(t, scope, int(isinstance(t, Parameter))) if on else t for t, on in zip(leaves, trained)]
        nodes = [t.node if on else None for t, on in zip(inputs, trained)]  # before f writes to its arguments
        result = f(*build(inputs))
        y, aux = result if has_aux else (result, None)
        outputs, _, build_y = as_leaves(y, unique=False)
        ends = [plain(t) for t in outputs]
        y = build_y([strip(t, scope) for t in outputs])
        aux = tree.map(lambda t: strip(t, scope), aux)
    likes = [t.ghost(None, 0) for t in inputs]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = paired(build_y, ends, as_tensor(cotangent), "pullback: the cotangent")
        seeds = [(y, g) for y, g in zip(ends, given, strict=True) if g is not None]
        found = backprop(seeds, nodes, scope.bit, scope.start)
        return build([x.zeros_like() if g is None and on else g for x, g, on in zip(likes, found, trained)])

    return (y, pullback, aux) if has_aux else (y, pullback)


def value_and_grad(f: F, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> F:
    """A function returning the value of ``f`` and its gradient with respect to the arguments ``argnums`` (a tuple of
    gradients for a tuple).

    ``f`` must return a real scalar; with ``has_aux`` a pair (scalar, aux), and the value is that pair. Gradients have
    the structure of the argument; for a Module the Parameters are filled and all else is None.

    >>> import plugrad
    >>> value_and_grad(lambda x: (x * x).sum())(plugrad.asarray([1.0, 2.0]))[1].tolist()
    [2.0, 4.0]
    """
    return _graded("value_and_grad", f, argnums, has_aux)


def _graded(what: str, f: F, argnums: Any, has_aux: bool) -> F:
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    name = named(f, what)

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for n in numbers:
            if not isinstance(n, int) or not -len(args) <= n < len(args):
                raise ShapeError(f"{name}: argnums {shown(n)} is out of range for {len(args)} positional arguments")
            leaves, trained, _ = as_leaves(args[n])
            if not any(trained):
                raise _nothing(f"{name}: argument {n} holds", args[n], leaves)

        def partial(*chosen: Any) -> Any:
            result = f(*_with(args, numbers, chosen), **kwargs)
            y = result[0] if has_aux and isinstance(result, tuple) else result
            if not isinstance(y, Tensor) or y.shape != () or KIND[y.dt] != "f":
                got = article(y.describe() if isinstance(y, Tensor) else f"Python {type(y).__name__}")
                remedy = "reduce the tensor with .sum() or .mean(), and return it without item() or float()"
                if isinstance(y, tuple):
                    remedy = "return the scalar first and say has_aux=True"
                raise ShapeError(f"{name}: the function returned {got}; grad needs a real floating scalar: {remedy}")
            return result

        y, pullback, *aux = vjp(partial, *[args[n] for n in numbers], has_aux=has_aux)
        grads = pullback(y.ones_like())
        return ((y, *aux) if has_aux else y), grads if isinstance(argnums, tuple) else grads[0]

    return wrapped


def grad(f: F, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> F:
    """A function returning the gradient of the scalar function ``f`` with respect to the arguments ``argnums``; with
    aux, (gradient, aux).

    >>> grad(grad(lambda x: x ** 3))(2.0).item()
    12.0
    """
    both = _graded("grad", f, argnums, has_aux)

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        y, g = both(*args, **kwargs)
        return (g, y[1]) if has_aux else g

    return wrapped


# -- forward mode


def jvp(f: F, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """``y, dy``: the result of ``f`` and its derivative in the direction of the tangents, which have the primals'
    structure.

    For a Module, the tangent is a tree of the same structure, such as a gradient: Parameters filled, all else None.

    >>> import plugrad
    >>> y, dy = jvp(lambda x: x * x, (plugrad.asarray(3.0),), (plugrad.asarray(1.0),))
    >>> dy.item()
    6.0
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise ShapeError("jvp: primals and tangents must be tuples, one entry an argument: jvp(f, (x,), (t,))")
    if len(primals) != len(tangents):
        raise ShapeError(f"jvp: {len(primals)} primals and {len(tangents)} tangents; give one tangent for each primal")
    named(f, "jvp")
    leaves, trained, build = tree.flatten_each([as_tensor(p) for p in primals])
    if leaves and not any(trained):
        raise _nothing(f"{named(f, 'jvp')}: the primals hold", primals, leaves)
    given = paired(build, leaves, tuple([as_tensor(t) for t in tangents]), "jvp: the tangent")
    with JVP() as level:
        rows = zip(leaves, given, trained)
        duals = [level.wrap(plain(entering(x)), plain(t)) if on and t is not None else x for x, t, on in rows]
        outputs, _, build_y = as_leaves(f(*build(duals)))
        pairs = [(y.val, y.aux) if y.tr is level else (y, None) for y in outputs]
    return build_y([y for y, _ in pairs]), build_y([y.zeros_like() if t is None else t for y, t in pairs])


# -- batching


def vmap(f: F, in_axes: Any = 0, out_axes: Any = 0, randomness: str = "error") -> F:
    """``f`` over a batch: written for one example, run once for all.

    ``in_axes`` is an axis number, None (not mapped), or a tuple of these or of trees of these, one for each argument;
    ``out_axes`` says where the batch dimension goes in the results. A draw from a random generator raises, unless
    ``randomness`` is "same" (one draw for all) or "different" (one each). Keyword arguments are not mapped.

    >>> import plugrad
    >>> vmap(lambda x, y: x * y.sum(), in_axes=(0, None))(plugrad.asarray([1.0, 2.0]), plugrad.ones(3)).tolist()
    [3.0, 6.0]
    """
    if not isinstance(randomness, str) or randomness not in ("error", "same", "different"):
        raise ValueError(f"vmap: randomness {shown(randomness)} is unknown; use 'error', 'same' or 'different'")

    name = named(f, "vmap")

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ShapeError(f"{name}: in_axes has {len(axes)} entries for {len(args)} arguments")
        # one axis number for a whole argument keeps tied leaves tied; a tree of axes may map two uses differently
        unique = [a is None or isinstance(a, int) for a in axes]
        leaves, _, build = tree.flatten_each([as_tensor(x) for x in args], unique)
        places = tree.leaves_like(build, axes, f"{name}: in_axes", numbers=True)
        owners = tree.leaves_like(build, tuple(range(len(args))), name, numbers=True)
        places = [None if isinstance(t, Buffer) else a for t, a in zip(leaves, places)]
        size = _batch_size(name, args, axes, zip(owners, leaves, places))
        moved = [t if a is None else movement.moveaxis(plain(entering(t)), a, 0) for t, a in zip(leaves, places)]
        with Batch(size, "ok" if randomness == "same" else randomness) as level:
            inner = build([t if a is None else level.wrap(t) for t, a in zip(moved, places)])
            outputs, _, build_y = as_leaves(f(*inner, **kwargs), unique=False)
            ys = [y.val if y.tr is level else None for y in outputs]
        targets = tree.leaves_like(build_y, out_axes, f"{name}: out_axes", numbers=True)
        return build_y([_placed(name, v, y, size, a) for v, y, a in zip(ys, outputs, targets, strict=True)])

    return wrapped


def _batch_size(name: str, args: Any, axes: Any, rows: Iterable[tuple[int, Tensor, Any]]) -> int:
    """The size that the mapped axes share; rows are the number of an argument, a leaf of it, and its axis."""
    shared = tuple([None if isinstance(x, Module) else a for x, a in zip(args, axes)])
    remedy = "give what all examples share the axis None in in_axes"
    if shared != tuple(axes):
        remedy = f"to share a Module between the examples, say in_axes={shared}"
    sizes = {}
    for i, t, a in [row for row in rows if row[2] is not None]:
        if not -t.ndim <= a < t.ndim:
            raise ShapeError(f"{name}: axis {a} is out of range for argument {i} of shape {t.shape}; {remedy}")
        sizes[t.shape[a]] = f"{t.shape[a]} from argument {i} of shape {t.shape} along axis {a}"
    if not sizes:
        raise ShapeError(f"{name}: no argument is mapped; give at least one an axis in in_axes")
    if len(sizes) > 1:
        raise ShapeError(f"{name}: batch sizes differ: {'; '.join(sizes.values())}; {remedy}")
    return next(iter(sizes))


def _placed(name: str, value: Tensor | None, y: Tensor, size: int, axis: int | None) -> Tensor:
    if axis is None:
        if value is not None:
            raise ShapeError(f"{name}: out_axes=None for a result that differs between examples; give an axis")
        return y
    if value is None:  # the same for every example
        value = movement.broadcast_to(movement.expand_dims(y), (size, *y.shape))
    return movement.moveaxis(value, 0, axis) if axis else value


# -- Jacobians and second order


def _basis(x: Tensor) -> Tensor:
    """Unit tangents of the shape of ``x``, one a row."""
    return movement.reshape(creation.eye(x.size, dtype=x.dtype, device=x.device), (x.size, *x.shape))


def _jacobian(name: str, f: F, argnums: int, derive: Callable[[F, Tensor], Tensor]) -> F:
    """``derive(g, x)``, for ``g`` the function of the argument at ``argnums`` alone."""
    named(f, name)

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(argnums, int):
            one = "it takes the number of one argument; differentiate by several with grad, or one after the other"
            raise ArgumentError(f"{name}: argnums is {shown(argnums)}; {one}")
        if not -len(args) <= argnums < len(args):
            raise ShapeError(f"{name}: argnums {shown(argnums)} is out of range for {len(args)} positional arguments")
        x = as_tensor(args[argnums])
        if not isinstance(x, Tensor) or KIND[x.dt] not in "fc":
            got = article(x.describe() if isinstance(x, Tensor) else type(x).__name__)
            raise DTypeError(f"{name}: got {got}; give one floating-point tensor; for a Module use hvp, grad or jvp")

        def partial(v: Tensor) -> Tensor:
            y = f(*_with(args, [argnums], [v]), **kwargs)
            if not isinstance(y, Tensor):
                got = article(type(y).__name__)
                raise ArgumentError(f"{name}: the function returned {got}; it must return one tensor")
            return y

        return derive(partial, x)

    return wrapped


def jacfwd(f: F, argnums: int = 0) -> F:
    """The Jacobian by forward mode, one column a tangent: shape ``y.shape + x.shape``.

    ``f`` maps a tensor to a tensor and runs once.
    """

    def derive(g: F, x: Tensor) -> Tensor:
        columns = vmap(lambda t: jvp(g, (x,), (t,))[1], out_axes=-1, randomness="same")(_basis(x))
        return movement.reshape(columns, (*columns.shape[:-1], *x.shape))

    return _jacobian("jacfwd", f, argnums, derive)


def jacrev(f: F, argnums: int = 0) -> F:
    """The Jacobian by reverse mode, one row a cotangent: shape ``y.shape + x.shape``.

    ``f`` maps a tensor to a tensor and runs once.
    """

    def derive(g: F, x: Tensor) -> Tensor:
        y, pullback = vjp(g, x)
        rows = vmap(lambda c: pullback(c)[0], randomness="same")(_basis(y))
        return movement.reshape(rows, (*y.shape, *x.shape))

    return _jacobian("jacrev", f, argnums, derive)


def hessian(f: F, argnums: int = 0) -> F:
    """The matrix of second derivatives of a scalar function of one tensor: shape ``x.shape + x.shape``. Forward over
    reverse.

    >>> import plugrad
    >>> hessian(lambda x: (x * x * x).sum())(plugrad.asarray([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    named(f, "hessian")
    return jacfwd(grad(f, argnums), argnums)


def hvp(f: F, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The product of the Hessian of a scalar function with a direction: a tree like the primal, or a tuple of them for
    several primals.
    """
    named(f, "hvp")
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise ShapeError("hvp: primals and tangents must be tuples, one entry an argument: hvp(f, (x,), (t,))")
    products = jvp(grad(f, tuple(range(len(primals)))), primals, tangents)[1]
    return products[0] if len(primals) == 1 else products


# -- staging


class _Results(NamedTuple):
    """Results that are more than values: Buffers from outside, which stay the caller's own, by place; and the places of
    leaves that the function made.
    """

    own: dict[int, Buffer]
    trained: tuple[int, ...]


class Staged:
    """A function staged for certain shapes and dtypes: call it with arguments of the same structure.

    ``graph`` holds the equations, ``modules`` the Modules that the function called.
    """

    def __init__(
        self, graph: Graph, build: tree.TreeDef, arguments: tree.TreeDef, modules: list[Module], results: _Results
    ) -> None:
        self.graph, self._build, self._arguments, self.modules = graph, build, arguments.signature(), modules
        self._results = results
        self.bare = build.root == 0 and build.successors == [None] and not (results.own or results.trained)
        """The result is a single tensor as it is."""

    def build(self, leaves: Sequence[Tensor]) -> Any:
        """The result around these leaves."""
        own, trained = self._results
        found = self._build([own.get(i, t) for i, t in enumerate(leaves)] if own else leaves)
        if trained:
            handles = as_leaves(found)[0]
            for i in trained:
                handles[i]._become_leaf(True)
        return found

    def __call__(self, *args: Any) -> Any:
        leaves, _, structure = tree.flatten_each([as_array(a) for a in args])  # f(x, x) has two arguments
        if len(leaves) != len(self.graph.inputs) or structure.signature() != self._arguments:
            raise ShapeError("stage: the arguments have another structure than those it was staged for; stage it again")
        return self.build(self.graph(*leaves))


def stage(f: F, *args: Any) -> Staged:
    """Run ``f`` once on shapes and dtypes, and return its graph as a callable. Nothing is computed and no state is
    changed by staging.

    Handles from outside that ``f`` reads are inputs of the graph, read again at each call; those it writes are written
    back after each call.

    >>> import plugrad
    >>> twice = stage(lambda x: x + x, plugrad.asarray([1.0]))
    >>> twice(plugrad.asarray([4.0])).tolist(), [e.op.name for e in twice.graph.equations]
    ([8.0], ['add'])
    """
    named(f, "stage")
    return staged(f, args)


class _Outside:
    """The op of a node that stands for what was recorded before a graph began."""

    name = "compile"

    @staticmethod
    def vjp_rule(*_: Any) -> Any:
        remedy = "call backward() on what it returns, or compute the recorded argument inside"
        raise StateError(f"compile: backward() inside the function reaches an argument recorded outside it; {remedy}")


def _input(level: Stage, t: Tensor, tape: bool) -> Tensor:
    """An unknown in the place of an argument; with ``tape`` it is on the tape if that is."""
    u = level.new(t, t.be, t.dev)
    if tape and t.mask & 1 and live(t, state()) & 1:
        u.mask, u.node = 1, t.node if t.is_leaf else Node(_Outside, {}, (), (t.ghost(None, 0),), 1)
    return u


def staged(f: F, args: Sequence[Any], aliased: frozenset[int] = frozenset()) -> Staged:
    """``stage`` of these arguments. What ``backward()`` does is part of the graph, unless something is around it.
    ``aliased``: ids of gradients that the function knows by other names too, as an earlier try has shown.
    """
    here = state()
    tape = here.stage is None and here.top is None and here.capture is None
    leaves, _, structure = tree.flatten_each([as_array(a) for a in args])
    with Stage(tape, aliased) as level:
        inputs = [_input(level, t, tape) for t in leaves]
        places = [t.val for t in inputs]
        # a Buffer among the arguments stays the caller's: it is state, not an input
        given = [t if isinstance(t, Buffer) else u for t, u in zip(leaves, inputs, strict=True)]
        inside = structure(given)
        handles = tree.flatten_each(inside)[0]
        outputs, _, build_y = as_leaves(f(*inside))
        if any(t.val is not p for t, p in zip(handles, places, strict=True) if not isinstance(t, Buffer)):
            wrong = "the function writes to an argument, which the caller of the graph would not see"
            raise StateError(f"{named(f, 'stage')}: {wrong}; copy it first, such as x = x.copy()")
        own = {i: t for i, t in enumerate(outputs) if isinstance(t, Buffer) and t.born < level.uid}
        trained = tuple([i for i, t in enumerate(outputs) if t.is_leaf and t.born >= level.uid])
        graph = Graph(level, places, outputs)
    if level.aliased != aliased:
        return staged(f, args, level.aliased)
    return Staged(graph, build_y, structure, level.modules, _Results(own, trained))
