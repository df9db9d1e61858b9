import pytest
import torch

from grape_bench.train.optimize import make_optimizer, make_schedule


def test_settings_reach_the_optimizer():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer([weight], {"name": "sgd", "lr": 0.5, "momentum": 0.9})
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(("schedule", "middle", "end"), [("constant", 1.0, 1.0), ("cosine", 0.5, 0.0)])
def test_schedules(schedule, middle, end):
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(1))], {"name": "sgd", "lr": 1.0})
    scheduler = make_schedule(optimizer, schedule, steps=10)
    rates = []
    for _ in range(10):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[4] == pytest.approx(middle) and rates[9] == pytest.approx(end)
