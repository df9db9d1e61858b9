"""A trainer of which the second process fails while the first one waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from grape_bench.record.job import Job
from grape_bench.train import data_parallel


def run(job: Job, on_epoch: Callable[..., None], checkpoints: Any) -> dict[str, Any]:
    """Never ends well."""
    with data_parallel.joined(job.nproc):
        if data_parallel.rank() == 1:
            raise ValueError("the second one's own reason")
        data_parallel.gathered_sums({"loss": torch.ones(())}, ())
    raise AssertionError("the first one cannot go on alone")
