"""The comparison notices small changes of a rule: without that, a golden run that passes says nothing."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.network.block import PREFIX, Block
from grape_bench.network.network import Network
from grape_bench.network.passes import CutPass, Signal
from grape_bench.rules.anchored import Anchored
from grape_bench.rules.backward import BackwardFeedback
from grape_bench.rules.bp_lowrank import BPLowRank
from grape_bench.rules.bp_sampled import BPSampled
from grape_bench.rules.finished import Finished
from grape_bench.rules.names import CUTS, LADDER, RULES
from tests.golden import stored
from tests.golden.runs import CLASSES, FAMILIES, IN_TIME, ON_GRAPHS, five_steps

STORED = stored.read()
CONTROLS = ["head-only", "frozen", "norms-only", *(f"last-{count}" for count in LADDER)]  # they send no signal
TWO_PHASE = ["dni", "ff", "spsa", "fg-weights", "pepita", "pc", "ep"]  # the second phase makes the gradients, no signal
APPROXIMATE = {"bp-sampled": (BPSampled, "sampled"), "bp-lowrank": (BPLowRank, "sketched")}  # of the true gradient
OTHERS = (*CONTROLS, *TWO_PHASE, *APPROXIMATE, *IN_TIME, *ON_GRAPHS)
DIRECT = [rule for rule in RULES if (one := RULES.builtin(rule)) and one.uses == CUTS and rule not in OTHERS]
BACKWARD = ["fa", "usf", "brsf", "frsf", "kp", "wm", "pfa"]


def noticed(rule: str, family: str) -> bool:
    return bool(stored.differences(five_steps(rule, family), STORED[f"{rule} {family}"]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", DIRECT)
def test_the_signal_of_one_block_is_one_percent_longer(rule: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scale_one_signal(monkeypatch)
    assert noticed(rule, family)


def scale_one_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CutPass.__init__
    chosen: list[str] = []  # the block that is asked first

    def init(self: CutPass, signal: Signal, *more: Any) -> None:
        def scaled(block: Block, error: Tensor) -> Tensor:
            if not chosen:
                chosen.append(block.name)
            return signal(block, error) * (1.01 if block.name == chosen[0] else 1)

        original(self, scaled, *more)

    monkeypatch.setattr(CutPass, "__init__", init)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", APPROXIMATE)
def test_an_approximate_gradient_is_one_percent_longer(rule: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, name = APPROXIMATE[rule]
    original = getattr(cls, name)
    monkeypatch.setattr(cls, name, lambda *given: 1.01 * original(*given))
    assert noticed(rule, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_finish_begins_one_step_later(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Finished._begin
    monkeypatch.setattr(Finished, "_begin", lambda self, planned: original(self, planned) + 1)
    assert noticed("dfa+finish", family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", BACKWARD)
def test_what_stands_for_the_last_weight_is_one_percent_larger(
    rule: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = BackwardFeedback._matrix

    def scaled(self: BackwardFeedback, weight: Tensor, feedback: Tensor) -> Tensor:
        return original(self, weight, feedback) * (1.01 if len(weight) == CLASSES else 1)

    monkeypatch.setattr(BackwardFeedback, "_matrix", scaled)
    assert noticed(rule, family)


@pytest.mark.parametrize("family", ["mlp", "vit", "convnext"])
@pytest.mark.parametrize("rule", ["fa", "frsf", "kp", "wm", "dfa", "drtp", "grape", "grape+refit", "local"])
def test_two_feedback_matrices_are_swapped(rule: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = gb.attach

    def attach(model: nn.Module, *arguments: Any, **more: Any) -> Network:
        network = original(model, *arguments, **more)
        one, other = pair([buffer for name, buffer in model.named_buffers() if PREFIX in name])
        one.data, other.data = other.data, one.data
        return network

    monkeypatch.setattr(gb, "attach", attach)
    assert noticed(rule, family)


def pair(buffers: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The last two of one shape."""
    pairs = [(a, b) for i, a in enumerate(buffers) for b in buffers[:i] if a.shape == b.shape]
    return pairs[-1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", ["dfa+anchor", "grape+anchor"])
def test_one_anchor_is_dropped(rule: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Anchored.begin_epoch

    def begin_epoch(self: Anchored, network: Network, batches: int) -> None:
        original(self, network, batches)
        assert self._anchors and len(self._anchors) == 1
        self._anchors = set()

    monkeypatch.setattr(Anchored, "begin_epoch", begin_epoch)
    assert noticed(rule, family)


@pytest.mark.parametrize("family", ["mlp", "default mlp"])
def test_a_models_widths_are_doubled(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from grape_bench.models import mlp

    original = mlp.MLP.__init__

    def doubled(self, shape, classes, hidden=(256, 256), **more):
        original(self, shape, classes, [2 * width for width in hidden], **more)

    monkeypatch.setattr(mlp.MLP, "__init__", doubled)
    assert noticed("bp", family)
