"""Random bits are normative: known answers, the same numbers however they are asked for, sound statistics."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.reference.random import philox

KNOWN = [  # Random123, kat_vectors: philox4x32, 10 rounds
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert [f"{int(w):08x}" for w in philox(counter, key)] == words.split()


def test_bits_are_the_cipher_of_the_element_index():
    key = pg.random.key(11, 22)
    bits = pg.random.bits(key, (3, 7)).numpy().ravel()
    for e in (0, 1, 4, 13, 20):
        assert bits[e] == philox((e // 4, 0, 0, 0), (11, 22))[e % 4]
    np.testing.assert_array_equal(pg.random.bits(key, 21).numpy(), bits)


def test_batched_keys():
    keys = pg.random.split(pg.random.key(1), 3)
    assert keys.shape == (3, 2)
    together = pg.random.bits(keys, (5,)).numpy()
    np.testing.assert_array_equal(together, np.stack([pg.random.bits(keys[i], (5,)).numpy() for i in range(3)]))
    assert len(np.unique(together)) == 15


def test_uniform():
    u = pg.random.uniform(pg.random.key(0), (100_000,)).numpy()
    assert u.dtype == np.float32 and u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.001
    assert np.array_equal(u * 2.0**24, np.floor(u * 2.0**24))
    d = pg.random.uniform(pg.random.key(0), (1000,), low=-2.0, high=3.0, dtype="float64").numpy()
    assert d.dtype == np.float64 and d.min() >= -2 and d.max() < 3 and abs(d.mean() - 0.5) < 0.1
    assert pg.random.uniform(pg.random.key(0), 3, dtype="bfloat16").dtype == pg.bfloat16


def test_normal():
    for dtype in ("float32", "float64"):
        z = pg.random.normal(pg.random.key(3), (100_001,), dtype=dtype).numpy()
        assert z.dtype == dtype and np.all(np.isfinite(z))
        assert abs(z.mean()) < 0.015 and abs(z.std() - 1) < 0.01
        assert abs((z**3).mean()) < 0.05 and abs((z**4).mean() - 3) < 0.1
        assert abs(np.corrcoef(z[:50_000], z[50_000:100_000])[0, 1]) < 0.02
    shifted = pg.random.normal(pg.random.key(3), (1000,), mean=5.0, std=0.1).numpy()
    assert abs(shifted.mean() - 5) < 0.02
    assert pg.random.normal(pg.random.key(3)).shape == ()


def test_integers_bernoulli_permutation():
    i = pg.random.randint(pg.random.key(0), (10_000,), low=-3, high=4).numpy()
    assert i.dtype == np.int64 and set(i) == set(range(-3, 4))
    assert np.bincount(i + 3).std() < 60
    b = pg.random.bernoulli(pg.random.key(0), (10_000,), p=0.25).numpy()
    assert b.dtype == bool and abs(b.mean() - 0.25) < 0.02
    p = pg.random.permutation(pg.random.key(0), 100).numpy()
    assert sorted(p) == list(range(100)) and list(p) != list(range(100))


def test_streams_and_folds_differ():
    a, b = pg.random.key(1, 0), pg.random.key(1, 1)
    assert not np.array_equal(pg.random.bits(a, 8).numpy(), pg.random.bits(b, 8).numpy())
    folds = pg.random.fold_in(a, pg.arange(1000)).numpy()
    assert len(np.unique(folds, axis=0)) == 1000
    np.testing.assert_array_equal(pg.random.fold_in(a, 7).numpy(), folds[7])


def test_generators():
    g, h = pg.random.Generator(4), pg.random.Generator(4)
    assert [g.key().tolist() for _ in range(3)] == [h.key().tolist() for _ in range(3)] == [[4, 0], [4, 1], [4, 2]]
    g.seed(9)
    assert g.key().tolist() == [9, 0]
    pg.manual_seed(123)
    first = pg.random.generator().key().tolist()
    pg.manual_seed(123)
    assert pg.random.generator().key().tolist() == first == [123, 0]


def test_a_uniform_is_differentiable_in_its_bounds():
    u = pg.random.uniform(pg.random.key(0), 5)
    g = pg.grad(lambda s: pg.sum(pg.random.uniform(pg.random.key(0), 5) * s))(2.0)
    np.testing.assert_allclose(g.item(), u.numpy().sum(), rtol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="seed -1"):
        pg.random.key(-1)
    with pytest.raises(DTypeError, match="must be a key"):
        pg.random.bits(pg.ones(2), 3)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        pg.random.bits(pg.zeros(3, dtype="uint32"), 3)
    with pytest.raises(ValueError, match="span"):
        pg.random.randint(pg.random.key(0), 3, low=3, high=3)
    with pytest.raises(DTypeError, match="int32"):
        pg.random.uniform(pg.random.key(0), 3, dtype="int32")


def test_no_keys_give_no_bits():
    keys = pg.zeros((0, 2), dtype="uint32", device="numpy")
    assert pg.random.bits(keys, (3, 5)).shape == (0, 3, 5)
    assert pg.random.bits(pg.random.key(1, device="numpy"), (0, 4)).shape == (0, 4)
