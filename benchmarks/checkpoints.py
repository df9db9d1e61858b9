"""The cost of a checkpoint by the size of the model. Writes its table into docs/harness.md.

python -m benchmarks.checkpoints        under a minute, on an idle machine
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import page
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.record.job import Job
from grape_bench.train.checkpoint_files import CheckpointFolder
from grape_bench.train.loop import Trainer

MODELS: dict[str, tuple[str, dict[str, Any], int]] = {
    "mlp 256-256": ("mlp", {"hidden": [256, 256]}, 8),
    "resnet18": ("timm:resnet18", {}, 32),
    "vit_base_patch16_224": ("timm:vit_base_patch16_224", {"img_size": 32, "patch_size": 4}, 32),
}
ROUNDS = 7


def trainer(model: str, args: dict[str, Any], size: int) -> Trainer:
    """Make a GrAPE training and take its first step, so that Adam's moments exist."""
    values: dict[str, Any] = dict(suite="", version="", task="", rule_settings={}, rule_source="", seed=0)
    values |= dict(model=model, model_args=args, dataset="digits", dataset_args={} if size == 8 else {"resize": size})
    job = Job(
        **values, rule="grape", epochs=1, batch_size=8, optimizer={"name": "adamw", "lr": 1e-3}, schedule="constant"
    )
    data = load_data(job, pick_device())
    made = make_trainer(job, build_model(job, data, pick_device()), data, job.rule, job.rule_settings)
    made.network.begin_epoch(made.steps_per_epoch)
    made.epoch_order = made.order.get_state()
    made.step(*next(iter(data.train.batches(8, generator=made.order))))
    return made


def main() -> None:
    """Measure every model."""
    torch.set_num_threads(1)
    rows = ["| model | parameters | file | written in | read in |", "|---|---|---|---|---|"]
    print("\n".join(rows))
    for name, (model, args, size) in MODELS.items():
        made = trainer(model, args, size)
        with tempfile.TemporaryDirectory() as folder:
            place = CheckpointFolder(Path(folder))
            written, read = [], []
            for step in range(ROUNDS):
                start = time.perf_counter()
                place.write(made.state_dict(), step)
                written.append(time.perf_counter() - start)
                start = time.perf_counter()
                state = place.read()
                assert state is not None
                made.load_state_dict(state)
                read.append(time.perf_counter() - start)
            megabytes = place.files()[0].stat().st_size / 1e6
        millions = sum(p.numel() for p in made.network.model.parameters()) / 1e6
        times = f"{1000 * median(written):.0f} ms | {1000 * median(read):.0f} ms"
        rows.append(f"| {name} | {millions:.1f} M | {megabytes:.0f} MB | {times} |")
        print(rows[-1], flush=True)
    page.write("harness.md", "checkpoints", "\n".join(rows) + f"\n\n{page.machine()}.")


if __name__ == "__main__":
    main()
