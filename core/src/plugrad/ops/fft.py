"""Discrete Fourier transforms: the functions of ``plugrad.fft``, of floating and complex tensors; float32 gives
complex64.

With ``norm`` "backward" the inverse is divided by the number of elements, with "forward" the transform; with "ortho"
both by its root.

>>> fft(asarray([1.0, 0.0, 0.0, 0.0])).tolist()
[(1+0j), (1+0j), (1+0j), (1+0j)]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Spec
from ..dispatch import bind
from ..dtypes import KIND
from ..errors import DTypeError, ShapeError, shown
from ..op import conjugate
from ..tensor import Tensor
from .common import Axis, AxisOp, alias, cast, normal_axes, normal_shape, tensors
from .creation import arange, asarray, chosen_dtype
from .decompositions import complex_dtype, real_dtype
from .elementwise import where
from .movement import PAD, SLICE, concat, reshape

# fmt: off
__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn"
]
# fmt: on

Sizes = Sequence[int] | None
_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The norm of the inverse transform that is the adjoint of a transform with a norm, and of the transform of an
inverse.
"""


class _FFT(AxisOp):
    """The complex transform over axes; its adjoint is the inverse, but for the scale."""

    def spec(self, x: Any, *, axis: tuple[int, ...], inverse: bool, norm: str) -> Any:
        return Spec(x.shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, inverse: bool, norm: str) -> Any:
        return (self(g, axis=axis, inverse=not inverse, norm=_OTHER[norm]),)


class _RFFT(AxisOp):
    """The first half of the transform of a real tensor along an axis."""

    def spec(self, x: Any, *, axis: int, norm: str) -> Any:
        return Spec((*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :]), complex_dtype(x))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int, norm: str) -> Any:
        n = xs[0].shape[axis]
        return (IRFFT(where(_single(g, axis, n), g, g * 0.5), axis=axis, n=n, norm=_OTHER[norm]),)


class _IRFFT(AxisOp):
    """The real inverse of the first half along an axis, of ``n`` elements; the imaginary parts of elements that are
    their own counterpart are not read.
    """

    def spec(self, x: Any, *, axis: int, n: int, norm: str) -> Any:
        return Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), real_dtype(x))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int, n: int, norm: str) -> Any:
        half = RFFT(g, axis=axis, norm=_OTHER[norm])
        return (where(_single(half, axis, n), half, half * 2),)


FFT = _FFT("fft", dtypes="c8 c16", linear=(0,))
RFFT = _RFFT("rfft", dtypes="f4 f8", linear=(0,))
IRFFT = _IRFFT("irfft", dtypes="c8 c16", linear=(0,))


def _single(half: Tensor, axis: int, n: int) -> Tensor:
    """Which elements of a half stand for one of the whole, and not for two: the first, and the last if n is even."""
    k = arange(half.shape[axis], device=half.device)
    return reshape((k == 0) | (k * 2 == n), (*(1,) * axis, -1, *(1,) * (half.ndim - axis - 1)))


# -- arguments


def _checked(name: str, x: Any, norm: str, kinds: str = "fc") -> Tensor:
    (x,) = tensors(x)
    if norm not in _OTHER:
        raise ValueError(f"{name}: norm {shown(norm)} is unknown; use 'backward', 'ortho' or 'forward'")
    if KIND[x.dt] not in kinds or complex_dtype(x).itemsize != 2 * real_dtype(x).itemsize:
        legal = " or ".join(["float32", "float64"] * ("f" in kinds) + ["complex64", "complex128"] * ("c" in kinds))
        raise DTypeError(f"{name}: not defined for {x.dtype}; cast with .astype() to {legal}")
    return x


def _complex(x: Tensor) -> Tensor:
    return cast(x, complex_dtype(x))


def _axes(name: str, x: Tensor, s: Sizes, axes: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a transform in the order given, and the sizes there; sizes alone are those of the last axes."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    found = normal_axes(name, x.ndim, tuple(axes), in_order=True)
    sizes = tuple([x.shape[a] for a in found]) if s is None else normal_shape(name, s)
    if len(sizes) != len(found):
        raise ShapeError(f"{name}: {len(sizes)} sizes {sizes} for {len(found)} axes {found}; give one an axis")
    return found, sizes


def _resized(name: str, x: Tensor, axes: tuple[int, ...], sizes: tuple[int, ...]) -> Tensor:
    """Trimmed, or padded with zeros behind, to sizes along axes."""
    wanted = list(x.shape)
    for a, n in zip(axes, sizes, strict=True):
        if n < 1:
            raise ShapeError(f"{name}: {n} elements along axis {a} of shape {x.shape}; a transform needs at least 1")
        wanted[a] = n
    kept = tuple([n if n < d else d for n, d in zip(wanted, x.shape, strict=True)])
    none = (0,) * x.ndim
    if kept != x.shape:
        x = SLICE(x, start=none, size=kept, step=(1,) * x.ndim)
    high = tuple([n - d for n, d in zip(wanted, kept, strict=True)])
    return PAD(x, low=none, high=high, interior=none) if any(high) else x


def _transform(name: str, x: Any, s: Sizes, axes: Sequence[int] | None, norm: str, inverse: bool) -> Tensor:
    x = _complex(_checked(name, x, norm))
    found, sizes = _axes(name, x, s, axes)
    x = _resized(name, x, found, sizes)
    return bind(FFT, (x,), {"axis": tuple(sorted(found)), "inverse": inverse, "norm": norm}) if found else +x


def _real_transform(name: str, x: Any, s: Sizes, axes: Sequence[int] | None, norm: str) -> Tensor:
    """The half transform along the last of the axes, then the whole one along the others."""
    x = _checked(name, x, norm, "f")
    found, sizes = _axes(name, x, s, axes)
    if not found:
        raise ShapeError(f"{name}: needs at least one axis to transform, for shape {x.shape}")
    *rest, last = found
    out = bind(RFFT, (_resized(name, x, found, sizes),), {"axis": last, "norm": norm})
    return bind(FFT, (out,), {"axis": tuple(sorted(rest)), "inverse": False, "norm": norm}) if rest else out


def _real_inverse(name: str, x: Any, s: Sizes, axes: Sequence[int] | None, norm: str) -> Tensor:
    """The way back, in the other order; by default to an even size along the last axis."""
    x = _complex(_checked(name, x, norm))
    found, sizes = _axes(name, x, s, axes)
    if not found:
        raise ShapeError(f"{name}: needs at least one axis to transform, for shape {x.shape}")
    n = 2 * (sizes[-1] - 1) if s is None else sizes[-1]
    if n < 1:
        raise ShapeError(f"{name}: {n} elements along axis {found[-1]}; a transform needs at least 1")
    x = _resized(name, x, found, (*sizes[:-1], n // 2 + 1))
    *rest, last = found
    if rest:
        x = bind(FFT, (x,), {"axis": tuple(sorted(rest)), "inverse": True, "norm": norm})
    return bind(IRFFT, (x,), {"axis": last, "n": n, "norm": norm})


def _one(n: int | None) -> Sizes:
    return None if n is None else (n,)


# -- transforms


def fft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform along an axis, trimmed or padded with zeros to ``n`` elements first.

    >>> fft(asarray([1.0, 2.0]), n=4).tolist()
    [(3+0j), (1-2j), (-1+0j), (1+2j)]
    """
    return _transform("fft", x, _one(n), (axis,), norm, False)


def ifft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``fft``.

    >>> ifft(fft(asarray([1.0, 2.0, 4.0]))).numpy().real.round(5).tolist()
    [1.0, 2.0, 4.0]
    """
    return _transform("ifft", x, _one(n), (axis,), norm, True)


def fftn(x: Any, /, *, s: Sizes = None, axes: Sequence[int] | None = None, norm: str = "backward") -> Tensor:
    """Transform over axes (all by default), with ``s`` elements along them.

    >>> fftn(asarray([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]
    """
    return _transform("fftn", x, s, axes, norm, False)


def ifftn(x: Any, /, *, s: Sizes = None, axes: Sequence[int] | None = None, norm: str = "backward") -> Tensor:
    """Inverse of ``fftn``.

    >>> ifftn(asarray([[10 + 0j, -2], [-4, 0]])).numpy().real.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return _transform("ifftn", x, s, axes, norm, True)


def rfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The first n // 2 + 1 elements of the transform of a real tensor; the others are their conjugates.

    >>> rfft(asarray([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j)]
    """
    return _real_transform("rfft", x, _one(n), (axis,), norm)


def irfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``rfft``, to ``n`` elements; by default to the even number 2 (m - 1).

    >>> irfft(rfft(asarray([1.0, 2.0, 3.0])), n=3).numpy().round(5).tolist()
    [1.0, 2.0, 3.0]
    """
    return _real_inverse("irfft", x, _one(n), (axis,), norm)


def rfftn(x: Any, /, *, s: Sizes = None, axes: Sequence[int] | None = None, norm: str = "backward") -> Tensor:
    """``rfft`` along the last of the axes (all by default), then ``fft`` along the others.

    >>> rfftn(asarray([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]
    """
    return _real_transform("rfftn", x, s, axes, norm)


def irfftn(x: Any, /, *, s: Sizes = None, axes: Sequence[int] | None = None, norm: str = "backward") -> Tensor:
    """Inverse of ``rfftn``, to the sizes ``s``; by default to an even one along the last axis.

    >>> irfftn(rfftn(asarray([[1.0, 2.0], [3.0, 4.0]]))).numpy().round(5).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return _real_inverse("irfftn", x, s, axes, norm)


def hfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Real transform, of ``n`` elements, of a signal that is the conjugate of itself reversed, from its first half.

    >>> hfft(asarray([1.0, 2.0, 3.0])).numpy().round(5).tolist()  # of [1, 2, 3, 2]
    [8.0, -2.0, 0.0, -2.0]
    """
    x = _checked("hfft", x, norm)
    return _real_inverse("hfft", conjugate(x), _one(n), (axis,), _OTHER[norm])


def ihfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``hfft``: the first half.

    >>> ihfft(asarray([8.0, -2.0, 0.0, -2.0])).numpy().real.round(5).tolist()
    [1.0, 2.0, 3.0]
    """
    x = _checked("ihfft", x, norm, "f")
    return conjugate(_real_transform("ihfft", x, _one(n), (axis,), _OTHER[norm]))


# -- frequencies and order


def _frequencies(name: str, k: np.ndarray, n: int, d: float, dtype: Any, device: str | None) -> Tensor:
    if n < 1:
        raise ShapeError(f"{name}: n is {n}; it must be at least 1")
    if d == 0:
        raise ValueError(f"{name}: d is 0; samples at one place have no frequencies, give their distance")
    with np.errstate(all="ignore"):
        k = k / (n * d)
    return asarray(k, dtype=chosen_dtype(dtype), device=device, copy=True)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """Frequencies of the elements of a transform of ``n`` samples at distance ``d``, float32 by default.

    >>> fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return _frequencies("fftfreq", (np.arange(n) + n // 2) % n - n // 2 if n else np.zeros(0), n, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """Frequencies of the elements of ``rfft``, float32 by default.

    >>> rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    return _frequencies("rfftfreq", np.arange(n // 2 + 1), n, d, dtype, device)


def _rolled(name: str, x: Any, axes: Axis, halves: Any) -> Tensor:
    """Along each axis the first ``halves(size)`` elements moved to the end."""
    x = alias(*tensors(x))
    for a in normal_axes(name, x.ndim, tuple(axes) if isinstance(axes, list) else axes):
        first, before = halves(x.shape[a]), (slice(None),) * a
        x = concat([x[(*before, slice(first, None))], x[(*before, slice(None, first))]], axis=a)
    return x


def fftshift(x: Any, /, *, axes: Axis = None) -> Tensor:
    """The element of frequency 0 moved to the middle, along axes (all by default).

    >>> fftshift(asarray([0, 1, 2, -2, -1])).tolist()
    [-2, -1, 0, 1, 2]
    """
    return _rolled("fftshift", x, axes, lambda n: (n + 1) // 2)


def ifftshift(x: Any, /, *, axes: Axis = None) -> Tensor:
    """Inverse of ``fftshift``.

    >>> ifftshift(asarray([-2, -1, 0, 1, 2])).tolist()
    [0, 1, 2, -2, -1]
    """
    return _rolled("ifftshift", x, axes, lambda n: n // 2)
