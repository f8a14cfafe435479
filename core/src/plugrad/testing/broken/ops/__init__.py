"""Ops with one fault each."""

from . import calls, derivatives

FAULTS = (*derivatives.FAULTS, *calls.FAULTS)
