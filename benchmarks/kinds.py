"""The scores of every kind of task, and of BP beside published scores; writes two tables of docs/sources.md.

grape-bench run benchmarks/kinds.toml
grape-bench run benchmarks/published.toml
grape-bench tune benchmarks/uci.toml && grape-bench run benchmarks/uci.toml
python -m benchmarks.kinds RUNS            the folder of the three runs
"""

import statistics
import sys
import tomllib
from pathlib import Path

from benchmarks import page
from grape_bench.record.folder import read_records
from grape_bench.record.record import Record
from grape_bench.score.metric import METRICS

SUITE = Path(__file__).with_suffix(".toml")
TASKS = [task["name"] for task in tomllib.loads(SUITE.read_text(encoding="utf-8"))["task"]]
RULES = ("bp", "fa", "dfa", "grape", "head-only")
PUBLISHED = {
    "cora-gcn": (81.5, 0.0, "Kipf and Welling 2017, table 2"),
    "yin-yang-mlp": (97.6, 0.0, "Kriener et al. 2022, table 1"),
    "concrete": (5.977, 0.2207, "Hernández-Lobato and Adams 2015, table 1, BP"),
    "energy": (1.098, 0.0738, "the same"),
    "kin8nm": (0.091, 0.0015, "the same"),
    "naval": (0.001, 0.0001, "the same"),
    "protein": (4.539, 0.0288, "the same"),
    "yacht": (1.182, 0.1645, "the same"),
}
"""By task: the published mean, its standard error if one is stated, and the source."""


def main(runs: Path) -> None:
    kinds = read_records(runs / "kinds")
    seconds = max(record.time.total_s or 0 for record in kinds if record.time)
    lines = [f"| task | metric | chance | {' | '.join(RULES)} |", "|" + "---|" * (3 + len(RULES))]
    lines += [_row([record for record in kinds if record.task == task]) for task in TASKS]
    about = f"One seed on {page.machine()}. The longest job took {seconds:.0f} s."
    page.write("sources.md", "kinds RUNS", "\n".join([about, "", *lines, "", *_published(runs)]))


def _row(records: list[Record]) -> str:
    scored = records[0].scored_by
    metric = METRICS[scored.name]
    by_rule = {record.rule: record for record in records}
    cells = [_cell(by_rule.get(rule)) for rule in RULES]
    better = "" if metric.higher_is_better else ", lower is better"
    return f"| `{records[0].task}` | {metric.heading}{better} | {scored.chance:.4g} | {' | '.join(cells)} |"


def _cell(record: Record | None) -> str:
    if record is None:
        return "-"
    return f"{record.test:.4g}" if record.result else record.status.value


def _published(runs: Path) -> list[str]:
    lines = ["| task | BP here | seeds | published | source |", "|---|---|---|---|---|"]
    records = [record for name in ("published", "uci") for record in read_records(runs / name)]
    for task, (value, error, source) in PUBLISHED.items():
        own = [record.test for record in records if record.task == task]
        spread = f" ± {error:g}" if error else ""
        found = f"{statistics.mean(own):.4g} ± {statistics.stdev(own) / len(own) ** 0.5:.2g}"
        lines.append(f"| `{task}` | {found} | {len(own)} | {value:g}{spread} | {source} |")
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
