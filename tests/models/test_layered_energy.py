import pytest
import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.models import build
from grape_bench.models.layered_energy import LayeredEnergy


def made(**args: object) -> LayeredEnergy:
    torch.manual_seed(0)
    model = build("layered-energy", shape=(2, 3), classes=4, args=args)
    assert isinstance(model, LayeredEnergy)
    return model


def test_it_has_one_symmetric_connection_between_two_layers() -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in made(hidden=[7, 5]).named_parameters()}
    weights = {"hidden.0.weight": (7, 6), "hidden.1.weight": (5, 7), "head.weight": (4, 5)}
    assert shapes == weights | {"hidden.0.bias": (7,), "hidden.1.bias": (5,), "head.bias": (4,)}
    assert tuple(next(made().parameters()).shape) == (500, 6)


def test_a_step_of_the_states_goes_down_the_energy() -> None:
    model, x = made(hidden=[7, 5], epsilon=0.25), torch.randn(8, 2, 3)
    states = [torch.rand(8, size) for size in (7, 5, 4)]
    leaves = [state.clone().requires_grad_() for state in states]
    slopes = torch.autograd.grad(model.energy(x, leaves), leaves)
    for moved, state, slope in zip(model.relax(x, states, 1), states, slopes, strict=True):
        torch.testing.assert_close(moved, (state - 0.25 * slope).clamp(0, 1))


def test_a_force_moves_the_output_units() -> None:
    model, x = made(hidden=[7]), torch.randn(8, 2, 3)
    states = [torch.full((8, size), 0.5) for size in (7, 4)]
    free, forced = model.relax(x, states, 1), model.relax(x, states, 1, lambda output: 0.1 * output)
    torch.testing.assert_close(forced[1], (free[1] + model.epsilon * 0.05).clamp(0, 1), atol=0.026, rtol=0)
    assert torch.equal(forced[0], free[0]) and (forced[1] >= free[1]).all()


def test_the_output_is_the_state_at_rest() -> None:
    model, x = made(hidden=[7, 5], steps=200), torch.randn(8, 2, 3)
    seen: list[Tensor] = []
    for layer in model.hidden:
        layer.register_forward_hook(lambda layer, args, state: seen.append(state.detach()))
    output = model(x)
    rest = [*seen, output.detach()]
    assert output.requires_grad and output.min() >= 0 and output.max() <= 1
    for before, after in zip(rest, model.relax(x, rest, 50), strict=True):
        torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("args", "said"), [({"hidden": []}, "positive integers"), ({"epsilon": 2.0}, "epsilon"), ({"steps": 0}, "steps")]
)
def test_bad_arguments_are_refused(args: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(**args)
