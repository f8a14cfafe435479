"""The loops of elementwise ops and of reductions, found by the op's name and its dtype codes. For what is planned ahead
of the call: programs and fused groups.
"""

from .tables cimport find, pg_fn, pg_row_fn
from .view cimport PG_B1, PG_U1, pg_itemsize, pg_short_name

CHANGED = frozenset({"real", "imag", "signbit"})
MOVED = frozenset({"copy", "alias", "bitcast"})
cdef dict _SIZES = {1: b"u1", 2: b"u2", 4: b"u4", 8: b"u8", 16: b"c16"}
cdef dict _BOOLS = {"sum": b"max", "prod": b"min", "sum_rows": b"max_rows", "prod_rows": b"min_rows"}


cdef pg_row_fn copy_row(int itemsize) noexcept:
    """The row that copies elements of a size."""
    return <pg_row_fn>find("movement", "copy", <bytes>_SIZES[itemsize])


cdef pg_row_fn row_of(str op, tuple codes, int out) except? NULL:
    """The row of an op for the dtype codes of its operands and its result, or NULL."""
    cdef bytes name = op.encode()
    cdef int code = codes[0]
    if op == "cast" and code != out:
        return <pg_row_fn>find("cast", pg_short_name[code], pg_short_name[out])
    if op == "cast" or op in MOVED:
        return copy_row(pg_itemsize[code]) if pg_itemsize[code] == pg_itemsize[out] else NULL
    if op == "where":
        if len(codes) != 3 or code != PG_B1 or codes[1] != out or codes[2] != out:
            return NULL
        return <pg_row_fn>find("elementwise", "where", <bytes>_SIZES[pg_itemsize[out]])
    if op in CHANGED or (op == "abs" and code != out):
        return <pg_row_fn>find("cast", name, pg_short_name[code])
    if any([k != code for k in codes]) or len(codes) > 2:
        return NULL
    return <pg_row_fn>find("elementwise", name, pg_short_name[code])


cdef pg_fn fold_of(str op, int code) except? NULL:
    """The loop of a reduction or of a search for its position, or NULL; bools go as bytes."""
    cdef bytes name = op.encode()
    if code == PG_B1 and op != "cumsum":
        return find("reduction", <bytes>_BOOLS.get(op, name), pg_short_name[<int>PG_U1])
    return find("reduction", name, pg_short_name[code])
