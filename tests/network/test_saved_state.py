"""A network's state holds what its modules store besides tensors, and says what it cannot hold."""

import io
import itertools

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.network.saved_state import UnsavedStateError
from tests.network.test_side_state import DRAWN, KEPT, X, losses, made


def through_a_file(state: dict[str, object]) -> dict[str, object]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("kind", [*KEPT, *DRAWN])
def test_another_model_goes_on_to_the_bit(kind):
    net, other = (gb.attach(made(kind), "dfa", X) for _ in range(2))
    losses(net.model, 2)
    other.load_state_dict(through_a_file(net.state_dict()))
    assert losses(other.model) == losses(net.model)


class Iterating(nn.Module):
    """Keeps an iterator, whose position cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.seeds = nn.Linear(8, 8), itertools.repeat(3)

    def forward(self, x):
        return torch.tanh(self.linear(x))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.history = nn.Linear(8, 8), {"scale": 1.0}

    def forward(self, x):
        return self.linear(x)

    def get_extra_state(self):
        return {"scale": torch.tensor(self.history["scale"]), "names": ("a", "b")}

    def set_extra_state(self, state):
        self.loaded = state


def chain(first: nn.Module) -> nn.Module:
    return nn.Sequential(first, nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 5))


def test_the_extra_state_of_modules_is_part_of_it():
    net, other = (gb.attach(chain(Scale()), "dfa", X) for _ in range(2))
    net.model[0].history["scale"] = 2.0
    other.load_state_dict(through_a_file(net.state_dict()))
    assert other.model[0].loaded == {"scale": torch.tensor(2.0), "names": ("a", "b")}
    assert other.model[0].history == {"scale": 2.0}


def test_what_cannot_be_saved_is_named():
    net = gb.attach(chain(Iterating()), "dfa", X)
    with pytest.raises(UnsavedStateError, match=r"0\.seeds \(repeat\) cannot be saved"):
        net.state_dict()


def test_an_object_made_since_the_start_cannot_be_saved_but_an_unchanged_one_needs_no_saving():
    model = chain(Scale())
    model.activation = torch.relu
    net = gb.attach(model, "dfa", X)
    net.state_dict()
    model.activation = torch.nn.Tanh
    with pytest.raises(UnsavedStateError, match="activation"):
        net.state_dict()
