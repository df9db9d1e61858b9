"""`grape-bench blocks`: where a model would be cut, and what each parameter would get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.network.network import Network


@click.command("blocks")
@click.argument("model")
@click.option("--model-arg", "model_args", multiple=True, metavar="KEY=VALUE", help="May be repeated; VALUE is TOML.")
@click.option("--rule", default="dfa", show_default=True, help="Whose report is shown.")
@click.option("--shape", default="3,32,32", show_default=True, help="Of a sample.")
@click.option("--classes", default=10, show_default=True)
@click.option("--blocks", "globs", multiple=True, metavar="GLOB", help="Names of the modules to cut at.")
@click.option("--granularity", default="block", show_default=True, help="block or layer.")
@click.option("--parameters", is_flag=True, help="List every parameter, not only how many get what.")
def command(
    model: str,
    model_args: tuple[str, ...],
    rule: str,
    shape: str,
    classes: int,
    globs: tuple[str, ...],
    granularity: str,
    parameters: bool,
) -> None:
    """Show the blocks of MODEL (as in a suite: timm:NAME, hf:NAME, mlp, file.py:factory) and its report."""
    import torch
    from rich.console import Console

    from grape_bench import models
    from grape_bench.cli.profile import make_subject
    from grape_bench.network.attach import attach
    from grape_bench.rules.make import make_rule

    subject = make_subject(model, model_args, shape, classes, batch_size=2)
    built = models.build(model, shape=subject.shape, classes=classes, args=subject.model_args)
    inputs, _ = subject.batch(torch.device("cpu"))
    network = attach(built, make_rule(rule), inputs, blocks=globs, granularity=granularity)
    console = Console()
    console.print(table(network))
    report = network.report()
    for credit, meaning in (
        ("rule", f"get what {rule} sends"),
        ("exact", "get their true gradient"),
        ("frozen", "get none"),
    ):
        named = [name for name, given in report.items() if given == credit]
        console.print(f"{len(named):5} parameters {meaning}", highlight=False)
        if parameters:
            console.print(*(f"        {name}" for name in named), sep="\n", highlight=False)


def table(network: Network) -> Table:
    """A row a block: its name, shape per sample, numbers, and how its feedback is kept."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD)
    for name in ("block", "shape", "numbers", "feedback"):
        out.add_column(name, justify="left" if name == "block" else "right", overflow="fold")
    feedback = network.feedback()
    for block in network.blocks:
        kept = feedback.get(block.name)
        out.add_row(block.name, " × ".join(map(str, block.shape)), f"{block.size:,}", str(kept or ""))
    return out
