"""The diabetes study that ships with scikit-learn: a regression task that needs no download."""

from __future__ import annotations

import importlib.util
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grape_bench.data.batches import ArraySplit, Transform
from grape_bench.data.dataset import DataSet
from grape_bench.data.options import IMAGES_ONLY, TABLE_ONLY, VALIDATION, parse
from grape_bench.data.partition import SPLIT_SEED
from grape_bench.errors import UserError
from grape_bench.objectives.target import Target

FEATURES, TEST = 10, 0.2
FILES = ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load 442 patients with 10 measurements (10,) and the progress of their disease after a year (1,).

    Features and targets are standardized with the training rows. The test rows are a fixed fifth, and the validation
    rows a fixed tenth of the rest. Arguments: `limit`, `validation`. Source: Efron et al. 2004, "Least angle
    regression", as in `sklearn.datasets.load_diabetes(scaled=False)`. Raises UserError for unknown arguments.
    """
    options = parse("diabetes", args, without=(*TABLE_ONLY, *IMAGES_ONLY))
    paths = [_file(name) for name in FILES]
    table, values = np.loadtxt(paths[0]), np.loadtxt(paths[1])[:, None]
    order = np.random.RandomState(SPLIT_SEED).permutation(len(table))
    test, rest = np.split(order, [round(TEST * len(order))])
    validation, train = np.split(rest, [max(1, round((options.validation or VALIDATION) * len(rest)))])
    train = train[: options.limit]
    mean, scale = values[train].mean(0), values[train].std(0)
    tensor = partial(torch.tensor, dtype=torch.float32, device=device)
    features, targets = tensor(table), tensor((values - mean) / scale)
    transform = Transform(tensor(table[train].mean(0)), tensor(table[train].std(0)), "none")
    rows = {"train": train, "validation": validation, "test": test}
    splits = {
        name: ArraySplit(
            samples=features, labels=targets, index=torch.from_numpy(index).to(device), transform=transform
        )
        for name, index in rows.items()
    }
    key = sha256(b"".join([path.read_bytes() for path in paths] + [np.concatenate([train, validation]).tobytes()]))
    description = {
        "name": "diabetes",
        "sizes": {name: len(index) for name, index in rows.items()},
        "shape": [FEATURES],
        "target": {"size": 1, "mean": round(float(mean[0]), 4), "std": round(float(scale[0]), 4)},
        "fingerprint": key.hexdigest(),
    }
    return DataSet(
        name="diabetes",
        shape=(FEATURES,),
        classes=0,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        description=description,
        objective="regression",
        target=Target(scale=(float(scale[0]),)),
    )


def _file(name: str) -> Path:
    """Find scikit-learn's file without importing scikit-learn, which would add a second to every job."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin).parent / "datasets" / "data" / name if package and package.origin else None
    if path is None or not path.is_file():
        raise UserError(f"scikit-learn has no {name}", where="diabetes", hint="pip install scikit-learn")
    return path
