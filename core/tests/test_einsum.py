"""einsum, transpose and tensordot against NumPy: generated subscripts, derivatives, batching, dtypes, paths, errors."""

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.ops import einsum as module
from plugrad.testing import check_derivatives, check_vmap

NAMES = "abcdE"


@st.composite
def calls(draw, most=4):
    """Subscripts, with shapes for them: repeated names, sizes 1 that broadcast, axes of ``...``, empty axes."""
    sizes = {name: draw(st.sampled_from([1, 2, 3, 3, 2, 0])) for name in NAMES}
    around = draw(st.lists(st.integers(1, 3), min_size=2, max_size=2))
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, most))):
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3))
        own = {name: 1 if draw(st.integers(0, 5)) == 0 else sizes[name] for name in names}
        at, count = draw(st.integers(0, len(names))), draw(st.integers(0, 2))
        extra = [1 if draw(st.integers(0, 4)) == 0 else d for d in around[2 - count :]] if count else []
        dots = "..." if count or draw(st.integers(0, 4)) == 0 else ""
        terms.append("".join(names[:at]) + dots + "".join(names[at:]))
        shapes.append((*[own[n] for n in names[:at]], *extra, *[own[n] for n in names[at:]]))
    text = ",".join(terms)
    if draw(st.booleans()):
        chosen = draw(st.permutations(sorted(set(text) & set(NAMES))))
        chosen = chosen[: draw(st.integers(0, len(chosen)))]
        at = draw(st.integers(0, len(chosen)))
        text += "->" + "".join(chosen[:at]) + ("..." if "..." in text else "") + "".join(chosen[at:])
    return text, shapes


def arrays(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def close(got, wanted):
    assert got.shape == np.shape(wanted)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12, atol=1e-12)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(calls(), st.sampled_from(["auto", "optimal", "greedy", True, False]))
def test_generated_subscripts(call, optimize):
    text, shapes = call
    xs = arrays(shapes)
    with pg.device("numpy"):
        close(pg.einsum(text, *map(pg.asarray, xs), optimize=optimize), np.einsum(text, *xs))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(calls(most=3))
def test_generated_derivatives(call):
    text, shapes = call
    with pg.device("numpy"):
        check_derivatives(lambda *xs: pg.einsum(text, *xs), *map(pg.asarray, arrays(shapes)))


CASES = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "bij,bjk->bik": [(2, 2, 3), (2, 3, 2)],
    "ii": [(3, 3)],
    "iji->j": [(3, 2, 3)],
    "iii->i": [(2, 2, 2)],
    "i,j->ij": [(2,), (3,)],
    "i,ij,j": [(2,), (2, 3), (3,)],
    "...ij,...jk": [(2, 1, 2, 3), (3, 3, 2)],
    "ij,jk": [(2, 1), (3, 4)],
    "ab,bc,cd,de->ea": [(2, 3), (3, 4), (4, 2), (2, 3)],
    "ij->": [(2, 3)],
    ",": [(), ()],
}


@pytest.mark.parametrize("text", CASES)
def test_transformations(text):
    xs = [pg.asarray(x) for x in arrays(CASES[text])]

    def f(*xs):
        return pg.einsum(text, *xs)

    close(f(*xs), np.einsum(text, *[x.numpy() for x in xs]))
    check_derivatives(f, *xs)
    check_vmap(f, *xs)
    check_vmap(pg.grad(lambda *xs: pg.sin(f(*xs)).sum(), tuple(range(len(xs)))), *xs)
    np.testing.assert_array_equal(pg.stage(f, *xs)(*xs).numpy(), f(*xs).numpy())


@pytest.mark.parametrize("text", ["ij,jk->ik", "iij,k->jk", "i,i->i", "...i,...i"])
def test_complex(text):
    shapes = {"iij,k->jk": [(2, 2, 3), (4,)], "ij,jk->ik": [(2, 3), (3, 4)]}.get(text, [(3,), (3,)])
    xs = [x + 1j * y for x, y in zip(arrays(shapes), arrays(shapes, 1), strict=True)]
    close(pg.einsum(text, *map(pg.asarray, xs)), np.einsum(text, *xs))
    check_derivatives(lambda *xs: pg.einsum(text, *xs), *map(pg.asarray, xs))


def test_the_other_form():
    a, b = arrays([(2, 3), (3, 4)])
    x, y = pg.asarray(a), pg.asarray(b)
    close(pg.einsum(x, [0, 1], y, [1, 2], [0, 2]), a @ b)
    close(pg.einsum(x, [5, 1], y, [1, 2]), (a @ b).T)  # in the order of the numbers
    close(pg.einsum(x, [..., 0], [0, ...]), a.T)
    close(pg.einsum(x, (0, 1)), a)
    close(pg.einsum(x, "ij", y, "jk", "ki"), (a @ b).T)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "bfloat16", "float32", "complex64"])
def test_the_dtype_stays(dtype):
    x = pg.asarray(np.arange(6).reshape(2, 3) % 4).astype(dtype)
    for text in ("ij->", "ij,ij->i", "ij->ji", "ij,kj->ik"):
        given = (x,) * (1 + text.count(","))
        got = pg.einsum(text, *given)
        plain = [a.numpy() if dtype != "bfloat16" else a.numpy().astype("float32") for a in given]
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got.numpy(), np.einsum(text, *plain).astype(got.dtype))


def test_operands_promote_before_they_are_multiplied():
    big = pg.asarray([2**20, 2**20], dtype="int32")
    got = pg.einsum("i,i,i->i", big, big, pg.asarray([1.0, 2.0], dtype="float64"))
    assert got.dtype == np.float64
    assert got.tolist() == [2.0**40, 2.0**41]
    with pg.promotion("strict"), pytest.raises(DTypeError):
        pg.einsum("i,i", big, pg.asarray([1.0, 2.0]))


def test_scalars_and_arrays_are_taken():
    assert pg.einsum(",i->i", 2.0, np.array([1.0, 3.0])).tolist() == [2.0, 6.0]
    assert pg.einsum("->", 3.0).item() == 3.0


def test_the_result_is_a_handle_of_its_own():
    x = pg.asarray([[1.0, 2.0]])
    y = pg.einsum("ij->ij", x)
    y += 1
    assert x.tolist() == [[1.0, 2.0]]


CHAIN = "ab,bc,cd,de,ef->af"
CHAIN_SHAPES = [(2, 3), (3, 4), (4, 5), (5, 3), (3, 2)]


@pytest.mark.parametrize(
    "path", [[(0, 1), (0, 1), (0, 1), (0, 1)], ["einsum_path", (3, 4), (2, 3), (0, 1, 2)], [(1, 2)], []]
)
def test_a_path_may_be_given(path):
    xs = arrays(CHAIN_SHAPES)
    close(pg.einsum(CHAIN, *map(pg.asarray, xs), optimize=path), np.einsum(CHAIN, *xs))


def test_the_path_saves_work(monkeypatch):
    """Of matrices and a vector: from the right every product is small."""
    bind, work = module.bind, []

    def watched(op, xs, attrs):
        work[-1] += xs[0].size * xs[1].shape[-1] if op is module.MATMUL else 0
        return bind(op, xs, attrs)

    monkeypatch.setattr(module, "bind", watched)
    xs = [pg.asarray(x) for x in arrays([(30, 31), (31, 32), (32, 33), (33,)])]
    for optimize in ("auto", "greedy", "optimal", True, False):
        work.append(0)
        pg.einsum("ab,bc,cd,d->a", *xs, optimize=optimize)
    assert work[:4] == [30 * 31 + 31 * 32 + 32 * 33] * 4
    assert work[4] == 30 * 31 * 32 + 30 * 32 * 33 + 30 * 33


def test_opt_einsum_finds_the_path_where_it_is_installed(monkeypatch):
    asked = []

    def contract_path(text, *shapes, optimize=None, **rest):
        asked.append((text, shapes, optimize, rest))
        return [(1, 2), (0, 1)], "info"

    monkeypatch.setitem(sys.modules, "opt_einsum", types.SimpleNamespace(contract_path=contract_path))
    module._opt_einsum.cache_clear()
    module._prepared.cache_clear()
    try:
        xs = arrays([(2, 3), (3, 1), (3, 5)])
        close(pg.einsum("ij,jk,jl", *map(pg.asarray, xs)), np.einsum("ij,jk,jl", *xs))
    finally:
        monkeypatch.undo()
        module._opt_einsum.cache_clear()
        module._prepared.cache_clear()
    assert asked == [("ab,bc,bd->acd", ((2, 3), (3, 1), (3, 5)), "auto", {"shapes": True})]


def test_more_names_than_letters():
    xs = arrays([(1,) * 20, (1,) * 20, (1,) * 20])
    labels = [list(range(20 * i, 20 * i + 20)) for i in range(3)]
    got = pg.einsum(*[one for pair in zip(map(pg.asarray, xs), labels, strict=True) for one in pair], [59, 0])
    close(got, np.prod([x.item() for x in xs]).reshape(1, 1))


@pytest.mark.parametrize(
    ("text", "shapes", "words"),
    [
        ("ij,jk", [(2, 3), (4, 5)], ["'j'", "3 and 4", "(2, 3)", "(4, 5)"]),
        ("ii", [(2, 3)], ["'i'", "2 and 3"]),
        ("ii", [(1, 3)], ["'i'", "1 and 3"]),
        ("...,...", [(2,), (3,)], ["axis of ...", "2 and 3"]),
        ("ij,jk", [(2, 3)], ["2 terms", "1 operands"]),
        ("ij", [(2, 3), (2,)], ["1 terms", "2 operands"]),
        ("ijk", [(2, 3)], ["operand 0", "(2, 3)", "'ijk'"]),
        ("i", [(2, 3)], ["operand 0", "(2, 3)"]),
        ("...ijk", [(2, 3)], ["operand 0", "...ijk"]),
        ("...i->i", [(2, 3)], ["the result must have ..."]),
    ],
)
def test_misfits(text, shapes, words):
    with pytest.raises(ShapeError) as caught:
        pg.einsum(text, *map(pg.ones, shapes))
    assert [word for word in ("einsum: ", *words) if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ij->k", "'k' is in the result, but in no operand"),
        ("ij->ii", "'i' is twice in the result"),
        ("i1", "'1' in 'i1'"),
        ("i.j", "'.'"),
        ("ij->i->j", "'-'"),
        ("ij->i,j", "','"),
    ],
)
def test_what_is_no_subscript(text, words):
    with pytest.raises(ValueError, match="einsum: ") as caught:
        pg.einsum(text, pg.ones((2, 3)))
    assert words in str(caught.value)


@pytest.mark.parametrize("optimize", ["fast", [(0, 3)], [(0, 0)], [(-1, 0)], [()]])
def test_a_path_that_is_none(optimize):
    with pytest.raises(ValueError, match="einsum: "):
        pg.einsum("i,i,i", *[pg.ones(2)] * 3, optimize=optimize)


# -- the neighbours


def test_transpose():
    x = np.arange(24.0).reshape(2, 3, 4)
    close(pg.transpose(pg.asarray(x)), x.T)
    close(pg.transpose(pg.asarray(x), (1, -1, 0)), x.transpose(1, 2, 0))
    with pytest.raises(ShapeError, match="not a permutation"):
        pg.transpose(pg.asarray(x), (0, 1))


@pytest.mark.parametrize(
    "axes", [0, 1, 2, ([1], [0]), (1, 0), ((-1, 0), (-2, -1)), ([0, 1], [1, 0]), ((), ())], ids=str
)
def test_tensordot(axes):
    shapes = {0: [(2,), (3,)], 2: [(2, 3, 4), (3, 4)]}.get(axes if isinstance(axes, int) else -1, [(3, 4), (4, 3)])
    a, b = [x + 1j * y for x, y in zip(arrays(shapes), arrays(shapes, 1), strict=True)]
    close(pg.tensordot(pg.asarray(a), pg.asarray(b), axes=axes), np.tensordot(a, b, axes))
    check_derivatives(lambda a, b: pg.tensordot(a, b, axes=axes), pg.asarray(a), pg.asarray(b))


@pytest.mark.parametrize(
    ("axes", "fault"),
    [
        (-1, "do not pair"),
        (([0],), "do not pair"),
        (([0, 1], [0]), "do not pair"),
        (3, "do not pair"),
        (([2], [0]), "out of range"),
        (([0, 0], [0, 1]), "twice"),
        (([1], [0]), "different sizes"),
    ],
)
def test_axes_that_do_not_pair(axes, fault):
    with pytest.raises(ShapeError, match=f"tensordot: .*{fault}"):
        pg.tensordot(pg.ones((3, 4)), pg.ones((3, 3)), axes=axes)


@pytest.mark.parametrize("f", [pg.matmul, pg.tensordot, pg.outer])
def test_operands_are_positional_as_in_the_standard(f):
    with pytest.raises(TypeError, match="positional"):
        f(a=pg.ones((2, 2)), b=pg.ones((2, 2)))
