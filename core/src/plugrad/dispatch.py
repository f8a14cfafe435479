"""The only road from a call to a kernel: lift, promote, check, choose the level, run, record.

Three frames from the user to the kernel.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .backend import BACKENDS
from .dtypes import B1, CODE, DTYPES, KIND, PYTHON, RANK, promote, scalar_fits
from .errors import DeviceError, DTypeError, PluginError
from .fallback import through_host
from .op import OPS, Op, broadcast_shapes
from .ownership import sole as sole
from .parameter import HANDLES
from .reference.backend import NumpyBackend
from .state import ACTIVE, State, state, within
from .table import add_backend as add_backend
from .table import add_kernel as add_kernel
from .table import decline, illegal_dtype
from .tape import live
from .tensor import FOREIGN, LENT, Attrs, Node, Tensor, Tensors, leaked, tupled


class Place(NamedTuple):
    """Where a creation op makes its value: backend index and ordinal."""

    be: int
    dev: str


# -- the fast roads: eager, one dtype, one device, nothing recorded


def bind1(op: Op, x: Any) -> Any:
    """An elementwise op of one operand."""
    if type(x) is not Tensor or ACTIVE[0] or x.mask or x.tr is not None:
        return bind(op, (x,), {})
    r = op.table[x.be][x.dt](x.val)
    if r is NotImplemented:
        return bind(op, (x,), {})
    return Tensor(r, x.be, B1 if op.boolean else x.dt, x.shape, x.dev)


def bind2(op: Op, x: Any, y: Any) -> Any:
    """An elementwise op of two operands."""
    if type(y) is float or type(y) is int:
        if not isinstance(x, Tensor):
            return bind(op, (x, y), {})
        if op.scalars[x.be][x.dt] and not ACTIVE[0] and not x.mask and x.tr is None and scalar_fits(y, x.dt):
            r = op.table[x.be][x.dt](x.val, y)
            if r is not NotImplemented:
                return Tensor(r, x.be, B1 if op.boolean else x.dt, x.shape, x.dev)
        y = lift(op.name, y, x)
    if type(x) is not Tensor or type(y) is not Tensor or ACTIVE[0] or x.mask or y.mask:
        return bind(op, (x, y), {})
    be, dt, shape = x.be, x.dt, x.shape
    if be != y.be or dt != y.dt or x.dev != y.dev or x.tr is not None or y.tr is not None:
        return bind(op, (x, y), {})
    if shape != y.shape:
        shape = broadcast_shapes(op.name, shape, y.shape)
    r = op.table[be][dt](x.val, y.val)
    if r is NotImplemented:
        return bind(op, (x, y), {})
    return Tensor(r, be, B1 if op.boolean else dt, shape, x.dev)


# -- scalars and promotion

_SCALARS = tuple(PYTHON)
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
            array = np.asarray(scalar, DTYPES[dt])
        except OverflowError as error:
            remedy = "cast the tensor with .astype() first"
            raise DTypeError(f"{name}: {scalar!r} does not fit {DTYPES[dt].name}; {remedy}") from error
        if len(_lifted) > 4096:
            _lifted.clear()
        found = _lifted[key] = Tensor(BACKENDS[like.be].from_host(array, like.dev), like.be, dt, (), like.dev, LENT)
        found.born = 0
    return found


def _lift_all(op: Op, xs: tuple[Any, ...]) -> Tensors:
    """Operands that are not tensors become tensors, placed like those that are."""
    like = next((x for x in (*xs[op.key :], *xs[: op.key]) if isinstance(x, Tensor)), None)
    if like is None:
        like = Tensor._convert(xs[op.key])
        xs = (*xs[: op.key], like, *xs[op.key + 1 :])
    return tuple([x if isinstance(x, Tensor) else _lift_one(op, x, like) for x in xs])


def _lift_one(op: Op, x: Any, like: Tensor) -> Tensor:
    return lift(op.name, x, like) if isinstance(x, _SCALARS) else Tensor._convert(x, device=like.device)


def _promote(op: Op, xs: Tensors) -> Tensors:
    """Cast the operands that share a dtype to their common one.

    Casts are ops: differentiated, fused and counted like any other.
    """
    together = op.together if op.together is not None else range(len(xs)) if op.elementwise else ()
    if not together:
        return xs
    codes = [xs[i].dt for i in together]
    if codes.count(codes[0]) == len(codes):
        return xs
    code = functools.reduce(functools.partial(promote, op.name), codes)
    return tuple([x.astype(DTYPES[code]) if i in together and x.dt != code else x for i, x in enumerate(xs)])


# -- the general road


def bind(op: Op, xs: tuple[Any, ...], attrs: Attrs) -> Any:
    """``op(*xs, **attrs)``: operands may be scalars or arrays, recorded, or values of any interpreter."""
    for x in xs:
        if type(x) not in HANDLES and not isinstance(x, Tensor):
            xs = _lift_all(op, xs)
            break
    if len(xs) > 1:
        xs = _promote(op, xs)
        first = xs[0]
        for x in xs:
            if x.be != first.be or x.dev != first.dev:
                where = f"{first.device!r} and {x.device!r}"
                raise DeviceError(f"{op.name}: operands on {where}; move one of them with .to({first.device!r})")
    if xs:
        key = xs[op.key]
        be, dt, dev = key.be, key.dt, key.dev
    else:
        be, dev = attrs["device"]
        dt = CODE[attrs["dtype"]]
    if dt not in op.codes:
        raise illegal_dtype(op, dt)
    spec = op.spec(*xs, **attrs)
    here, tr, rec, hold = None, None, 0, 0
    if ACTIVE[0]:
        here = state()
        tr = here.stage
        capture = here.capture
        if capture is not None:
            xs = tuple([capture.resolve(x) for x in xs])
            hold = capture.hold
            own_borrowed(xs)  # the function will be run again, and must find the same values
    for x in xs:
        if x.tr is not None:
            if not x.tr.alive:
                raise leaked(op.name, x)
            if tr is None or x.tr.uid > tr.uid:
                tr = x.tr
        if x.mask:
            rec |= live(x, here) if here is not None else x.mask & 1
    if rec:
        rec = rec & ~hold if op.differentiable else 0
        if tr is not None:
            rec &= ~tr.outer  # each graph id is recorded at exactly one level
    if tr is not None and tr.staging:
        xs = tuple([tr.lifted(x) for x in xs])
    if op.decompose is not None and not _whole(op, tr, rec, be, dt):
        return _decomposed(op, xs, attrs, rec, spec)
    if rec:
        _own_saved(op, xs)
    if tr is None:
        out = _run(op, xs, attrs, spec, be, dt, dev, here)
        if out is NotImplemented:
            return _decomposed(op, xs, attrs, rec, spec)
    else:
        out = _lower(tr, op, xs, attrs, spec, here or state())
    return record(op, xs, attrs, out, rec) if rec else out


Op.bind = staticmethod(bind)
if not BACKENDS:
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
    """Run the decomposition at the caller's level.

    An op with a vjp of its own is recorded as one node, else its parts are.
    """
    if not rec or not op.has_vjp:
        return _as_promised(op, op.decompose(*xs, **attrs), spec)
    _own_saved(op, xs)
    here = state()
    with within(mask=here.mask & ~rec):
        out = op.decompose(*xs, **attrs)
    return record(op, xs, attrs, _as_promised(op, out, spec), rec)


def _as_promised(op: Op, out: Any, spec: Any) -> Any:
    """A decomposition must give what the shape rule said: kernels are held to the same rule."""
    if spec is None:  # a user's function, which has no rule of its own
        return out
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
    how = "native"
    r = op.table[be][dt](*[x.val for x in xs], **attrs)
    if r is NotImplemented:
        for kernel in op.chain[be][dt][1:]:
            r = kernel.fn(*[x.val for x in xs], **attrs)
            if r is not NotImplemented:
                break
        else:
            if op.decompose is not None:
                return NotImplemented
            how = "fallback"
            r = through_host(op, [x.val for x in xs], attrs, spec, be, dt, dev)
    if here is not None:
        for observer in here.observers:
            observer(op.name, BACKENDS[be].name, how)
    if type(spec) is tuple:
        return tuple([Tensor(v, be, CODE[s.dtype], s.shape, dev) for v, s in zip(r, spec, strict=True)])
    out = Tensor(r, be, dt if spec.dtype is DTYPES[dt] else CODE[spec.dtype], spec.shape, dev)
    if op.alias:
        x = xs[0]
        out.base = x.base if x.base is not None else x.val
    return out


def _lower(tr: Any, op: Op, xs: Tensors, attrs: Attrs, spec: Any, here: State) -> Any:
    """Hand the call to an interpreter, whose rule runs in the state below it."""
    before = here.mask, here.stage, here.capture, here.top
    here.mask &= tr.outer
    here.stage, here.capture, here.top = tr.below
    try:
        return tr.process(op, xs, attrs, spec)
    finally:
        here.mask, here.stage, here.capture, here.top = before


# -- recording


def _own_saved(op: Op, xs: Tensors) -> None:
    """Borrowed memory that a node will keep is copied once, for its handle."""
    own_borrowed(xs if op.saves is None else tuple([xs[i] for i in op.saves]))


def own_borrowed(xs: Tensors) -> None:
    """Copy what is borrowed, for the handles themselves: somebody will look at the values later."""
    for x in xs:
        if x.base is FOREIGN and x.tr is None:
            with within(mask=0, stage=None, capture=None, top=None):  # the handle keeps a value, whatever level asks
                x.val, x.base = bind(OPS["copy"], (x.clone(None, 0),), {}).val, None


def record(op: Op, xs: Tensors, attrs: Attrs, out: Any, rec: int) -> Any:
    """Put a call on the tape: snapshots hold only the ids being recorded and only the values that the backward rule
    reads.
    """
    here = state()
    inputs = []
    for i, x in enumerate(xs):
        mask = live(x, here) & rec if x.mask else 0
        node = x.node if mask else None
        keep = op.saves is None or i in op.saves
        inputs.append(x.clone(node, mask, x.ix) if keep else x.ghost(node, mask, x.ix))
    outs, save = tupled(out), op.save_output
    saved = range(len(outs)) if save is True else save or ()
    kept = tuple([o.clone(None, 0) if i in saved else o.ghost(None, 0) for i, o in enumerate(outs)])
    node = Node(op, attrs, tuple(inputs), kept, rec)
    results = tuple([_own_handle(o, xs) for o in outs])
    for i, o in enumerate(results):
        if KIND[o.dt] in "fc":
            o.node, o.mask, o.ix = node, rec, i
    return results if type(out) is tuple else results[0]


def _own_handle(o: Tensor, xs: Tensors) -> Tensor:
    """A result may be one of the operands, or a handle that something else refers to; the tape needs one of its own."""
    for x in xs:
        if o is x:
            return o.clone(None, 0)
    return o if o.node is None and o.tr is None and type(o) is Tensor else o.clone(None, 0)


# -- writing in place


def overwrite(op: Op, x: Tensor, rest: tuple[Any, ...], attrs: Attrs) -> Tensor:
    """``x = op(x, *rest)`` as a write to the handle ``x``, into its own buffer when nobody else can see it.

    Returns ``x``.
    """
    rest = tuple([r if isinstance(r, Tensor) else _lift_one(op, r, x) for r in rest])
    if not _reuse(op, x, rest, attrs):
        new = bind(op, (x, *rest), attrs)
        if new.shape != x.shape:
            raise ValueError(f"{op.name}: writing in place needs a result of shape {x.shape}, got {new.shape}")
        x.rebind(writable(op.name, new, x))
    return x


def writable(name: str, new: Tensor, x: Tensor) -> Tensor:
    """``new`` in the dtype of ``x``, into which it will be written; DTypeError where its kind would not fit."""
    if RANK[KIND[new.dt]] > RANK[KIND[x.dt]]:
        remedy = "cast one of them with .astype()"
        raise DTypeError(f"{name}: a {new.dtype} value cannot be written into a {x.dtype} tensor; {remedy}")
    return new.astype(x.dtype) if new.dt != x.dt else new


def _reuse(op: Op, x: Tensor, rest: Tensors, attrs: Attrs) -> bool:
    """Do it in the buffer of ``x``, or leave everything untouched and say False."""
    into = BACKENDS[x.be].into.get(op.name)
    if into is None or x.is_leaf or x.dt not in op.codes or not sole(x):
        return False
    here = state()
    if ACTIVE[0] and (here.stage is not None or here.capture is not None or here.log is not None or here.observers):
        return False
    rec = live(x, here) if x.mask else 0
    for r in rest:
        if r.tr is not None or r.be != x.be or r.dev != x.dev or r.dt != x.dt:
            return False
        if r.mask:
            rec |= live(r, here)
    rec = rec if x.recorded else 0
    if rec and (op.saves is None or 0 in op.saves or op.save_output):
        return False
    if op.spec(x, *rest, **attrs).shape != x.shape:
        return False
    if into(x.val, x.val, *[r.val for r in rest], **attrs) is NotImplemented:
        return False
    if rec or x.mask:
        old, value = x.ghost(x.node, x.mask, x.ix), Tensor(x.val, x.be, x.dt, x.shape, x.dev)
        new = record(op, (old, *rest), attrs, value, rec) if rec else value
        x.node, x.mask, x.ix = new.node, new.mask, 0
    return True


# -- watching


def observe(observer: Any) -> within:
    """Within the block, in this thread, ``observer(op, backend, how)`` hears of every kernel that runs; ``how`` is
    native or fallback.

    >>> import plugrad
    >>> heard = []
    >>> x = plugrad.asarray([1.0], device="numpy")
    >>> with observe(lambda op, backend, how: heard.append((op, backend, how))):
    ...     y = x + x
    >>> heard
    [('add', 'numpy', 'native')]
    """
    return within(observers=(*state().observers, observer))
