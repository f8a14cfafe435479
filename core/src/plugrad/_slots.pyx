"""What Python leaves slow in classes that are made and dropped at every call: operators of a compiled class found by name
in its subclasses, and the memory of their objects.
"""

cdef extern from *:
    const char* PLUGRAD_SOURCES

SOURCES = PLUGRAD_SOURCES.decode()                     # what was compiled: a hash that plugrad.hot compares

cdef extern from "Python.h":
    ctypedef struct PyNumberMethods:
        void* nb_add
        void* nb_subtract
        void* nb_multiply
        void* nb_true_divide
    ctypedef struct PyTypeObject:
        PyNumberMethods* tp_as_number


def inherit_operators(type kind not None, type base not None):
    """Give ``kind``, which must not define them itself, the arithmetic operators of ``base``."""
    cdef PyNumberMethods* mine = (<PyTypeObject*>kind).tp_as_number
    cdef PyNumberMethods* its = (<PyTypeObject*>base).tp_as_number
    mine.nb_add = its.nb_add
    mine.nb_subtract = its.nb_subtract
    mine.nb_multiply = its.nb_multiply
    mine.nb_true_divide = its.nb_true_divide


cdef extern from *:
    """
    #if defined(CYTHON_COMPILING_IN_CPYTHON) && CYTHON_COMPILING_IN_CPYTHON && !defined(Py_GIL_DISABLED)
    #define PG_KEPT 512
    #define PG_SIZES 32

    /* Memory of dropped objects, by size in words; the GIL guards it. */
    static PyObject *pg_kept[PG_SIZES][PG_KEPT];
    static int pg_count[PG_SIZES];

    static PyObject *pg_take(PyTypeObject *type, Py_ssize_t items) {
        size_t size = (size_t)type->tp_basicsize, words = size / sizeof(void *);
        if (items != 0 || pg_count[words] == 0)
            return PyType_GenericAlloc(type, items);
        PyObject *object = pg_kept[words][--pg_count[words]];
        memset(object, 0, size);
        (void)PyObject_Init(object, type);
        PyObject_GC_Track(object);
        return object;
    }

    static void pg_drop(void *object) {
        size_t words = (size_t)Py_TYPE((PyObject *)object)->tp_basicsize / sizeof(void *);
        if (pg_count[words] < PG_KEPT)
            pg_kept[words][pg_count[words]++] = (PyObject *)object;
        else
            PyObject_GC_Del(object);
    }

    static void pg_reuse(PyTypeObject *type) {
        static PyTypeObject *owner[PG_SIZES]; /* one class for a size: what stands before an object may differ */
        size_t words = (size_t)type->tp_basicsize / sizeof(void *);
        if (words >= PG_SIZES || owner[words] != NULL)
            return;
        if (type->tp_itemsize == 0 && type->tp_dictoffset == 0
            && PyType_IS_GC(type) && type->tp_alloc == PyType_GenericAlloc && type->tp_free == PyObject_GC_Del) {
            type->tp_alloc = pg_take;
            type->tp_free = pg_drop;
            owner[words] = type;
        }
    }
    #else
    static void pg_reuse(PyTypeObject *type) { (void)type; }
    #endif
    """
    void pg_reuse(PyTypeObject* type)


def reuse_memory(type kind not None):
    """Keep the memory of some dropped objects of this class for those that come. Subclasses do not take part."""
    pg_reuse(<PyTypeObject*>kind)
