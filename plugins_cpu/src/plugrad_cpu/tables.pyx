"""The kernel tables compiled from C, and the choice between instruction sets, made once at import.

A higher instruction set's table need not be complete: what it lacks is taken from the next one, at last the baseline.
"""

from libc.string cimport strcmp

from . import cpuid
from .view cimport PG_CODES, pg_short_name

cdef extern from "plugrad/common.h":
    ctypedef struct pg_entry:
        const char* op
        const char* dtype
        pg_fn fn
    ctypedef struct pg_family:
        const char* name
        const pg_entry* entries

cdef extern from *:
    """
    /* what vecmath.h must not know */
    const float pg_exp_limits_f4[2] = {-104.0f, 89.0f}, pg_tanh_limits_f4[2] = {-9.02f, 9.02f};
    const float pg_erf_limits_f4[2] = {-3.93f, 3.93f};
    const float pg_one_f4[2] = {-1.0f, 1.0f};
    const double pg_exp_limits_f8[2] = {-746.0, 710.0}, pg_tanh_limits_f8[2] = {-20.0, 20.0};
    extern const pg_family pg_families_avx512[], pg_families_avx2[], pg_families_baseline[];
    static const pg_family *const pg_tables[] = {pg_families_avx512, pg_families_avx2, pg_families_baseline};
    """
    const pg_family** pg_tables

ISA = cpuid.chosen()
NAMES = ("avx512", "avx2", "baseline")
"""All instruction sets that there are kernels for, the best one first, as in ``pg_tables``."""

cdef int _chosen = NAMES.index(ISA)


cdef pg_fn _find_in(const pg_family* families, const char* family, const char* op, const char* dtype) noexcept:
    cdef const pg_entry* entry
    while families.name != NULL:
        if strcmp(families.name, family) == 0:
            entry = families.entries
            while entry.op != NULL:
                if strcmp(entry.op, op) == 0 and strcmp(entry.dtype, dtype) == 0:
                    return entry.fn
                entry += 1
        families += 1
    return NULL


cdef pg_fn find(const char* family, const char* op, const char* dtype) noexcept:
    """The kernel of an op for a dtype, or NULL."""
    cdef pg_fn fn = NULL
    cdef int table
    for table in range(_chosen, 3):
        fn = _find_in(pg_tables[table], family, op, dtype)
        if fn != NULL:
            break
    return fn


cdef void load(const char* family, const char* op, pg_fn* by_code) noexcept:
    """Fill a list indexed by dtype code."""
    cdef int code
    for code in range(PG_CODES):
        by_code[code] = find(family, op, pg_short_name[code])


def entries(isa: str) -> list[tuple[str, str, str]]:
    """(family, op, dtype) of every kernel compiled for an instruction set."""
    cdef const pg_family* family = pg_tables[NAMES.index(isa)]
    cdef const pg_entry* entry
    found = []
    while family.name != NULL:
        entry = family.entries
        while entry.op != NULL:
            found.append((family.name.decode(), entry.op.decode(), entry.dtype.decode()))
            entry += 1
        family += 1
    return found
