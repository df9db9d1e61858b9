"""Check every promise of the engine on one architecture."""

from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import grape_bench as gb
from benchmarks.architectures import Architecture
from benchmarks.injection import Injected, Recorded
from benchmarks.zoo.entry import FEEDBACK_ALIGNMENT
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.reads import labels_of
from grape_bench.network.tangents import TangentPass
from grape_bench.network.trace import as_batch, scored_output
from grape_bench.network.trees import map_tensors

SWEPT = ("bp", *FEEDBACK_ALIGNMENT, "dfa", "drtp", "local", "fg", "grape", "grape+refit", "head-only", "dfa+anchor")
"""Rules of each kind of pass. Every rule would take too long, and the tests of the rules try them all."""
ROUNDING = 1e-5  # relative error of gradients that only differ in the order of their sums
TANGENT = 1e-5
STEPS = 1e-6, 1e-8, 1e-9, 1e-4  # of the central difference: small for kinks and steep models, large for flat ones


@dataclass
class Findings:
    """The result for one architecture. `failures` names the broken promises. Errors are relative."""

    name: str
    blocks: int = 0
    layers: int = 0
    below: float = 0.0
    oracle: float = float("nan")
    layer_oracle: float = float("nan")
    feedback: float = float("nan")
    tangent: float = float("nan")
    failures: list[str] = field(default_factory=list)

    def require(self, condition: bool, failure: str) -> None:
        if not condition:
            self.failures.append(failure)


class Subject:
    """A model in training mode with a batch. Every run has the same dropout masks and leaves the model unchanged."""

    def __init__(self, architecture, model, example):
        self.architecture, self.model, self.example = architecture, model.train(), example
        self.batch = as_batch(example)
        self.dtype = next(model.parameters()).dtype

    def attach(self, rule, **options):
        return gb.attach(self.model, rule, self.example, **self.architecture.options, **options)

    def loss(self, output):
        """The architecture's own loss, or a smooth one that depends on every logit of every sample."""
        return (self.architecture.loss or _loss)(output)

    @torch.no_grad()
    def logits(self):
        with preserved(self.model):
            return scored_output(self.model(*self.batch[0], **self.batch[1]))

    @cached_property
    def exact(self):
        """BP's gradients and logits, without a rule."""
        return self.gradients(), self.seen

    def gradients(self, run=None):
        """The gradients of the loss by name. `seen` gets the logits."""
        self.model.zero_grad()
        with preserved(self.model):
            output = self.model(*self.batch[0], **self.batch[1]) if run is None else run(self.batch)
            self.seen = scored_output(output).detach()
            self.loss(output).backward()
        found = {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}
        self.model.zero_grad()
        return found

    def double(self):
        """Convert the subject to float64."""
        example = map_tensors(lambda one: one.double() if one.is_floating_point() else one, self.example)
        return Subject(self.architecture, self.model.double(), example)


class Transported(gb.BackwardFeedback):
    """FA with B = W: backpropagation."""

    def draw(self, weight, generator):
        return weight.detach().clone()


class Apart(TangentPass):
    """Tangents at block outputs that are shifted by `offsets`, away from the zeros of a ReLU.

    They come from a separate generator, so that the model draws the same noise as without them.
    """

    def __init__(self, offsets):
        self.offsets, self.directions = offsets, {}
        self.generator = torch.Generator().manual_seed(0)
        super().__init__(lambda block, output: self.directions.setdefault(block.name, self.draw(output)))

    def draw(self, output):
        return torch.randn(output.shape, dtype=output.dtype, generator=self.generator)

    def cut(self, block, output):
        offset = self.offsets.setdefault(block.name, 0.1 * self.draw(output))
        return super().cut(block, output + offset)


class Shifted(Pass):
    """A forward with block outputs shifted further along the directions. Keeps the network's output."""

    def __init__(self, offsets, directions, by):
        self.offsets, self.directions, self.by = offsets, directions, by

    def cut(self, block, output):
        return output + self.offsets[block.name] + self.by * self.directions[block.name]

    def join(self, logits):
        self.logits = logits
        return logits


class Float64(TorchFunctionMode):
    """While active, conversions to float32 give float64, because rounding in norms and softmaxes would hide errors."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def wide(value):
            return torch.float64 if value is torch.float32 else value

        if func is torch.Tensor.float:
            func = torch.Tensor.double
        return func(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})


def examine(architecture: Architecture) -> Findings:
    """Check blocks, layers, FA with B = W, one step of every rule, and tangents. Stops at the first failure."""
    torch.manual_seed(0)
    findings = Findings(architecture.name)
    subject = Subject(architecture, _awake(architecture.make()), architecture.batch())
    for check in (_blocks, _layers, _transported, _rules, _tangents):
        try:
            check(findings, subject)
        except Exception as error:
            reason = str(error).replace("\n", " ")
            findings.failures.append(f"{check.__name__.strip('_')}: {type(error).__name__}: {reason}")
        if findings.failures:
            break
    return findings


def _awake(model):
    """Redraw parameters that are all zero. With a head or branch at zero, all comparisons would be 0 = 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return model


def _loss(output: Any) -> torch.Tensor:
    logits = scored_output(output).float()
    weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    return (logits.log_softmax(-1) * weights).sum() / len(logits)


def _worst(found, expected) -> float:
    """The largest error of a parameter's gradient, relative to its norm and to a floor of the whole model's."""
    if found.keys() != expected.keys():
        return float("inf")
    floor = 1e-4 * max((float(g.norm()) for g in expected.values()), default=0.0)
    return max(float((found[n] - g).norm() / max(float(g.norm()), floor, 1e-12)) for n, g in expected.items())


def _blocks(findings, subject):
    """With BP's gradients injected at the cuts, every gradient equals BP's. Without them, nothing below gets one."""
    net = subject.attach("dfa")
    findings.blocks = len(net.blocks)
    findings.oracle = _injected(subject, net)
    findings.require(findings.oracle < ROUNDING, f"oracle: relative error {findings.oracle:.1e}")
    report, parameters = net.report(), dict(subject.model.named_parameters())
    weights = [name for name, p in parameters.items() if p.dim() > 1 and report[name] != "frozen"]
    findings.below = sum(report[name] == "rule" for name in weights) / len(weights)
    without = subject.gradients(lambda batch: net.run(CutPass(_nothing), batch))
    net.detach()
    places = [p for module in subject.model.modules() for p in module.parameters(recurse=False)]
    tied = {name for name, p in parameters.items() if sum(p is other for other in places) > 1}
    mixed = {name for name in without for pattern in subject.architecture.mixed if fnmatchcase(name, pattern)}
    leaked = {name for name, g in without.items() if g.any() and report[name] == "rule"} - tied - mixed
    findings.require(not leaked, f"leak: the output's gradient reaches {_some(leaked)}")


def _layers(findings, subject):
    net = subject.attach("bp", granularity="layer")
    findings.layers = len(net.blocks)
    findings.layer_oracle = _injected(subject, net)
    net.detach()
    findings.require(findings.layer_oracle < ROUNDING, f"layers: relative error {findings.layer_oracle:.1e}")


def _nothing(block, error):
    return torch.zeros(block.output_shape)


def _injected(subject, net) -> float:
    error = _injection_error(subject, net)
    if not error < ROUNDING:  # float64 distinguishes rounding from a leak
        error = _injection_error(subject.double(), net)
        subject.model.to(subject.dtype)
    return error


def _injection_error(subject, net):
    exact = Recorded()
    expected = subject.gradients(lambda batch: net.run(exact, batch))
    if 2 * sum(bool(signal.any()) for signal in exact.found) < len(net.blocks):
        return float("nan")  # 0 = 0 says nothing; this happens if stochastic depth drops a branch
    return _worst(subject.gradients(lambda batch: net.run(Injected(exact), batch)), expected)


def _transported(findings, subject):
    expected, _ = subject.exact
    net = subject.attach(Transported(allow_transport="fa" in subject.architecture.refused))
    findings.feedback = _worst(subject.gradients(), expected)
    net.detach()
    findings.require(findings.feedback < ROUNDING, f"FA with B = W: relative error {findings.feedback:.1e}")


def _rules(findings, subject):
    """Check that the rules leave the logits unchanged and give every parameter the gradient that they report."""
    before, (exact, trained_on) = subject.logits(), subject.exact
    for rule in SWEPT:
        if rule in subject.architecture.refused:
            continue
        try:
            net = subject.attach(rule)
        except gb.DoesNotApplyError:
            continue
        net.begin_epoch(batches=2)  # one of them may be an anchor
        for _ in range(2 if rule.endswith("+anchor") else 1):
            frozen = {name for name, credit in net.report().items() if credit == "frozen"}
            trained = exact.keys() - (frozen if rule == "head-only" else set())
            with net.informed(subject.loss, labels_of(net, subject.batch)):
                found = subject.gradients()
            for failure in _misreported(net.report(), found, exact, trained):
                findings.failures.append(f"{rule}: {failure}")
            findings.require(_unchanged(subject, rule, trained_on), f"{rule}: the logits changed")
        net.detach()
        findings.require(torch.equal(subject.logits(), before), f"{rule}: the logits are others after detach")


def _unchanged(subject, rule, logits):
    """Whether the logits are bit-identical, or equal up to rounding if a rule runs recurrent layers step by step."""
    recurrent = any(isinstance(module, (nn.RNNBase, nn.RNNCellBase)) for module in subject.model.modules())
    if rule in FEEDBACK_ALIGNMENT and recurrent:
        return torch.allclose(subject.seen, logits, rtol=ROUNDING, atol=ROUNDING)
    return torch.equal(subject.seen, logits)


def _misreported(report, found, exact, trained):
    """Check for a finite gradient if a parameter is trained, BP's gradient if exact, and none if frozen."""
    if trained - found.keys():
        yield f"no gradient for {_some(trained - found.keys())}"
    endless = {name for name, gradient in found.items() if not gradient.isfinite().all()}
    if endless:
        yield f"not finite: {_some(endless)}"
    frozen = {name for name in found if report[name] == "frozen"}
    if frozen:
        yield f"frozen, but with a gradient: {_some(frozen)}"
    claimed = {name: gradient for name, gradient in exact.items() if report[name] == "exact"}
    off = _worst({name: found[name] for name in claimed.keys() & found.keys()}, claimed) if claimed else 0.0
    if not off < ROUNDING:
        yield f"reported exact, but {off:.1e} away"


def _some(names):
    return f"{min(names, default='')} and {len(names) - 1} more" if len(names) > 1 else min(names, default="")


def _tangents(findings, subject):
    """Compare in float64, where the small step crosses few kinks. A surrogate takes no step: float32 is enough."""
    if not subject.architecture.surrogate:
        subject = subject.double()
    subject.model.eval()
    net = subject.attach("bp")
    if subject.architecture.surrogate:
        findings.tangent = _adjoint_error(net, subject)
        findings.require(findings.tangent < TANGENT, "tangent: no adjoint of the backward pass")
        return
    dual = Apart({})
    with Float64():
        with preserved(subject.model):
            net.run(dual, subject.batch)
        errors = (_difference_error(net, subject, dual, step) for step in STEPS)
        findings.tangent = next((error for error in errors if error < TANGENT), float("inf"))
    findings.require(findings.tangent < TANGENT, "tangent: no finite difference is near it")


@torch.no_grad()
def _difference_error(net, subject, dual, step):
    moved = []
    for by in (step, -step):
        shifted = Shifted(dual.offsets, dual.directions, by)
        with preserved(subject.model):
            net.run(shifted, subject.batch)
        moved.append(shifted.logits)
    difference = (moved[0] - moved[1]) / (2 * step)
    return float((dual.tangent - difference).norm() / difference.norm())


def _adjoint_error(net, subject):
    """The difference between <error, tangent of the output> and the sum of <gradient, direction> over all cuts."""
    exact, directions = Recorded(), defaultdict(list)
    subject.gradients(lambda batch: net.run(exact, batch))

    def direction(block, output):
        directions[block.name].append(torch.randn_like(output))
        return directions[block.name][-1]

    dual = TangentPass(direction)
    with preserved(subject.model):
        net.run(dual, subject.batch)
    products = torch.stack(
        [
            (signal * along).sum()
            for name, calls in exact.signals.items()
            for signal, along in zip(calls, directions[name], strict=True)
            if signal is not None
        ]
    )
    return float(((exact.error * dual.tangent).sum() - products.sum()).abs() / products.norm())
