"""`grape-bench new`: write a starting file for a new rule or a new suite."""

from __future__ import annotations

import re
from pathlib import Path

import click

from grape_bench.cli.say import say
from grape_bench.errors import UserError

TEMPLATE = '''"""A learning rule for grape-bench."""

import grape_bench as gb


class {name}(gb.DirectFeedback):
    """Say in one line what the rule does, then cite the paper and its equation."""

    # The base class declares what the rule takes from backpropagation: DirectFeedback reads no forward weights, and
    # no block waits for another. If your rule differs, declare it here. `grape-bench check` measures both:
    #
    # weight_transport = True
    #
    # def bp_fraction(self, batches, epochs):  # passes through hidden blocks, as a share of backpropagation's
    #     return 0.5

    def __init__(self, scale: float = 1.0):  # settings are arguments: suites set them under [rule.NAME]
        self.scale = scale

    def signal(self, block, error):
        """Return what replaces dL/d(block.output), with the same shape.

        block.output is (N, *block.shape). error is (N, ..., n_out), the gradient at the network's output.
        project() returns B^T e with the block's fixed random B.
        """
        return self.scale * self.project(error, block)

    # def setup(self, network):  # called once, when attached
    #     super().setup(network)
    #     for block in network.blocks:
    #         block.store("gain", torch.rand(block.shape))  # a tensor on the block's device; read it with block.load
    #         block.own(torch.nn.Linear(block.size, 10), lr=1e-3)  # a module to train; read it with block.owned()
    #
    # This needs `import torch`. Random numbers in `signal` come from generator=self.random(block).
    # docs/contract.md shows everything else that a rule can use, such as a second phase and the batch.
'''


@click.command("new")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Write FILE, a commented rule (my_rule.py) or suite (my_suite.toml) to edit. Never overwrites a file."""
    if file.suffix not in (".py", ".toml"):
        raise UserError("neither a rule nor a suite", where=str(file), allowed="my_rule.py, or my_suite.toml")
    text, next_steps = _suite(file) if file.suffix == ".toml" else _rule(file)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise UserError("the file already exists", where=str(file), hint="choose another name") from error
    except FileNotFoundError as error:
        raise UserError("the folder does not exist", where=str(file.parent)) from error
    say(f"wrote {file}; next steps:")
    for line in next_steps:
        say(f"  {line}")


def _rule(file: Path) -> tuple[str, list[str]]:
    """Return the text of a rule file, and the commands to type next."""
    name = class_name(file)
    steps = [f"grape-bench check {file}:{name}", f"grape-bench run quickstart --rule {file}:{name}"]
    return TEMPLATE.format(name=name), steps


def _suite(file: Path) -> tuple[str, list[str]]:
    """Return the text of a suite named after its file, and the commands to type next."""
    from grape_bench.cli.suite_template import OneTask

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", file.stem):
        allowed = "letters, digits, - and _, starting with a letter or digit"
        raise UserError("the name of the file is not a valid name of a suite", where=str(file), allowed=allowed)
    title = "A suite: every rule on every task, with every seed. It runs as it is; change the model and the data."
    task = OneTask(title, "digits-mlp", "mlp", "digits", name=file.stem, model_args={"hidden": [64, 64, 64]}, seeds=3)
    return task.text(), [f"grape-bench plan {file}", f"grape-bench run {file}"]


def class_name(file: Path) -> str:
    """`my_rule.py` -> `MyRule`. Raises UserError if the result is not a valid class name."""
    words = re.split(r"[^0-9A-Za-z]+", file.stem)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name.isidentifier():
        raise UserError("the name does not give a valid Python class name", where=str(file), hint="my_rule.py")
    return name
