"""Write grape_bench/models/known.csv: size and input of every timm model, and whether the sweep attached its family.

python -m benchmarks.models        # about five minutes: it builds every model without memory for its weights
"""

import csv
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import astuple

import timm
import torch

from benchmarks.architectures import TIMM
from benchmarks.coverage import PAGE
from grape_bench.models.known import FIELDS, FILE, Known

ROW = re.compile(r"^\| (\S+) (\S+) \|.*\| (yes|\*\*no\*\*) \|$", re.MULTILINE)

SOURCES = {"transformers": "hf"}
"""The source of a model, if the sweep calls it differently."""


def main() -> None:
    warnings.simplefilter("ignore")
    with FILE.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(astuple(known) for known in rows())


def rows() -> Iterator[Known]:
    """All timm models, then the transformers of the sweep."""
    swept = {f"{SOURCES.get(kind, kind)}:{name}": held == "yes" for kind, name, held in ROW.findall(PAGE.read_text())}
    family = {module_of(name): f"timm:{name}" for name in TIMM}
    for name in timm.list_models():
        example = family.get(module_of(name), "")
        held = {True: "yes", False: "no", None: ""}[swept.get(example)]
        parameters, shape = measured(name)
        yield Known(f"timm:{name}", parameters, shape, example if held else "", held)
    for name, held in swept.items():
        if name.startswith("hf:"):
            yield Known(name, "", "", name, "yes" if held else "no")


def module_of(name: str) -> str:
    return timm.models.model_entrypoint(name).__module__


def measured(name: str) -> tuple[str, str]:
    """The number of parameters and the shape of an image (C, H, W), or "" if it cannot be built."""
    try:
        with torch.device("meta"):
            model = timm.create_model(name)
    except Exception as error:
        print(f"{name}: {error}", file=sys.stderr)
        return "", ""
    shape = model.default_cfg.get("input_size") or ()
    return str(sum(parameter.numel() for parameter in model.parameters())), "x".join(map(str, shape))


if __name__ == "__main__":
    main()
