"""The kernels of each step of a backend by name, from a first evening to a fast one, and what each step gives.

Data only: the contract page, the example backend and its tests read it, so they cannot disagree.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One stage of a backend: the op names of the kernels that it adds, what they are for, and what one gets."""

    name: str
    adds: tuple[str, ...]
    into: tuple[str, ...]
    gives: str


FIRST_EVENING = Step(
    "first evening",
    ("add", "mul", "neg", "div", "exp", "log", "sum", "max", "matmul", "reshape", "permute", "broadcast_to"),
    (),
    "Every op works: what is missing is composed of these, or runs through the host, counted and warned about once. "
    "grad, jvp, vmap and stage work. A dense net trains, with the small rest of each step on the host.",
)
TRAINS_A_NET = Step(
    "trains a net",
    (
        *("sub", "sqrt", "pow", "maximum", "equal", "less", "where", "cast", "copy"),
        *("slice", "pad", "concat", "gather"),
    ),
    (),
    "Convolutional nets train, by Adam or SGD, without the host in a step; indexing by slices and by integer arrays.",
)
FAST = Step(
    "fast",
    (
        *("abs", "sign", "floor", "expm1", "log1p", "sin", "cos", "tanh", "erf", "minimum", "less_equal", "invert"),
        *("min", "prod", "argmax", "argmin", "cumsum", "slice_update", "scatter_add", "take_along"),
        *("full", "iota", "random_bits"),
        *("nn.softmax", "nn.softmax_cross_entropy", "nn.conv2d", "norm.layer_norm", "optim.adam_step"),
    ),
    ("add", "sub", "mul", "slice_update", "scatter_add"),
    "The rest of the common primitives, so that no model needs the host; forms that write in place, so that "
    "`p += g` and `x[i] = v` cost no copy; and claims: a composite's name in `kernels` makes it one fused call, while "
    "its derivative, vmap and jvp stay. The `_bwd` twin of a claim fuses its backward.",
)
STEPS: tuple[Step, ...] = (FIRST_EVENING, TRAINS_A_NET, FAST)
"""The steps in order. A step's kernels are its own and those of the steps before it."""


def kernels_up_to(step: Step) -> tuple[str, ...]:
    """The op names of a step and of all before it.

    >>> len(kernels_up_to(FIRST_EVENING)), len(kernels_up_to(TRAINS_A_NET))
    (12, 25)
    """
    found: tuple[str, ...] = ()
    for one in STEPS:
        found += one.adds
        if one is step:
            return found
    raise ValueError(f"kernels_up_to: {step.name!r} is none of the steps {', '.join(s.name for s in STEPS)}")
