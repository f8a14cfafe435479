"""Random numbers as functions of a key. Bits, integers and uniforms are the same on every backend; normals agree to a
few ulp.

A key is a uint32 tensor of shape (..., 2): seed and stream. The same key gives the same numbers; ``split`` makes new
keys. A ``Generator`` hands out fresh ones; its place in the sequence is a Buffer, so transformations treat it like any
other state.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Spec, device_name
from ..dispatch import bind
from ..dtypes import CODE, KIND, bfloat16, float16, float32, float64, int64, uint32
from ..errors import ArgumentError, DTypeError, ShapeError, StateError, article, shown
from ..op import Op
from ..parameter import Buffer
from ..state import state, within
from ..tensor import Tensor
from . import elementwise as ew
from .common import cast, normal_shape
from .creation import arange, asarray, chosen_dtype, place, to
from .movement import concat, expand_dims, reshape

# fmt: off
__all__ = [
    "Generator", "bernoulli", "bits", "fold_in", "generator", "key", "normal", "permutation", "randint", "split",
    "uniform"
]
# fmt: on

Shape = int | Sequence[int]


class _RandomBits(Op):
    """Philox4x32-10 words for every element of ``shape``, under each key."""

    def spec(self, key: Any, *, shape: tuple[int, ...]) -> Any:
        if key.shape[-1:] != (2,):
            raise ShapeError(f"random_bits: a key of shape {key.shape}; it must be (..., 2), from random.key(seed)")
        return Spec((*key.shape[:-1], *shape), uint32)

    def batch(self, size: int, xs: Any, batched: Any, *, shape: tuple[int, ...]) -> Any:
        return self(xs[0], shape=shape)


RANDOM_BITS = _RandomBits("random_bits", dtypes="u4", saves=())


def key(seed: int, stream: int = 0, *, device: str | None = None) -> Tensor:
    """A key from two 32-bit numbers.

    >>> key(7).tolist()
    [7, 0]
    """
    words = [_word("random.key", "seed", seed), _word("random.key", "stream", stream)]
    return asarray(np.array(words, np.uint32), device=device, copy=True)


def _word(what: str, name: str, x: Any) -> int:
    """A number of 32 bits; ArgumentError for what is none."""
    if not isinstance(x, (int, float, np.number, Tensor)) or (isinstance(x, Tensor) and x.size != 1):
        got = x.describe() if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"{what}: the {name} is {article(got)}, but must be an integer from 0 to 2**32 - 1")
    word = int(x)
    if not 0 <= word < 2**32:
        raise ArgumentError(f"{what}: {name} {shown(word)} is not in 0 to 2**32 - 1")
    return word


def bits(key: Tensor, shape: Shape = ()) -> Tensor:
    """Uniform 32-bit words, uint32, of shape ``key.shape[:-1] + shape``."""
    if not isinstance(key, Tensor) or key.dtype != uint32:
        raise DTypeError("random.bits: the first argument must be a key, a uint32 tensor, as random.key(seed) makes it")
    return bind(RANDOM_BITS, (key,), {"shape": normal_shape("random", shape)})


def split(key: Tensor, n: int = 2) -> Tensor:
    """``n`` new keys, shape (..., n, 2). Do not use the old key again."""
    return bits(key, (n, 2))


def fold_in(key: Tensor, data: Any) -> Tensor:
    """The key for number ``data`` (an integer, or a tensor of them, one key each) under ``key``."""
    data = asarray(data, device=key.device).astype(uint32)
    words = bits(key, (2,))
    mixed = reshape(words, (*(1,) * data.ndim, 2)) ^ expand_dims(data * 0x9E3779B1 + 0x85EBCA6B, -1)
    return bits(mixed, (2,))


def uniform(key: Tensor, shape: Shape = (), *, low: float = 0.0, high: float = 1.0, dtype: Any = None) -> Tensor:
    """Uniform in [low, high).

    float64 has 53 random bits, float32 24, float16 11 and bfloat16 8: exact multiples, the same on every backend.
    """
    kind = chosen_dtype(dtype)
    if kind == float64:
        pair = bits(key, (*normal_shape("uniform", shape), 2))
        high_bits, low_bits = (pair[..., 0] >> 5).astype(float64), (pair[..., 1] >> 6).astype(float64)
        unit = (high_bits * 67108864.0 + low_bits) * 2.0**-53
    elif KIND[CODE[kind]] == "f":
        digits = {float16: 11, bfloat16: 8}.get(kind, 24)
        unit = (bits(key, shape) >> (32 - digits)).astype(float32) * 2.0**-digits
    else:
        raise DTypeError(f"random.uniform: not defined for {kind}; use float32 or float64")
    if (low, high) == (0.0, 1.0):
        return cast(unit, kind)
    out, end = cast(unit * (high - low) + low, kind), kind.type(high)
    return ew.where(out == float(end), float(np.nextafter(end, kind.type(low))), out)  # rounding may reach the end


def normal(key: Tensor, shape: Shape = (), *, mean: float = 0.0, std: float = 1.0, dtype: Any = None) -> Tensor:
    """Normal with the given mean and standard deviation, by the method of Box and Muller (1958).

    >>> normal(key(0), (1000,)).shape
    (1000,)
    """
    kind = chosen_dtype(dtype)
    wide, tiny = (float64, 2.0**-54) if kind == float64 else (float32, 2.0**-25)
    sizes = normal_shape("normal", shape)
    n = math.prod(sizes)
    u = uniform(key, (2, (n + 1) // 2), dtype=wide)
    radius = ew.sqrt(ew.log(u[..., 0, :] + tiny) * -2.0)
    angle = u[..., 1, :] * (2.0 * math.pi)
    both = concat([radius * ew.cos(angle), radius * ew.sin(angle)], axis=-1)
    out = reshape(both[..., :n], (*key.shape[:-1], *sizes))
    return cast(out if (mean, std) == (0.0, 1.0) else out * std + mean, kind)


def randint(key: Tensor, shape: Shape = (), *, low: int = 0, high: int, dtype: Any = None) -> Tensor:
    """Integers in [low, high), int64 by default. The bias of reducing 64 bits is below 2**-32 for spans below 2**32."""
    span = high - low
    if not 0 < span <= 2**32:
        raise ValueError(f"random.randint: the span from {low} to {high} is {span}; it must be 1 to 2**32")
    pair = bits(key, (*normal_shape("randint", shape), 2)).astype("uint64")
    word = (pair[..., 0] << 32) | pair[..., 1]
    return ((word % span).astype("int64") + low).astype(chosen_dtype(dtype, int64))


def bernoulli(key: Tensor, shape: Shape = (), *, p: float = 0.5) -> Tensor:
    """True with probability ``p``."""
    return uniform(key, shape) < p


def permutation(key: Tensor, n: int) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64. Decided on the host: the key must have a value."""
    words = uniform(key, (n,), dtype=float64).numpy()
    return asarray(np.argsort(words, kind="stable"), device=key.device)


_drawing = threading.RLock()


class Generator:
    """Hands out keys (seed, 0), (seed, 1), ... Its place is a Buffer, so grad, checkpoint and stage need no case for
    randomness.

    >>> g = Generator(3)
    >>> g.key().tolist(), g.key().tolist()
    ([3, 0], [3, 1])
    """

    def __init__(self, seed: int = 0, *, device: str | None = None) -> None:
        self.state = Buffer(key(seed, device=device), name="a random generator")

    def seed(self, seed: int) -> None:
        """Start again from a seed."""
        self.state.assign(key(_word("Generator.seed", "seed", seed), device=self.state.device))

    def key(self, *, device: str | None = None) -> Tensor:
        """A key never handed out before, and one step on. It lies where the generator does, or on ``device``."""
        here = state()
        if here.draws == "error":
            remedy = "pass keys and map over them, or say vmap(f, randomness='same') or vmap(f, randomness='different')"
            raise StateError(f"vmap: a draw from a generator would be the same for every example; {remedy}")
        if here.stage is not None:
            here.stage.drawn = True
        with _drawing:
            found = self.state.copy()
            self.state.assign(self.state + asarray(np.array([0, 1], np.uint32), device=self.state.device))
        found = found if here.draws != "different" else _each_different(found, here.top)
        return found if device is None else to(found, device)


class _Default(Generator):
    """The default generator. Its place lies on the host, so that it need not wait for a device; its keys go to the
    default device, where what is drawn will meet other tensors.
    """

    def key(self, *, device: str | None = None) -> Tensor:
        return to(super().key(), device_name(place(device)))


def _each_different(found: Tensor, level: Any) -> Tensor:
    """Under vmap(randomness="different"): a key for each example of every batch level that asked for it, outermost
    first.
    """
    if level is None:
        return found
    found = _each_different(found, level.below[2])
    if not level.batched or level.draws != "different":
        return found
    with level.underneath():
        number = level.wrap(arange(level.size, device=found.device))
    return fold_in(found, number)


@functools.cache
def generator() -> Generator:
    """The default generator, which ``manual_seed`` restarts.

    Its keys lie on the default device, or on the one that ``key(device=...)`` names.

    >>> with pg.device("numpy"):
    ...     pg.random.generator().key().device
    'numpy'
    """
    with within(
        stage=None, capture=None, top=None, log=None, uid=0
    ):  # it belongs to no transformation that draws first
        return _Default(0, device="numpy")


def manual_seed(seed: int) -> None:
    """Restart the default generator."""
    generator().seed(_word("manual_seed", "seed", seed))
