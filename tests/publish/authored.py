"""A small honest publication of an author's own rule, and how a careful forger edits one.

Nobody trains for it. The runs are the recorded ones of quickstart, and those of `fa` stand for the rule `Mine`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.plan.numerics import numerics_of
from grape_bench.publish.index import write_index
from grape_bench.publish.pack import About, pack
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest
from grape_bench.record.record import Record, read_record, write_record
from grape_bench.record.table import CURVE, DIAGNOSTICS
from grape_bench.report import csv
from grape_bench.score.table import score
from grape_bench.streams import STREAMS, stream_seed
from grape_bench.user_code import user_code
from tests.score.records import changed

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"
REFERENCES = ("bp", "dfa", "frozen", "head-only")
SOURCE = """\
import grape_bench as gb


class Mine(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block)
"""
Content = dict[str, Any]
Run = tuple[Path, Content]
Forge = Callable[[Path], None]


def publish(folder: Path, suite: str = "quickstart", rule: str = "Mine") -> Path:
    """A publication of the author's rule on quickstart, or on the same tasks in the author's own `suite`."""
    return pack(ran(folder, suite, rule), rule, folder / "results", About(paper="A paper"))


def ran(folder: Path, suite: str = "quickstart", rule: str = "Mine") -> Path:
    """The folder of runs that `publish` packs. The rule is in `folder`/mine.py."""
    file = folder / "mine.py"
    file.write_text(SOURCE.replace("Mine", rule))
    runs = folder / "runs"
    runs.mkdir()
    text = (RECORDED / "suite.toml").read_text()
    (runs / "suite.toml").write_text(text.replace('name = "quickstart"', f'name = "{suite}"'))
    jobs = []
    for record in read_records(RECORDED):
        if record.rule in (*REFERENCES, "fa"):
            mine = replace(record, job=replace(record.job, suite=suite))
            mine = _as_own(mine, f"{file}:{rule}") if record.rule == "fa" else changed(mine)
            _write(mine, RECORDED / record.name, runs)
            jobs.append(mine.job)
    Manifest(suite, "2.0", record.environment.git, jobs).write(runs)
    return runs


def _as_own(record: Record, reference: str) -> Record:
    job = record.job
    numerics = numerics_of(reference, job.model, job.dataset)
    source = user_code(Path(reference.rpartition(":")[0])).digest
    return changed(record, rule=reference, rule_settings={}, rule_source=source, numerics=numerics)


def _write(record: Record, source: Path, runs: Path) -> None:
    (runs / record.name).mkdir()
    write_record(runs / record.name, record)
    for name in (CURVE, DIAGNOSTICS):
        if (source / name).is_file():
            shutil.copyfile(source / name, runs / record.name / name)


def runs_of(folder: Path, rule: str = "", seed: int | None = None, task: str = "") -> list[Run]:
    """The job folders with their record.json, of one rule's label, seed and task, or of all."""
    found = [(path.parent, json.loads(path.read_text())) for path in sorted(folder.glob("runs/*/record.json"))]
    return [
        (path, content)
        for path, content in found
        if rule in ("", content["rule"].rpartition(":")[2])
        and seed in (None, content["seed"])
        and task in ("", content["task"])
    ]


def edit(runs: Iterable[Run], change: Callable[[Content], None]) -> None:
    """Apply `change` to each record."""
    for path, content in runs:
        change(content)
        (path / "record.json").write_text(json.dumps(content, indent=1) + "\n")


def reworded(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))


def settle(folder: Path) -> None:
    """Make everything agree with the records: ids, names, random streams, the table, and the index."""
    for path, content in runs_of(folder):
        consistent(content)
        (path / "record.json").write_text(json.dumps(content, indent=1) + "\n")
        path.rename(path.with_name(f"{content['name']}.new"))
    for path in (folder / "runs").glob("*.new"):
        path.rename(path.with_suffix(""))
    table(folder)
    write_index(folder)


def consistent(content: Content) -> None:
    """Make the head of a record and its random streams agree with its job."""
    job = Job.from_dict(content["job"])
    content.update(id=job.id, name=job.name, suite=job.suite, suite_version=job.version)
    content.update(task=job.task, rule=job.rule, seed=job.seed)
    if content["seeds"]:
        content["seeds"] = {"seed": job.seed, **{stream: stream_seed(job.seed, stream) for stream in STREAMS}}


def table(folder: Path) -> None:
    """Write the table that the records give, if they can be scored."""
    try:
        csv.write_scores(score(list(_readable(folder))), folder)
    except (UserError, ValueError, ZeroDivisionError):
        return


def _readable(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("runs/*/record.json")):
        yield read_record(path)
