"""Every built-in rule keeps the contract, and rules that break it get a reason."""

import random

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.contract.cases import CASES
from grape_bench.contract.check import check_rule
from grape_bench.contract.report import WIDTH, Result
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.rule import Kept
from grape_bench.rules.names import RULES

MLP, CNN, VIT, DECODER = CASES


EVERY = [*RULES, "dfa+anchor", "grape+anchor", "grape-lazy+anchor", "head-only+anchor", "dfa+finish"]
QUICK = ("bp", "fa", "dfa", "grape", "local", "dfa+anchor")
"""One rule of each family. The others take a minute together and run with the slow tests."""


ALL = {case.name for case in CASES}
ELSEWHERE = {
    "norms-only": {"mlp"},
    "bp-window": {"mlp", "cnn"},
    **{
        rule: {"decoder"}
        for rule in ("predsim", "dgl", "dni", "ff", "pepita", "dtp", "ebd", "mono-forward", "fg-local")
    },
    "eprop": {*ALL, "rnn", "graph", "energy"},
    "rflo": {*ALL, "lstm", "graph", "energy"},
    "dfa-time": {*ALL, "graph", "energy"},
    "dfa-gnn": {*ALL, "rnn", "lstm", "energy"},
    "ep": {*ALL, "rnn", "lstm", "graph"},
}
"""The models on which a rule makes no sense."""


@pytest.mark.parametrize(
    "rule", [*QUICK, *(pytest.param(rule, marks=pytest.mark.slow) for rule in EVERY if rule not in QUICK)]
)
def test_built_in_rules_pass_on_every_model(rule):
    report = check_rule(lambda: gb.make_rule(rule))
    assert report.ok, "\n".join(map(str, report.failed))
    refused = {result.case for result in report.results if not result.applies}
    assert refused == ELSEWHERE.get(rule, set())
    applied = {result.case for result in report.results} - refused
    assert applied and len(report.results) == 10 * len(applied) + len(refused)
    assert all(len(line) <= WIDTH for result in report.results for line in str(result).splitlines())


@pytest.mark.parametrize(
    ("rule", "settings"),
    [("dfa+anchor", {"batches": 2}), ("grape", {"refresh": 3, "update": "nlms"})],
)
def test_other_settings_pass_too(rule, settings):
    report = check_rule(lambda: gb.make_rule(rule, **settings), [MLP])
    assert report.ok, "\n".join(map(str, report.failed))


def failures(rule: type[gb.LearningRule], case=MLP) -> dict[str, str]:
    return {result.check: result.detail for result in check_rule(rule, [case]).failed}


class ForgetsABlock(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block) * (block.name != "hidden.1.1")


class ClaimsFrozen(gb.LearningRule):
    """Trains the head alone but reports that it trains all."""

    weight_transport = False

    def bp_fraction(self, batches, epochs):
        return 0.0

    def open_pass(self, network, batch):
        return gb.make_rule("head-only").open_pass(network, batch)


class TrainsUnsaid(gb.LearningRule):
    def credit(self, network):
        return network.credit("frozen", "above the cuts")


class NotExact(gb.DirectFeedback):
    def credit(self, network):
        return network.credit("exact", "above the cuts")


class NotFinite(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block) / 0


class WrongShape(gb.DirectFeedback):
    def signal(self, block, error):
        return error


class ChangesLogits(gb.DirectFeedback):
    def open_pass(self, network, batch):
        class Louder(CutPass):
            def join(self, logits):
                return 2 * super().join(logits)

        return Louder(self.signal)


class Unseeded(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block) * torch.rand(())


class DrawsInSetup(gb.DirectFeedback):
    """Allowed: in `setup` the global generators are seeded from the rule's own stream."""

    def setup(self, network):
        super().setup(network)
        for block in network.blocks:
            block.store("feedback", torch.randn_like(block.load("feedback")))


class PythonRandom(gb.DirectFeedback):
    def signal(self, block, error):
        return random.random() * self.project(error, block)


class Mutates(gb.DirectFeedback):
    def open_pass(self, network, batch):
        with torch.no_grad():
            network.weights[0][0].bias.mul_(0.999)
        return super().open_pass(network, batch)


class Rescales(gb.DirectFeedback):
    def setup(self, network):
        super().setup(network)
        with torch.no_grad():
            network.weights[0][0].weight.mul_(2)


class CountsBatches(gb.DirectFeedback):
    """Runs the network aside without putting BatchNorm's statistics back."""

    def open_pass(self, network, batch):
        with torch.no_grad():
            network.run(Pass(), batch)
        return super().open_pass(network, batch)


class CannotDescribe(gb.DirectFeedback):
    def kept_feedback(self, network):
        return dict.fromkeys(("a", "b"), self.undefined)


class DescribesInFractions(gb.DirectFeedback):
    def kept_feedback(self, network):
        return {block.name: Kept("mine", (1, 2), 2.5) for block in network.blocks}


class OwnMatrix(gb.DirectFeedback):
    """Allowed: it draws its own B and leaves the family's out."""

    def setup(self, network):
        for block in network.blocks:
            shape = (network.output_shape[-1], block.size)
            block.store("mine", torch.randn(shape, generator=network.generator("feedback")).to(network.device))

    def signal(self, block, error):
        return (error @ block.load("mine")).reshape(block.output_shape)


class LeavesAHook(gb.DirectFeedback):
    def setup(self, network):
        super().setup(network)
        network.blocks[0].module.register_forward_hook(lambda module, args, output: None)


class LeavesABuffer(gb.DirectFeedback):
    def setup(self, network):
        super().setup(network)
        network.model.register_buffer("mine", torch.zeros(1))


class LeavesEvalMode(gb.DirectFeedback):
    def setup(self, network):
        super().setup(network)
        network.blocks[0].module.eval()


class KeepsStateToItself(gb.DirectFeedback):
    def setup(self, network):
        super().setup(network)
        self._gains = {b.name: torch.rand(b.shape, generator=network.generator("feedback")) for b in network.blocks}

    def signal(self, block, error):
        return self._gains[block.name] * self.project(error, block)


class CountsInATensor(gb.DirectFeedback):
    """Every third step another one; the tensor that counts is not stored in a block."""

    def setup(self, network):
        super().setup(network)
        self._steps = self.begin()

    def begin(self):
        return torch.zeros(())

    def open_pass(self, network, batch):
        self._steps = self._steps + 1
        return super().open_pass(network, batch)

    def signal(self, block, error):
        return (2 if self._steps % 3 == 0 else 1) * self.project(error, block)


class CountsInANumber(CountsInATensor):
    def begin(self):
        return 0


class UnderstatesBP(gb.LearningRule):
    def bp_fraction(self, batches, epochs):
        return 0.5


class HiddenTransport(gb.LearningRule):
    weight_transport = False


class SignSymmetry(gb.BackwardFeedback):
    def matrix(self, weight, feedback):
        return weight.detach().sign() * feedback.abs()


class ReadsTheHead(gb.DirectFeedback):
    """True gradients at the last block only, through the head's weights."""

    def setup(self, network):
        super().setup(network)
        self._head, self._last = network.weights[-1][0].weight, network.blocks[-1].name

    def signal(self, block, error):
        return error @ self._head.detach() if block.name == self._last else self.project(error, block)


class NoTransport(gb.DirectFeedback):
    weight_transport = True


BROKEN = [
    (ForgetsABlock, "gradients", "hidden.1.0.weight is reported as 'rule', but its gradient is zero in all of 4 steps"),
    (ClaimsFrozen, "gradients", "hidden.0.0.weight is reported as 'exact', but gets no gradient"),
    (TrainsUnsaid, "gradients", "hidden.0.0.weight is reported as 'frozen', but gets a gradient"),
    (NotExact, "gradients", "hidden.0.0.weight is reported as exact, but its gradient differs from"),
    (NotFinite, "gradients", "the gradient of hidden.0.0.weight is not finite"),
    (WrongShape, "gradients", "ValueError: the signal for block 'hidden.2.1' has shape (12, 5)"),
    (ChangesLogits, "logits", "the rule changes the logits in training (step 1)"),
    (
        Unseeded,
        "determinism",
        "attached twice with the same seed, the rule gives hidden.0.0.weight different gradients in step 1",
    ),
    (Unseeded, "random state", "the rule advances torch's global random state in training"),
    (PythonRandom, "random state", "the rule advances Python's global random state in training"),
    (Mutates, "restoration", "a forward and backward changes hidden.0.0.bias"),
    (Rescales, "restoration", "attaching changes hidden.0.0.weight"),
    (
        LeavesAHook,
        "restoration",
        "after detach, the hooks of the model have changed: hidden.0.1._forward_hooks",
    ),
    (LeavesABuffer, "restoration", "attaching changes the keys of state_dict: mine"),
    (LeavesEvalMode, "restoration", "attaching changes the training mode of hidden.0.1"),
    (KeepsStateToItself, "state", "after loading its state, the rule gives hidden.0.0.weight different gradients"),
    (
        CountsInATensor,
        "state",
        "after loading its state, the rule gives hidden.0.0.weight different gradients (step 1 of",
    ),
    (KeepsStateToItself, "devices", "RuntimeError: "),
    (CannotDescribe, "description", "AttributeError: 'CannotDescribe' object has no attribute 'undefined'"),
    (DescribesInFractions, "description", "blocks[0].feedback.numbers is not an integer"),
    (UnderstatesBP, "bp_fraction", "bp_fraction(4, 2) declares 0.5, but 1 was measured"),
    (HiddenTransport, "weight transport", "the signal reads the weights at hidden.0.1, hidden.1.1, hidden.2.1"),
    (SignSymmetry, "weight transport", "weight_transport = False is declared, but the signal reads the weights at"),
    (
        ReadsTheHead,
        "weight transport",
        "weight_transport = False is declared, but the signal reads the weights at hidden.2.1",
    ),
    (NoTransport, "weight transport", "weight_transport = True is declared, but no block's signal reads the weights"),
]


@pytest.mark.parametrize(("rule", "check", "reason"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_fails_with_the_reason(rule, check, reason):
    assert reason in failures(rule)[check]


@pytest.mark.parametrize(
    "rule", [ForgetsABlock, NotFinite, LeavesAHook, KeepsStateToItself, UnderstatesBP, SignSymmetry]
)
def test_what_a_broken_rule_keeps_passes(rule):
    assert set(failures(rule)) == {check for broken, check, _ in BROKEN if broken is rule}


def test_setup_may_draw_from_the_global_generators():
    assert not failures(DrawsInSetup)


def test_a_rule_may_draw_its_own_feedback_in_place_of_the_familys():
    report = check_rule(OwnMatrix, [MLP])
    assert report.ok
    detail = next(result.detail for result in report.results if result.check == "description")
    assert detail == "feedback: none; not measured: the signals of OwnMatrix do not come from its `project`"


def test_a_counter_that_is_a_plain_number_is_state():
    assert not failures(CountsInANumber)


def test_statistics_that_move_are_found_on_the_cnn():
    assert "changes blocks.0.1.running_mean" in failures(CountsBatches, CNN)["restoration"]


def test_transport_is_found_inside_transformers():
    for case in (VIT, DECODER):
        assert set(failures(SignSymmetry, case)) == {"weight transport"}


def test_a_rule_that_cannot_step_is_told_once_for_each_model():
    report = check_rule(WrongShape, [MLP, CNN])
    assert [(result.case, result.check) for result in report.results] == [("mlp", "gradients"), ("cnn", "gradients")]
    assert "(passes.py:" in report.results[0].detail and "are skipped" in report.results[0].detail


def test_anchors_in_every_other_epoch_are_declared_to_the_last_one():
    rule = gb.make_rule("dfa+anchor", every_epochs=2, batches=3)
    assert [rule.bp_fraction(10, epochs) for epochs in (1, 2, 3, 4)] == pytest.approx([0.3, 0.15, 0.2, 0.15])
    assert gb.make_rule("fa+anchor").bp_fraction(10, 3) == pytest.approx(1)


def test_a_crash_in_a_later_check_is_one_failed_line():
    class NeedsTraining(gb.DirectFeedback):
        def open_pass(self, network, batch):
            if not network.model.training or not network.advances:  # as in evaluation, and where a probe looks
                raise RuntimeError("only in training")
            return super().open_pass(network, batch)

    found = failures(NeedsTraining)
    assert list(found) == ["logits", "description"] and found["logits"].startswith(
        "RuntimeError: only in training (test_check.py:"
    )


def test_a_check_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    check_rule(lambda: gb.make_rule("dfa"), [MLP])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_long_reason_goes_on_below_itself():
    lines = str(Result("decoder", "weight transport", False, "because " * 20)).splitlines()
    assert lines[0].startswith("decoder  weight transport  FAILED  because")
    assert all(line.startswith(" " * 35 + "because") for line in lines[1:])


def test_a_replayed_network_has_the_activations_and_not_the_weights():
    from grape_bench.contract.checks.weight_transport import Recording, Replay, redraw

    kept, moved = (MLP.attached(lambda: gb.make_rule("bp")) for _ in range(2))
    recording = Recording(kept)
    replay = Replay(moved, recording)
    expected = MLP.logits(kept.model, 0)
    assert recording.downstream("hidden.1.1") == ["hidden.2.0", "head"]
    redraw(moved, ["hidden.2.0", "head"])
    assert torch.equal(MLP.logits(moved.model, 0), expected) and not replay.outputs
    assert isinstance(moved.model.head, nn.Linear)
    assert not torch.equal(moved.model.head.weight, kept.model.head.weight)
    assert torch.equal(moved.model.hidden[0][0].weight, kept.model.hidden[0][0].weight)


class OnlyOnImages(gb.DirectFeedback):
    def setup(self, network):
        if len(network.blocks[0].shape) != 3:
            raise gb.DoesNotApplyError("only maps of an image have channels")
        super().setup(network)


def test_a_rule_says_where_it_does_not_apply():
    report = check_rule(OnlyOnImages, [MLP, CNN])
    assert report.ok and str(report) == "all 10 checks passed; does not apply to mlp"
    assert [str(result).split(None, 4) for result in report.results if not result.applies] == [
        ["mlp", "does", "not", "apply", "-       only maps of an image have channels"]
    ]


def test_a_rule_that_applies_nowhere_is_not_checked():
    report = check_rule(OnlyOnImages, [MLP])
    assert not report.ok and str(report) == "does not apply to any of the models, so nothing was checked"


class StoresOnTheCPU(gb.DirectFeedback):
    """`register_buffer` keeps a tensor where it is; `block.store` moves it to the block."""

    def setup(self, network):
        super().setup(network)
        for block in network.blocks:
            block.module.register_buffer("grape_bench_gain", torch.ones(block.size))


def test_a_tensor_on_another_device_is_named():
    reason = "hidden.0.1.grape_bench_gain is on cpu, and the model is on another device"
    assert reason in failures(StoresOnTheCPU)["devices"]


class ForgetsItsOwn(gb.DirectFeedback):
    """Owns a matrix that gets no gradient."""

    def setup(self, network):
        super().setup(network)
        network.blocks[0].own(nn.Linear(3, 3))


def test_owned_parameters_need_gradients():
    reason = "hidden.0.1/own.weight is reported as 'owned', but gets no gradient"
    assert reason in failures(ForgetsItsOwn)["gradients"]
