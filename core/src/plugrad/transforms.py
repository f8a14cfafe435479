"""The public transformations, over pytrees: reverse and forward mode, batching, Jacobians, staging."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import tree
from .backend import Spec
from .dtypes import KIND
from .errors import DTypeError, ShapeError, StateError
from .interpreters import JVP, Batch, Graph, Stage
from .ops import creation, movement
from .parameter import Buffer, Parameter
from .state import Scope, state
from .tape import backprop, leaf, plain, strip
from .tensor import Tensor

F = Callable[..., Any]


def as_tensor(x: Any) -> Any:
    """A bare number or array counts as a tensor."""
    if not isinstance(x, Tensor) and (isinstance(x, (float, complex)) or hasattr(x, "__array__")):
        return creation.asarray(x)
    return x


def as_array(x: Any) -> Any:
    """As ``as_tensor``, but Python numbers stay as they are: they are weak, a tensor would not be."""
    return x if isinstance(x, (float, complex)) else as_tensor(x)


def as_leaves(x: Any) -> tuple[list[Tensor], list[bool], tree.TreeDef]:
    """Flatten an argument."""
    return tree.flatten(as_tensor(x))


def _named(f: F, what: str) -> str:
    return f"{what}({getattr(f, '__name__', type(f).__name__)})"


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
    flat = [as_leaves(p) for p in primals]
    with Scope() as scope:
        inputs = [
            # a Module in functional use is off the user's tape, or every loss that is kept would hold it whole
            [
                leaf(t, scope, drop=1 if isinstance(t, Parameter) else 0) if trained else t
                for t, trained in zip(leaves, mask, strict=True)
            ]
            for leaves, mask, _ in flat
        ]
        leaf_nodes = [[t.node for t in ts] for ts in inputs]  # before f writes to its arguments
        result = f(*[build(ts) for ts, (_, _, build) in zip(inputs, flat, strict=True)])
        y, aux = result if has_aux else (result, None)
        outputs, _, build_y = tree.flatten(as_tensor(y), unique=False)
        ends = [plain(t) for t in outputs]
        y = build_y([strip(t, scope) for t in outputs])
        aux = tree.map(lambda t: strip(t, scope), aux)
    wanted = [(i, j) for i, (_, mask, _) in enumerate(flat) for j, trained in enumerate(mask) if trained]
    nodes = [leaf_nodes[i][j] for i, j in wanted]
    likes = [[t.ghost(None, 0) for t in ts] for ts in inputs]
    builds = [build for _, _, build in flat]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        seeds = _seeds(ends, build_y, cotangent)
        found = backprop(seeds, nodes, scope.bit, scope.start)
        slots: list[list[Tensor | None]] = [[None] * len(ts) for ts in likes]
        for (i, j), g in zip(wanted, found, strict=True):
            slots[i][j] = likes[i][j].zeros_like() if g is None else g
        return tuple([build(ts) for build, ts in zip(builds, slots, strict=True)])

    return (y, pullback, aux) if has_aux else (y, pullback)


def _seeds(ends: list[Tensor], structure: tree.TreeDef, cotangent: Any) -> list[tuple[Tensor, Tensor]]:
    given = tree.leaves_like(structure, as_tensor(cotangent), "pullback: the cotangent")
    seeds = []
    for y, g in zip(ends, given, strict=True):
        if g is None:
            continue
        if g.shape != y.shape:
            raise ShapeError(
                f"pullback: a cotangent of shape {g.shape} for an output of shape {y.shape}; they must agree"
            )
        seeds.append((y, creation.to(g, y.device).astype(y.dtype)))
    return seeds


def value_and_grad(f: F, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> F:
    """A function returning the value of ``f`` and its gradient with respect to the arguments ``argnums`` (a tuple of
    gradients for a tuple).

    ``f`` must return a real scalar; with ``has_aux`` a pair (scalar, aux), and the value is that pair. Gradients have
    the structure of the argument; for a Module the Parameters are filled and all else is None.

    >>> import plugrad
    >>> value_and_grad(lambda x: (x * x).sum())(plugrad.asarray([1.0, 2.0]))[1].tolist()
    [2.0, 4.0]
    """
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for n in numbers:
            if not -len(args) <= n < len(args):
                raise ShapeError(
                    f"{_named(f, 'grad')}: argnums {n} is out of range for {len(args)} positional arguments"
                )
            if not any(as_leaves(args[n])[1]):
                raise DTypeError(
                    f"{_named(f, 'grad')}: argument {n} holds nothing to differentiate; give floating-point tensors, "
                    "or a Module with Parameters"
                )

        def partial(*chosen: Any) -> Any:
            full = list(args)
            for n, value in zip(numbers, chosen, strict=True):
                full[n] = value
            result = f(*full, **kwargs)
            if isinstance(result, (int, float)):
                raise ShapeError(
                    f"{_named(f, 'grad')}: the function returned a Python {type(result).__name__}, which has no "
                    "derivative; return the tensor, without item() or float()"
                )
            return result

        y, pullback, *aux = vjp(partial, *[args[n] for n in numbers], has_aux=has_aux)
        if not isinstance(y, Tensor) or y.shape != () or KIND[y.dt] != "f":
            got = y.describe() if isinstance(y, Tensor) else type(y).__name__
            raise ShapeError(
                f"{_named(f, 'grad')}: the function returned a {got}; grad needs a real floating scalar, reduce it "
                "with .sum() or .mean()"
            )
        grads = pullback(y.ones_like())
        return ((y, *aux) if has_aux else y), grads if isinstance(argnums, tuple) else grads[0]

    return wrapped


def grad(f: F, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> F:
    """A function returning the gradient of the scalar function ``f`` with respect to the arguments ``argnums``; with
    aux, (gradient, aux).

    >>> grad(grad(lambda x: x ** 3))(2.0).item()
    12.0
    """
    both = value_and_grad(f, argnums, has_aux)

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
    with JVP() as level:
        args = []
        for x, t in zip(primals, tangents, strict=True):
            leaves, trained, build = as_leaves(x)
            directions = _directions(leaves, trained, build, t)
            args.append(build([_dual(level, v, d) for v, d in zip(leaves, directions, strict=True)]))
        outputs, _, build_y = as_leaves(f(*args))
        ys = [y.val if y.tr is level else y for y in outputs]
        ts = [y.aux if y.tr is level else None for y in outputs]
    return build_y(ys), build_y([y.zeros_like() if t is None else t for y, t in zip(ys, ts, strict=True)])


def _dual(level: JVP, x: Tensor, t: Tensor | None) -> Tensor:
    return x if t is None else level.wrap(_entering(x), plain(t))


def _entering(x: Tensor) -> Tensor:
    """A value on its way into a level, as a handle of its own; an open checkpoint or stage knows it by its own name."""
    here = state()
    if here.capture is not None:
        x = here.capture.resolve(x)
    return plain(x) if here.stage is None else plain(here.stage.lifted(x))


def _directions(
    leaves: list[Tensor], trained: list[bool], structure: tree.TreeDef, tangent: Any
) -> list[Tensor | None]:
    given = tree.leaves_like(structure, as_tensor(tangent), "jvp: the tangent")
    out: list[Tensor | None] = []
    for x, t, wanted in zip(leaves, given, trained, strict=True):
        if t is not None and t.shape != x.shape:
            raise ShapeError(f"jvp: a tangent of shape {t.shape} for a primal of shape {x.shape}; they must agree")
        out.append(creation.to(t, x.device).astype(x.dtype) if t is not None and wanted else None)
    return out


# -- batching


def vmap(f: F, in_axes: Any = 0, out_axes: Any = 0, randomness: str = "error") -> F:
    """``f`` over a batch: written for one example, run once for all.

    ``in_axes`` is an axis number, None (not mapped), or a tuple of these or of trees of these, one for each argument;
    ``out_axes`` says where the batch dimension goes in the results. A draw from a random generator raises, unless
    ``randomness`` is "same" (one draw for all) or "different" (one each).

    >>> import plugrad
    >>> vmap(lambda x, y: x * y.sum(), in_axes=(0, None))(plugrad.asarray([1.0, 2.0]), plugrad.ones(3)).tolist()
    [3.0, 6.0]
    """
    if randomness not in ("error", "same", "different"):
        raise ValueError(f"vmap: randomness {randomness!r} is unknown; use 'error', 'same' or 'different'")

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Any:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ShapeError(f"{_named(f, 'vmap')}: in_axes has {len(in_axes)} entries for {len(args)} arguments")
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        # one axis number for a whole argument keeps tied leaves tied; a tree of axes may map two uses differently
        flat = [
            tree.flatten(as_tensor(x), unique=a is None or isinstance(a, int)) for x, a in zip(args, axes, strict=True)
        ]
        leaf_axes = [_axes_of(f, a, x, leaves) for a, x, (leaves, _, _) in zip(axes, args, flat, strict=True)]
        size = _batch_size(f, [leaves for leaves, _, _ in flat], leaf_axes)
        with Batch(size, "ok" if randomness == "same" else randomness) as level:
            inner = [
                build([_example(level, t, a) for t, a in zip(leaves, la, strict=True)])
                for (leaves, _, build), la in zip(flat, leaf_axes, strict=True)
            ]
            result = as_tensor(f(*inner))
            outputs, _, build_y = tree.flatten(result, unique=False)
            ys = [y.val if y.tr is level else None for y in outputs]
        targets: list[int | None] = []
        _match_axes(f, out_axes, result, targets)
        return build_y([_placed(f, v, y, size, a) for v, y, a in zip(ys, outputs, targets, strict=True)])

    return wrapped


def _axes_of(f: F, axis: Any, arg: Any, leaves: list[Tensor]) -> list[int | None]:
    if axis is None or isinstance(axis, int):
        return [None if isinstance(t, Buffer) else axis for t in leaves]
    found: list[int | None] = []
    _match_axes(f, axis, arg, found)
    return found


def _match_axes(f: F, axis: Any, arg: Any, found: list[int | None]) -> None:
    """Axis trees may be shallower than the argument: one number then holds for all leaves below."""
    if axis is None or isinstance(axis, int):
        found.extend([axis] * len(tree.flatten(as_tensor(arg), unique=False)[0]))
    elif isinstance(axis, dict) and isinstance(arg, dict) and axis.keys() == arg.keys():
        for k, v in arg.items():
            _match_axes(f, axis[k], v, found)
    elif isinstance(axis, (list, tuple)) and isinstance(arg, (list, tuple)) and len(axis) == len(arg):
        for a, v in zip(axis, arg, strict=True):
            _match_axes(f, a, v, found)
    else:
        raise ShapeError(
            f"{_named(f, 'vmap')}: axes {axis!r} do not match the structure of the argument or result; "
            "give a number, None, or containers like it"
        )


def _batch_size(f: F, args: list[list[Tensor]], axes: list[list[int | None]]) -> int:
    sizes = {}
    for i, (leaves, la) in enumerate(zip(args, axes, strict=True)):
        for t, a in zip(leaves, la, strict=True):
            if a is None:
                continue
            if not -t.ndim <= a < t.ndim:
                raise ShapeError(f"{_named(f, 'vmap')}: axis {a} is out of range for argument {i} of shape {t.shape}")
            sizes[t.shape[a]] = f"argument {i} of shape {t.shape} along axis {a}"
    if not sizes:
        raise ShapeError(f"{_named(f, 'vmap')}: no argument is mapped; give at least one an axis in in_axes")
    if len(sizes) > 1:
        raise ShapeError(
            f"{_named(f, 'vmap')}: batch sizes differ: {'; '.join(f'{n} from {where}' for n, where in sizes.items())}"
        )
    return next(iter(sizes))


def _example(level: Batch, t: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        return t
    with level.underneath():
        return level.wrap(movement.moveaxis(_entering(t), axis, 0))


def _placed(f: F, value: Tensor | None, y: Tensor, size: int, axis: int | None) -> Tensor:
    if value is None:  # the same for every example
        if axis is None:
            return y
        value = movement.broadcast_to(movement.expand_dims(y), (size, *y.shape))
    if axis is None:
        raise ShapeError(f"{_named(f, 'vmap')}: out_axes=None for a result that differs between examples; give an axis")
    return movement.moveaxis(value, 0, axis) if axis else value


# -- Jacobians and second order


def _basis(x: Tensor) -> Tensor:
    """Unit tangents of the shape of ``x``, one a row."""
    eye = creation.eye(x.size, dtype=x.dtype, device=x.device)
    return movement.reshape(eye, (x.size, *x.shape))


def _one_tensor(name: str, x: Any) -> Tensor:
    x = as_tensor(x)
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{name}: got a {type(x).__name__}; give one tensor, or for a Module use hvp, grad or jvp over it"
        )
    if KIND[x.dt] not in "fc":
        raise DTypeError(f"{name}: the argument is {x.dtype}; give a floating-point tensor")
    return x


def jacfwd(f: F, argnums: int = 0) -> F:
    """The Jacobian by forward mode, one column a tangent: shape ``y.shape + x.shape``.

    ``f`` maps a tensor to a tensor and runs once.
    """

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Tensor:
        x = _one_tensor("jacfwd", args[argnums])

        def along(t: Tensor) -> Tensor:
            return jvp(lambda v: f(*_put(args, argnums, v)), (x,), (t,))[1]

        columns = vmap(along, randomness="same")(_basis(x))
        y_shape = columns.shape[1:]
        return movement.reshape(movement.moveaxis(columns, 0, len(y_shape)), (*y_shape, *x.shape))

    return wrapped


def jacrev(f: F, argnums: int = 0) -> F:
    """The Jacobian by reverse mode, one row a cotangent: shape ``y.shape + x.shape``.

    ``f`` maps a tensor to a tensor and runs once.
    """

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Tensor:
        x = _one_tensor("jacrev", args[argnums])
        y, pullback = vjp(lambda v: f(*_put(args, argnums, v)), x)
        rows = vmap(lambda g: pullback(g)[0], randomness="same")(_basis(y))
        return movement.reshape(rows, (*y.shape, *x.shape))

    return wrapped


def _put(args: tuple[Any, ...], n: int, value: Any) -> list[Any]:
    out = list(args)
    out[n] = value
    return out


def hessian(f: F, argnums: int = 0) -> F:
    """The matrix of second derivatives of a scalar function of one tensor: shape ``x.shape + x.shape``. Forward over
    reverse.

    >>> import plugrad
    >>> hessian(lambda x: (x * x * x).sum())(plugrad.asarray([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(grad(f, argnums), argnums)


def hvp(f: F, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The product of the Hessian of a scalar function with a direction: a tree like the primal, or a tuple of them for
    several primals.
    """
    numbers = tuple(range(len(primals)))
    products = jvp(grad(f, numbers), primals, tangents)[1]
    return products[0] if len(primals) == 1 else products


# -- staging


class Staged:
    """A function staged for certain shapes and dtypes: call it with arguments of the same structure.

    ``graph`` holds the equations.
    """

    def __init__(self, graph: Graph, build: tree.TreeDef, arguments: tree.TreeDef) -> None:
        self.graph, self._build, self._arguments = graph, build, arguments

    def __call__(self, *args: Any) -> Any:
        leaves, _, structure = as_leaves(tuple([as_array(a) for a in args]))
        if len(leaves) != len(self.graph.inputs) or structure != self._arguments:
            raise ShapeError(
                "stage: the arguments have another structure than those the function was staged with; stage it again"
            )
        return self._build(self.graph(*leaves))

    def __str__(self) -> str:
        return str(self.graph)


def stage(f: F, *args: Any, met: list[Any] | None = None) -> Staged:
    """Run ``f`` once on shapes and dtypes, and return its graph as a callable. Nothing is computed and no state is
    changed by staging.

    Handles from outside that ``f`` reads are inputs of the graph, read again at each call; those it writes are written
    back after each call. ``met`` receives the Modules that ``f`` calls.

    >>> import plugrad
    >>> twice = stage(lambda x: x + x, plugrad.asarray([1.0]))
    >>> twice(plugrad.asarray([4.0])).tolist(), [e.op.name for e in twice.graph.equations]
    ([8.0], ['add'])
    """
    leaves, _, structure = as_leaves(tuple([as_array(a) for a in args]))
    with Stage() as level:
        try:
            inputs = [level.new(Spec(t.shape, t.dtype), t.be, t.dev) for t in leaves]
            places = [t.val for t in inputs]
            # a Buffer among the arguments stays the caller's: it is state, not an input
            given = [t if isinstance(t, Buffer) else u for t, u in zip(leaves, inputs, strict=True)]
            args = structure(given)
            handles = tree.leaves(args)
            outputs, _, build_y = as_leaves(f(*args))
            if any(t.val is not p for t, p in zip(handles, places, strict=True) if not isinstance(t, Buffer)):
                raise StateError(
                    f"{_named(f, 'stage')}: the function writes to an argument, which a call of the graph could not "
                    "show its caller; copy it first, such as x = x.copy()"
                )
            results = [level.var(y) for y in outputs]
            written = [(handle, level.var(handle)) for handle, _ in level.log.handles.values()]
        finally:
            level.log.undo()
    if met is not None:
        met.extend(level.modules)
    graph = Graph(places, level.equations, results, level.constants, written).simplified()
    return Staged(graph, build_y, structure)
