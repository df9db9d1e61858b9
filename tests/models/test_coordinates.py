import math
from typing import Any

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.models import build
from tests.models.sets import load_set


def test_the_layers_of_a_siren_are_spread_as_in_the_paper() -> None:
    torch.manual_seed(0)
    made = build("siren", shape=(2,), classes=3, args={})
    x = torch.rand(4000, 2) * 2 - 1
    for layer in dict(made.named_modules())["hidden"].children():
        x = layer(x)
        # An arcsine distribution has the standard deviation 1 / sqrt(2).
        assert x.std().item() == pytest.approx(math.sqrt(0.5), abs=0.05)


def test_fourier_features_are_fixed_and_come_from_the_seed() -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(build("coordinate-mlp", shape=(2,), classes=1, args={"features": 8}))
    first, again, other = (made.get_buffer("encoding.frequencies") for made in drawn)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert all("encoding" not in name for name, _ in drawn[0].named_parameters())
    x = torch.rand(3, 2)
    assert torch.allclose(drawn[0].get_submodule("encoding")(x).square().sum(1), torch.full((3,), 8.0))


def test_without_features_the_network_reads_the_coordinates() -> None:
    made = build("coordinate-mlp", shape=(2,), classes=1, args={"features": 0, "hidden": [4]})
    assert made.get_submodule("hidden")[0][0].in_features == 2  # type: ignore[index]


@pytest.mark.parametrize("model", ["siren", "coordinate-mlp"])
@pytest.mark.parametrize(("name", "said"), [("digits", "needs coordinates, not samples"), ("text", "not tokens")])
def test_other_data_is_refused(model: str, name: str, said: str, sets: dict[str, dict[str, Any]]) -> None:
    data = load_set(sets[name])
    with pytest.raises(UserError, match=said):
        build(model, shape=data.shape, classes=data.classes, args={}, data=data)
