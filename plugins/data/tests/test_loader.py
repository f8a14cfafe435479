"""The loader: order, epochs, resuming, devices, transforms."""

from __future__ import annotations

import json

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import BackendUnavailableError, ShapeError, StateError
from plugrad_data import ArrayDataset, DataLoader, split, transforms


def data(n: int = 10) -> ArrayDataset:
    return ArrayDataset(np.arange(n), np.arange(n, dtype=np.float32).reshape(n, 1) / 2)


def walk(loader: DataLoader) -> list[list[int]]:
    return [x.tolist() for x, *_ in loader]


def flat(batches: list[list[int]]) -> list[int]:
    return [i for batch in batches for i in batch]


def loader(n: int = 10, size: int = 3, **config) -> DataLoader:
    return DataLoader(data(n), size, **{"shuffle": True, "seed": 5, "device": "numpy", **config})


def test_batches_are_tensors_on_the_device():
    batches = list(DataLoader(data(), 4, device="numpy"))
    assert [tuple(t.shape for t in b) for b in batches] == [((4,), (4, 1)), ((4,), (4, 1)), ((2,), (2, 1))]
    x, y = batches[1]
    assert isinstance(x, pg.Tensor) and x.device == "numpy" and x.dtype == np.int64 and y.dtype == np.float32
    assert x.tolist() == [4, 5, 6, 7] and y.numpy()[:, 0].tolist() == [2.0, 2.5, 3.0, 3.5]


def test_the_device_is_the_one_that_was_asked_for():
    with pytest.raises(BackendUnavailableError, match="abacus"):
        next(iter(loader(device="abacus")))


def test_default_device_is_asked_at_the_time():
    made = DataLoader(data(), 4)
    with pg.device("numpy"):
        assert next(iter(made))[0].device == "numpy"


@pytest.mark.parametrize(
    ("n", "size", "drop", "count"),
    [(10, 3, False, 4), (10, 3, True, 3), (9, 3, False, 3), (0, 3, False, 0), (2, 3, True, 0)],
)
def test_length(n, size, drop, count):
    made = loader(n, size, drop_last=drop)
    batches = walk(made)
    assert len(made) == count == len(batches)
    assert all(len(b) == size for b in batches[:-1])


def test_every_epoch_has_each_example_once_in_a_new_order():
    made = loader(50, 7)
    orders = [flat(walk(made)) for _ in range(4)]
    assert made.epoch == 4
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] != list(range(50))
    assert flat(walk(loader(50, 9))) == orders[0]  # the order does not depend on the batch size
    assert flat(walk(loader(50, 7, seed=6))) != orders[0]


def test_without_shuffle_the_order_is_the_datasets():
    made = loader(shuffle=False)
    assert walk(made) == walk(made) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_the_order_is_philox_keyed_by_seed_and_epoch():
    words = np.random.Philox(key=np.array([5, 2], np.uint64)).random_raw(10)
    made = loader()
    assert made.order(2).tolist() == sorted(range(10), key=lambda i: words[i])
    assert made.order(0).tolist() == [9, 2, 4, 3, 1, 5, 0, 6, 7, 8]


def test_a_walk_broken_off_is_over():
    made, whole = loader(), loader()
    epochs = [walk(whole) for _ in range(3)]
    for _ in made:
        break
    assert made.epoch == 0
    assert walk(made) == epochs[1] and made.epoch == 2
    assert walk(made) == epochs[2]


def test_two_walks_at_once_do_not_disturb_each_other():
    made, whole = loader(), loader()
    epochs = [walk(whole) for _ in range(3)]
    first = iter(made)
    got = [next(first)[0].tolist()]
    second = iter(made)
    got_second = [next(second)[0].tolist()]
    got += [x.tolist() for x, _ in first]
    assert (made.epoch, made.state_dict()["batch"]) == (1, 1)  # the state follows the younger walk
    got_second += [x.tolist() for x, _ in second]
    assert got == epochs[0] and got_second == epochs[1] and made.epoch == 2


@pytest.mark.parametrize("stop", range(9))
def test_resume_anywhere(stop):
    straight = loader(transform=noise)
    expected = [x.tolist() + y.tolist() for _ in range(3) for x, y in straight]
    first, got, saved = loader(transform=noise), [], None
    if stop == 0:
        saved = first.state_dict()
    while saved is None:
        for x, y in first:
            got.append(x.tolist() + y.tolist())
            if len(got) == stop:
                saved = json.loads(json.dumps(first.state_dict()))
                break
    second = loader(transform=noise)
    second.load_state_dict(saved)
    while len(got) < len(expected):
        got += [x.tolist() + y.tolist() for x, y in second]
    assert got == expected
    assert second.epoch == 3


def noise(rng, x, y):
    return x, y + rng.uniform(size=y.shape)


def test_a_resumed_walk_that_is_broken_off_is_over_too():
    whole, first, second = loader(), loader(), loader()
    epochs = [walk(whole) for _ in range(2)]
    next(iter(first))
    second.load_state_dict(first.state_dict())
    assert next(iter(second))[0].tolist() == epochs[0][1]
    assert walk(second) == epochs[1]


def test_an_open_walk_does_not_move_a_loaded_state():
    made = loader()
    start = made.state_dict()
    open_walk = iter(made)
    next(open_walk)
    made.load_state_dict(start)
    assert len(list(open_walk)) == 3 and made.state_dict() == start


def test_state_between_epochs():
    first, second = loader(), loader()
    walk(first)
    second.load_state_dict(first.state_dict())
    assert second.epoch == 1 and walk(second) == walk(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 6}, r"seed=5 \(here 6\)"),
        ({"size": 4}, r"batch_size=3 \(here 4\)"),
        ({"n": 11}, r"length=10 \(here 11\)"),
        ({"shuffle": False}, r"shuffle=True \(here False\)"),
        ({"drop_last": True}, r"drop_last=False \(here True\)"),
    ],
)
def test_a_state_of_other_settings_changes_nothing(change, message):
    other = loader(**change)
    for _ in other:
        break
    before = other.state_dict()
    with pytest.raises(StateError, match=f"^DataLoader.load_state_dict: made with {message}"):
        other.load_state_dict(loader().state_dict())
    assert other.state_dict() == before


def test_a_state_that_is_none():
    made = loader()
    with pytest.raises(StateError, match="batch, epoch missing"):
        made.load_state_dict({k: v for k, v in made.state_dict().items() if k not in ("epoch", "batch")})
    with pytest.raises(StateError, match="epoch 0, batch 5 is no place in epochs of 4 batches"):
        made.load_state_dict({**made.state_dict(), "batch": 5})


@pytest.mark.parametrize("size", [0, -1, 2.0, True, None])
def test_bad_batch_size(size):
    with pytest.raises(ValueError, match=r"^DataLoader: batch_size .* must be a positive integer"):
        DataLoader(data(), size)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ((np.ones(3), np.ones(3)), r"tuple; use ArrayDataset\(x, y\)$"),
        ([np.ones(3)], r"list; use ArrayDataset\(x\)$"),
        ((np.ones(3),) * 5, r"tuple; use ArrayDataset\(\*arrays\)$"),
    ],
)
def test_arrays_in_the_place_of_a_dataset(given, remedy):
    with pytest.raises(TypeError, match=f"^DataLoader: dataset is a {remedy}"):
        DataLoader(given, 2)


def test_bad_seed():
    with pytest.raises(ValueError, match="seed -1 must be an integer"):
        DataLoader(data(), 2, seed=-1)


class OneAtATime:
    """Breaks the protocol: no batch for an index array."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.zeros((8, 8)), np.int64(3)


def test_a_dataset_that_gives_no_batch():
    with pytest.raises(
        ShapeError, match=r"^DataLoader: OneAtATime gave shapes \[\(8, 8\), \(\)\] for 2 examples.* needs 2 rows"
    ):
        next(iter(DataLoader(OneAtATime(), 2, device="numpy")))
    with pytest.raises(ShapeError, match="DataLoader: transform gave shapes"):
        next(iter(loader(transform=lambda rng, x, y: (x, y[:1]))))


def test_a_transform_depends_on_seed_epoch_and_batch_only():
    def draws():
        made = loader(transform=noise)
        return [float(y[0, 0]) - float(x[0]) / 2 for _ in range(2) for x, y in made]

    assert len(set(draws())) == 8
    assert draws() == draws()


def test_random_shift_moves_and_fills_with_zeros():
    rng = np.random.default_rng(0)
    images = np.arange(1.0, 2 * 25 * 40 + 1).reshape(40, 2, 5, 5)
    kept = images.copy()
    moved, labels = transforms.random_shift(1)(rng, images, np.arange(40))
    np.testing.assert_array_equal(images, kept)
    assert labels.tolist() == list(range(40)) and moved.dtype == images.dtype
    seen = set()
    for before, after in zip(images, moved, strict=True):
        found = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if np.array_equal(shifted(before, r, c), after)]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 9


def shifted(image, rows, columns):
    out = np.zeros_like(image)
    for r in range(5):
        for c in range(5):
            if 0 <= r - rows < 5 and 0 <= c - columns < 5:
                out[:, r, c] = image[:, r - rows, c - columns]
    return out


def test_random_shift_refuses():
    with pytest.raises(ValueError, match="pixels -1"):
        transforms.random_shift(-1)
    with pytest.raises(ShapeError, match=r"random_shift: images have shape \(3, 4\)"):
        transforms.random_shift(1)(np.random.default_rng(0), np.zeros((3, 4)))


def test_compose_applies_in_order():
    both = transforms.compose(lambda rng, x: x + 1, lambda rng, x: (x * 10,))
    assert both(np.random.default_rng(0), np.array([1, 2]))[0].tolist() == [20, 30]


def test_a_stratified_split_through_the_loader():
    train, test = split(data(20), (0.5, 0.5), 0, np.arange(20) % 2)
    seen = flat(walk(DataLoader(train, 4, shuffle=True, device="numpy")) + walk(DataLoader(test, 4, device="numpy")))
    assert sorted(seen) == list(range(20))
