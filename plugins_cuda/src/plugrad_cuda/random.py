"""The normative random bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .array import DeviceArray
from .layout import Ints, collapse, dense
from .text import BLOCK, Entry, blocks, template, walk

_WORD = np.dtype(np.uint32)


def kernel_name(rank: int) -> str:
    """The kernel for keys that lie along so many axes."""
    return f"random_bits_{rank}"


def entry(rank: int) -> Entry:
    """The kernel's name and its text."""
    keys = walk("key", "number", (1,) * rank, [(0,) * rank], True, "    ")
    name = kernel_name(rank)
    return name, template("random.cu").substitute(
        name=name, extents=keys.parameters, coordinates=keys.coordinates, from_key=keys.offsets[0]
    )


def random_bits(key: DeviceArray, *, shape: Ints) -> Any:
    """Words for every element of ``shape`` under each key of ``key[..., 2]``."""
    runtime, layout = key.runtime, key.layout
    out = runtime.empty(dense(_WORD, (*layout.shape[:-1], *shape)), "random_bits")
    if not out.layout.size:
        return out
    sizes, strides = collapse(layout.shape[:-1], [layout.strides[:-1]])
    keys, words = math.prod(sizes), math.prod(shape)
    kernel = runtime.kernel("random_bits", kernel_name(len(sizes)), lambda: [entry(len(sizes))])
    config = runtime.config(blocks(keys * -(-words // 4)), BLOCK)
    arguments = (*map(np.int64, (keys, words, layout.strides[-1])), *walk("key", "", sizes, strides).arguments)
    runtime.launch("random_bits", kernel, config, out.pointer, key.pointer, *arguments)
    return out
