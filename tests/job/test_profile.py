"""How many steps are timed at once."""

import pytest
import torch

from grape_bench.cost.turns import steps_per_round


@pytest.mark.parametrize("period", [1, 3, 8])
def test_on_a_cpu_a_round_is_one_period_of_the_rule(period):
    assert steps_per_round(period, torch.device("cpu")) == period


@pytest.mark.parametrize(("period", "steps"), [(1, 8), (3, 9), (8, 8), (10, 10)])
def test_on_a_gpu_a_round_is_whole_periods_and_at_least_eight_steps(period, steps):
    assert steps_per_round(period, torch.device("cuda")) == steps
