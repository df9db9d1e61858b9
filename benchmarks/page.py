"""Write the part of a docs page that comes from a benchmark."""

import re
from pathlib import Path

import torch

from grape_bench.record.environment import hardware

DOCS = Path(__file__).parents[1] / "docs"
END = "<!-- end -->"


def machine() -> str:
    """Describe the machine on which a table was measured."""
    return f"{hardware(1).kind}, torch {torch.__version__.partition('+')[0]}"


def write(name: str, benchmark: str, text: str) -> None:
    """Put `text` between the marks of `python -m benchmarks.BENCHMARK` in docs/`name`. Without marks: ValueError."""
    page, begin = DOCS / name, f"<!-- python -m benchmarks.{benchmark} -->"
    old = page.read_text(encoding="utf-8")
    if begin not in old:
        raise ValueError(f"{page} has no {begin}")
    part = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    page.write_text(part.sub(lambda _: f"{begin}\n{text}\n{END}", old), encoding="utf-8")
