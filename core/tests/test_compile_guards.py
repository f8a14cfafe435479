"""Nothing stale: what changes between two calls of a compiled function shows in the second, and a reason is kept."""

import numpy as np
import pytest

import plugrad as pg

RATE = 2.0


class Scaled(pg.Module):
    def __init__(self):
        self.w = pg.Parameter([1.0, 2.0])
        self.seen = pg.Buffer([0.0, 0.0])
        self.scale, self.parts, self.table = 1.0, [pg.Parameter([1.0, 1.0])], np.array([1.0, 1.0], np.float32)

    def forward(self, x):
        if self.training:
            self.seen.assign(self.seen + x)
        out = x * self.w * self.scale + pg.asarray(self.table)
        for p in self.parts:
            out = out + p
        return out


def changes():
    """What is changed between calls: functions of the module and of the settings that the function reads."""

    def weight(net, settings):
        net.w.assign([5.0, 6.0])

    def other_weight(net, settings):
        net.w = pg.Parameter([7.0, 8.0])

    def weight_of_a_list(net, settings):
        net.parts[0] = pg.Parameter([3.0, 3.0])

    def longer_list(net, settings):
        net.parts.append(pg.Parameter([4.0, 4.0]))

    def train_flag(net, settings):
        net.eval()

    def number(net, settings):
        net.scale = 3.0

    def array_in_place(net, settings):
        net.table[0] = 9.0

    def buffer(net, settings):
        net.seen.assign([1.0, 1.0])

    def closure(net, settings):
        settings["rate"] = 4.0

    def global_number(net, settings):
        globals()["RATE"] = 8.0

    def dtype(net, settings):
        net.w = pg.Parameter([1.0, 2.0], dtype="float64")

    def shape(net, settings):
        net.w = pg.Parameter([[1.0, 2.0], [3.0, 4.0]])

    def new_attribute(net, settings):
        net.training = False
        net.extra = 1

    def written_in_place(net, settings):
        with pg.no_grad():
            net.w[0] = 11.0

    def frozen(net, settings):
        net.w.requires_grad_(False)

    return [f for f in locals().values() if callable(f)]


@pytest.mark.parametrize("change", changes(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("given", [True, False], ids=["given", "captured"])
def test_a_change_shows(change, given, monkeypatch):
    monkeypatch.setitem(globals(), "RATE", 2.0)
    nets = Scaled(), Scaled()
    settings = {"rate": 1.0}

    def f(x, net):
        return net(x) * settings["rate"] * RATE

    compiled = pg.compile(f) if given else None
    net = nets[0]
    closed = pg.compile(lambda x: net(x) * settings["rate"] * RATE)
    x = pg.asarray([3.0, 4.0])

    def same():
        wanted = f(x, nets[1])
        got = compiled(x, net) if given else closed(x)
        np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), rtol=1e-6)
        assert (got.dtype, got.shape, got.requires_grad) == (wanted.dtype, wanted.shape, wanted.requires_grad)
        np.testing.assert_allclose(net.seen.numpy(), nets[1].seen.numpy(), rtol=1e-6)

    same()
    same()
    for one in nets:
        change(one, settings)
    same()
    same()


@pytest.mark.parametrize("device", ["numpy"])
def test_arguments_of_another_kind(device):
    f = pg.compile(lambda x: (x * 2 + 1).sum())
    kinds = [((3,), "float32"), ((4,), "float32"), ((3, 1), "float32"), ((3,), "float64"), ((3,), "int32")]
    for shape, dtype in [*kinds, *kinds]:
        x = pg.ones(shape, dtype=dtype, device=device)
        got = f(x)
        assert (got.item(), got.dtype, got.device) == (3.0 * x.size, (x * 2 + 1).sum().dtype, device)
    assert len(f.graphs) == len(kinds) and len(f.misses) == len(kinds) - 1


def test_another_device():
    devices = [d for d, o in pg.plugins.available_backends().items() if o.available]
    f = pg.compile(lambda x: x * 2)
    for device in [*devices, *devices]:
        assert f(pg.ones(2, device=device)).device.partition(":")[0] == device
    g = pg.compile(lambda: pg.ones(2))
    for device in [*devices, *devices]:
        with pg.device(device):
            assert g().device.partition(":")[0] == device


def test_a_captured_tensor_moves():
    devices = [d for d, o in pg.plugins.available_backends().items() if o.available]
    net = pg.Module()
    net.w = pg.Parameter([1.0, 2.0], device=devices[0])
    f = pg.compile(lambda x: x * net.w)
    for device in [*devices, *devices]:
        net.to(device)
        assert f(pg.ones(2, device=device)).tolist() == [1.0, 2.0]


def test_modes_of_the_caller():
    w = pg.asarray([2.0]).requires_grad_()
    f = pg.compile(lambda x: x * w)
    assert f(pg.ones(1)).requires_grad
    with pg.no_grad():
        assert not f(pg.ones(1)).requires_grad
    assert f(pg.ones(1)).requires_grad
    i, x = pg.asarray([1]), pg.asarray([1.5])
    g = pg.compile(lambda x, i: x + i)
    assert g(x, i).tolist() == [2.5]
    from plugrad.state import within

    with within(strict=True), pytest.raises(pg.errors.DTypeError):
        g(x, i)


def test_reasons_are_kept():
    net, x = Scaled(), pg.asarray([1.0, 1.0])
    f = pg.compile(lambda x: net(x))
    f(x)
    net.scale = 3.0
    f(x)
    net.eval()
    f(x)
    f(pg.ones((2, 2)))
    scale, mode, kind = f.misses
    assert "net.scale" in scale and "1.0" in scale and "3.0" in scale
    assert "training" in mode and "False" in mode
    assert "(2, 2)" in kind


def test_a_log_of_the_function_is_no_setting():
    log = []

    def f(x):
        log.append("staged")
        return x + 1

    g = pg.compile(f)
    for _ in range(3):
        g(pg.ones(1))
        log.append("between")
    assert log.count("staged") == 1


def test_settings_beside_modules():
    class Config:
        def __init__(self):
            self.factor = 2.0

    config = Config()
    f = pg.compile(lambda x: x * config.factor)
    assert f(pg.ones(1)).item() == 2.0
    config.factor = 5.0
    assert f(pg.ones(1)).item() == 5.0


def test_modules_of_the_object_that_a_method_belongs_to():
    class Trainer:
        def __init__(self):
            self.net, self.factor = Scaled(), 1.0
            self.step = pg.compile(self.forward)

        def forward(self, x):
            return pg.value_and_grad(lambda net: net(x).sum() * self.factor)(self.net)[0]

    trainer, x = Trainer(), pg.asarray([1.0, 1.0])
    for change in (lambda: None, lambda: setattr(trainer, "factor", 2.0), lambda: setattr(trainer.net, "scale", 3.0)):
        change()
        np.testing.assert_allclose(trainer.step(x).item(), trainer.forward(x).item())


def test_what_handles_held_is_let_go():
    """The first call already writes over the memory of what it updates: staging keeps nothing of it."""
    w = pg.Parameter(np.ones(1000, np.float32), device="numpy")

    def step():
        w.assign(w * 0.5)

    f = pg.compile(step)
    memory = np.asarray(w.val).__array_interface__["data"][0]
    for _ in range(3):
        f()
        assert np.asarray(w.val).__array_interface__["data"][0] == memory
    assert w.detach().numpy()[0] == 0.125


def test_too_many_graphs_warn_with_the_reason():
    net = Scaled()
    f = pg.compile(lambda x: net(x))
    with pytest.warns(UserWarning, match=r"net\.scale was"):
        for i in range(20):
            net.scale = float(i)
            f(pg.asarray([1.0, 1.0]))
