"""``fused``: a group of elementwise ops, and reductions behind them, in one pass over the operands. The interpreter is
in ``fused.h``; here a group's body is turned into its tables.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .catalog cimport copy_row, fold_of, row_of
from .memory cimport Storage, allocate
from .plan cimport pg_plan, pg_plan_simplify
from .tables cimport pg_row_fn
from .view cimport PG_F4, PG_F8, PG_MAX_DIMS, PG_MAX_OPERANDS, View, code_of, fresh, pg_itemsize, read_dims

from . import nest as nests
from . import reduction
from .view import constant

cdef extern from "plugrad/reduction_plan.h" nogil:
    void pg_reduction_plans(int ndim, const Py_ssize_t* shape, const Py_ssize_t* s, const Py_ssize_t* so,
                            unsigned long long axes, pg_plan* kept, pg_plan* reduced)

REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
cdef dict _JOINS = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}
cdef enum:
    LINE = 64                              # bytes
    HOLD_GIL_BELOW = 4096                  # elements


class Declined(Exception):
    """The interpreter has no loop for a part of a group."""


cdef void _read(tuple values, Py_ssize_t* out) noexcept:
    cdef int i
    for i in range(len(values)):
        out[i] = values[i]


cdef int fold_pieces(pg_body_end* end, nest, strides) except -1:
    """The loop nests that fold a piece."""
    cdef Py_ssize_t shape[PG_MAX_DIMS]
    cdef Py_ssize_t s[PG_MAX_DIMS]
    cdef Py_ssize_t so[PG_MAX_DIMS]
    cdef unsigned long long axes = 0
    gone = [step == 0 for step in strides]
    for i in range(len(gone)):
        end.reduced_axes |= <unsigned long long>gone[i] << i
    end.complete = not any(gone[: nest.axis]) and (not gone[nest.axis] or nest.rows == nest.shape[nest.axis])
    gone = gone[nest.axis:]
    for i in range(len(gone)):
        axes |= <unsigned long long>gone[i] << i
    for i, rows in enumerate(nest.pieces):
        piece = nest.piece(rows)
        _read(piece, shape)
        _read(nests.packed(piece, end.itemsize), s)
        _read(nests.kept_strides(piece, gone, end.itemsize), so)
        pg_reduction_plans(len(piece), shape, s, so, axes, end.kept + <int>i, end.reduced + <int>i)
        end.count[i] = 1
        for n, dropped in zip(piece, gone):
            end.count[i] *= 1 if dropped else n
    return 0


cdef class Group:
    """The tables of a group for given layouts. Without empty axes; ``Declined`` where there is no loop for a part.

    ``strides`` are those of the operands along the axes of the body's shape; results are C-contiguous. ``same[j]`` are
    the operands on whose very memory result j lies, in the same layout.
    """

    def __init__(self, body, tuple strides, dict same={}):
        cdef int k
        sizes = [spec.dtype.itemsize for spec in body.specs]
        eqns = [e for e in body.eqns if e.op not in REDUCTIONS]
        ends = {e.outs[0]: e for e in body.eqns if e.op in REDUCTIONS}
        everything = list(strides)
        for v in body.outputs:
            if v in ends:
                axes = dict(ends[v].attrs)["axis"]
                dropped = [i in axes for i in range(len(body.shape))]
                everything.append(nests.kept_strides(body.shape, dropped, sizes[v]))
            elif tuple(body.specs[v].shape) != tuple(body.shape):
                raise Declined(f"a result of shape {body.specs[v].shape} in a group of shape {body.shape}")
            else:
                everything.append(nests.packed(body.shape, sizes[v]))
        self.kept = []
        self.scratch = 0
        self.elements = 1
        for n in body.shape:
            self.elements *= n
        nest = nests.nest(body.shape, everything, max(sizes))
        self.g.ndim = len(nest.shape)
        _read(nest.shape, self.g.shape)
        self.g.axis, self.g.rows, self.g.inner = nest.axis, nest.rows, nest.inner
        self.g.outsides = len(everything)
        self.g.outside = <pg_outside*>calloc(len(everything) + 1, sizeof(pg_outside))
        where = {}
        for k in range(len(everything)):
            v = k if k < body.operands else body.outputs[k - body.operands]
            step = self._outside(k, nest, sizes[v], k < body.operands)
            if k < body.operands:
                where[k] = (k, step)
        self._ops(body, eqns, ends, where, sizes, same)
        self._ends(body, ends, where, nest)

    def __dealloc__(self):
        free(self.g.outside)
        free(self.g.buffer)
        free(self.g.literal)
        free(self.g.op)
        free(self.g.end)

    cdef Py_ssize_t reserve(self, Py_ssize_t bytes):
        """The offset of so many bytes of scratch memory; neighbours never begin at the same place of a page."""
        cdef Py_ssize_t at = self.scratch
        self.scratch += (bytes + LINE - 1) // LINE * LINE + LINE
        return at

    def _outside(self, int k, nest, int itemsize, bint operand):
        """How a piece of an operand or result is reached; the stride along a piece is returned."""
        cdef pg_outside* x = self.g.outside + k
        cdef pg_plan* plan
        strides = nest.strides[k]
        piece = nest.along(strides)
        _read(strides, x.stride)
        x.how = PG_IN_PLACE_PIECE
        if not operand or nests.is_packed(nest.piece(nest.rows), piece, itemsize):
            return itemsize
        if not any(piece):
            return 0
        x.how = PG_LOADED if any(strides[: nest.axis + 1]) else PG_LOADED_ONCE
        x.buffer = self.reserve(nest.rows * nest.inner * itemsize)
        x.copy = copy_row(itemsize)
        for i, rows in enumerate(nest.pieces):
            shape = nest.piece(rows)
            plan = x.load + <int>i
            plan.operands = 2
            plan.ndim = len(shape)
            _read(shape, plan.shape)
            _read(nests.packed(shape, itemsize), plan.stride[0])
            _read(piece, plan.stride[1])
            pg_plan_simplify(plan)
        return itemsize

    def _ops(self, body, list eqns, dict ends, dict where, list sizes, dict same):
        """The calls of rows, and a buffer for each value that stays inside, used again once the value is dead."""
        cdef list ops = [], free_buffers = [], buffers = [], literals = []
        cdef dict last = {}, direct = {}, late = {}
        cdef int j
        codes = [code_of(spec.dtype) for spec in body.specs]
        for j, e in enumerate(eqns):
            last.update(dict.fromkeys(e.values, j))
        for v in [*[x for e in ends.values() for x in e.values], *body.outputs]:
            last[v] = len(eqns)
        for j, v in enumerate(body.outputs):
            if v in ends:
                continue
            made = [i for i, e in enumerate(eqns) if v in e.outs]
            if v in direct or not made or any([last.get(k, -1) > made[0] for k in same.get(j, ())]):
                late[body.operands + j] = v
            else:
                direct[v] = body.operands + j

        def buffer_for(itemsize):
            for b in free_buffers:
                if buffers[b] == itemsize:
                    free_buffers.remove(b)
                    return b
            buffers.append(itemsize)
            return len(buffers) - 1

        def operand(x, int j):
            if type(x) is int:
                return where[x]
            literals.append(constant(x.value, x.dtype))
            return ("literal", len(literals) - 1), 0

        def spread(at, int itemsize):
            """A scalar, as a piece."""
            b = buffer_for(itemsize)
            ops.append((("copy", itemsize), [(("buffer", b), itemsize), at]))
            return ("buffer", b), itemsize

        for j, e in enumerate(eqns):
            out, = e.outs
            ins = [operand(x, j) for x in e.ins]
            kinds = tuple([codes[x] if type(x) is int else code_of(x.dtype) for x in e.ins])
            if row_of(e.op, kinds, codes[out]) == NULL:
                raise Declined(f"{e.op} of {[body.specs[x] if type(x) is int else x.dtype for x in e.ins]}")
            extra = []
            first = len(ins) - 2 if len(ins) > 1 else 0
            for i in ([0, first] if len(ins) == 3 else [first]):
                if not any([s for _, s in ins[i:]]) or (i == 0 and len(ins) == 3 and ins[0][1] == 0):
                    ins[i] = spread(ins[i], pg_itemsize[kinds[i]])
                    extra.append(ins[i][0][1])
            dying = [x for x in dict.fromkeys(e.values) if last[x] == j and type(where[x][0]) is tuple]
            same_size = [x for x in dying if sizes[x] == sizes[out]]
            if out in direct:
                to = direct[out]
            elif same_size and out not in direct:
                to = where[same_size[0]][0]
                dying.remove(same_size[0])
            else:
                to = ("buffer", buffer_for(sizes[out]))
            where[out] = to, sizes[out]
            ops.append((("row", e.op, kinds, codes[out]), [where[out], *ins]))
            free_buffers.extend([*[where[x][0][1] for x in dying], *extra])
        for e in ends.values():
            x, = e.ins
            if type(x) is not int or where[x][1] == 0:
                where[x] = spread(operand(x, len(eqns)), sizes[x] if type(x) is int else x.dtype.itemsize)
        for k, v in late.items():
            ops.append((("copy", sizes[v]), [(k, sizes[v]), where[v]]))
        self._emit(ops, buffers, literals)

    def _emit(self, list ops, list buffers, list literals):
        """The tables of ops, buffers and literals."""
        cdef int i, k, base = self.g.outsides
        cdef pg_body_op* op
        cdef View x
        if base + len(buffers) + len(literals) > PG_GROUP_POINTERS:
            raise Declined("too many values")
        self.g.buffers = len(buffers)
        self.g.buffer = <Py_ssize_t*>calloc(len(buffers) + 1, sizeof(Py_ssize_t))
        for i, itemsize in enumerate(buffers):
            self.g.buffer[i] = self.reserve(self.g.rows * self.g.inner * <int>itemsize)
        self.g.literals = len(literals)
        self.g.literal = <char**>calloc(len(literals) + 1, sizeof(char*))
        self.kept.extend(literals)
        for i in range(len(literals)):
            x = literals[i]
            self.g.literal[i] = x.data
        self.g.ops = len(ops)
        self.g.op = <pg_body_op*>calloc(len(ops) + 1, sizeof(pg_body_op))
        for i, (how, operands) in enumerate(ops):
            op = self.g.op + i
            op.row = copy_row(how[1]) if how[0] == "copy" else row_of(how[1], how[2], how[3])
            op.operands = len(operands)
            for k, (at, step) in enumerate(operands):
                op.at[k] = self._number(at)
                op.s[k] = step

    def _number(self, at) -> int:
        if type(at) is int:
            return at
        kind, i = at
        return self.g.outsides + (i if kind == "buffer" else self.g.buffers + i)

    def _ends(self, body, dict ends, dict where, nest):
        """The tables of reductions."""
        cdef pg_body_end* end
        cdef int i, code
        self.g.end = <pg_body_end*>calloc(len(ends) + 1, sizeof(pg_body_end))
        outs = [(body.operands + j, v) for j, v in enumerate(body.outputs) if v in ends]
        self.g.ends = len(outs)
        if len(outs) > PG_GROUP_ENDS:
            raise Declined("too many reductions")
        for i, (k, v) in enumerate(outs):
            end = self.g.end + i
            e = ends[v]
            code = code_of(body.specs[v].dtype)
            end.fold = <pg_reduce_fn>fold_of(e.op, code)
            if end.fold == NULL:
                raise Declined(f"{e.op} of {body.specs[v].dtype}")
            end.out = k
            end.at = self._number(where[e.ins[0]][0])
            end.itemsize = pg_itemsize[code]
            fold_pieces(end, nest, nest.strides[k])
            if end.complete:
                continue
            gone = [step == 0 for step in nest.strides[k][nest.axis:]]
            if gone[0] and not any(gone[1:]):
                end.rows = <pg_fold_rows_fn>fold_of(e.op + "_rows", code)
            end.partial = self.reserve(end.count[0] * end.itemsize)
            if e.op == "sum" and code in (PG_F4, PG_F8):
                end.accumulate = pg_accumulate_f4 if code == PG_F4 else pg_accumulate_f8
                end.compensation = self.reserve(self._results(nest, nest.strides[k]) * end.itemsize)
            else:
                end.join = row_of(_JOINS[e.op], (code, code), code)

    def _results(self, nest, strides) -> int:
        out = 1
        for n, s in zip(nest.shape, strides):
            out *= n if s else 1
        return out

# -- as a kernel

cdef dict _GROUPS = {}                     # (id of a body, layouts) -> body, group
cdef enum:
    GROUPS = 512


cdef tuple _strides(View x, object body):
    """Strides along the axes of the group's shape: 0 where the operand is stretched."""
    cdef int i, lead = len(body.shape) - x.ndim
    cdef list out = [0] * len(body.shape)
    for i in range(x.ndim):
        if x.dims[i] != 1:
            out[lead + i] = x.strides_[i]
    return tuple(out)


def fused(*values, body):
    """The results of a group's body, a ``plugrad.program.Body``; NotImplemented where the interpreter lacks a loop."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef char* first[PG_GROUP_POINTERS]
    cdef View x
    cdef Group group
    cdef Storage scratch
    cdef int ndim, k
    if 0 in body.shape or len(values) + len(body.outputs) > PG_GROUP_POINTERS:
        return NotImplemented
    key = (id(body), tuple([_strides(<View?>v, body) for v in values]))
    found = _GROUPS.get(key)
    if found is None:
        try:
            found = body, Group(body, key[1])
        except Declined:
            found = body, None
        if len(_GROUPS) >= GROUPS:
            _GROUPS.clear()
        _GROUPS[key] = found
    if found[1] is None:
        return NotImplemented
    group = found[1]
    outs = []
    for k, v in enumerate(body.outputs):
        spec = body.specs[v]
        ndim = read_dims(spec.shape, dims)
        x = fresh(ndim, dims, code_of(spec.dtype))
        outs.append(x)
        first[body.operands + k] = x.data
    for k in range(body.operands):
        x = values[k]
        first[k] = x.data
    scratch = allocate(group.scratch)
    if group.elements < HOLD_GIL_BELOW:
        pg_group_run(&group.g, first, scratch.data)
    else:
        with nogil:
            pg_group_run(&group.g, first, scratch.data)
    return tuple(outs) if len(outs) > 1 else outs[0]
