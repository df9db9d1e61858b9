"""Published accuracies next to recorded ones, in docs/rules.md.

    grape-bench run papers-mnist && grape-bench report papers-mnist
    python -m benchmarks.papers

writes the table from benchmarks/papers.toml and the tables in results/.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import page
from grape_bench.report.markdown import pipe_table

ROOT = Path(__file__).parents[1]
HEADINGS = ("rule", "task", "ours", "published", "source", "what differs")


@cache
def recorded(name: str) -> pd.DataFrame:
    """The table of `results/<name>`, by task and rule."""
    return pd.read_csv(ROOT / "results" / name / "table.csv").set_index(["task", "rule"])


def ours(table: str, task: str, rule: str) -> str:
    """`95.52 ± 0.51 (5)`: accuracy in percent, its 95 % interval, and the seeds. Raises KeyError if not recorded."""
    row: Any = recorded(table).loc[task, rule]
    return f"{row['accuracy']:.2f} ± {row['accuracy_ci']:.2f} ({int(row['n'])})"


def section() -> str:
    """The Markdown table, a row per rule and source."""
    rows = [
        (
            f"`{rule}`", entry["task"], ours(entry["table"], entry["task"], rule), published, entry["source"],
            entry["differs"],
        )
        for entry in tomllib.loads((ROOT / "benchmarks" / "papers.toml").read_text(encoding="utf-8"))["row"]
        for rule, published in entry["rules"].items()
    ]  # fmt: skip
    return pipe_table(HEADINGS, rows, [True] * len(HEADINGS))


if __name__ == "__main__":
    page.write("rules.md", "papers", f"\n{section()}\n")
