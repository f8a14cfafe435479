"""One look, in C, at whether everything is still the very object that a compiled function was staged with.

A look that finds all the same is all that nearly every call needs. One that does not says no more than that: what is
another object may be equal, and is for the guards to judge. Where Python numbers the changes of a dict (PEP 509: up to
3.12) one that nobody touched is not looked into.
"""

from libc.stdlib cimport calloc, free

from ..handle cimport _TensorBase

cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030D0000 && CYTHON_COMPILING_IN_CPYTHON
    #define PG_VERSION(dict) ((unsigned long long)((PyDictObject *)(dict))->ma_version_tag)
    #else
    #define PG_VERSION(dict) 0ULL
    #endif
    """
    unsigned long long PG_VERSION(dict d)

cdef extern from "Python.h":
    ctypedef struct PyObject:
        pass
    PyObject* PyDict_GetItemWithError(dict d, object key) except? NULL
    int PyDict_Next(dict d, Py_ssize_t* position, PyObject** key, PyObject** value)
    PyObject* PyCell_GET(object cell)
    PyObject* PyFunction_GetCode(object f)
    PyObject* PyFunction_GetDefaults(object f)
    PyObject* PyFunction_GetKwDefaults(object f)

cdef struct Kind:                          # of a handle: backend, dtype code, whether it is on the tape
    int be
    int dt
    bint taped


cdef class Glance:
    """What is looked at: dicts, each with names and what they held (``absent`` for none), ``whole`` ones for all that
    they hold; lists and what they held; cells of closures and their contents; functions and their code, defaults and
    keyword defaults; handles of tensors, for their kinds.
    """

    cdef list dicts, names, values, lists, items, cells, contents, functions, made, handles, shapes, devices
    cdef object absent
    cdef bint* whole
    cdef unsigned long long* versions
    cdef Kind* kinds

    def __cinit__(self, list dicts, list lists, list cells, list functions, list handles, object absent):
        """``dicts`` of (dict, names, values, whole), ``lists`` of (list, items), ``cells`` of (cell, content),
        ``functions`` of (function, code, defaults, keyword defaults), ``handles`` of (tensor, kind), as in ``calls``.
        """
        cdef Py_ssize_t i
        cdef int be, dt
        self.whole = <bint*>calloc(len(dicts) + 1, sizeof(bint))
        self.versions = <unsigned long long*>calloc(len(dicts) + 1, sizeof(unsigned long long))
        self.kinds = <Kind*>calloc(len(handles) + 1, sizeof(Kind))
        if self.whole == NULL or self.versions == NULL or self.kinds == NULL:
            raise MemoryError("compile: no memory for guards")
        self.absent = absent
        self.dicts, self.names, self.values = [], [], []
        for i, (d, names, values, whole) in enumerate(dicts):
            self.dicts.append(<dict?>d)
            self.names.append(tuple(names))
            self.values.append(tuple(values))
            self.whole[i] = whole
        self.lists, self.items = [<list?>box for box, _ in lists], [tuple(items) for _, items in lists]
        self.cells, self.contents = [cell for cell, _ in cells], [value for _, value in cells]
        self.functions, self.made = [f for f, *_ in functions], [tuple(made) for _, *made in functions]
        self.handles = [<_TensorBase?>t for t, _ in handles]
        self.shapes, self.devices = [kind[2] for _, kind in handles], [kind[3] for _, kind in handles]
        for i, (_, (be, dt, _, _, taped)) in enumerate(handles):
            self.kinds[i].be, self.kinds[i].dt, self.kinds[i].taped = be, dt, taped != 0

    def __dealloc__(self):
        free(self.whole)
        free(self.versions)
        free(self.kinds)

    def holds(self) -> bool:
        """Whether all is as it was."""
        cdef Py_ssize_t i
        cdef unsigned long long version
        cdef Kind* kind
        cdef _TensorBase t
        cdef dict d
        for i in range(len(self.handles)):
            t = self.handles[i]
            kind = self.kinds + i
            if t.be != kind.be or t.dt != kind.dt or _taped(t) != kind.taped:
                return False
            if t._shape is not self.shapes[i] and t._shape != self.shapes[i]:
                return False
            if t.dev is not self.devices[i] and t.dev != self.devices[i]:
                return False
        for i in range(len(self.cells)):
            if PyCell_GET(self.cells[i]) != _pointer(self.contents[i], self.absent):
                return False
        for i in range(len(self.dicts)):
            d = self.dicts[i]
            version = PG_VERSION(d)
            if version != 0 and version == self.versions[i]:
                continue
            if not (_all(d, self.names[i], self.values[i]) if self.whole[i] else self._some(d, i)):
                return False
            self.versions[i] = version
        for i in range(len(self.lists)):
            if not _list(self.lists[i], self.items[i]):
                return False
        for i in range(len(self.functions)):
            if not _function(self.functions[i], self.made[i]):
                return False
        return True

    cdef bint _some(self, dict d, Py_ssize_t i) except -1:
        cdef tuple names = self.names[i], values = self.values[i]
        cdef Py_ssize_t k
        for k in range(len(names)):
            if PyDict_GetItemWithError(d, names[k]) != _pointer(values[k], self.absent):
                return False
        return True


cdef inline PyObject* _pointer(object value, object absent):
    return NULL if value is absent else <PyObject*>value


cdef inline bint _taped(_TensorBase t) except -1:
    return t.node is not None and (t.mask & 1) != 0


cdef bint _all(dict d, tuple names, tuple values) except -1:
    """Whether a dict holds just these keys and values, in this order."""
    cdef Py_ssize_t position = 0, k = 0
    cdef PyObject* key
    cdef PyObject* value
    if len(d) != len(names):
        return False
    while PyDict_Next(d, &position, &key, &value):
        if key != <PyObject*>names[k] or value != <PyObject*>values[k]:
            return False
        k += 1
    return True


cdef bint _list(list box, tuple items) except -1:
    cdef Py_ssize_t k
    if len(box) != len(items):
        return False
    for k in range(len(items)):
        if box[k] is not items[k]:
            return False
    return True


cdef bint _function(object f, tuple made) except -1:
    return (
        PyFunction_GetCode(f) == <PyObject*>made[0]
        and _or_none(PyFunction_GetDefaults(f)) == <PyObject*>made[1]
        and _or_none(PyFunction_GetKwDefaults(f)) == <PyObject*>made[2]
    )


cdef inline PyObject* _or_none(PyObject* value):
    return <PyObject*>None if value == NULL else value
