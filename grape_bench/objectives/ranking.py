"""Ranking metrics, which need all scores at once: ROC-AUC and average precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.objectives.target import TargetSplit

RESAMPLES = 200
Floats = npt.NDArray[np.float64]


def check_labels(split: TargetSplit, name: str) -> None:
    """Raise UserError if a label is the same for all samples of the split called `name`, so nothing can be ranked."""
    labels = torch.cat([target.reshape(len(target), -1) for target in split.targets()])
    same = (labels == labels[:1]).all(0).nonzero()
    if len(same):
        number = int(same[0])
        what = f"label {number} is {labels[0, number]:g} for all samples, so no ranking can be scored"
        raise UserError(what, where=f"{name} split")


def ranking(metric: str, targets: Tensor, scores: Tensor) -> float:
    """ROC-AUC or average precision in percent of `scores` (N, labels) for 0/1 `targets`, averaged over labels.

    NaN if a score is not finite, or if a label is the same for all samples.
    """
    if not scores.isfinite().all():
        return float("nan")
    return float(_of_labels(metric, targets.numpy(), scores.numpy()).mean())


def ranking_error(metric: str, targets: Tensor, scores: Tensor) -> float:
    """The standard error of `ranking` from sampling, by a seeded bootstrap over samples.

    Resamples in which a label is the same for all samples are skipped.
    """
    if not scores.isfinite().all():
        return float("nan")
    generator = np.random.default_rng(0)
    y, s = targets.numpy(), scores.numpy()
    values = []
    for _ in range(RESAMPLES):
        rows = generator.integers(len(y), size=len(y))
        values.append(float(_of_labels(metric, y[rows], s[rows]).mean()))
    known = [value for value in values if not np.isnan(value)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def _of_labels(metric: str, targets: Floats, scores: Floats) -> Floats:
    """The metric of each label in percent, (labels,). NaN for a label that is the same for all samples."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # takes a second to import

    function = roc_auc_score if metric == "roc_auc" else average_precision_score
    found = [100 * function(y, s) if 0 < y.sum() < len(y) else np.nan for y, s in zip(targets.T, scores.T, strict=True)]
    return np.array(found, dtype=float)
