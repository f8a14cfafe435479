"""The rules that an op keeps on a device, whoever wrote it: one check a rule and op."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ...op import Op
from ..contract.samples import has_samples, of_op
from ..contract.subject import Subject
from ..contract.values import asked
from ..kit.check import Check
from . import derivatives, transforms, whole, wrong
from .call import Call

Asked = Callable[[Op, Subject, bool], Iterable[Call]]
"""The calls that a rule looks at, in a quick run or a full one."""
Rule = tuple[str, Callable[..., None], bool, Asked | None]
"""Its name, the check, whether it has a quick form (``quick=``), and its calls: without any there is no check."""


def checks(device: str, quick: bool = False, only: str = "") -> list[Check]:
    """The checks of every op with samples that the device can run, those of the core first; or of the one called so."""
    subject, found = Subject(device), list[Check]()
    for op in asked():
        if only in ("", op.name) and has_samples(op.name) and subject.codes(op):
            for rule, check, brief, asked_of in _rules(op, subject, quick):
                if asked_of is None or any(True for _ in asked_of(op, subject, quick)):
                    run = partial(check, op.name, device, quick) if brief else partial(check, op.name, device)
                    found.append(Check(f"op.{op.name}.{rule}", "op", op.name, device, run))
    return found


def _rules(op: Op, subject: Subject, quick: bool) -> list[Rule]:
    """Those that say something of this op."""
    rules: list[Rule] = [
        ("inputs_unchanged", whole.inputs_unchanged, False, whole.of_each_kind),
        ("repeatable", whole.repeatable, False, whole.of_each_kind),
        ("pickling", whole.pickling, False, None),
        ("batching", transforms.batching, True, transforms.with_operands),
        ("staging", transforms.staging, True, transforms.with_operands),
    ]
    if subject.stored - op.codes:
        rules.append(("dtypes", wrong.dtypes, False, wrong.with_operands))
    if "." in op.name:
        rules.append(("shapes", wrong.shapes, False, wrong.with_operands))
    if wrong.refusable(op, subject):
        rules.append(("errors", wrong.declared, False, None))
    if any(sample.reference is not None for sample in of_op(op.name)):
        rules.append(("reference", whole.as_implemented_elsewhere, False, None))
    if op.decompose is not None:
        rules.append(("decomposition", whole.decomposition, False, whole.of_kernels))
    if op.differentiable:
        rules += [
            ("derivatives", derivatives.agree, True, derivatives.in_double),
            ("gradients", derivatives.as_reference, True, derivatives.in_single),
            ("each_alone", derivatives.each_alone, True, derivatives.of_several),
            ("recorded", derivatives.follow_values, False, derivatives.in_one),
        ]
        rules += [] if quick else [("second", derivatives.second, False, derivatives.in_double)]
    return rules
