"""The most that one process for several seeds could save, from recorded jobs. Writes its lines to docs/speed.md.

python -m benchmarks.seeds [RUNS]    the default is results/quickstart/runs; takes a second
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from grape_bench.record.folder import read_records
from grape_bench.record.record import Record

QUICKSTART = Path(__file__).parents[1] / "results" / "quickstart" / "runs"
SEEDS = (3, 10)


def training_share(records: Sequence[Record]) -> float:
    """The share of training steps in the seconds of all jobs. The control `frozen` takes no steps."""
    times = [record.time for record in records if record.time is not None and record.time.total_s]
    return sum(time.train_s for time in times if time.steps) / sum(time.total_s or 0.0 for time in times)


def bound(share: float, seeds: float) -> float:
    """Amdahl's law: jobs per second ÷ those of one process per seed, if `seeds` seeds trained in the time of one."""
    return 1 / (1 - share + share / seeds)


def lines(records: Sequence[Record]) -> str:
    """The share and the bounds in words."""
    share = training_share(records)
    few, many = (f"{bound(share, seeds):.2f} times as fast with {seeds} seeds" for seeds in SEEDS)
    text = (
        f"In the {len(records)} recorded jobs, training steps take {100 * share:.0f} % of the time. Suppose that all "
        f"seeds trained in the time of one. By Amdahl's law, jobs would then be {few}, and {many}. The limit for "
        f"any number of seeds is {bound(share, float('inf')):.2f}."
    )
    return f"\n{textwrap.fill(text, 120)}\n"


def main() -> None:
    """Write the lines."""
    text = lines(read_records(Path(sys.argv[1]) if len(sys.argv) > 1 else QUICKSTART))
    print(text)
    page.write("speed.md", "seeds", text)


if __name__ == "__main__":
    main()
