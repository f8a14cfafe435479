"""Things with one fault each, which prove that the kit notices: what is wrong, and which checks must fail on it.

The modules of a kind's faults give a tuple each, joined here. Nothing of plugrad imports this package but the tools and
tests that run the table of faults.
"""

from __future__ import annotations

from . import backends, ops
from .datasets import DATASETS
from .fault import Fault
from .layers import LAYERS
from .optimizers import OPTIMIZERS
from .run import caught

FAULTS: tuple[Fault, ...] = (*backends.FAULTS, *ops.FAULTS, *LAYERS, *OPTIMIZERS, *DATASETS)
"""Every fault, by kind."""


def faults(kind: str | None = None) -> tuple[Fault, ...]:
    """The faults of a kind, or all.

    >>> {fault.kind for fault in faults("backend")}
    {'backend'}
    """
    return tuple([fault for fault in FAULTS if kind in (None, fault.kind)])


__all__ = ["FAULTS", "Fault", "caught", "faults"]
