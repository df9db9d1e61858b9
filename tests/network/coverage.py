"""Everything the engine promises, examined on one architecture."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

import grape_bench as gb
from grape_bench.network.attach import as_batch
from grape_bench.network.cut import CutPass
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.tangents import TangentPass
from grape_bench.network.trace import scored_output
from tests.network.architectures import Architecture

RULES = ("bp", "fa", "dfa", "grape", "head-only")
KINKED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.Hardswish, nn.Hardsigmoid, nn.MaxPool2d)
ORACLE, TANGENT = 1e-5, 1e-3  # relative errors that are still rounding
STEPS = 1e-4, 1e-6, 1e-8  # of the central difference: larger for float32 inside norms, smaller for steep models


@dataclass
class Findings:
    """`failures` names what did not hold; the rest is for the table."""

    name: str
    blocks: int = 0
    oracle: float = float("nan")
    feedback: float = float("nan")
    tangent: float | None = None
    failures: list[str] = field(default_factory=list)


class Transported(gb.BackwardFeedback):
    """FA with B = W: backpropagation."""

    def draw(self, weight, generator):
        return weight.detach().clone()


class Recorded(Pass):
    """Backpropagation that keeps dL/dh of every block."""

    def __init__(self):
        self.outputs = {}

    def cut(self, block, output):
        output.retain_grad()
        self.outputs[block.name] = output
        return output


class Shifted(Pass):
    """Moves every block's output, and keeps the network's."""

    def __init__(self, directions, by):
        self.directions, self.by = directions, by

    def cut(self, block, output):
        return output + self.by * self.directions[block.name]

    def join(self, logits):
        self.logits = logits
        return logits


def examine(architecture: Architecture) -> Findings:
    """Blocks, oracle, FA with B = W, a step of every rule, equal logits, and tangents where the model is smooth."""
    torch.manual_seed(0)
    findings = Findings(architecture.name)
    model, example = architecture.make(), architecture.batch()
    for check in (_oracle, _transported, _rules, _tangents):
        try:
            check(findings, model, example)
        except Exception as error:
            reason = str(error).replace("\n", " ")[:150]
            findings.failures.append(f"{check.__name__.strip('_')}: {type(error).__name__}: {reason}")
            break
    return findings


def _loss(output: Any) -> torch.Tensor:
    logits = scored_output(output).float()
    weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    return (logits.log_softmax(-1) * weights).sum() / len(logits)


def _gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def _worst(found, expected) -> float:
    """The largest error of a parameter's gradient, relative to its norm and to a floor of the whole model's."""
    if found.keys() != expected.keys():
        return float("inf")
    floor = 1e-4 * max((float(g.norm()) for g in expected.values()), default=0.0)
    return max(float((found[n] - g).norm() / max(float(g.norm()), floor, 1e-12)) for n, g in expected.items())


def _oracle(findings, model, example):
    _injected(findings, model, example)
    if not findings.oracle < ORACLE and isinstance(example, torch.Tensor):
        _injected(findings, model.double(), example.double())  # tells rounding from a leak
        model.float()
    if not findings.oracle < ORACLE:
        findings.failures.append(f"oracle: relative error {findings.oracle:.1e}")


def _injected(findings, model, example):
    args, kwargs = batch = as_batch(example)
    model.train()
    net = gb.attach(model, "dfa", kwargs or args)
    findings.blocks = len(net.blocks)
    exact = Recorded()
    with preserved(model):
        _loss(net.run(exact, batch)).backward()
    expected = _gradients(model)
    with preserved(model):
        _loss(net.run(CutPass(lambda block, error: exact.outputs[block.name].grad), batch)).backward()
    findings.oracle = _worst(_gradients(model), expected)
    net.detach()


def _transported(findings, model, example):
    args, kwargs = batch = as_batch(example)
    expected = {}
    for rule in ("bp", Transported()):
        net = gb.attach(model, rule, kwargs or args)
        with preserved(model):
            _loss(model(*batch[0], **batch[1])).backward()
        found, expected = expected, _gradients(model)
        net.detach()
    findings.feedback = _worst(found, expected)
    if not findings.feedback < ORACLE:
        findings.failures.append(f"FA with B = W: relative error {findings.feedback:.1e}")


def _rules(findings, model, example):
    args, kwargs = as_batch(example)
    model.eval()
    before = scored_output(model(*args, **kwargs)).detach()
    for rule in RULES:
        net = gb.attach(model, rule, kwargs or args)
        if not torch.equal(scored_output(model(*args, **kwargs)), before):
            findings.failures.append(f"{rule}: the logits changed")
        model.train()
        with preserved(model):
            _loss(model(*args, **kwargs)).backward()
        report, found = net.report(), _gradients(model)
        wrong = [n for n, credit in report.items() if (n in found) != (credit != "frozen")]
        wrong += [n for n, g in found.items() if not g.isfinite().all()]
        if wrong:
            findings.failures.append(f"{rule}: {len(wrong)} gradients missing or not finite, as {wrong[0]}")
        net.detach()
        model.eval()
        if not torch.equal(scored_output(model(*args, **kwargs)), before):
            findings.failures.append(f"{rule}: the logits are others after detach")


def _tangents(findings, model, example):
    if any(
        isinstance(module, KINKED) or "relu" in str(getattr(module, "act_fn", "")).lower() for module in model.modules()
    ):
        return
    model = model.eval().double()
    batch = as_batch(example.double() if isinstance(example, torch.Tensor) else example)
    net = gb.attach(model, "bp", batch[1] or batch[0])
    dual = TangentPass(lambda block, output: torch.randn_like(output))
    net.run(dual, batch)
    findings.tangent = min(_difference_error(net, batch, dual, step) for step in STEPS)
    if not findings.tangent < TANGENT:
        findings.failures.append(f"tangent: relative error {findings.tangent:.1e}")


@torch.no_grad()
def _difference_error(net, batch, dual, step):
    moved = []
    for by in (step, -step):
        shifted = Shifted(dual.directions, by)
        net.run(shifted, batch)
        moved.append(shifted.logits)
    difference = (moved[0] - moved[1]) / (2 * step)
    return float((dual.tangent - difference).norm() / difference.norm().clamp(min=1e-9))
