"""Run the comparison, print what is wrong, and write the page docs/oracles.md.

Runs in an environment that has plugrad and both peers; ``tools/oracles`` makes one. The exit status is 1 if something
disagrees without a reason.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import torch
from compare import DTYPES, QUANTITIES, Difference, Measured, corner, measure, promotions, reason, unknown
from table import EXEMPT, REASONS, ROWS

import plugrad as pg

PAGE = Path(__file__).resolve().parents[2] / "docs" / "oracles.md"
PAIRING = 1e-9
PEERS = ("torch", "jax")
HEAD = """# Against PyTorch and JAX

Every differentiable public function, in float64 and complex128 on `numpy`, against PyTorch {torch} and JAX {jax}
(NumPy {numpy}): its value, its vjp at a random cotangent, its jvp at a random tangent, and the second derivative, the
gradient of ⟨vjp, t⟩. The page is written by `tools/oracles` from the table `tests/oracles/table.py`, where a function
is one line, and a public function without a line is an error. A dash stands for a function that the peer does not have.

## Conventions

- **Complex numbers.** A cotangent pairs with a tangent by Re⟨g, t⟩, so `x - lr * grad` descends. This is PyTorch's
  convention; JAX's is its conjugate, and its cotangents are conjugated here on both sides before they are compared.
- **Ties.** Equal extrema share the cotangent, in `max` and `min` of many elements and in `maximum` and `minimum` of
  two, so in `clip` at a bound too. In `nn.max_pool2d` the first largest element of a window gets it, as in PyTorch.
- **Kinks.** The derivative of `abs` at 0 is 0, that of `nn.relu` is 0, and that of `nn.leaky_relu` the slope.
- **NaN.** A derivative is NaN where its formula is. The gradient of an extremum goes to NaN where there is any.

## Largest differences

Relative to the largest number of the result where that is above 1. The last column is |⟨g, Jt⟩ - ⟨Jᵀg, t⟩| of plugrad
alone, which must be at most {pairing:.0e}.
"""
CORNERS = """Values, vjp and jvp at zeros of both signs, infinities, NaN, huge and tiny numbers, every pair of these for
functions of two operands, ties, no elements and no axes, with cotangents and tangents of ones. They agree but for what
follows.
"""
Key = tuple[str, str, str, str]


def figure(error: float | None) -> str:
    """An error in a cell."""
    return "–" if error is None else "0" if error == 0 else f"{error:.0e}"


def regular(found: dict[str, Measured]) -> Iterable[str]:
    """The table of differences."""
    yield f"| function | {' | '.join([f'{peer} {quantity}' for peer in PEERS for quantity in QUANTITIES])} | pairing |"
    yield "|---|" + "--:|" * (2 * len(QUANTITIES) + 1)
    for name, one in found.items():
        cells = [figure(error) for peer in PEERS for error in one.errors[peer]]
        yield f"| `{name}` | {' | '.join(cells)} | {figure(one.paired)} |"


def corners(grouped: dict[Key, list[Difference]]) -> Iterable[str]:
    """The table of reasons, with how many inputs differ and the first of them."""
    yield "| function | derivative | peer | first of so many | plugrad | peer's | reason |"
    yield "|---|---|---|---|---|---|---|"
    for key, differences in grouped.items():
        name, quantities, peer, _ = key
        first = differences[0]
        at = f"`{first.at}` of {len(differences)}"
        which = f"`{name}` | {quantities.replace(' ', ', ')} | {peer}"
        yield f"| {which} | {at} | `{first.ours}` | `{first.theirs}` | {REASONS[key]} |"


def page(found: dict[str, Measured], grouped: dict[Key, list[Difference]]) -> str:
    """The whole page."""
    versions = {"torch": torch.__version__.partition("+")[0], "jax": jax.__version__, "numpy": np.__version__}
    lines = [HEAD.format(**versions, pairing=PAIRING), *regular(found), "", "## Corners", ""]
    lines += [
        CORNERS,
        *corners(grouped),
        "",
        "## Promotion",
        "",
        f"The dtype of a sum of two dtypes, for every pair of {DTYPES.replace(' ', ', ')}:",
    ]
    other = [f"- {one} and {two}: {ours} here, {a} in torch, {b} in JAX" for one, two, ours, a, b in promotions()]
    lines += ["", *(other or ["the three agree."]), "", "## Without a row", ""]
    lines += [f"- {why}: {', '.join([f'`{name}`' for name in names.split()])}" for why, names in EXEMPT.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Compare, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these functions; the page is not written")
    names = parser.parse_args().names
    warnings.simplefilter("ignore")  # of the peers
    faults, found = unknown(), {}
    grouped: dict[Key, list[Difference]] = {key: [] for key in REASONS}
    with pg.device("numpy"):
        for name, row in ROWS.items():
            if names and name.split()[0] not in names:
                continue
            found[name] = one = measure(row)
            errors = [(peer, q, e) for peer in PEERS for q, e in zip(QUANTITIES, one.errors[peer], strict=True)]
            faults += [f"{name}: {q} is {e:.1e} from {peer}'s" for peer, q, e in errors if (e or 0) > row.tolerance]
            faults += [f"{name}: <g, Jt> and <J*g, t> are {one.paired:.1e} apart"] * (one.paired > PAIRING)
            for difference in [d for inputs in row.corners for d in corner(name, row, inputs)]:
                key = reason(difference)
                if key is None:
                    faults.append("{}: {} differs from {}'s ({}) at {}: {}, there {}".format(*difference))
                else:
                    grouped[key].append(difference)
    faults += [f"{key}: a reason for no difference" for key, these in grouped.items() if not these and not names]
    print("\n".join(faults) or f"{len(found)} rows agree", file=sys.stderr if faults else sys.stdout)
    if not faults and not names:
        with pg.device("numpy"):
            PAGE.write_text(page(found, grouped), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
