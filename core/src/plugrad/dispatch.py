"""The only road from a call to a kernel: lift, promote, check, choose the level, run, record.

Three frames from the user to the kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from .backend import BACKENDS
from .dtypes import CODE, DTYPES, KIND, PYTHON, RANK, promote, scalar_fits
from .errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    PluginError,
    RecordingError,
    ShapeError,
    no_memory,
    shown,
)
from .fallback import through_host
from .handle import bind1 as bind1
from .handle import bind2 as bind2
from .handle import serve_roads
from .op import OPS, Op, broadcast_shapes
from .ownership import sole
from .reference.backend import NumpyBackend
from .state import ACTIVE, UNCHANGED, WATCHING, State, state, watched, within
from .table import add_backend as add_backend
from .table import add_kernel as add_kernel
from .table import check_stored, decline
from .tape import elsewhere, joined, live
from .tensor import FOREIGN, LITERAL, Attrs, Node, Tensor, Tensors, leaked, tupled

# -- scalars and promotion

_lifted: dict[tuple[Any, ...], Tensor] = {}


def lift(name: str, scalar: Any, like: Tensor) -> Tensor:
    """A Python scalar as a cached 0-d tensor of the dtype it takes beside ``like`` (weak scalars), on its device."""
    # 0.0 and -0.0 are equal, NaN is not even equal to itself: these go by their text
    key = (like.be, like.dev, like.dt, type(scalar), scalar if scalar and scalar == scalar else repr(scalar))
    found = _lifted.get(key)
    if found is None:
        dt = like.dt
        if not scalar_fits(scalar, dt):
            dt = promote(name, dt, next(code for kind, code in PYTHON.items() if isinstance(scalar, kind)))
        try:
            with np.errstate(all="ignore"):
                array = np.asarray(scalar, DTYPES[dt])
        except OverflowError as error:
            wrong = f"{shown(scalar)} does not fit {DTYPES[dt].name}"
            raise DTypeError(f"{name}: {wrong}; cast with .astype() first") from error
        if len(_lifted) > 4096:
            _lifted.clear()
        found = Tensor(BACKENDS[like.be].from_host(array, like.dev), like.be, dt, (), like.dev, LITERAL)
        found.born = 0  # before another thread can find it
        _lifted[key] = found
    return found


def lifted(name: str, value: Any, like: Tensor) -> Tensor:
    """A tensor as it is; a scalar or an array as a tensor that fits ``like``, on its device."""
    if isinstance(value, (int, float, complex)):
        return lift(name, value, like)
    return value if isinstance(value, Tensor) else _converted(name, value, like.device)


def _converted(name: str, value: Any, device: str | None = None) -> Tensor:
    """An operand as a tensor; ArgumentError naming the op for what cannot be one."""
    try:
        return Tensor._convert(value, device=device)
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix("asarray: ")
        raise ArgumentError(f"{name}: an operand is a {type(value).__name__}: {reason}") from error


def _lift_all(op: Op, xs: tuple[Any, ...]) -> Tensors:
    """Operands that are not tensors become tensors, placed like those that are, or like the key operand."""
    like = next((x for x in (*xs[op.key :], *xs[: op.key]) if isinstance(x, Tensor)), None)
    if like is None:
        like = _converted(op.name, xs[op.key])
    return tuple([lifted(op.name, x, like) for x in xs])


def _promote(op: Op, xs: Tensors) -> Tensors:
    """Cast the operands that share a dtype to their common one.

    Casts are ops: differentiated, fused and counted like any other.
    """
    together: Any = range(len(xs)) if op.together == "all" else op.together
    codes = [xs[i].dt for i in together]
    if not codes or codes.count(codes[0]) == len(codes):
        return xs
    code = functools.reduce(functools.partial(promote, op.name), codes)
    return tuple([x.astype(DTYPES[code]) if i in together and x.dt != code else x for i, x in enumerate(xs)])


# -- the general road


def bind(op: Op, xs: tuple[Any, ...], attrs: Attrs, heard: bool = False) -> Any:
    """``op(*xs, **attrs)``: operands may be scalars or arrays, recorded, or values of any interpreter.

    ``heard``: the observers know of this call.
    """
    for x in xs:
        if not isinstance(x, Tensor):
            xs = _lift_all(op, xs)
            break
    if len(xs) > 1 and not op.opaque:
        xs = _promote(op, xs)
        first = xs[0]
        for x in xs:
            if x.be != first.be or x.dev != first.dev:
                a, b = first.device, x.device
                wrong = f"operands on {a!r} and {b!r}, of shapes {first.shape} and {x.shape}"
                raise DeviceError(f"{op.name}: {wrong}; move one of them with .to({a!r})")
    if xs:
        key = xs[op.key]
        be, dt, dev = key.be, key.dt, key.dev
    else:
        be, dev = attrs["device"]
        dt = CODE[attrs["dtype"]]
    if dt not in op.codes:
        legal = ", ".join(DTYPES[c].name for c in sorted(op.codes))
        raise DTypeError(f"{op.name}: not defined for {DTYPES[dt].name}; cast with .astype() to one of {legal}")
    spec = op.spec(*xs, **attrs)
    here, tr, rec, hold = None, None, 0, 0
    if ACTIVE[0]:
        if WATCHING[0] and not heard:
            return watched("call", (op, xs, attrs), bind, op, xs, attrs, True)
        here = state()
        tr, capture = here.stage, here.capture
        if capture is not None:
            xs = tuple([capture.resolve(x) for x in xs])
            hold = capture.hold
            own_borrowed(xs)  # the function will be run again, and must find the same values
    for x in xs:
        if x.tr is not None:
            if x.tr.alive is not here:
                raise leaked(op.name, x)
            if tr is None or x.tr.uid > tr.uid:
                tr = x.tr
        if x.mask:
            rec |= live(x, here) if here is not None else x.mask & 1
            if here is not None and x.mask & ~here.bits & ~1 and elsewhere(x, here):
                remedy = "call .detach() first, or compute with it in that thread"
                raise RecordingError(f"{op.name}: a {x.describe()} is being differentiated in another thread; {remedy}")
    if rec:
        rec = rec & ~hold if op.differentiable else 0
        if tr is not None:
            rec &= ~tr.outer  # each graph id is recorded at exactly one level
    if tr is not None and tr.staging:
        xs = tuple([tr.lifted(x) for x in xs])
    whole = op.decompose is None or _whole(op, tr, rec, be, dt)
    if rec and (whole or op.has_vjp):  # one node will keep the values
        own_borrowed(xs if op.saves is None else [xs[i] for i in op.saves])
    out = NotImplemented
    if whole and here is not None and tr is not None:  # its rule runs in the state below it
        before = here.mask, here.stage, here.capture, here.top
        here.mask, (here.stage, here.capture, here.top) = here.mask & (tr.outer | tr.tape), tr.below
        try:
            out = tr.process(op, xs, attrs, spec)
        finally:
            here.mask, here.stage, here.capture, here.top = before
    elif whole:
        out = _run(op, xs, attrs, spec, be, dt, dev, here)
    if out is NotImplemented:
        rec = rec if op.has_vjp else 0  # else its parts are recorded
        out = _decomposed(op, xs, attrs, rec, spec)
    return record(op, xs, attrs, out, rec) if rec else out


Op.bind = staticmethod(bind)
serve_roads(bind, lift, broadcast_shapes)
add_backend(NumpyBackend())  # index 0: the reference, there before any plugin is looked for


def _whole(op: Op, tr: Any, rec: int, be: int, dt: int) -> bool:
    """Whether an op with a decomposition stays one call at this level: the level has a rule for it, or the backend a
    kernel.
    """
    if op.opaque:
        return tr is not None
    if rec and not op.has_vjp:
        return False
    if tr is not None and not tr.staging:
        return bool(tr.keeps(op))
    return op.run is not None or op.table[be][dt] is not decline


def _decomposed(op: Op, xs: Tensors, attrs: Attrs, rec: int, spec: Any) -> Any:
    """Run the decomposition at the caller's level, its parts without the ids ``rec``.

    It must give what the shape rule said: kernels are held to the same rule.
    """
    with within(mask=state().mask & ~rec) if rec else UNCHANGED:
        out = op.decompose(*xs, **attrs)
    if spec is not None:  # a user's function has no rule of its own
        got = [(t.dtype, t.shape) if isinstance(t, Tensor) else (type(t).__name__,) for t in tupled(out)]
        promised = [(s.dtype, s.shape) for s in tupled(spec)]
        if got != promised:
            found, wanted = [", ".join(" ".join(map(str, one)) for one in many) for many in (got, promised)]
            raise PluginError(f"{op.name}: decompose gives {found}, but spec says {wanted}; they must agree")
    return out


def _run(op: Op, xs: Tensors, attrs: Attrs, spec: Any, be: int, dt: int, dev: str, here: State | None) -> Any:
    """The kernel, at level 0: the best one, then the next providers; NotImplemented asks for the decomposition; else
    through the host.
    """
    if op.run is not None:
        return op.run(*xs, **attrs)
    if not xs:
        attrs = {**attrs, "device": dev}
    how, values = "native", [x.val for x in xs]
    try:
        r = op.table[be][dt](*values, **attrs)
    except MemoryError as error:
        raise no_memory(op, xs, error) from None
    except (IndexError, ValueError) as error:
        if type(error) not in (IndexError, ValueError) or str(error).startswith(f"{op.name}:"):
            raise
        raise type(error)(f"{op.name}: {error} (of {', '.join([x.describe() for x in xs])})") from error
    if r is NotImplemented:
        others = (kernel.fn(*values, **attrs) for kernel in op.chain[be][dt][1:])
        r = next((r for r in others if r is not NotImplemented), NotImplemented)
    if r is NotImplemented:
        if op.decompose is not None:
            return NotImplemented
        for s in tupled(spec):
            check_stored(op.name, CODE[s.dtype], BACKENDS[be])
        how, r = "fallback", through_host(op, values, attrs, spec, be, dt, dev)
    if here is not None and (here.observers or WATCHING[0]):
        for hear in (*here.observers, *[observer.kernel for observer in WATCHING[0]]):
            hear(op.name, BACKENDS[be].name, how)
    if type(spec) is tuple:
        return tuple([Tensor(v, be, CODE[s.dtype], s.shape, dev) for v, s in zip(r, spec, strict=True)])
    out = Tensor(r, be, dt if spec.dtype is DTYPES[dt] else CODE[spec.dtype], spec.shape, dev)
    if op.alias:
        x = xs[0]
        out.base = x.base if x.base is not None else x.val
    return out


# -- recording


def own_borrowed(xs: Iterable[Tensor]) -> None:
    """Copy what is borrowed, for the handles themselves: somebody will look at the values later."""
    for x in xs:
        if x.base is FOREIGN and x.tr is None:
            with within(mask=0, stage=None, capture=None, top=None):  # the handle keeps a value, whatever level asks
                x.val, x.base = bind(OPS["copy"], (x.clone(None, 0),), {}).val, None


def record(op: Op, xs: Tensors, attrs: Attrs, out: Any, rec: int) -> Any:
    """Put a call on the tape: snapshots hold only the values that the backward rule reads. These keep the ids that are
    recorded below the level of the call, for the rule's own derivative, but not those that a checkpoint holds back.
    """
    here = state()
    hold = here.capture.hold if here.capture is not None else 0
    inputs = []
    for i, x in enumerate(xs):
        mask = live(x, here) & ~hold if x.mask else 0
        if op.saves is None or i in op.saves:
            inputs.append(x.clone(x.node, mask, x.ix))
        else:
            inputs.append(x.ghost(x.node, mask & rec, x.ix))
    outs, save = tupled(out), op.save_output
    saved = range(len(outs)) if save is True else save or ()
    node = Node(op, attrs, tuple(inputs), (), rec)
    kept: list[Tensor] = []
    results: list[Tensor] = []
    for i, o in enumerate(outs):
        # what does not depend on a level was recorded below it, with ids that the node does not have
        below = live(o, here) & ~rec & ~hold if o.mask else 0
        kept.append(o.clone(o.node, below, o.ix) if i in saved else o.ghost(None, 0))
        new = o if _fresh(o, xs) else o.clone(None, 0)  # one that comes twice has a node by then
        if KIND[o.dt] in "fc":
            new.node, new.mask, new.ix = node, rec, i
            new = joined(new, o.ghost(o.node, below, o.ix)) if below else new
        results.append(new)
    node.outputs = tuple(kept)
    return tuple(results) if type(out) is tuple else results[0]


def _fresh(o: Tensor, xs: Tensors) -> bool:
    """Whether a result is a handle that the tape may take: not an operand, nor one that something else refers to."""
    return o.node is None and o.tr is None and type(o) is Tensor and True not in [o is x for x in xs]


# -- writing in place


def overwrite(op: Op, x: Tensor, rest: tuple[Any, ...], attrs: Attrs) -> Tensor:
    """``x = op(x, *rest)`` as a write to the handle ``x``, into its own buffer when nobody else can see it.

    Returns ``x``.
    """
    rest = tuple([r if type(r) is Tensor else lifted(op.name, r, x) for r in rest])
    if not _reuse(op, x, rest, attrs):
        new = bind(op, (x, *rest), attrs)
        if new.shape != x.shape:
            wrong = f"a result of shape {new.shape} cannot be written in place into a tensor of shape {x.shape}"
            raise ShapeError(f"{op.name}: {wrong}; make a new tensor, such as x = x + y for x += y")
        x.rebind(writable(op.name, new, x), op.name if op.elementwise else "setitem")
    return x


def writable(name: str, new: Tensor, x: Tensor) -> Tensor:
    """``new`` in the dtype of ``x``, into which it will be written; DTypeError where its kind would not fit."""
    if RANK[KIND[new.dt]] > RANK[KIND[x.dt]]:
        raise DTypeError(f"{name}: {new.dtype} does not fit into a tensor of {x.dtype}; cast one with .astype()")
    return new.astype(x.dtype) if new.dt != x.dt else new


def _reuse(op: Op, x: Tensor, rest: Tensors, attrs: Attrs) -> bool:
    """Do it in the buffer of ``x``, or leave everything untouched and say False."""
    into = BACKENDS[x.be].into.get(op.name)
    if into is None or x.is_leaf or x.dt not in op.codes or not sole(x):
        return False
    here = state()
    if ACTIVE[0] and (here.stage is not None or here.capture is not None or here.log is not None or here.observers):
        return False
    if WATCHING[0]:
        return False
    rec = 0
    for k, t in enumerate((x, *rest)):
        if t.tr is not None or t.be != x.be or t.dev != x.dev or (t.dt != x.dt and (not op.linear or k in op.linear)):
            return False  # an operand in which a linear op is not linear has positions
        rec |= live(t, here) if t.mask and x.recorded else 0
    kept = rec and (op.saves is None or 0 in op.saves or op.save_output)
    fits = not kept and op.spec(x, *rest, **attrs).shape == x.shape
    if not fits or into(x.val, x.val, *[r.val for r in rest], **attrs) is NotImplemented:
        return False
    if rec or x.mask:
        old, value = x.ghost(x.node, x.mask, x.ix), Tensor(x.val, x.be, x.dt, x.shape, x.dev)
        new = record(op, (old, *rest), attrs, value, rec) if rec else value
        x.node, x.mask, x.ix = new.node, new.mask, 0
    return True
