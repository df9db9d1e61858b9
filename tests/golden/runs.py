"""Five steps of every rule on a small network of every family, and a few short trainings, as plain numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench import models
from grape_bench.job.converged_head import converged_head
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.models.cifar_resnet import CifarResNet
from grape_bench.models.gcn import gcn
from grape_bench.models.inputs import Inputs
from grape_bench.models.names import MODELS
from grape_bench.objectives.target import IGNORED
from grape_bench.plan.numerics import numerics_of
from grape_bench.record.job import Job
from grape_bench.record.rule_name import RuleName
from grape_bench.rules.make import make_rule
from grape_bench.rules.names import LADDER, RULES
from grape_bench.train.random_state import seed_everything
from tests.job.jobs import job

STEPS, SAMPLES, CLASSES, SHAPE, GRAPH_SHAPE = 5, 12, 4, (3, 8, 8), (6,)
LEARNING_RATE = 0.02
# Another CPU differs by about 1e-12 in the five steps, which are in double precision, and by 1e-6 in the trainings.
# A signal that is 1 % longer moves the weights of its block by about 1 %.
TOLERANCE = 1e-4

Numbers = dict[str, dict[str, float]]
"""The `losses` by step. By group of parameters: the norm of the `weights` at the end, and how far they `moved`."""


@dataclass(frozen=True)
class Case:
    """One golden run: the names of its parts, for their `numerics`, and how to make its numbers."""

    rule: str
    model: str
    dataset: str | None  # None: random batches, so neither a data set nor the trainer takes part
    run: Callable[[], Numbers]

    def made_with(self) -> dict[str, Any]:
        """What must change together with the numbers: the integers of the parts, or the rule's defaults."""
        numerics = numerics_of(self.rule, self.model, self.dataset or "digits")
        if self.dataset is None:
            del numerics["dataset"], numerics["trainer"]
        return {"numerics": numerics, "defaults": RULES.defaults(RuleName.parse(self.rule).reference)}


@dataclass(frozen=True)
class Family:
    """A small network and the model id whose `numerics` count for it."""

    model: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = SHAPE


def ours(model: str, shape: tuple[int, ...] = SHAPE, **args: Any) -> Family:
    """A built-in model with its own initialization."""
    return Family(model, lambda: models.build(model, shape=shape, classes=CLASSES, args=args), shape)


def library(model: str, **args: Any) -> Family:
    """A library's model. Its weights are drawn here, because a new version of the library may draw others."""

    def build() -> nn.Module:
        module = models.build(model, shape=SHAPE, classes=CLASSES, args=args).double()
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    fan_in = parameter[0].numel()
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in))
        return module

    return Family(model, build)


FAMILIES = {
    "mlp": ours("mlp", hidden=[16, 16, 16]),
    "cnn": ours("cnn", channels=[6, 8, 8]),
    "resnet": Family("resnet20", lambda: CifarResNet(SHAPE, CLASSES, blocks_per_stage=1)),
    "vit": library("timm:vit_tiny_patch16_224", patch_size=4, embed_dim=12, depth=3, num_heads=2),
    "convnext": library(
        "hf:convnext",
        num_stages=3,
        depths=[1, 2, 1],
        hidden_sizes=[8, 8, 12],
        patch_size=2,
        layer_scale_init_value=1.0,
    ),
}
IMAGE_MODELS = ("mlp", "cnn", "lenet", "resnet20", "resnet56")
DEFAULTS = {f"default {name}": ours(name, (3, 16, 16)) for name in MODELS if name in IMAGE_MODELS}
"""The built-in models of images as they are without `model_args`."""
DEEP = [f"last-{count}" for count in LADDER[2:]]  # they train every block of these small networks, as `bp` does
IN_TIME = {"eprop": ("values", "spikes"), "rflo": ("leaky",), "dfa-time": ("values", "series", "leaky", "spikes")}
"""Rules of recurrent and spiking networks -> the tasks on which they run."""
ON_GRAPHS = ("dfa-gnn",)
OF_ENERGIES = ("ep",)
BUILTIN = [rule for rule in RULES if RULES.builtin(rule) and rule not in DEEP]
OF_ATTENTION = ("bp-window",)
GENERAL = [rule for rule in BUILTIN if rule not in (*IN_TIME, *ON_GRAPHS, *OF_ENERGIES, *OF_ATTENTION)]
RULE_NAMES = [*GENERAL, "dfa+anchor", "grape+anchor", "grape-lazy+anchor", "dfa+finish"]


def network_of(family: str) -> Family:
    """One of `FAMILIES` or `DEFAULTS`, or the energy model."""
    return {**FAMILIES, **DEFAULTS, "energy": ours("layered-energy", hidden=[16, 16])}[family]


def five_steps(rule: str, family: str) -> Numbers:
    """Train `family` by `rule` with plain SGD on the CPU. (Adam would hide a changed scale.)

    Everything is in double precision, random numbers included. In single precision a ReLU whose input is near zero can
    come out differently on another CPU.
    """
    return _five_steps(rule, network_of(family).build, lambda: list(_batches(network_of(family).shape)))


def five_graph_steps(rule: str) -> Numbers:
    """The same for a GCN on a ring of nodes, every second one with a label."""

    def build() -> nn.Module:
        inputs = Inputs((torch.zeros(1, *GRAPH_SHAPE), torch.zeros(2, 0, dtype=torch.int64)), unit="node")
        return gcn(GRAPH_SHAPE, CLASSES, inputs, hidden=(8, 8))

    here = torch.arange(SAMPLES)
    ring = torch.stack([here, (here + 1) % SAMPLES])
    edges = torch.cat([ring, ring.flip(0)], 1)
    known = here % 2 == 0
    return _five_steps(rule, build, lambda: [((x, edges), y.where(known, IGNORED)) for x, y in _batches(GRAPH_SHAPE)])


def _five_steps(rule: str, build: Callable[[], nn.Module], make: Callable[[], list[tuple[Any, Tensor]]]) -> Numbers:
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        model = build().double().train()
        before = _copied(model)
        batches = make()
        network = gb.attach(model, make_rule(rule), batches[0][0], seed=0)
        optimizer = torch.optim.SGD(network.parameter_groups(), lr=LEARNING_RATE)
        network.planned_steps = STEPS
        network.begin_epoch(batches=STEPS)
        losses = {}
        for step, (inputs, labels) in enumerate(batches):
            optimizer.zero_grad()
            loss = network.step(inputs, partial(_loss, labels), labels)
            optimizer.step()
            losses[f"step {step}"] = loss.item()
        return _numbers(losses, before, _copied(model))
    finally:
        torch.set_default_dtype(torch.float32)


def _loss(labels: Tensor, returned: Any) -> Tensor:
    return F.cross_entropy(_logits(returned), labels)


def training(spec: Job) -> Numbers:
    """Run `spec` as the harness does, in single precision: its data, batches, schedule and evaluation."""
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    before = _copied(trainer.network.model)
    seed_everything(0)
    trainer.train()
    losses = {}
    for row in trainer.rows:
        losses |= {f"{kind} {row['epoch']:g}": float(row[kind]) for kind in ("train_loss", "validation_loss")}
    losses["test_loss"] = trainer.evaluate(data.test).loss
    return _numbers(losses, before, _copied(trainer.network.model))


def fitted(spec: Job) -> Numbers:
    """The converged head on the untrained model of `spec`. Only its training loss is near enough on another CPU."""
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    before = _copied(trainer.network.model)
    head = converged_head(trainer, spec)
    blocks = {name: value for name, value in _copied(trainer.network.model).items() if not name.startswith("head")}
    return _numbers({"train_loss": head.train_loss, "penalty": head.penalty or 0.0}, before, blocks)


def _five(rule: str, family: str) -> Case:
    return Case(rule, network_of(family).model, None, lambda: five_steps(rule, family))


def _trained(spec: Job) -> Case:
    return Case(spec.rule, spec.model, spec.dataset, lambda: training(spec))


SGD: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.05}, "schedule": "cosine", "batch_size": 256, "epochs": 2}
AUGMENTED: dict[str, Any] = {"model": "cnn", "model_args": {"channels": [4, 8]}}
AUGMENTED |= {"dataset_args": {"augment": "flip-crop"}}
# One small task of every kind of data that needs no files, with the models for it.
KINDS: dict[str, dict[str, Any]] = {
    "tokens": {"model": "transformer", "model_args": {"width": 16, "depth": 2}, "dataset": "copy"},
    "values": {"model": "lstm", "model_args": {"hidden": [8, 8]}, "dataset": "adding"},
    "series": {"model": "gru", "model_args": {"hidden": [8, 8]}, "dataset": "temporal_order"},
    "leaky": {"model": "rnn", "model_args": {"hidden": [8, 8]}, "dataset": "temporal_order"},
    "spikes": {"model": "snn", "model_args": {"hidden": [16, 16], "steps": 5}, "dataset": "yin_yang"},
    "table": {"model": "mlp", "model_args": {"hidden": [16, 16]}, "dataset": "diabetes"},
}
SHORT: dict[str, Any] = {**SGD, "batch_size": 32, "steps": 8, "epochs": None}
KIND_RULES = ("bp", "fa", "dfa", "grape")
CASES: dict[str, Case] = {
    **{
        f"{rule} {family}": _five(rule, family)
        for family in FAMILIES
        for rule in RULE_NAMES
        if (rule, family) != ("norms-only", "mlp")  # which has neither an embedding nor a norm
    },
    **{f"bp {family}": _five("bp", family) for family in DEFAULTS},
    **{f"{rule} vit": _five(rule, "vit") for rule in OF_ATTENTION},
    **{f"{rule} energy": _five(rule, "energy") for rule in ("bp", *OF_ENERGIES)},
    "trainer digits": _trained(job("bp", **SGD)),
    "trainer digits augmented": _trained(job("bp", **SGD, **AUGMENTED)),
    "fit digits": Case("frozen", "cnn", "digits", lambda: fitted(job("frozen", **SGD, **AUGMENTED))),
    "trainer mnist1d": _trained(job("bp", **SGD, dataset="mnist1d")),
    **{
        f"{rule} {kind}": _trained(job(rule, **SHORT, **task, dataset_args={"limit": 256}))
        for kind, task in KINDS.items()
        for rule in (*KIND_RULES, *(rule for rule, kinds in IN_TIME.items() if kind in kinds))
    },
    **{f"{rule} graph": Case(rule, "gcn", None, partial(five_graph_steps, rule)) for rule in ON_GRAPHS},
}


def differences(found: Numbers, stored: Numbers) -> list[str]:
    """Where two runs differ by more than another CPU would make them differ."""
    lines = []
    for kind in ("losses", "weights", "moved"):
        here, there = found[kind], stored[kind]
        if here.keys() != there.keys():
            return [f"{kind}: other names, {', '.join(sorted(here.keys() ^ there.keys()))}"]
        largest = max(there.values())
        for name, value in here.items():
            # Of a group that hardly moves, rounding errors of the others may be the larger part.
            if not math.isclose(value, there[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE**2 * largest):
                lines.append(f"{kind} {name}: {value:.7g}, stored {there[name]:.7g}")
    return lines


def _numbers(losses: dict[str, float], before: dict[str, Tensor], after: dict[str, Tensor]) -> Numbers:
    weights: dict[str, float] = {}
    moved: dict[str, float] = {}
    for name, value in after.items():
        group = _group(name)
        weights[group] = math.hypot(weights.get(group, 0.0), value.norm().item())
        moved[group] = math.hypot(moved.get(group, 0.0), (value - before[name]).norm().item())
    found = {"losses": losses, "weights": weights, "moved": moved}
    return {kind: {name: float(f"{value:.8g}") for name, value in values.items()} for kind, values in found.items()}


def _group(parameter: str) -> str:
    """`blocks.0.attn.qkv.weight` as `blocks.0`: up to the last index, or else the module's name."""
    indexed = re.match(r"(.*\.)?\d+(?=\.)", parameter)
    return indexed[0] if indexed else parameter.rpartition(".")[0] or parameter


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().double().clone() for name, parameter in model.named_parameters()}


def _batches(shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
        yield (
            torch.randn(SAMPLES, *shape, generator=generator),
            labels,
        )


def _logits(output: Any) -> Tensor:
    logits: Tensor = getattr(output, "logits", output)
    return logits
