from typing import Any

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.models import build
from tests.models.sets import load_set

pytest.importorskip("snntorch")


def spikes_of(encoder: str, x: torch.Tensor, *, steps: int = 200) -> torch.Tensor:
    made = build("snn", shape=tuple(x.shape[1:]), classes=2, args={"encoder": encoder, "steps": steps}).eval()
    found: torch.Tensor = made.encoded(x)  # type: ignore[operator]
    assert found.shape == (len(x), steps, x.shape[1])
    return found


def test_rates_are_the_normal_distribution_function_of_the_values() -> None:
    found = spikes_of("rate", torch.tensor([[-5.0, -1.0, 0.0, 1.0, 5.0]]), steps=4000)
    assert found.unique().tolist() == [0, 1]
    assert torch.allclose(found.mean(1)[0], torch.tensor([0.0, 0.159, 0.5, 0.841, 1.0]), atol=0.03)


def test_larger_values_spike_earlier_and_once() -> None:
    found = spikes_of("latency", torch.tensor([[-1.0, 0.0, 1.0]]))
    assert found.sum(1).tolist() == [[1, 1, 1]]
    times = found[0].argmax(0)
    assert times[0] > times[1] > times[2]


def test_the_current_is_the_sample_at_each_step() -> None:
    x = torch.randn(2, 3)
    assert torch.equal(spikes_of("current", x, steps=4), x[:, None].repeat(1, 4, 1))


def test_random_spikes_are_drawn_in_training_and_fixed_in_evaluation() -> None:
    made = build("snn", shape=(3,), classes=2, args={"encoder": "rate"})
    x = torch.randn(2, 3)
    assert not torch.equal(made.train().encoded(x), made.encoded(x))  # type: ignore[operator]
    state = torch.get_rng_state()
    assert torch.equal(made.eval().encoded(x), made.encoded(x))  # type: ignore[operator]
    assert torch.equal(torch.get_rng_state(), state)


def test_neurons_integrate_their_input_and_reset_by_subtraction() -> None:
    layer = build("snn", shape=(1,), classes=2, args={"hidden": [1], "beta": 1.0}).get_submodule("hidden.0")
    torch.nn.init.constant_(layer.linear.weight, 0.4)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(layer.linear.bias)  # type: ignore[union-attr, arg-type]
    # The potential is 0.4, 0.8, 1.2 (a spike, above 1), 0.6 after the reset by 1, 1.0, 1.4 (a spike).
    assert layer(torch.ones(1, 6, 1))[0, :, 0].tolist() == [0, 0, 1, 0, 0, 1]


def test_recurrent_neurons_receive_the_spikes_of_the_step_before() -> None:
    args = {"hidden": [2], "beta": 0.0, "recurrent": True}
    layer = build("snn", shape=(2,), classes=2, args=args).get_submodule("hidden.0")
    torch.nn.init.eye_(layer.linear.weight)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(layer.linear.bias)  # type: ignore[union-attr, arg-type]
    layer.recurrent.weight.data = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # type: ignore[union-attr, assignment]
    x = torch.tensor([[[1.5, 0.0], [0.0, 0.0], [0.0, 0.0]]])  # the second neuron fires a step later
    assert layer(x)[0].tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("args", "said"), [({"encoder": "rat"}, "did you mean 'rate'"), ({"beta": 1.5}, "0 to 1"), ({"steps": 0}, "1 or")]
)
def test_bad_arguments_are_refused(args: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        build("snn", shape=(3,), classes=2, args=args)


def test_text_is_refused(sets: dict[str, dict[str, Any]]) -> None:
    data = load_set(sets["text"])
    with pytest.raises(UserError, match="needs numbers, not tokens"):
        build("snn", shape=data.shape, classes=data.classes, args={}, data=data)
