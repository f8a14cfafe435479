"""Compiled programs: the steps of ``lowering`` run over an arena, without returning to Python between C steps.

A run takes a frame, an arena with the addresses of all bases, from a short list of free ones; a second run at the same
time takes or makes another. The GIL guards the list, and is released while C steps with enough to do are run.
Numbers of the host lie in the frame too.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from time import perf_counter

import numpy as np

from plugrad.errors import ShapeError

from .memory cimport Storage, allocate_exact
from .movement cimport contiguous_copy, copy_into
from .steps cimport Steps, pg_steps_run
from .view cimport PG_MAX_DIMS, View, code_of, fresh, pg_itemsize, read_dims, settle

from .lowering import ARENA, INPUTS, PRIVATE, SCRATCH, Lowering, PythonStep
from .view import constant

cdef enum:
    HOLD_GIL_BELOW = 16384                 # elements: releasing and taking the GIL costs more
    SPARE = 4                              # free frames kept
    LINE = 64
    NUMBER = 16                            # bytes for a number of the host

cdef struct Given:                         # an input; ``host`` is the number of a number of the host, or -1
    Py_ssize_t size
    int code
    int host

cdef struct Taken:                         # an output: ``donor`` is the number of an input, or -1
    int base
    int position
    int donor
    int code
    int host
    int ndim
    Py_ssize_t dims[PG_MAX_DIMS]

cdef struct Stage:                         # C steps, or the Python step of that number
    int begin
    int end
    int python
    bint release


@cython.final
cdef class Frame:
    """An arena, and the address of each base."""
    cdef Storage arena
    cdef char** base
    cdef list owners                       # of bases, for Python steps
    cdef list held

    def __dealloc__(self):
        free(self.base)


@cython.final
cdef class Window:
    """What a Python step sees of a base."""
    cdef View like
    cdef int base
    cdef Py_ssize_t offset

    cdef View at(self, Frame frame):
        """The view, which owns a share of the memory."""
        cdef View x = View.__new__(View), like = self.like
        x.owner = frame.owners[self.base]
        x.data = frame.base[self.base] + self.offset
        x.size = like.size
        x.ndim = like.ndim
        x.code = like.code
        x.contiguous = like.contiguous
        memcpy(x.dims, like.dims, like.ndim * sizeof(Py_ssize_t))
        memcpy(x.strides_, like.strides_, like.ndim * sizeof(Py_ssize_t))
        return x


cdef Window window(layout):
    """The window of a ``layout.Layout``."""
    cdef Window w = Window.__new__(Window)
    cdef int i
    w.base = layout.base
    w.offset = layout.offset
    w.like = View.__new__(View)
    w.like.code = code_of(layout.dtype)
    w.like.ndim = read_dims(layout.shape, w.like.dims)
    for i in range(w.like.ndim):
        w.like.strides_[i] = layout.strides[i]
    settle(w.like)
    return w


@cython.final
cdef class Compiled:
    """A program ready to run: ``compiled(*inputs) -> outputs``. Made by ``compile``."""
    cdef object lowering
    cdef object calls                      # functions of Python steps and, for errors, of equations
    cdef Steps steps
    cdef Given* given
    cdef Taken* taken
    cdef Stage* stage
    cdef int inputs, outputs, stages, bases, hosted
    cdef size_t arena, private, scratch
    cdef tuple dtypes                      # of the numbers of the host
    cdef list constants                    # (base, view)
    cdef list python                       # (equation, windows of operands, windows of results)
    cdef set own                           # bases that a Python step's result may be put into as it is
    cdef list frames
    cdef list times                        # where ``seconds`` wants to know them

    def __init__(self, lowering, calls):
        cdef int i
        program = lowering.program
        self.lowering = lowering
        self.calls = calls
        self.steps = lowering.steps
        self.frames = []
        self.bases = lowering.bases
        self.arena = program.plan.size if program.plan is not None else 0
        self.arena = (self.arena + LINE - 1) // LINE * LINE
        self.private = lowering.private
        self.scratch = lowering.scratch
        self.constants = list(lowering.constants.items())
        self.python = []
        dtypes = []
        self.inputs = len(program.inputs)
        self.given = <Given*>calloc(self.inputs + 1, sizeof(Given))
        for i in range(self.inputs):
            spec = program.specs[program.inputs[i]]
            self.given[i].size = 1
            for n in spec.shape:
                self.given[i].size *= n
            self.given[i].code = code_of(spec.dtype)
            self.given[i].host = -1
            if i in program.host_inputs:
                self.given[i].host = len(dtypes)
                dtypes.append(spec.dtype)
        self.outputs = len(lowering.outputs)
        self.taken = <Taken*>calloc(self.outputs + 1, sizeof(Taken))
        for i, out in enumerate(lowering.outputs):
            self.taken[i].base, self.taken[i].position, self.taken[i].donor = out.base, out.position, out.donor
            self.taken[i].code = code_of(out.spec.dtype)
            self.taken[i].ndim = read_dims(out.spec.shape, self.taken[i].dims)
            self.taken[i].host = -1
            if out.position in program.host_outputs:
                self.taken[i].host = len(dtypes)
                dtypes.append(out.spec.dtype)
        self.dtypes = tuple(dtypes)
        self.hosted = len(dtypes)
        self.stages = len(lowering.stages)
        self.stage = <Stage*>calloc(self.stages + 1, sizeof(Stage))
        self.own = set()
        for i, stage in enumerate(lowering.stages):
            self.stage[i].python = -1
            if isinstance(stage, PythonStep):
                self.stage[i].python = len(self.python)
                results = [window(x) for x in stage.results]
                self.python.append((stage.equation, [window(x) for x in stage.operands], results))
                self.own.update([x.base for x in stage.results if x.base > PRIVATE])
            else:
                self.stage[i].begin, self.stage[i].end = stage.begin, stage.end
                self.stage[i].release = stage.work >= HOLD_GIL_BELOW
        self.own.difference_update([out.base for out in lowering.outputs])

    def __dealloc__(self):
        free(self.given)
        free(self.taken)
        free(self.stage)

    @property
    def python_steps(self) -> tuple:
        """The numbers of the equations that are run by a call from Python."""
        return tuple([equation for equation, _, _ in self.python])

    @property
    def c_steps(self) -> int:
        """The number of C steps."""
        return self.steps.count

    def __call__(self, *values):
        cdef Frame frame = self.frames.pop() if self.frames else self._frame()
        try:
            return self._run(frame, values)
        finally:
            frame.owners = frame.held = None
            if len(self.frames) < SPARE:
                self.frames.append(frame)

    def seconds(self, *values) -> list:
        """Run once, and say for each step (its equation, whether it is a Python step, the seconds it took)."""
        found = []
        self.times = found
        try:
            self(*values)
        finally:
            self.times = None
        return found

    cdef Frame _frame(self):
        """A new frame."""
        cdef Frame frame = Frame.__new__(Frame)
        cdef View x
        frame.base = <char**>calloc(self.bases, sizeof(char*))
        if frame.base == NULL:
            raise MemoryError("compile: no memory for the addresses of a program's values")
        frame.arena = allocate_exact(self.arena + self.private + self.scratch + NUMBER * self.hosted)
        frame.base[<int>ARENA] = frame.arena.data
        frame.base[<int>PRIVATE] = frame.arena.data + self.arena
        frame.base[<int>SCRATCH] = frame.arena.data + self.arena + self.private
        for base, value in self.constants:
            x = value
            frame.base[<int>base] = x.data
        return frame

    cdef tuple _run(self, Frame frame, tuple values):
        cdef View x
        cdef Taken* out
        cdef Stage* stage
        cdef list given = None
        cdef list results = [None] * self.outputs
        cdef int i, at, first = INPUTS
        cdef char* numbers = frame.arena.data + self.arena + self.private + self.scratch
        if len(values) != self.inputs:
            raise TypeError(f"compile: the program takes {self.inputs} inputs, not {len(values)}")
        for i in range(self.inputs):
            if self.given[i].host >= 0:
                frame.base[first + i] = numbers + NUMBER * self.given[i].host
                self._number(values[i], self.given[i].host, frame.base[first + i], False)
                continue
            x = <View?>values[i]
            if x.size != self.given[i].size or x.code != self.given[i].code:
                raise ShapeError(f"compile: input {i} is {x!r}; the program takes {self._input(i)}")
            if not x.contiguous:
                x = contiguous_copy(x)
                if given is None:
                    given = list(values)
                given[i] = x
            frame.base[first + i] = x.data
        for i in range(self.outputs):
            out = self.taken + i
            if out.host >= 0:
                frame.base[out.base] = numbers + NUMBER * out.host
                continue
            if out.donor >= 0 and (<View>values[out.donor]).contiguous:
                x = values[out.donor]
            else:
                x = fresh(out.ndim, out.dims, out.code)
            results[out.position] = x
            frame.base[out.base] = x.data
        if self.python:
            self._own(frame, values if given is None else given, results)
        for i in range(self.stages):
            stage = self.stage + i
            if self.times is not None:
                self._timed(frame, stage, results)
                continue
            if stage.python >= 0:
                self._call(frame, stage.python, results)
                continue
            if stage.release:
                with nogil:
                    at = pg_steps_run(self.steps.step, stage.begin, stage.end, frame.base)
            else:
                at = pg_steps_run(self.steps.step, stage.begin, stage.end, frame.base)
            if at < stage.end:
                self._fail(frame, values if given is None else given, results, self.steps.equations[at])
        if self.hosted:
            for i in range(self.outputs):
                out = self.taken + i
                if out.host >= 0:
                    array = np.empty((), self.dtypes[out.host])
                    self._number(array, out.host, frame.base[out.base], True)
                    results[out.position] = array
        return tuple(results)

    cdef int _number(self, array, int host, char* at, bint out) except -1:
        """Copy a number of the host from an array into the frame, or with ``out`` from there."""
        cdef Py_buffer buffer
        if array.shape != () or array.dtype != self.dtypes[host]:
            raise ShapeError(f"compile: the host gave {array.dtype} {array.shape}; the program takes a {self.dtypes[host]}")
        PyObject_GetBuffer(array, &buffer, PyBUF_WRITABLE if out else PyBUF_SIMPLE)
        if out:
            memcpy(buffer.buf, at, buffer.len)
        else:
            memcpy(at, buffer.buf, buffer.len)
        PyBuffer_Release(&buffer)
        return 0

    cdef int _timed(self, Frame frame, Stage* stage, list results) except -1:
        """A stage, step by step."""
        cdef int i
        if stage.python >= 0:
            begun = perf_counter()
            self._call(frame, stage.python, results)
            self.times.append((self.python[stage.python][0], True, perf_counter() - begun))
        for i in range(stage.begin, stage.end):
            begun = perf_counter()
            if pg_steps_run(self.steps.step, i, i + 1, frame.base) != i + 1:
                raise IndexError(f"{self._op(self.steps.equations[i])}: a position is out of range")
            self.times.append((self.steps.equations[i], False, perf_counter() - begun))
        return 0

    def _input(self, int i):
        spec = self.lowering.program.specs[self.lowering.program.inputs[i]]
        return f"{spec.dtype} of shape {spec.shape}"

    cdef int _own(self, Frame frame, given, list results) except -1:
        """Note who owns each base."""
        cdef int i, first = INPUTS
        frame.owners = [None] * self.bases
        frame.held = []
        for base in (ARENA, PRIVATE, SCRATCH):
            frame.owners[base] = frame.arena
        for base, value in self.constants:
            frame.owners[base] = (<View>value).owner
        for i in range(self.inputs):
            frame.owners[first + i] = frame.arena if self.given[i].host >= 0 else (<View>given[i]).owner
        for i in range(self.outputs):
            host = self.taken[i].host >= 0
            frame.owners[self.taken[i].base] = frame.arena if host else (<View>results[self.taken[i].position]).owner
        return 0

    cdef int _call(self, Frame frame, int number, list results) except -1:
        """A Python step: what the call gives is taken as it is where it may be, else copied into place."""
        cdef View x, target
        cdef Window w
        cdef int i
        equation, operands, wanted = self.python[number]
        given = [(<Window>w).at(frame) for w in operands]
        found = self.calls[equation](*given)
        if type(found) is not tuple:
            found = (found,)
        owners = {id((<View>x).owner) for x in given}
        if len(found) != len(wanted):
            raise ValueError(f"{self._op(equation)}: the kernel gave {len(found)} values, not {len(wanted)}")
        for i in range(len(wanted)):
            w = wanted[i]
            x = found[i]
            if x.size != w.like.size or x.code != w.like.code:
                raise ShapeError(f"{self._op(equation)}: the kernel gave {x!r}, not {w.like!r}")
            if w.base in self.own:
                if not x.contiguous or id(x.owner) in owners:
                    x = contiguous_copy(x)
                frame.base[w.base] = x.data
                frame.owners[w.base] = x.owner
                frame.held.append(x)
            else:
                target = w.at(frame)
                copy_into(target, x)
        return 0

    def _op(self, equation) -> str:
        return self.lowering.program.eqns[equation].op

    cdef int _fail(self, Frame frame, given, list results, int equation) except -1:
        """Raise what the equation's own kernel would: it is called again, on the same values."""
        if frame.owners is None:
            self._own(frame, given, results)
        eqn = self.lowering.program.eqns[equation]
        values = [window(self.lowering.layouts[x]).at(frame) for x in eqn.values]
        self.calls[equation](*values)
        raise IndexError(f"{eqn.op}: a position is out of range")


def _kernel_call(eqn, kernels):
    """A function of an equation's values by the backend's own kernel."""
    kernel = kernels.get(eqn.op)
    fn = getattr(kernel, "fn", kernel)
    attrs = dict(eqn.attrs)
    literals = [(i, constant(x.value, x.dtype)) for i, x in enumerate(eqn.ins) if type(x) is not int]

    def call(*values):
        values = list(values)
        for i, value in literals:
            values.insert(i, value)
        found = NotImplemented if fn is None else fn(*values, **attrs)
        if found is NotImplemented:
            raise NotImplementedError(f"{eqn.op}: no kernel of plugrad-cpu takes this call; give the program calls")
        return found

    return call


def compile(program, rules, kernels) -> Compiled:
    """A program for running: ``rules`` as in ``equations``, ``kernels`` for programs that bring no ``calls``."""
    calls = program.calls or tuple([_kernel_call(eqn, kernels) for eqn in program.eqns])
    return Compiled(Lowering(program, rules), calls)
