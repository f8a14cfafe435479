"""The kit's checks of optimizers: right ones pass all of them, and each check notices one that breaks its rule."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import ShapeError
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import OptimizerSample
from plugrad.testing.kit.optimizers import checks


class Twin(NumpyBackend):
    name = "kit_optimizers_twin"


class Narrow(NumpyBackend):
    name = "kit_optimizers_narrow"
    dtypes = "b1 i4 i8 u4 u8 f4"


for _backend in (Twin(), Narrow()):
    dispatch.add_backend(_backend)


def working(dtype):
    return pg.float32 if dtype in (pg.float16, pg.bfloat16) else dtype


class Momentum:
    """m' = 0.9 m + d / (1 - 0.9^t) and p' = p - rate m', with d = g + weight_decay p. Owes nothing to a base class."""

    unique = True
    moment_device = None
    moment_dtype = staticmethod(working)

    def __init__(self, params=None, learning_rate=0.05, weight_decay=0.0):
        self.rate = pg.Buffer(pg.asarray(learning_rate, dtype="float64", device="numpy"))
        self.weight_decay = weight_decay
        self.handles = [] if params is None else self.trained(params)
        self.state = [] if params is None else self.init(params)

    @property
    def learning_rate(self):
        return self.rate.item()

    @learning_rate.setter
    def learning_rate(self, value):
        self.rate.assign(pg.asarray(value, dtype="float64", device="numpy"))

    def trained(self, params):
        leaves, on, _ = pg.tree.flatten(params, unique=self.unique)
        return [t for t, wanted in zip(leaves, on, strict=True) if wanted]

    def init(self, params):
        return [
            {
                "m": pg.zeros(p.shape, dtype=self.moment_dtype(p.dtype), device=self.moment_device or p.device),
                "t": pg.asarray(0, device="numpy"),
            }
            for p in self.trained(params)
        ]

    def count(self, slots, number):
        return slots["t"] + 1

    def size(self, number):
        return self.rate

    def direction(self, p, g, m, t, placed):
        d = g + self.weight_decay * p if self.weight_decay else g
        return 0.9 * m + d / placed(1.0 - 0.9 ** t.astype("float64"))

    def moved(self, p, g, slots, number):
        work = working(p.dtype)

        def placed(scalar):
            return scalar.astype(work).to(p.device)

        t = self.count(slots, number)
        m = self.direction(p.astype(work), g.astype(work), slots["m"].astype(work).to(p.device), t, placed)
        new = (p.astype(work) - placed(self.size(number)) * m).astype(p.dtype)
        return new, {"m": m.astype(slots["m"].dtype).to(slots["m"].device), "t": t}

    def checked(self, ps, gs):
        for p, g in zip(ps, gs, strict=True):
            if g is not None and g.shape != p.shape:
                raise ShapeError(f"Momentum: a gradient of shape {g.shape} for {p.shape}")

    def update(self, grads, state, params):
        leaves, on, build = pg.tree.flatten(params, unique=self.unique)
        gs = pg.tree.leaves_like(build, grads, "Momentum: the gradients")
        self.checked([p for p, w in zip(leaves, on, strict=True) if w], [g for g, w in zip(gs, on, strict=True) if w])
        new, after = [], []
        for p, g, wanted in zip(leaves, gs, on, strict=True):
            slots = state[len(after)] if wanted else None
            moved = (p, slots) if g is None or not wanted else self.moved(p, g, slots, len(after))
            new.append(moved[0])
            after += [moved[1]] if wanted else []
        return build(new), after

    def step(self):
        self.checked(self.handles, [p.grad for p in self.handles])
        with pg.no_grad():
            for i, p in enumerate(self.handles):
                if p.grad is not None:
                    new, self.state[i] = self.moved(p, p.grad, self.state[i], i)
                    p.assign(new)

    def state_dict(self):
        flat = {f"{i}.{k}": t.detach() for i, slots in enumerate(self.state) for k, t in slots.items()}
        return {"learning_rate": self.learning_rate, **flat}

    def load_state_dict(self, saved):
        own = Momentum.state_dict(self)
        if own.keys() != saved.keys():
            raise ShapeError(f"Momentum: the state has {sorted(saved)}, {sorted(own)} is needed")
        for k, t in own.items():
            if tuple(getattr(saved[k], "shape", ())) != tuple(getattr(t, "shape", ())):
                raise ShapeError(f"Momentum: {k} has another shape")
        self.learning_rate = float(saved["learning_rate"])
        for i, slots in enumerate(self.state):
            self.state[i] = {k: t.copy().assign(saved[f"{i}.{k}"]) for k, t in slots.items()}


class Descent(Momentum):
    """Without memory."""

    def direction(self, p, g, m, t, placed):
        return g + self.weight_decay * p if self.weight_decay else g


class Decoupled(Momentum):
    def direction(self, p, g, m, t, placed):
        return 0.9 * m + g / placed(1.0 - 0.9 ** t.astype("float64"))

    def moved(self, p, g, slots, number):
        new, after = super().moved(p, g, slots, number)
        work = working(p.dtype)
        shrink = self.rate.astype(work).to(p.device) * self.weight_decay * p.astype(work)
        return (new.astype(work) - shrink).astype(p.dtype), after


def momentum(rate=0.05, decay=0.0, decoupled=0.0):
    def one(p, g, memory, step):
        memory["m"] = 0.9 * memory.get("m", 0.0) + (g + decay * p) / (1 - 0.9**step)
        return p * (1 - rate * decoupled) - rate * memory["m"]

    return one


D = {"weight_decay": 0.2}
GOOD = {
    "momentum": [
        OptimizerSample("Momentum", {"learning_rate": 0.02}, momentum(0.02)),
        OptimizerSample("Momentum", D, momentum(decay=0.2), decay="gradient", minimises=False),
        OptimizerSample("Momentum"),
    ],
    "descent": [OptimizerSample("Descent", {}, lambda p, g, memory, step: p - 0.05 * g)],
    "decoupled": [OptimizerSample("Decoupled", D, momentum(decoupled=0.2), decay="parameter", minimises=False)],
}


@pytest.fixture(autouse=True)
def found_by_name(monkeypatch):
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: globals()[name](**config))


@pytest.mark.parametrize("device", ["numpy", "kit_optimizers_twin", "kit_optimizers_narrow"])
@pytest.mark.parametrize("name", GOOD)
def test_right_optimizers_pass(name, device):
    for check in checks(GOOD[name], device):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(GOOD["momentum"], "numpy", quick=True)}
    assert found["optimizer.Momentum.staging"].subject == "Momentum"
    assert found["optimizer.Momentum.staging"].kind == "optimizer"
    assert "optimizer.Momentum.reference" in found
    bare = {c.name.rpartition(".")[2] for c in checks([OptimizerSample("Momentum", minimises=False)], "numpy")}
    assert {c.rpartition(".")[2] for c in found} - bare == {"reference", "minimises"}


# -- optimizers with one fault each

NUMBERS = itertools.count()
TooFar = type("TooFar", (Momentum,), {"size": lambda self, number: self.rate * 1.001})
Late = type("Late", (Momentum,), {"count": lambda self, slots, number: slots["t"] + 2})
Impatient = type("Impatient", (Momentum,), {"size": lambda self, number: self.rate * (1.0 + next(NUMBERS))})
Uphill = type("Uphill", (Momentum,), {"size": lambda self, number: -self.rate})
Driven = type("Driven", (Momentum,), {"size": lambda self, number: self.rate + 0.01})
Ordered = type("Ordered", (Momentum,), {"size": lambda self, number: self.rate / (1.0 + number)})
Doubles = type("Doubles", (Momentum,), {"moment_dtype": staticmethod(lambda dtype: pg.float64)})
OnHost = type("OnHost", (Momentum,), {"moment_device": "numpy"})
Twice = type("Twice", (Momentum,), {"unique": False})


def after(method, name, spoil):
    """Momentum with a fault in what a method leaves behind."""

    def spoiled(self, *args):
        found = getattr(Momentum, method)(self, *args)
        spoil(self, found, *args)
        return found

    return type(name, (Momentum,), {method: spoiled})


def writes_moments(self, found, grads, state, params):
    for slots, fresh in zip(state, found[1], strict=True):
        slots["m"].assign(fresh["m"])


WritesMoments = after("update", "WritesMoments", writes_moments)
GrowsState = after("update", "GrowsState", lambda self, found, grads, state, params: state[0].update(seen=True))
RemembersUpdate = after("update", "RemembersUpdate", lambda self, found, *args: setattr(self, "state", found[1]))
Counting = after("step", "Counting", lambda self, found: [slots.update(t=slots["t"] + 1) for slots in self.state])
Clearing = after("step", "Clearing", lambda self, found: [setattr(p, "grad", None) for p in self.handles])
Loosening = after("step", "Loosening", lambda self, found: [p.requires_grad_(False) for p in self.handles])


class Aliasing(Descent):
    def moved(self, p, g, slots, number):
        new, after = super().moved(p, g, slots, number)
        return new, {**after, "m": slots["m"]}


class HalfSteps(Momentum):
    def step(self):
        rate, self.learning_rate = self.learning_rate, self.learning_rate / 2
        super().step()
        self.learning_rate = rate


class PlainModules(Momentum):
    def update(self, grads, state, params):
        new, after = super().update(grads, state, params)
        return (
            (pg.tree.map(lambda t: t.detach(), list(pg.tree.leaves(new))), after)
            if hasattr(new, "held")
            else (new, after)
        )


class OneClock(Momentum):
    ticks = 0

    def init(self, params):
        clock = pg.asarray(0, device="numpy")
        return [{**slots, "t": clock} for slots in super().init(params)]

    def count(self, slots, number):
        return slots["t"] + 1 + number


class OncePerGradient(Momentum):
    last = None

    def step(self):
        if self.handles[0].grad is not self.last:
            self.last = self.handles[0].grad
            super().step()


class Stubborn(Momentum):
    @property
    def learning_rate(self):
        return 0.05

    @learning_rate.setter
    def learning_rate(self, value):
        pass


class Delayed(Momentum):
    """The rate that was set first."""

    def __init__(self, params=None, learning_rate=0.05, weight_decay=0.0):
        super().__init__(params, learning_rate, weight_decay)
        self.first = self.rate.detach()

    def size(self, number):
        return self.first


class Scaling(Momentum):
    def step(self):
        super().step()
        for p in self.handles:
            if p.grad is not None:
                with pg.no_grad():
                    p.grad *= 0.5


class Coasting(Momentum):
    def step(self):
        kept = [p.grad for p in self.handles]
        for p in self.handles:
            p.grad = p.zeros_like().detach() if p.grad is None else p.grad
        super().step()
        for p, g in zip(self.handles, kept, strict=True):
            p.grad = g


class Widening(Momentum):
    def update(self, grads, state, params):
        new, after = super().update(grads, state, params)
        return (pg.tree.map(lambda t: t.astype(working(t.dtype)), new) if isinstance(new, dict) else new), after


class Halves(Momentum):
    """Adds up in the parameter's own precision a term that half precision loses."""

    def moved(self, p, g, slots, number):
        new, after = super().moved(p, g, slots, number)
        return (new + 300.0) - 300.0, after


class Unchecked(Descent):
    def checked(self, ps, gs):
        pass

    def moved(self, p, g, slots, number):
        return super().moved(p, g.reshape((-1,))[: p.size].reshape(p.shape), slots, number)


class CheckedLate(Momentum):
    def checked(self, ps, gs):
        pass

    def moved(self, p, g, slots, number):
        super().checked([p], [g])
        return super().moved(p, g, slots, number)


class Forgetful(Momentum):
    def state_dict(self):
        return {k: v for k, v in super().state_dict().items() if not k.endswith("t")}

    def load_state_dict(self, saved):
        super().load_state_dict({**saved, **{f"{i}.t": np.asarray(0) for i in range(len(self.state))}})


class Trusting(Momentum):
    def load_state_dict(self, saved):
        self.learning_rate = float(saved["learning_rate"])
        super().load_state_dict(saved)


class Live(Momentum):
    def step(self):
        before = [dict(slots) for slots in self.state]
        super().step()
        for old, new in zip(before, self.state, strict=True):
            old["m"].assign(new["m"])
            new["m"] = old["m"]

    def state_dict(self):
        flat = {f"{i}.{k}": t for i, slots in enumerate(self.state) for k, t in slots.items()}
        return {"learning_rate": self.learning_rate, **flat}


class Forgotten(Momentum):
    def __getstate__(self):
        return {**vars(self), "state": self.init(self.handles)}


class OnTape(Momentum):
    def step(self):
        for i, p in enumerate(self.handles):
            if p.grad is not None:
                new, self.state[i] = self.moved(p, p.grad, self.state[i], i)
                p.assign(new)


class Detaching(Momentum):
    def update(self, grads, state, params):
        return super().update(grads, state, pg.tree.map(lambda t: t.detach(), params))


class PythonRate(Momentum):
    """Its learning rate is a Python number, which a graph freezes."""

    value = 0.05

    def __init__(self, params=None, learning_rate=0.05, weight_decay=0.0):
        self.value = learning_rate
        super().__init__(params, learning_rate, weight_decay)

    learning_rate = property(lambda self: self.value, lambda self, value: setattr(self, "value", value))

    def size(self, number):
        return pg.asarray(self.value, dtype="float64", device="numpy")


class Looking(Momentum):
    def moved(self, p, g, slots, number):
        if g.sum().item() == 0.0:
            return p, slots
        return super().moved(p, g, slots, number)


class Coupled(Momentum):
    """Divides by the largest element of a gradient, over a batch of models too."""

    def direction(self, p, g, m, t, placed):
        return g / BATCHED(g)


class _Largest(pg.Op):
    name = "kit_test.largest"
    dtypes = "float"

    def spec(self, x):
        return pg.Spec((), x.dtype)

    def decompose(self, x):
        return pg.max(pg.abs(x))

    def batch(self, size, xs, batched):
        return pg.broadcast_to(self(xs[0]), (size,))


BATCHED = _Largest()


def broken(cls, config=None, **more):
    return OptimizerSample(cls.__name__, config or {}, **more)


BROKEN = [
    ("reference", broken(TooFar, reference=momentum()), r"step\(\) and reference"),
    ("reference", broken(Late, reference=momentum()), r"step\(\) and reference"),
    ("reference", broken(Momentum, D, reference=momentum()), "reference"),
    ("update_is_pure", broken(Impatient), "called twice"),
    ("update_is_pure", broken(WritesMoments), "state changed"),
    ("update_is_pure", broken(GrowsState), "structure"),
    ("update_is_pure", broken(RemembersUpdate), "own state"),
    ("update_is_pure", broken(Aliasing), "writing to what"),
    ("step_and_update_agree", broken(HalfSteps), "updates and"),
    ("step_and_update_agree", broken(PlainModules), "gave back a list"),
    ("state_advances_once", broken(OneClock, reference=momentum()), "alone"),
    ("state_advances_once", broken(OncePerGradient), r"after step\(\) 2 times"),
    ("minimises", broken(Uphill), "height"),
    ("weight_decay", broken(Momentum, D), "no decay"),
    ("weight_decay", broken(Momentum, D, decay="parameter"), "decay of the parameter"),
    ("weight_decay", broken(Decoupled, D, decay="gradient"), "decay of the gradient"),
    ("learning_rate", broken(Stubborn), "set to"),
    ("learning_rate", broken(Delayed), "made with it"),
    ("learning_rate", broken(Stubborn, {"learning_rate": 0.1}), "made with 0.1"),
    ("learning_rate", broken(Driven), "learning_rate 0"),
    ("gradients_unchanged", broken(Scaling), "gradient"),
    ("gradients_unchanged", broken(Clearing), "dropped the gradient"),
    ("missing_gradients", broken(Coasting, reference=momentum()), "2 steps without"),
    ("state_advances_once", broken(Counting), r"after step\(\) 2 times"),
    ("missing_gradients", broken(Counting, reference=momentum()), "2 steps without"),
    ("dtypes", broken(Widening), "was float16, is float32"),
    ("dtypes", broken(Doubles), "of parameters of float32 is float64"),
    ("dtypes", broken(Halves), "of float16 and of float32"),
    ("errors", broken(Unchecked), "came a result"),
    ("errors", broken(CheckedLate), "changed"),
    ("state_dict", broken(Forgetful), "resumed from"),
    ("state_dict", broken(Trusting), "KeyError|learning_rate changed"),
    ("state_dict", broken(Live), "while its optimizer goes on"),
    ("state_dict", broken(Forgotten), "together"),
    ("not_recorded", broken(OnTape, D), "on the tape"),
    ("not_recorded", broken(Loosening), "requires_grad=False"),
    ("tied", broken(Twice), "twice in a dict"),
    ("many_parameters", broken(Ordered), "reversed"),
    ("differentiable", broken(Detaching), "central difference"),
    ("staging", broken(PythonRate), "halved"),
    ("staging", broken(Looking), "ConcretizationError"),
    ("batching", broken(Looking), "ConcretizationError"),
    ("batching", broken(Coupled), "a loop"),
]


@pytest.mark.parametrize(("rule", "sample", "text"), BROKEN, ids=[f"{r}-{s.name}" for r, s, _ in BROKEN])
def test_a_broken_optimizer_is_noticed(rule, sample, text):
    (check,) = [c for c in checks([sample], "numpy") if c.name == f"optimizer.{sample.name}.{rule}"]
    with pytest.raises(AssertionError, match=f"(?s){text}") as caught:
        check()
    assert sample.name in str(caught.value) and "on numpy" in str(caught.value)


def test_moments_elsewhere_are_noticed():
    (check,) = [c for c in checks([broken(OnHost)], "kit_optimizers_twin") if c.name.endswith(".device")]
    with pytest.raises(AssertionError, match="is on numpy"):
        check()


def test_every_rule_has_a_broken_optimizer():
    known = {rule for rule, _, _ in BROKEN} | {"device"}
    asked = {c.name.rpartition(".")[2] for samples in GOOD.values() for c in checks(samples, "numpy")}
    assert asked == known
