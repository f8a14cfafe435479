"""The calls of SciPy that are tried: each a function of a namespace's ``asarray`` that gives what it found.

The data are a 40 x 6 array of float64 and its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize.elementwise  # noqa: F401 - makes it an attribute
from scipy import cluster, differentiate, fft, integrate, interpolate, linalg, ndimage, optimize, signal, special, stats
from scipy.spatial import distance
from scipy.spatial.transform import Rotation

Make = Callable[[Any], Any]
"""An array of the library under test from one of NumPy's."""

_rng = np.random.default_rng(3)
TABLE = _rng.normal(size=(40, 6))
ONE, TWO = TABLE[:, 0].copy(), 0.5 * TABLE[:, 0] + TABLE[:, 1]
UNIT = 1 / (1 + np.exp(-TABLE))
POSITIVE = np.abs(TABLE) + 0.1
SQUARE = TABLE[:6] + 6 * np.eye(6)
GRID = np.linspace(0.0, 4.0, 40)
KERNEL = np.array([0.25, 0.5, 0.25])
BLOBS = (TABLE > 0.5).astype(np.int64)


def _unary(f: Any, x: np.ndarray) -> Callable[[Make], Any]:
    return lambda make: f(make(x))


def bootstrapped(make: Make) -> Any:
    result = stats.bootstrap(
        (make(ONE),), lambda x, axis=-1: x.mean(axis=axis), n_resamples=50, rng=np.random.default_rng(0)
    )
    return result.standard_error, result.bootstrap_distribution


def convolved(f: Any) -> Callable[[Make], Any]:
    return lambda make: f(make(ONE), make(KERNEL))


def root(make: Make) -> Any:
    found = optimize.elementwise.find_root(
        lambda x, c: x * x - c, (make(np.zeros(3)), make(np.full(3, 4.0))), args=(make(np.array([2.0, 3.0, 5.0])),)
    )
    return found.x, found.success


def minimum(make: Make) -> Any:
    return optimize.minimize(lambda x: float(((x - 1) ** 2).sum()), make(np.zeros(3))).x


def derivative(make: Make) -> Any:
    found = differentiate.derivative(lambda x: x**3, make(np.array([1.0, 2.0])))
    return found.df, found.success


def clusters(make: Make) -> Any:
    return cluster.vq.kmeans2(make(TABLE), make(TABLE[:3]), minit="matrix")


def rotated(make: Make) -> Any:
    return Rotation.from_rotvec(make(TABLE[:4, :3])).as_matrix()


def spline(make: Make) -> Any:
    return interpolate.make_interp_spline(make(GRID), make(ONE), k=3)(make(GRID[:-1] + 0.05))


def akima(make: Make) -> Any:
    return interpolate.Akima1DInterpolator(make(GRID), make(ONE))(make(GRID[:-1] + 0.05))


def radial(make: Make) -> Any:
    return interpolate.RBFInterpolator(make(TABLE[:, :2]), make(ONE))(make(TABLE[:5, :2] + 0.01))


def sphere(make: Make) -> Any:
    xp = make(np.zeros(1)).__array_namespace__() if make is not np.asarray else np
    found = integrate.cubature(lambda x: xp.exp(-xp.sum(x**2, axis=-1)), make(np.zeros(2)), make(np.ones(2)))
    return found.estimate


def tanhsinh(make: Make) -> Any:
    found = integrate.tanhsinh(lambda x: x**2 + 1, make(np.array([0.0, 1.0])), make(np.array([1.0, 3.0])))
    return found.integral, found.success


CALLS: dict[str, Callable[[Make], Any]] = {
    **{
        f"special.{name}": _unary(getattr(special, name), TABLE)
        for name in ("erf", "erfc", "expit", "ndtr", "log_ndtr")
    },
    **{f"special.{name}": _unary(getattr(special, name), UNIT) for name in ("logit", "entr")},
    **{f"special.{name}": _unary(getattr(special, name), POSITIVE) for name in ("gammaln", "i0", "digamma")},
    "special.logsumexp": lambda make: special.logsumexp(make(TABLE), axis=1),
    "special.softmax": lambda make: special.softmax(make(TABLE), axis=1),
    "special.log_softmax": lambda make: special.log_softmax(make(TABLE), axis=1),
    "special.xlogy": lambda make: special.xlogy(make(POSITIVE), make(UNIT)),
    "special.betainc": lambda make: special.betainc(make(POSITIVE), make(POSITIVE + 1), make(UNIT)),
    **{
        f"stats.{name}": _unary(getattr(stats, name), TABLE)
        for name in ("zscore", "skew", "kurtosis", "sem", "describe")
    },
    **{f"stats.{name}": _unary(getattr(stats, name), POSITIVE) for name in ("gmean", "hmean", "variation", "entropy")},
    "stats.jarque_bera": _unary(stats.jarque_bera, ONE),
    "stats.ttest_ind": lambda make: stats.ttest_ind(make(ONE), make(TWO)),
    "stats.pearsonr": lambda make: tuple(stats.pearsonr(make(ONE), make(TWO))),
    "stats.spearmanr": lambda make: tuple(stats.spearmanr(make(ONE), make(TWO))),
    "stats.ks_2samp": lambda make: stats.ks_2samp(make(ONE), make(TWO)),
    "stats.quantile": lambda make: stats.quantile(make(ONE), make(np.array([0.25, 0.5]))),
    "stats.bootstrap": bootstrapped,
    "stats.Normal.pdf": lambda make: stats.Normal(mu=make(np.zeros(40)), sigma=make(np.ones(40))).pdf(make(ONE)),
    "stats.norm.pdf": lambda make: stats.norm.pdf(make(ONE)),
    "fft.fft": _unary(fft.fft, TABLE),
    "fft.rfft": _unary(fft.rfft, TABLE),
    "fft.dct": _unary(fft.dct, TABLE),
    "linalg.svd": _unary(linalg.svd, TABLE),
    "linalg.solve": lambda make: linalg.solve(make(SQUARE), make(TABLE[:6])),
    "linalg.expm": _unary(linalg.expm, SQUARE / 6),
    "linalg.lu": _unary(linalg.lu, SQUARE),
    "linalg.toeplitz": _unary(linalg.toeplitz, KERNEL),
    "signal.convolve": convolved(signal.convolve),
    "signal.fftconvolve": convolved(signal.fftconvolve),
    "signal.hilbert": _unary(signal.hilbert, ONE),
    "signal.savgol_filter": lambda make: signal.savgol_filter(make(ONE), 7, 2),
    "signal.lfilter": lambda make: signal.lfilter(make(KERNEL), make(np.array([1.0, 0.5])), make(ONE)),
    "signal.detrend": _unary(signal.detrend, ONE),
    "signal.welch": lambda make: signal.welch(make(ONE), nperseg=16),
    "signal.windows.hann": lambda make: signal.windows.hann(8),
    "ndimage.gaussian_filter": lambda make: ndimage.gaussian_filter(make(TABLE), 1.0),
    "ndimage.label": lambda make: ndimage.label(make(BLOBS)),
    "integrate.trapezoid": lambda make: integrate.trapezoid(make(ONE), x=make(GRID)),
    "integrate.simpson": lambda make: integrate.simpson(make(ONE), x=make(GRID)),
    "integrate.cumulative_trapezoid": lambda make: integrate.cumulative_trapezoid(make(ONE), x=make(GRID)),
    "integrate.tanhsinh": tanhsinh,
    "integrate.cubature": sphere,
    "cluster.vq.kmeans2": clusters,
    "cluster.hierarchy.linkage": lambda make: cluster.hierarchy.linkage(make(TABLE), "average"),
    "spatial.distance.pdist": lambda make: distance.pdist(make(TABLE)),
    "spatial.transform.Rotation": rotated,
    "optimize.elementwise.find_root": root,
    "optimize.rosen": _unary(optimize.rosen, ONE),
    "optimize.minimize": minimum,
    "differentiate.derivative": derivative,
    "interpolate.make_interp_spline": spline,
    "interpolate.Akima1DInterpolator": akima,
    "interpolate.RBFInterpolator": radial,
}
