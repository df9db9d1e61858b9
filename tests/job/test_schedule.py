import pytest
import torch

from grape_bench.job.optimizer import make_optimizer
from grape_bench.job.schedule import make_schedule


def rates(name, steps, **options):
    """The rates of the steps, and the one after the last step."""
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(1))], {"name": "sgd", "lr": 1.0})
    scheduler = make_schedule(optimizer, name, steps, **options)
    assert scheduler is not None
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


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


def test_a_warm_up_ends_at_the_full_rate_where_the_schedule_begins():
    assert rates("linear", 8, warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0])
    assert rates("constant", 4, warmup=2) == pytest.approx([0.5, 1, 1, 1, 1])


def test_a_step_schedule_drops_at_shares_of_the_steps():
    assert rates("step", 4) == pytest.approx([1, 1, 0.1, 0.01, 0.01])
    assert rates("step", 4, args={"milestones": [0.75], "gamma": 0.5}) == pytest.approx([1, 1, 1, 0.5, 0.5])
