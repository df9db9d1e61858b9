"""`grape-bench blocks`: where a rule cuts a model, and which gradient each parameter gets."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import click

from grape_bench.cli.names import RuleReference
from grape_bench.cli.say import as_json, say_json
from grape_bench.cli.subject import describing, make_subject

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor, nn

    from grape_bench.network.block import Block
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.sites import Cuts

MEANINGS: dict[Credit, str] = {
    "rule": "the gradient comes from {rule}",
    "exact": "the gradient equals backpropagation's",
    "frozen": "no gradient",
    "owned": "a module of the rule, which the optimizer trains",
}


@click.command("blocks")
@click.argument("model")
@describing
@click.option("--rule", type=RuleReference(), default="dfa", show_default=True, help="The rule to report on.")
@click.option("--tokens", type=click.IntRange(min=1), help="Use a sample of this many token ids, for text models.")
@click.option("--blocks", "globs", multiple=True, metavar="GLOB", help="Modules to cut at, for example 'layers.*'.")
@click.option(
    "--granularity",
    type=click.Choice(["block", "layer"]),
    default="block",
    show_default=True,
    help="layer also cuts inside the blocks.",
)
@click.option(
    "--cuts",
    type=click.Choice(["depth", "time", "both"]),
    default="depth",
    show_default=True,
    help="For modules that are called several times: time cuts between their calls.",
)
@click.option("--parameters", is_flag=True, help="List every parameter by its full name.")
@as_json
def command(
    model: str,
    model_args: tuple[str, ...],
    rule: str,
    shape: str,
    tokens: int | None,
    classes: int,
    globs: tuple[str, ...],
    granularity: str,
    cuts: Cuts,
    parameters: bool,
    json: bool,
) -> None:
    """Show where a rule cuts MODEL (timm:NAME, hf:NAME, mlp, file.py:factory), and which gradients its weights get."""
    import torch

    from grape_bench import models
    from grape_bench.attachment import attach
    from grape_bench.network.reads import weights_read
    from grape_bench.network.trace import as_batch
    from grape_bench.report.console import PlainConsole
    from grape_bench.rules.make import make_rule

    subject = make_subject(model, model_args, str(tokens or shape), classes, batch_size=2)
    built = models.build(model, shape=subject.shape, classes=classes, args=subject.model_args)
    example = token_ids(built, tokens) if tokens else subject.batch(torch.device("cpu"))[0][0]
    network = attach(built, make_rule(rule), example, blocks=globs, granularity=granularity, cuts=cuts)
    report = network.report()
    read = list(dict.fromkeys(weights_read(network, as_batch(example))))
    if json:
        say_json({"blocks": listed(network), "parameters": report, "weights_read": read})
        return
    console = PlainConsole()
    console.print(table(network))
    console.print(credits(report, whole_names=parameters))
    for credit, count in Counter(report.values()).items():
        console.print(f"{count:5} × {credit}: {MEANINGS[credit].format(rule=rule)}", highlight=False)
    names = dict.fromkeys(name if parameters else starred(name) for name in read)
    console.print(f"weights that the backward pass reads: {', '.join(names) or 'none'}", highlight=False)


def token_ids(model: nn.Module, count: int) -> dict[str, Tensor]:
    """Make a batch with one sample of `count` token ids: many models lack the padding token that more samples need."""
    import torch

    from grape_bench.errors import UserError

    vocabulary = getattr(getattr(model, "config", None), "vocab_size", None)
    if vocabulary is None:
        raise UserError(
            f"{type(model).__name__} has no vocabulary", where="--tokens", hint="use --shape if samples are not text"
        )
    return {"input_ids": torch.arange(count).remainder(vocabulary)[None]}


def listed(network: Network) -> list[dict[str, object]]:
    """The blocks for `--json`: name, shape per sample, position of the cut, and calls per forward pass."""
    return [
        {"name": block.name, "shape": list(block.shape), "cut": block.where, "calls": block.calls}
        for block in network.blocks
    ]


def table(network: Network) -> Table:
    """Make a table with one row per block: name, shape per sample, size, how its feedback is kept, and its cut."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD)
    for name in ("block", "shape", "numbers", "feedback", "cut"):
        number = name in ("shape", "numbers")
        out.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    feedback = network.feedback()
    for block in network.blocks:
        kept = feedback.get(block.name)
        out.add_row(block.name, " × ".join(map(str, block.shape)), f"{block.size:,}", str(kept or ""), cut(block))
    return out


def cut(block: Block) -> str:
    """Where the block is cut ("after it" means at its own output), and how often per forward pass."""
    where = "after it" if block.where == f"after {block.name}" else block.where
    if block.calls == 1:
        return where
    return f"{where}, {block.calls} times" + (" (its own error each time)" if block.timed else "")


def starred(name: str) -> str:
    """Replace each number in the name by a star: `layers.3.fc1.weight` -> `layers.*.fc*.weight`."""
    return re.sub(r"\d+", "*", name)


def credits(report: dict[str, Credit], whole_names: bool) -> Table:
    """Make a table of the gradients that parameters get. Names that differ only in numbers share a row."""
    from rich import box
    from rich.table import Table

    rows: Counter[tuple[str, Credit]] = Counter()
    for name, credit in report.items():
        rows[name if whole_names else starred(name), credit] += 1
    out = Table(box=box.SIMPLE_HEAD)
    out.add_column("parameters", overflow="fold")
    out.add_column("count", justify="right")
    out.add_column("gradient")
    for (name, credit), count in rows.items():
        out.add_row(name, str(count), credit)
    return out
