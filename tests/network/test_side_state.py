"""An extra forward pass leaves nothing behind, wherever a model keeps its state."""

import random
from collections import OrderedDict, deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.network.preserve import preserved

X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))


class Schedule:
    """An object of the user's own, without torch."""

    def __init__(self) -> None:
        self.step = 0


class Stateful(nn.Module):
    """An MLP whose output depends on `keep`, which changes in every training forward."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, 5)
        self.keep()

    def keep(self) -> None:
        raise NotImplementedError

    def gain(self) -> float | torch.Tensor:
        raise NotImplementedError

    def forward(self, x):
        gain = 1 + self.gain() if self.training else 1
        return self.c(torch.tanh(gain * self.b(torch.tanh(gain * self.a(x)))))


class Counter(Stateful):
    def keep(self):
        self.calls = 0

    def gain(self):
        self.calls += 1
        return 0.1 * self.calls


class AssignedBuffer(Stateful):
    def keep(self):
        self.register_buffer("calls", torch.zeros(()))

    def gain(self):
        self.calls = self.calls + 1
        return 0.1 * self.calls


class LateBuffer(Stateful):
    def keep(self):
        self.register_buffer("memory", None)

    def gain(self):
        self.memory = torch.zeros(3) if self.memory is None else self.memory + 1
        return 0.1 * self.memory.sum()


class PlainTensor(Stateful):
    def keep(self):
        self.membrane = torch.zeros(())

    def gain(self):
        self.membrane += 1
        return 0.1 * self.membrane.clone()


class Containers(Stateful):
    def keep(self):
        self.seen = {"order": OrderedDict(a=1), "last": deque([0.0], maxlen=3), "list": [0]}

    def gain(self):
        self.seen["list"][0] += 1
        self.seen["order"].move_to_end("a")
        self.seen["last"].append(0.1 * self.seen["list"][0])
        return sum(self.seen["last"])


class Helper(Stateful):
    def keep(self):
        self.helpers = [Schedule()]

    def gain(self):
        self.helpers[0].step += 1
        return 0.1 * self.helpers[0].step


class Array(Stateful):
    def keep(self):
        self.counts = np.zeros(2)

    def gain(self):
        self.counts += 1
        return float(self.counts.sum()) * 0.1


class TorchGenerator(Stateful):
    def keep(self):
        self.noise = torch.Generator().manual_seed(0)

    def gain(self):
        return torch.rand((), generator=self.noise)


class NumpyGenerator(Stateful):
    def keep(self):
        self.noise = np.random.default_rng(0)

    def gain(self):
        return float(self.noise.random())


class RandomState(Stateful):
    def keep(self):
        self.noise = np.random.RandomState(0)

    def gain(self):
        return float(self.noise.rand())


class PythonGenerator(Stateful):
    def keep(self):
        self.noise = random.Random(0)

    def gain(self):
        return self.noise.random()


KEPT = [Counter, AssignedBuffer, LateBuffer, PlainTensor, Containers, Helper, Array]
DRAWN = [TorchGenerator, NumpyGenerator, RandomState, PythonGenerator]


class GlobalGenerators(Stateful):
    def keep(self):
        pass

    def gain(self):
        return random.random() + float(np.random.rand())


def losses(model: nn.Module, steps: int = 3) -> list[float]:
    random.seed(0)
    np.random.seed(0)
    return [F.cross_entropy(model(X), torch.arange(6) % 5).item() for _ in range(steps)]


def made(kind: type[Stateful]) -> Stateful:
    torch.manual_seed(0)
    return kind()


@pytest.mark.parametrize("kind", [*KEPT, *DRAWN, GlobalGenerators])
def test_a_forward_on_the_side_leaves_nothing_behind(kind):
    expected = losses(made(kind))
    assert len(set(expected)) == 3, "the state matters"
    model = made(kind)
    random.seed(0)
    np.random.seed(0)
    found = []
    for _ in range(3):
        with preserved(model):
            model(X)
            model(X)
        found.append(F.cross_entropy(model(X), torch.arange(6) % 5).item())
    assert found == expected


@pytest.mark.parametrize("rule", ["grape", "wm", "fg"])
@pytest.mark.parametrize("kind", [Counter, AssignedBuffer, NumpyGenerator, GlobalGenerators])
def test_the_extra_forwards_of_a_rule_and_of_attach_do_not_change_the_model_s_own_course(rule, kind):
    model = made(kind)
    gb.attach(model, rule, X)
    assert losses(model) == losses(made(kind))


def test_objects_are_put_back_in_place():
    model = made(Containers)
    seen, listed = model.seen, model.seen["list"]
    with preserved(model):
        model(X)
        model.seen, model.new = {}, 1
    assert model.seen is seen and seen["list"] is listed and listed == [0] and not hasattr(model, "new")


def test_a_pending_graph_survives_a_forward_on_the_side():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()
    loss = model(X).sum()
    with preserved(model):
        model(X)
    loss.backward()


class MaxNorm(nn.Module):
    """An embedding whose forward writes to its own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8, max_norm=0.5)
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 5))

    def forward(self, ids):
        return self.layers(self.embed(ids).mean(1))


def test_parameters_that_a_forward_writes_to_are_restored_too():
    model, ids = MaxNorm(), torch.arange(8).reshape(2, 4)
    before = model.embed.weight.detach().clone()
    gb.attach(model, "dfa", ids)
    assert torch.equal(model.embed.weight, before)
    with preserved(model):
        model(ids + 8)
        assert not torch.equal(model.embed.weight, before)
    assert torch.equal(model.embed.weight, before)


class ClassCounter(Stateful):
    calls = 0

    def keep(self):
        pass

    def gain(self):
        type(self).calls += 1
        return 0.1 * self.calls


def test_state_that_cannot_be_restored_is_named_when_the_rule_is_attached():
    model = nn.Sequential(nn.Linear(8, 8), ClassCounter())
    with pytest.raises(gb.UserError, match=r"module '1' \(ClassCounter\) gives another output"):
        gb.attach(model, "dfa", X)
