"""The rules that an op keeps on a device, whoever wrote it: one check a rule and op."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...op import Op
from ..contract.samples import has_samples, of_op
from ..contract.subject import Subject
from ..contract.values import asked
from ..kit.check import Check
from . import derivatives, transforms, whole, wrong

Rule = tuple[str, Callable[..., None], bool]
"""Its name, the check, and whether it has a quick form (``quick=``)."""


def checks(device: str, quick: bool = False) -> list[Check]:
    """The checks of every op with samples that the device can run, those of the core first."""
    subject, found = Subject(device), list[Check]()
    for op in asked():
        if has_samples(op.name) and subject.codes(op):
            for rule, check, brief in _rules(op, subject, quick):
                run = partial(check, op.name, device, quick) if brief else partial(check, op.name, device)
                found.append(Check(f"op.{op.name}.{rule}", "op", op.name, device, run))
    return found


def _rules(op: Op, subject: Subject, quick: bool) -> list[Rule]:
    """Those that say something of this op."""
    rules: list[Rule] = [
        ("inputs_unchanged", whole.inputs_unchanged, False),
        ("repeatable", whole.repeatable, False),
        ("pickling", whole.pickling, False),
        ("dtypes", wrong.dtypes, False),
        ("batching", transforms.batching, True),
        ("staging", transforms.staging, True),
    ]
    if "." in op.name:
        rules.append(("shapes", wrong.shapes, False))
    samples = of_op(op.name)
    if any(sample.raises is not None for sample in samples):
        rules.append(("errors", wrong.declared, False))
    if any(sample.reference is not None for sample in samples):
        rules.append(("reference", whole.as_implemented_elsewhere, False))
    if op.decompose is not None and any(subject.kernels(op, code) for code in subject.codes(op)):
        rules.append(("decomposition", whole.decomposition, False))
    if op.differentiable:
        rules += [
            ("derivatives", derivatives.agree, True),
            ("gradients", derivatives.as_reference, True),
            ("each_alone", derivatives.each_alone, True),
            ("recorded", derivatives.follow_values, False),
        ]
        rules += [] if quick else [("second", derivatives.second, False)]
    return rules
