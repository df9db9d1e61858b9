"""A suite of one small task in the working folder, and commands on it."""

from pathlib import Path

from click.testing import CliRunner, Result

from grape_bench.cli.main import cli

SUITE = """\
name = "small"
version = "1"
rules = ["bp", "dfa"]
seeds = 1
features = false
[[task]]
name = "{task}"
model = "mlp"
model_args = {{ hidden = [8] }}
dataset = "{dataset}"
epochs = 2
batch_size = 32
optimizer = {{ name = "adamw", lr = 1e-2 }}
{more}
"""


def write(dataset: str, more: str = "", task: str = "own") -> None:
    """Write small.toml; `more` are further lines of the task."""
    Path("small.toml").write_text(SUITE.format(task=task, dataset=dataset, more=more))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def run() -> Result:
    return command("run", "small.toml", "--tracking-uri", "none", "--slots", "1")
