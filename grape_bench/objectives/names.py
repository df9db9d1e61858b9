"""The names and metrics of the objectives. Does not import torch."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from grape_bench.errors import unknown
from grape_bench.registry import Builtin, Registry, is_file_reference, split_file_reference

if TYPE_CHECKING:
    from grape_bench.objectives.objective import Objective

_HERE = "grape_bench.objectives"

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective",
    {
        "classification": Builtin(f"{_HERE}.classification:Classification"),
        "regression": Builtin(f"{_HERE}.regression:Regression"),
        "binary": Builtin(f"{_HERE}.binary:Binary"),
        "multi-label": Builtin(f"{_HERE}.multi_label:MultiLabel"),
        "next-token": Builtin(f"{_HERE}.next_token:NextToken"),
        "seq2seq": Builtin(f"{_HERE}.seq2seq:Seq2Seq"),
        "node-classification": Builtin(f"{_HERE}.node_classification:NodeClassification"),
        "picture": Builtin(f"{_HERE}.picture:Picture"),
        "segmentation": Builtin(f"{_HERE}.segmentation:Segmentation"),
    },
    group="grape_bench.objectives",
)
"""Raise `numerics` of an objective whose loss changes. The jobs of suites that name it then run again.

A suite that does not name its objective uses the data set's default. So raise that data set's `numerics`, too.
"""

METRIC_UNITS = {
    "accuracy": "percent",
    "perplexity": "",
    "bits_per_character": "",
    "rmse": "",
    "r2": "",
    "psnr": "dB",
    "roc_auc": "percent",
    "average_precision": "percent",
    "mean_iou": "percent",
}
"""The metrics that score/metric.py can score, with their units in a record."""

METRIC_RANGES = {
    **dict.fromkeys(("accuracy", "roc_auc", "average_precision", "mean_iou"), (0.0, 100.0)),
    "perplexity": (1.0, inf),
    **dict.fromkeys(("bits_per_character", "rmse"), (0.0, inf)),
    "r2": (-inf, 1.0),
    "psnr": (-inf, inf),
}
"""The lowest and the highest possible value of each metric."""

LOWER_IS_BETTER = ("perplexity", "bits_per_character", "rmse")


def metric_sign(metric: str) -> int:
    """1 if a higher value of `metric` is better, else -1."""
    return -1 if metric in LOWER_IS_BETTER else 1


def check_name(name: str) -> None:
    """Raise UserError if `name` cannot be the name of an objective. Does not import torch."""
    if is_file_reference(name):
        split_file_reference(name)
    elif name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES, hint="its name, or path/to/file.py:MyObjective")
