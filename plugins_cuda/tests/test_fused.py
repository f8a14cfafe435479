"""Groups as one kernel, against the reference, and bit for bit against the package's own kernels one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bodies_lab import RandomBody, one_by_one
from device_lab import DEFINED, LAYOUTS, REFERENCE, get, laid_out, put, values

from plugrad.backend import Spec
from plugrad.program import Body, Eqn, Lit
from plugrad_cuda import bodies, fusion, grouping, runtime, samples
from plugrad_cuda.backend import CudaBackend

F4, I4 = np.dtype("f4"), np.dtype("i4")


def fused(body: Body, *operands: Any) -> list[Any]:
    found = fusion.fused(*operands, body=body)
    assert found is not NotImplemented
    return list(found) if type(found) is tuple else [found]


def same_bits(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    """Equal, zeros with their sign; NaN is NaN."""
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), what
    np.testing.assert_array_equal(got, wanted, err_msg=what)
    if got.dtype.kind == "f":
        there = ~np.isnan(got)
        np.testing.assert_array_equal(np.signbit(got)[there], np.signbit(wanted)[there], err_msg=what)


def checked(body: Body, hosts: list[np.ndarray], devices: list[Any], what: str) -> None:
    before = runtime.of("0").counters.launches
    got = fused(body, *devices)
    launches = runtime.of("0").counters.launches - before
    assert launches == 1 or any(e.op in bodies.REDUCTIONS for e in body.eqns), what
    own = one_by_one(body, devices)
    for a, b in zip(got, own, strict=True):
        assert a.layout.dense
        same_bits(get(a), get(b), what)
    with np.errstate(all="ignore"):
        wanted = one_by_one(body, hosts, {**REFERENCE, **DEFINED}, lambda x: x)
    for a, b in zip(got, wanted, strict=True):
        kept = get(a)
        if kept.dtype.kind == "f":
            np.testing.assert_allclose(kept, b, rtol=2e-4, atol=2e-4, err_msg=what)
        assert (kept.shape, kept.dtype) == (np.shape(b), np.asarray(b).dtype), what


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("cuda")
def test_bodies_in_every_layout(layout: str) -> None:
    shape = (6, 8)
    for body in (samples.chain(shape), samples.layer(*shape), samples.softmax(*shape), samples.step(shape)):
        pairs = [
            laid_out(values("f4", s.shape, k, positive=body.specs == samples.step(shape).specs), layout)
            for k, s in enumerate(body.specs[: body.operands])
        ]
        checked(body, [np.array(a, order="C") for a, _ in pairs], [b for _, b in pairs], f"{layout} {body.eqns[-1].op}")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.usefixtures("cuda")
def test_random_bodies_are_their_equations(seed: int, ends: bool) -> None:
    made = RandomBody(seed, ends=ends)
    hosts = made.operands()
    devices = [put(a) for a in hosts]
    got = fused(made.body, *devices)
    for a, b in zip(got, one_by_one(made.body, devices), strict=True):
        same_bits(get(a), get(b), f"{made.body.eqns}")
    for a, b in zip(hosts, devices, strict=True):
        same_bits(get(b), a, "an operand was written")


SIZES = [(5, 1024), (1, 4099), (3, 1026), (2, 2051)]
"""Whole steps of four; a tail behind them; rows that begin at no multiple of four; odd rows."""


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.usefixtures("cuda")
def test_elements_in_steps_of_sixteen_bytes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for body in (samples.chain(shape), samples.layer(*shape)):
        arrays = [rng.standard_normal(s.shape, dtype=np.float32) for s in body.specs[: body.operands]]
        checked(body, arrays, [put(a) for a in arrays], f"{shape}")
        apart = [put(np.concatenate([a.reshape(-1)[:1], a.reshape(-1)])).view(a.shape, dense(a), 1) for a in arrays]
        assert any(x.pointer & 15 for x in apart)
        checked(body, arrays, apart, f"{shape}, not aligned")


def dense(a: np.ndarray) -> tuple[int, ...]:
    return tuple([step // a.itemsize for step in a.strides])


def forms(body: Body, *operands: Any, aligned: bool = True) -> list[Any]:
    """The forms in which kernels are asked for."""
    asked: list[Any] = []
    text = bodies.Text(body)

    def noted(kind: Any) -> Any:
        return lambda text, form: (asked.append(form), kind(text, form))[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "each", noted(grouping.each))
        patch.setattr(grouping, "reduced", noted(grouping.reduced))
        fusion._plan(runtime.of("0"), text, tuple([x.layout for x in operands]), aligned)
    return asked


@pytest.mark.usefixtures("cuda")
def test_forms_are_as_simple_as_the_layouts_allow() -> None:
    """Merged axes; steps of four only where each begins at a multiple of 16 bytes."""
    x, row = put(np.zeros((4, 512), "f4")), put(np.zeros(512, "f4"))
    assert forms(samples.layer(4, 512), x, row) == [grouping.Each("dd", 4, 2, False, False)]
    assert forms(samples.layer(4, 512), x, row, aligned=False) == [grouping.Each("dd", 1, 2, False, False)]
    y, odd = put(np.zeros((4, 510), "f4")), put(np.zeros(510, "f4"))
    assert forms(samples.layer(4, 510), y, odd) == [grouping.Each("dd", 1, 2, False, False)]
    column = put(np.zeros((4, 1), "f4")), put(np.zeros(510, "f4"))
    outer = samples.Builder((4, 510), Spec((4, 1), F4), Spec((510,), F4))
    assert forms(outer.body(outer.add("add", 0, 1)), *column) == [grouping.Each("vd", 1, 2, False, False)]
    wide = put(np.zeros((4, 514), "f4"))
    cut = wide.view((4, 512), (514, 1))
    assert forms(samples.layer(4, 512), cut, row) == [grouping.Each("dd", 1, 2, False, False)]
    four = [put(np.zeros((8, 4, 64), "f4")) for _ in range(4)]
    assert forms(samples.chain((8, 4, 64)), *four) == [grouping.Each("dddd", 4, 0, False, True)]
    turned = [v.view((4, 8, 64), (64, 256, 1)) for v in four]
    assert forms(samples.chain((4, 8, 64)), *turned) == [grouping.Each("dddd", 4, 3, False, False)]
    one = [put(np.zeros((), "f4")).view((8, 4, 64), (0, 0, 0)), *four[1:]]
    assert forms(samples.chain((8, 4, 64)), *one)[0].lies == "uddd"
    both = forms(samples.softmax(4, 512), x, put(np.zeros((4, 1), "f4")))
    found = [(f.ends, f.writes, f.cut.rows, f.cut.lanes) for f in both]
    assert found == [((0,), True, True, 256), ((1,), False, False, 1)]


@pytest.mark.usefixtures("cuda")
def test_positions_of_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "needs_64", lambda *_: True)
    for body in (samples.chain((5, 7)), samples.layer(4, 6), samples.softmax(3, 5)):
        arrays = [values("f4", s.shape, k) for k, s in enumerate(body.specs[: body.operands])]
        checked(body, arrays, [put(a) for a in arrays], "wide")


@pytest.mark.parametrize(
    ("shape", "axis"), [((9, 3000), (1,)), ((3000, 5), (0,)), ((70000,), (0,)), ((20, 70, 30), (0, 2))]
)
@pytest.mark.usefixtures("cuda")
def test_long_reductions_go_in_parts(shape: tuple[int, ...], axis: tuple[int, ...]) -> None:
    b = samples.Builder(shape, Spec(shape, F4), Spec((), F4))
    y = b.add("mul", 0, 1)
    body = b.body(y, b.add("sum", y, axis=axis, keepdims=False), b.add("max", y, axis=axis, keepdims=True))
    a = np.random.default_rng(4).standard_normal(shape, dtype=np.float32)
    checked(body, [a, np.float32(0.5)[()]], [put(a), put(np.float32(0.5)[()])], f"{shape} {axis}")


@pytest.mark.usefixtures("cuda")
def test_empty_groups() -> None:
    b = samples.Builder((0, 3), Spec((0, 3), F4), Spec((3,), F4))
    y = b.add("add", 0, 1)
    body = b.body(y, b.add("sum", y, axis=(0,), keepdims=False), b.add("prod", y, axis=(1,), keepdims=False))
    got = [get(x) for x in fused(body, put(np.zeros((0, 3), "f4")), put(np.ones(3, "f4")))]
    assert [x.shape for x in got] == [(0, 3), (3,), (0,)] and not got[1].any()


NUMBERS = [
    (0.1, "f4"), (0.1, "f8"), (-0.0, "f4"), (float("nan"), "f8"), (float("-inf"), "f4"), (1e-45, "f4"), (1e300, "f4"),
    (-1, "i1"), (-(1 << 63), "i8"), ((1 << 64) - 1, "u8"), (200, "u1"), (True, "b1"), (False, "b1"),
    (1 << 24 | 1, "i4"),
]  # fmt: skip


@pytest.mark.usefixtures("cuda")
def test_numbers_in_the_text_are_exact() -> None:
    for value, name in NUMBERS:
        dtype = np.dtype({"b1": "bool"}.get(name, name))
        b = samples.Builder((2,), Spec((2,), dtype))
        body = b.body(b.add("where", Lit(False, np.dtype(bool)), 0, Lit(value, dtype), dtype=dtype))
        with np.errstate(over="ignore"):
            wanted = np.full(2, np.asarray(value).astype(dtype))
        same_bits(get(fused(body, put(np.zeros(2, dtype)))[0]), wanted, f"{value} {name}")


def test_what_has_no_text_is_declined() -> None:
    for body in (
        Body(1, (Spec((2,), F4),) * 2, (Eqn("sort", (0,), (1,)),), (1,), (2,)),
        Body(1, (Spec((2,), F4),) * 2, (Eqn("invert", (0,), (1,)),), (1,), (2,)),
        Body(1, (Spec((2,), F4), Spec((2,), np.dtype("f2"))), (Eqn("cast", (0,), (1,)),), (1,), (2,)),
    ):
        with pytest.raises(bodies.Unwritten):
            bodies.Text(body).function("f", ())
    inner = Eqn("sum", (0,), (1,), (("axis", (0,)), ("keepdims", True)))
    read = Body(1, (Spec((2,), F4), Spec((1,), F4), Spec((2,), F4)), (inner, Eqn("add", (0, 1), (2,))), (2,), (2,))
    with pytest.raises(bodies.Unwritten, match="reads a reduction"):
        bodies.Text(read)


@pytest.mark.usefixtures("cuda")
def test_a_declined_body_gives_not_implemented() -> None:
    body = Body(1, (Spec((2,), I4),) * 2, (Eqn("exp", (0,), (1,)),), (1,), (2,))
    assert fusion.fused(put(np.zeros(2, "i4")), body=body) is NotImplemented
    many = samples.Builder((2,), *[Spec((2,), F4)] * 80)
    assert fusion.fused(*[put(np.zeros(2, "f4"))] * 80, body=many.body(many.add("add", 0, 1))) is NotImplemented


def test_texts_are_the_same_for_equal_bodies_and_differ_otherwise() -> None:
    form = grouping.Each("dddd", 4, 0, False, True)

    def entry(body: Body, lies: str = "dddd") -> tuple[str, str]:
        return grouping.each(bodies.Text(body), form._replace(lies=lies))

    one = entry(samples.chain((8,)))
    assert entry(samples.chain((9,))) == one
    others = [entry(samples.chain((8,), np.float64)), entry(samples.chain((8,)), "dddu")]
    assert len({name for name, _ in (one, *others)}) == 3


def test_groups_hold_only_what_has_an_expression() -> None:
    from plugrad.op import OPS

    assert CudaBackend.fuses <= set(CudaBackend.kernels)
    assert all(OPS[name].elementwise or name in bodies.REDUCTIONS for name in CudaBackend.fuses if name in OPS)


@pytest.mark.usefixtures("cuda")
def test_kernels_are_found_again() -> None:
    body, a = samples.chain((33,)), [put(values("f4", (33,), k)) for k in range(4)]
    fused(body, *a)
    builds = runtime.of("0").counters.builds
    fused(body, *a)
    fused(samples.chain((33,)), *a)
    fused(samples.chain((3, 11)), *[x.view((3, 11), (11, 1)) for x in a])
    assert runtime.of("0").counters.builds == builds
