import pytest
import torch

from grape_bench import UserError
from grape_bench.cost.rules import Subject, measure_costs, peak_memory, steps_at_once

SMALL = Subject("mlp", {"hidden": [64] * 4}, shape=(32,), batch_size=32)


def test_a_profile_has_a_row_per_rule_beside_bp(monkeypatch):
    monkeypatch.setattr("grape_bench.cost.rules.peak_memory", lambda subject, rule: 10)
    costs = measure_costs(SMALL, ["dfa", "dfa lean"], most=5, budget_s=1)
    assert [cost.rule for cost in costs] == ["bp", "dfa", "dfa lean"]
    bp, dfa, lean = costs
    assert bp.time.median == 1 and dfa.time.median > 0 and dfa.blocks == 4
    assert dfa.flops.total < bp.flops.total and dfa.flops.critical < bp.flops.critical
    assert lean.attach > 0
    assert lean.split is None and dfa.split is not None and dfa.split.backward > 0


@pytest.mark.slow
def test_lean_training_needs_a_fraction_of_the_memory():
    # Activations of 64 MiB: the allocator hands such large ones back to the system as soon as they are freed.
    deep = Subject("mlp", {"hidden": [128] * 8}, shape=(32,), batch_size=2**17)
    assert peak_memory(deep, "dfa lean") < 0.6 * peak_memory(deep, "bp")


def test_checkpointing_is_the_models_own():
    vit = Subject("timm:test_vit", {"img_size": 32}, batch_size=2)
    steps = vit.steps("bp checkpoint", torch.device("cpu"))
    assert steps.network.model.grad_checkpointing
    steps.take()
    with pytest.raises(UserError, match="no activation checkpointing"):
        SMALL.steps("bp checkpoint", torch.device("cpu"))
    with pytest.raises(UserError, match="unknown mode 'fat'"):
        SMALL.steps("dfa fat", torch.device("cpu"))


@pytest.mark.parametrize(
    ("device", "periods", "steps"), [("cuda", [1, 8], 8), ("cuda", [3, 8], 24), ("cpu", [1, 8], 1)]
)
def test_a_gpu_takes_whole_periods_of_all_rules_between_two_waits(device, periods, steps):
    """BP's own step time must not depend on how often its neighbors refresh."""
    assert steps_at_once(periods, torch.device(device)) == steps
