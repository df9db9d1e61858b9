"""Today's code gives the stored numbers, for each rule on each family of models."""

from __future__ import annotations

import pytest

from grape_bench.rules.names import RULES
from tests.golden import stored
from tests.golden.runs import CASES, FAMILIES, Family, five_steps

STORED = stored.read()


@pytest.mark.parametrize("name", CASES)
def test_a_run_gives_the_stored_numbers(name: str) -> None:
    case = CASES[name]
    found = stored.problems(STORED.get(name), case.made_with(), case.run())
    assert not found, "\n".join(found)


def test_every_rule_is_stored_on_every_family_and_nothing_else_is() -> None:
    assert STORED.keys() == CASES.keys()
    assert {f"{rule} {family}" for rule in RULES if RULES.builtin(rule) for family in FAMILIES} <= STORED.keys()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", ["bp", "wm", "grape+refit", "drtp"])
def test_rounding_as_on_another_cpu_passes(rule: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Initial weights that differ in the last digit of float32, and other convolution kernels."""
    import torch

    build = FAMILIES[family].build

    def rounded() -> torch.nn.Module:
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 6e-8 * torch.randn(parameter.shape))
        return model

    monkeypatch.setitem(FAMILIES, family, Family(FAMILIES[family].model, rounded))
    with torch.backends.mkldnn.flags(enabled=False):
        assert not stored.differences(five_steps(rule, family), STORED[f"{rule} {family}"])
