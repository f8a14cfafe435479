"""A write that another thread's stage, or second run of a checkpoint, would undo raises; nothing is lost silently."""

import threading

import pytest

import plugrad as pg
from plugrad.errors import PlugradError, StateError
from plugrad.state import HELD


@pytest.fixture(autouse=True)
def device():
    with pg.device("numpy"):
        yield
    assert not HELD


def beside(work):
    """What another thread raised."""
    caught = []

    def run():
        try:
            with pg.device("numpy"):
                work()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return caught


def writes(buffer):
    return beside(lambda: buffer.assign(pg.full(buffer.shape, 100.0)))


def test_a_write_beside_a_stage():
    buffer, found = pg.Buffer(pg.tensor([1.0])), []

    def f(x):
        found.append(beside(lambda: buffer.assign(pg.tensor([5.0]))))  # nobody has written yet: the write stays
        buffer.assign(buffer + x)
        found.append(beside(lambda: buffer.assign(pg.tensor([7.0]))))
        return x * 2.0

    pg.stage(f, pg.tensor([1.0]))
    assert found[0] == [] and buffer.tolist() == [5.0]
    (error,) = found[1]
    assert (
        isinstance(error, StateError)
        and "another thread" in str(error)
        and "float32 tensor of shape (1,)" in str(error)
    )
    assert writes(buffer) == [] and buffer.tolist() == [100.0]


def test_a_write_beside_the_second_run_of_a_checkpoint():
    buffer, found = pg.Buffer(pg.tensor(1.0)), []

    def f(x):
        found.append(writes(buffer))
        y = x * buffer
        buffer.assign(buffer + 1.0)
        found.append(writes(buffer))
        return y

    x = pg.tensor(3.0).requires_grad_()
    y = pg.checkpoint(f)(x)
    assert found == [[], []] and buffer.item() == 100.0  # the first run takes nothing back
    y.backward()
    assert x.grad.item() == 100.0
    assert [type(error) for caught in found[2:] for error in caught] == [StateError, StateError]
    assert buffer.item() == 100.0 and writes(buffer) == []


def test_draws_beside_a_stage():
    """A key is handed out once: a draw that would meet a traced place, and be taken back, raises."""
    generator, found = pg.random.Generator(3), []

    def f(x):
        key = generator.key()
        found.append(beside(generator.key))
        return pg.random.uniform(key, (2,)) + x

    pg.stage(f, pg.tensor([1.0]))
    (error,) = found[0]
    assert isinstance(error, PlugradError) and "in another thread" in str(error)
    assert generator.key().tolist() == [3, 0]


def test_nested_stages_hold_until_the_outermost_ends():
    buffer, found = pg.Buffer(pg.tensor(1.0)), []

    def inner(x):
        buffer.assign(buffer + x)
        return x

    def outer(x):
        y = pg.stage(inner, x)(x)
        found.append(writes(buffer))
        return y

    graph = pg.stage(outer, pg.tensor(2.0))
    assert [type(error) for error in found[0]] == [StateError] and buffer.item() == 1.0
    graph(pg.tensor(2.0))
    assert buffer.item() == 3.0 and not HELD


def test_a_stage_that_fails_lets_go():
    buffer = pg.Buffer(pg.tensor(1.0))

    def f(x):
        buffer.assign(buffer + 1.0)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        pg.stage(f, pg.tensor(2.0))
    assert not HELD and buffer.item() == 1.0 and writes(buffer) == []


def test_what_two_stages_wrote_is_held_by_the_outer_one():
    buffer, found = pg.Buffer(pg.tensor(1.0)), []

    def inner(x):
        buffer.assign(buffer + x)
        return x

    def outer(x):
        buffer.assign(buffer * 2.0)
        pg.stage(inner, pg.tensor(2.0))
        found.append(writes(buffer))
        return x

    pg.stage(outer, pg.tensor(2.0))
    assert [type(error) for error in found[0]] == [StateError] and buffer.item() == 1.0 and writes(buffer) == []
