"""Rules on published networks: each weight gets the gradient that is right for it, or the rule is refused."""

from copy import deepcopy
from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn

import grape_bench as gb
from benchmarks.injection import Injected, Recorded
from benchmarks.zoo import ENTRIES, Entry
from grape_bench import UserError
from grape_bench.network.passes import CutPass
from grape_bench.network.trace import as_batch
from grape_bench.network.trees import tensors

RULES = ["bp", "fa", "dfa", "grape", "fg", "local", "head-only"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:dropout2d. Received a 2-D input"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
]


class Subject:
    """A network of the zoo in training mode with a batch. Every step has the same dropout masks."""

    def __init__(self, entry: Entry):
        for package in entry.imports:
            pytest.importorskip(package)
        torch.manual_seed(0)
        self.entry, self.model, self.example = entry, entry.make().train(), entry.example()
        self.exact = self.gradients(deepcopy(self.model))
        self.outputs = self.seen

    def attach(self, rule):
        return gb.attach(self.model, rule, self.example, **self.entry.options)

    def gradients(self, model=None, run=None):
        """One step's gradients by name. `seen` gets the output's tensors."""
        model = model or self.model
        args, kwargs = as_batch(self.example)
        model.zero_grad()
        torch.manual_seed(1)
        output = model(*args, **kwargs) if run is None else run((args, kwargs))
        self.seen = [tensor.detach().clone() for tensor in tensors(output)]
        self.entry.loss(output).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    def weights(self, patterns):
        return self.entry.weights(self.model, patterns)


def distance(found, expected):
    """The difference relative to the larger of the two."""
    return float((found - expected).norm() / torch.maximum(found.norm(), expected.norm()).clamp(min=1e-12))


NOT_REFUSED = [entry for entry in ENTRIES if not entry.reason("dfa")]


@pytest.mark.parametrize("entry", NOT_REFUSED, ids=str)
def test_injected_true_gradients_give_the_gradients_of_backpropagation(entry: Entry):
    subject = Subject(entry)
    net = subject.attach("dfa")
    recorded = Recorded()
    expected = subject.gradients(run=lambda batch: net.run(recorded, batch))
    assert any(signal.any() for signal in recorded.found)
    found = subject.gradients(run=lambda batch: net.run(Injected(recorded), batch))

    assert found.keys() == expected.keys() == subject.exact.keys()
    for name, gradient in subject.exact.items():
        assert distance(expected[name], gradient) < 1e-5 and distance(found[name], gradient) < 1e-5, name


@pytest.mark.parametrize("entry", NOT_REFUSED, ids=str)
def test_zero_signals_leave_the_hidden_weights_without_a_gradient(entry: Entry):
    subject = Subject(entry)
    net = subject.attach("dfa")
    nothing = CutPass(lambda block, error: torch.zeros(block.output_shape))
    found = subject.gradients(run=lambda batch: net.run(nothing, batch))

    hidden = {name for name, credit in net.report().items() if credit == "rule"}
    mixed = {name for name in hidden for pattern in entry.mixed if fnmatchcase(name, pattern)}
    assert {name for name in (hidden - mixed) & found.keys() if found[name].any()} == set()


class Watching(gb.DirectFeedback):
    """Direct feedback that notes the shapes of the errors and activations that it sees."""

    def __init__(self):
        super().__init__()
        self.errors, self.activations = [], []

    def signal(self, block, error):
        self.errors.append(error.shape)
        self.activations.append(block.output_shape)
        return self.project(error, block)


@pytest.mark.parametrize("entry", NOT_REFUSED, ids=str)
def test_rules_see_the_samples_first(entry: Entry):
    subject, rule = Subject(entry), Watching()
    subject.attach(rule)
    subject.gradients()

    assert rule.errors and {shape[: len(entry.error)] for shape in rule.errors} == {entry.error}
    assert {shape[0] for shape in rule.activations} == {entry.error[0]}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_weight_gets_the_gradient_that_is_right_for_it(entry: Entry, rule: str):
    if rule == "local" and entry.values:
        pytest.skip("a network of several outputs does not show whether its targets are values or classes")
    subject = Subject(entry)
    if reason := entry.reason(rule):
        with pytest.raises(UserError, match=reason):
            subject.attach(rule)
        return
    net = subject.attach(rule)
    net.begin_epoch(batches=1)
    found, report = subject.gradients(), net.report()

    # Feedback alignment runs a fused recurrent layer step by step, which adds up in another order.
    unrolled = any(isinstance(module, (nn.RNNBase, nn.RNNCellBase)) for module in subject.model.modules())
    rounding = 1e-5 if rule == "fa" and unrolled else 0
    for seen, before in zip(subject.seen, subject.outputs, strict=True):
        assert torch.allclose(seen, before, rtol=rounding, atol=rounding), "the rule changed the output"
    assert all(gradient.isfinite().all() for gradient in found.values())
    exact = entry.last if rule == "fa" and entry.last else entry.exact
    for name in subject.weights(exact):
        assert report[name] == "exact", name
        assert distance(found[name], subject.exact[name]) < 1e-5, name
    for name in subject.weights(entry.hidden):
        if rule == "bp":
            assert report[name] == "exact" and distance(found[name], subject.exact[name]) < 1e-5, name
        elif rule == "head-only":
            mixed = any(fnmatchcase(name, pattern) for pattern in entry.mixed)
            assert (report[name] == "frozen" and name not in found) != mixed, name
        else:
            assert report[name] == "rule" and found[name].any(), name
            assert distance(found[name], subject.exact[name]) > 1e-3, name
    net.detach()
    again = subject.gradients()
    assert all(torch.equal(gradient, again[name]) for name, gradient in subject.exact.items())
