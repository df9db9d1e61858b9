"""`grape-bench new`: the file of a rule to begin with."""

from __future__ import annotations

import re
from pathlib import Path

import click

from grape_bench.errors import UserError

TEMPLATE = '''"""A learning rule for grape-bench."""

import grape_bench as gb


class {name}(gb.DirectFeedback):
    """One line on what it does; then the paper and its equation."""

    # What the rule takes from backpropagation is inherited: a DirectFeedback reads no forward weights, and no
    # block waits for another. Where yours differs it says so, and `grape-bench check` measures it:
    #
    # weight_transport = True
    #
    # def bp_fraction(self, batches, epochs):  # passes through hidden blocks, as a share of backpropagation's
    #     return 0.5

    def __init__(self, scale: float = 1.0):  # settings are arguments: suites set them under [rule.NAME]
        self.scale = scale

    def signal(self, block, error):
        """What stands for dL/d(block.output), shaped like it.

        block.output (N, *block.shape); error (N, ..., n_out), the gradient at the network's output. project() is
        B^T e with the block's fixed random B.
        """
        return self.scale * self.project(error, block)

    # def setup(self, network):  # once, when attached; keeps tensors in state_dict
    #     super().setup(network)
    #     for block in network.blocks:
    #         block.store("gain", torch.rand(block.shape, generator=network.generator("feedback")))
    # ... with `import torch` above, and in signal: block.load("gain")
'''


@click.command("new")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Write FILE (such as my_rule.py), a commented rule to edit; an existing file is left alone."""
    name = class_name(file)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(TEMPLATE.format(name=name))
    except FileExistsError as error:
        raise UserError("there is such a file", where=str(file), hint="another name") from error
    except FileNotFoundError as error:
        raise UserError("no such folder", where=str(file.parent)) from error
    click.echo(f"wrote {file}; next:")
    click.echo(f"  grape-bench check {file}:{name}")
    click.echo(f"  grape-bench run quickstart --rule {file}:{name}")


def class_name(file: Path) -> str:
    """`my_rule.py` -> `MyRule`; raises UserError where that gives no name of a class."""
    words = re.split(r"[^0-9A-Za-z]+", file.stem)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if file.suffix != ".py" or not name.isidentifier():
        raise UserError("not the name of a Python file", where=str(file), hint="grape-bench new my_rule.py")
    return name
