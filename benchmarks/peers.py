"""Steps of feedback alignment here and in other projects, next to plain PyTorch.

    python -m benchmarks.peers [--biotorch PATH] [--tinydfa PATH] [--fdfa PATH] [--nets NAME...] [--rounds N]

The paths are checkouts of these projects. A missing one costs its rows only.

    --biotorch  github.com/jsalbert/biotorch: a folder that holds `biotorch/`
    --tinydfa   github.com/lightonai/dfa-scales-to-modern-deep-learning: the folder TinyDFA, which holds `tinydfa/`
    --fdfa      github.com/Florian-BACHO/FDFA: a folder that holds `utils/`

All variants take steps in turns, in one process and on one thread. A number is the median over rounds of the CPU time
÷ that of the same network without any of these projects. Every project cuts the network at the same blocks.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

import grape_bench as gb

PLAIN, CLASSES, WARM_UP = "plain PyTorch", 10, 2
OURS = ("bp", "dfa", "fa", "grape-lazy", "grape")
Step = Callable[[], object]


@dataclass(frozen=True)
class Net:
    """A network, and the shape of a batch of its inputs."""

    make: Callable[[], nn.Module]
    batch: tuple[int, ...]


def _mlp() -> nn.Module:
    from grape_bench.models.mlp import MLP

    return MLP((1, 32, 32), CLASSES, hidden=(1024,) * 8)


def _lenet() -> nn.Module:
    from grape_bench.models.lenet import LeNet

    return LeNet((3, 32, 32), CLASSES)


def _resnet20() -> nn.Module:
    from grape_bench.models.cifar_resnet import resnet20

    return resnet20((3, 32, 32), CLASSES)


def _resnet18() -> nn.Module:
    import timm

    model: nn.Module = timm.create_model("resnet18", num_classes=CLASSES)
    return model


NETS = {
    "MLP 8x1024": Net(_mlp, (512, 1, 32, 32)),
    "LeNet": Net(_lenet, (128, 3, 32, 32)),
    "ResNet-20": Net(_resnet20, (32, 3, 32, 32)),
    "resnet18": Net(_resnet18, (32, 3, 32, 32)),
}


@dataclass(frozen=True)
class Subject:
    """A network in training mode, a batch, and the modules whose outputs are cut."""

    model: nn.Module
    x: Tensor
    y: Tensor
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, net: Net) -> Subject:
        """The blocks are those that grape_bench finds."""
        torch.manual_seed(0)
        model, x = net.make().train(), torch.randn(net.batch)
        blocks = gb.attach(copy.deepcopy(model), "dfa", x[:4]).blocks
        return cls(model, x, torch.randint(CLASSES, (len(x),)), tuple(block.name for block in blocks))

    def copied(self) -> tuple[nn.Module, list[nn.Module]]:
        """A copy of the model, and its modules whose outputs are cut."""
        model = copy.deepcopy(self.model)
        return model, [model.get_submodule(name) for name in self.blocks]


def ordinary(subject: Subject, model: nn.Module, forward: Callable[[], Tensor] | None = None) -> Step:
    """A step of SGD on the cross-entropy."""
    forward = forward or (lambda: model(subject.x))
    with torch.no_grad():
        model(subject.x)  # some projects make parameters in the first forward
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(forward(), subject.y).backward()
        optimizer.step()

    return step


def ours(subject: Subject, rule: str) -> Step:
    """The step of a rule of grape_bench."""
    model, _ = subject.copied()
    gb.attach(model, rule, subject.x[:4]).begin_epoch(10**6)
    return ordinary(subject, model)


def biotorch(subject: Subject, mode: str) -> Step:
    """BioTorch converts each layer. Its DFA computes the error itself, from the loss that it is given."""
    module = import_module("biotorch.module.biomodule").BioModule
    model = module(subject.copied()[0], mode=mode, copy_weights=True, output_dim=CLASSES).train()
    given: dict[str, Any] = {"targets": subject.y, "loss_function": F.cross_entropy} if mode == "dfa" else {}
    model.eval()
    step = ordinary(subject, model, lambda: model(subject.x, **given))
    model.train()
    return step


def tinydfa(subject: Subject) -> Step:
    """TinyDFA has a layer for each cut, and one for the output."""
    tiny = import_module("tinydfa")
    model, cut = subject.copied()
    layers = [tiny.DFALayer() for _ in cut]
    top = tiny.DFA(layers, feedback_points_handling=tiny.FeedbackPointsHandling.LAST)
    for module, layer in zip(cut, layers, strict=True):
        module.register_forward_hook(lambda _, __, output, layer=layer: layer(output))
    model.register_forward_hook(lambda _, __, output: top(output))
    return ordinary(subject, model)


def fdfa(subject: Subject) -> Step:
    """FDFA has a hook for each cut and one for the output. A step is a forward on dual numbers and a backward."""
    hidden = import_module("utils.DFATrainingHook").DFATrainingHook
    output_hook = import_module("utils.OutputTrainingHook").OutputTrainingHook("FDFA")
    model, cut = subject.copied()
    hooks = nn.ModuleList(hidden("FDFA", subject.x.device) for _ in cut)
    shared: list[Tensor] = []  # the directional derivative and the error at the output, which the hooks write
    model.register_forward_pre_hook(
        lambda _, __: shared.__setitem__(slice(None), [torch.zeros(len(subject.x), CLASSES) for _ in range(2)])
    )
    for module, hook in zip(cut, hooks, strict=True):
        module.register_forward_hook(lambda _, __, output, hook=hook: hook(output, *shared))
    model.register_forward_hook(lambda _, __, output: output_hook(output, *shared))
    model.add_module("feedback_hooks", hooks)
    step = ordinary(subject, model, lambda: _primal(model, subject.x))

    def with_tangents() -> None:
        with forward_ad.dual_level():
            step()

    return with_tangents


def _primal(model: nn.Module, x: Tensor) -> Tensor:
    output: Tensor = forward_ad.unpack_dual(model(forward_ad.make_dual(x, torch.zeros_like(x)))).primal
    return output


PEERS: dict[str, dict[str, Callable[[Subject], Step]]] = {
    "biotorch": {
        "BioTorch DFA": lambda subject: biotorch(subject, "dfa"),
        "BioTorch FA": lambda subject: biotorch(subject, "fa"),
    },
    "tinydfa": {"TinyDFA": tinydfa},
    "fdfa": {"FDFA": fdfa},
}
"""The steps of each project, by the option that gives its path."""


@contextmanager
def importable(path: Path) -> Iterator[None]:
    """Put `path` first on the import path."""
    sys.path.insert(0, str(path.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(path.resolve()))


def steps_of(subject: Subject, paths: dict[str, Path | None]) -> dict[str, Step]:
    """The steps of all variants that can be made. Prints a line for each one that cannot."""
    made = {PLAIN: ordinary(subject, subject.copied()[0]), **{rule: ours(subject, rule) for rule in OURS}}
    for option, variants in PEERS.items():
        path = paths.get(option)
        for name, make in variants.items():
            if path is None:
                continue
            try:
                with importable(path), redirect_stdout(StringIO()):  # TinyDFA prints shapes
                    step = make(subject)
                    step()
            except Exception as error:  # any error of another project costs its own row only
                print(f"{name}: left out ({type(error).__name__}: {str(error).partition(chr(10))[0]})", flush=True)
            else:
                made[name] = step
    return made


def ratios(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    """Each variant's median of its CPU time ÷ that of plain PyTorch."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP + rounds):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(8 if name == "grape-lazy" else 1):  # a whole period of refreshes
                step()
            if turn >= WARM_UP:
                seconds[name].append((time.process_time() - start) / (8 if name == "grape-lazy" else 1))
    plain = seconds.pop(PLAIN)
    return {name: statistics.median(a / b for a, b in zip(own, plain, strict=True)) for name, own in seconds.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """The ratios in Markdown: a row per variant, and a column per network."""
    rows = dict.fromkeys(name for one in found.values() for name in one)
    lines = [f"| step | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for row in rows:
        cells = [f"{one[row]:.2f}" if row in one else "–" for one in found.values()]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in PEERS:
        parser.add_argument(f"--{option}", type=Path, metavar="PATH")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args(arguments)
    paths: dict[str, Path | None] = {option: getattr(given, option) for option in PEERS}
    for option, path in paths.items():
        if path is None:
            print(f"{option}: left out, as --{option} PATH is not given", flush=True)
    torch.set_num_threads(1)
    found = {name: ratios(steps_of(Subject.of(NETS[name]), paths), given.rounds) for name in given.nets}
    print(table(found))


if __name__ == "__main__":
    main()
