import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.job.optimizer import make_optimizer
from grape_bench.job.schedule import make_schedule


def test_settings_reach_the_optimizer():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer([weight], {"name": "sgd", "lr": 0.5, "momentum": 0.9})
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.9


def test_a_cosine_ends_at_zero_and_a_constant_rate_needs_no_schedule():
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(1))], {"name": "sgd", "lr": 1.0})
    assert make_schedule(optimizer, "constant", steps=10) is None
    scheduler = make_schedule(optimizer, "cosine", steps=10)
    assert scheduler is not None
    rates = []
    for _ in range(10):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[4] == pytest.approx(0.5) and rates[9] == pytest.approx(0.0)


def test_settings_of_a_group_are_checked_like_those_of_the_suite():
    group = {"params": [torch.nn.Parameter(torch.ones(1))], "lrr": 0.1}
    with pytest.raises(UserError, match="unknown setting of optimizer 'sgd' 'lrr'; did you mean 'lr'"):
        make_optimizer([group], {"name": "sgd", "lr": 1.0})
