"""The options that describe one task instead of a suite: `run --model timm:resnet18 --dataset cifar10 --epochs 5`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from grape_bench.cli.key_value import key_values, table
from grape_bench.errors import UserError

EXAMPLE = "grape-bench run --model mlp --dataset digits --rule bp --rule dfa --epochs 5"
_TITLE = "Written by `grape-bench run --model {model} --dataset {dataset}`, which replaces it: edit a copy."
# The key for --set that changes the same setting of a suite.
_KEYS = {
    "model": "task.model",
    "model_args": "task.model_args.KEY",
    "dataset": "task.dataset",
    "dataset_args": "task.dataset_args.KEY",
    "objective": "task.objective",
    "epochs": "task.epochs",
    "batch_size": "task.batch_size",
    "lr": "task.optimizer.lr",
}
OPTIONS = (
    click.option("--model", metavar="M", help="Without a suite: the model, such as mlp, timm:NAME, file.py:factory."),
    click.option("--dataset", metavar="D", help="The data set, such as digits, csv:FOLDER, file.py:loader."),
    key_values("--model-args"),
    key_values("--dataset-args"),
    click.option("--objective", metavar="O", help="[default: the data set's]"),
    click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="[default: 5]"),
    click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="[default: 64]"),
    click.option(
        "--lr",
        type=click.FloatRange(min=0, min_open=True),
        metavar="X",
        help="Learning rate of AdamW. [default: 0.001]",
    ),
)


@contextmanager
def suite_of(given: Mapping[str, Any], command: str) -> Iterator[str]:
    """Yield the suite to use: SUITE, or the path of a temporary file with the task that the options describe.

    Raises UserError if the options ask for both or for neither.
    """
    asked = [name for name in _KEYS if given[name] not in (None, ())]
    if given["suite"]:
        _refuse_both(given, asked)
        yield given["suite"]
        return
    for name in ("model", "dataset"):
        if not given[name]:
            what = f"--{name} is missing" if asked else "neither a suite nor --model and --dataset"
            raise UserError(what, hint=EXAMPLE.replace("run", command, 1))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "suite.toml"
        path.write_text(_text(given, asked), encoding="utf-8")
        try:
            yield str(path)
        except UserError as error:
            where = error.where.replace(str(path), "the suite of these options")
            raise type(error)(error.what, where=where, allowed=error.allowed, hint=error.hint) from error


def _refuse_both(given: Mapping[str, Any], asked: list[str]) -> None:
    if asked:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in asked)
        hint = f"--set {_KEYS[asked[0]]}=VALUE to change the suite, or leave out {given['suite']}"
        raise UserError(f"{options} describe a task, and a suite has its own", where=given["suite"], hint=hint)


def _text(given: Mapping[str, Any], asked: list[str]) -> str:
    from grape_bench.cli.suite_template import OneTask

    values = {name: given[name] for name in asked}
    for name in ("model_args", "dataset_args"):
        values[name] = table(given[name], f"--{name.replace('_', '-')}")
    if given["rules"]:
        values["rules"] = tuple(dict.fromkeys(given["rules"]))
    if given["seeds"] is not None:
        values["seeds"] = given["seeds"]
    title = _TITLE.format(model=given["model"], dataset=given["dataset"])
    return OneTask(title, f"{_short(given['model'])}-{_short(given['dataset'])}", **values).text()


def _short(reference: str) -> str:
    """The last part of an id, as letters, digits, - and _: `timm:vit.a` -> `vit-a`, `csv:a/houses` -> `houses`."""
    last = re.split(r"[:/]", reference.rstrip("/"))[-1]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-_") or "data"
