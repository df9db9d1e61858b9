"""Pack the runs of one rule and of its references into a folder that anyone can verify."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from grape_bench.arguments import schema_error
from grape_bench.errors import UserError, unknown
from grape_bench.plan.read import read_document
from grape_bench.plan.suite import Suite
from grape_bench.plan.tuning import stated_space
from grape_bench.publish.anonymous import anonymous
from grape_bench.publish.archive import write_archive
from grape_bench.publish.author_patterns import marks
from grape_bench.publish.author_traces import refuse_traces
from grape_bench.publish.card import ANONYMOUS, CARD, Card
from grape_bench.publish.code import copy_code
from grape_bench.publish.index import write_index
from grape_bench.publish.portable import portable, portable_suite
from grape_bench.publish.submission import CONSTRAINTS, RUNS, SOURCE
from grape_bench.record.folder import Found, read_folder, runs_folder
from grape_bench.record.job import Job
from grape_bench.record.manifest import SUITE
from grape_bench.record.record import RECORD, Record, write_record
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.rule_name import RuleName
from grape_bench.record.table import CURVE, DIAGNOSTICS
from grape_bench.record.write import new_folder
from grape_bench.registry import split_file_reference
from grape_bench.report import csv
from grape_bench.score.references import REFERENCE_RULES
from grape_bench.score.table import score


@dataclass(frozen=True)
class About:
    """What the author states about a rule beyond its records."""

    version: str = "1.0"
    paper: str = ""


@dataclass(frozen=True)
class _Chosen:
    """The sources of a publication: the folder of runs, the rule's records, and all records including references."""

    root: Path
    own: Sequence[Record]
    records: Sequence[Record]

    @property
    def place(self) -> str:
        """The path of the publication in results/, such as `quickstart/MyRule`."""
        return f"{self.own[0].suite}/{self.own[0].job.rule_name.label}"

    @property
    def jobs(self) -> list[Job]:
        """The jobs of all records, with the paths of this machine."""
        return [record.job for record in self.records]


def pack(runs: Path, rule: str, output: Path, about: About, *, replace: bool = False) -> Path:
    """Write `<output>/<suite>/<rule>` from the folder `runs`, in one step, and return its path.

    Raises UserError if the rule has no records, if a file of the user's has changed since the runs, or if the folder
    exists and `replace` is false.
    """
    chosen = _choose(runs, rule)
    target = output / chosen.place
    _check_free(target, replace)
    with new_folder(target, replace=replace) as draft:
        _fill(draft, chosen, about, [portable(record) for record in chosen.records])
        suite = read_text(chosen.root / SUITE, Largest.DOCUMENT)
        (draft / SUITE).write_text(portable_suite(suite, chosen.jobs), encoding="utf-8")
        copy_code(draft, chosen.jobs)
        write_index(draft)
    return target


def pack_anonymous(
    runs: Path, rule: str, output: Path, version: str, allowed: Collection[str], *, replace: bool = False
) -> Path:
    """Write `<output>/<suite>/<rule>-anonymous.zip`: the publication without what identifies its author.

    Raises UserError as `pack` does, and if a text by the author, such as code, identifies them, because such texts are
    not changed. Texts in `allowed` do not count.
    """
    chosen = _choose(runs, rule)
    target = output / f"{chosen.place}-anonymous.zip"
    _check_free(target, replace)
    with TemporaryDirectory(prefix="grape-bench-publish-") as place:
        draft = Path(place)
        _fill(draft, chosen, About(version, ANONYMOUS), [anonymous(record) for record in chosen.records])
        suite = read_text(chosen.root / SUITE, Largest.DOCUMENT)
        (draft / SUITE).write_text(portable_suite(suite, chosen.jobs, relative=True), encoding="utf-8")
        copied = copy_code(draft, chosen.jobs)
        folders = {Path.cwd(), chosen.root, *(path.parent for path in copied.values())}
        known = marks(folders, {record.environment.git.commit for record in chosen.records})
        records = {f"{RUNS}/{one.name}/{RECORD}": chosen.root / one.name / RECORD for one in chosen.records}
        refuse_traces(draft, known, {**copied, **records, SUITE: chosen.root / SUITE}, allowed)
        write_index(draft)
        write_archive(draft, target, chosen.place)
    return target


def _choose(runs: Path, rule: str) -> _Chosen:
    root = runs_folder(runs)
    found = read_folder(root).found() if root.is_dir() else Found([], [])
    records, own = found.records, _of(rule, found, runs)
    names = {record.name for record in own}
    return _Chosen(root, own, [one for one in records if one.name in names or one.rule in REFERENCE_RULES])


def _of(rule: str, found: Found, runs: Path) -> list[Record]:
    records, label = found.records, RuleName.parse(rule).label
    if not records:
        raise UserError("no records in this folder", where=str(runs), hint="a folder such as runs/quickstart")
    if RuleName.parse(rule).is_open:
        what = f"{rule!r} has open settings, which are not published as a rule"
        raise UserError(what, where=str(runs), hint="a pull request with baselines/SUITE/open.toml: docs/tuning.md")
    own = [record for record in records if record.job.rule_name.label == label]
    untuned = next((record for record in found.untuned if record.job.rule_name.label == label), None)
    if untuned and not own:
        what = f"{rule!r} has only untuned runs here, and the table of this folder is of tuned rules"
        options = f"{untuned.suite} --rule {untuned.rule}"
        hint = f"grape-bench tune {options} --only {label} && grape-bench run {options}"
        raise UserError(what, where=str(runs), hint=hint)
    if not own:
        raise unknown("rule", rule, {r.job.rule_name.label for r in records}, where=str(runs))
    return own


def _check_free(target: Path, replace: bool) -> None:
    if target.exists() and not replace:
        kind = "file" if target.is_file() else "folder"
        raise UserError(f"this {kind} exists", where=str(target), hint="--replace, or another folder with -o DIR")


def _fill(draft: Path, chosen: _Chosen, about: About, shown: Sequence[Record]) -> None:
    """Write all but the suite, the copies of code and the index. `shown` are the records as they are published."""
    for record in shown:
        target = draft / RUNS / record.name
        target.mkdir(parents=True)
        write_record(target, record)
        for name in (CURVE, DIAGNOSTICS):
            if (chosen.root / record.name / name).is_file():
                shutil.copyfile(chosen.root / record.name / name, target / name)
    (draft / CARD).write_text(_card(chosen.own, chosen.root, about).to_toml(), encoding="utf-8")
    (draft / CONSTRAINTS).write_text(constraints(chosen.own[0]), encoding="utf-8")
    _copy_source(draft, chosen.own[0])
    in_a_readers_order = sorted(shown, key=lambda record: record.name)  # by the names of their folders
    csv.write_scores(score(in_a_readers_order), draft)


def _card(own: Sequence[Record], root: Path, about: About) -> Card:
    document = read_document(root / SUITE)
    try:
        suite = Suite.model_validate(document)
    except ValidationError as error:
        raise schema_error(error, Suite, document, where=str(root / SUITE)) from error
    job = own[0].job
    trials = job.trials
    credits = [record.credit.declared_bp_fraction for record in own if record.credit]
    return Card(
        name=job.rule_name.label,
        version=about.version,
        paper=about.paper,
        source=job.rule_source,
        weight_transport=_weight_transport(own),
        bp_fraction=next((float(credit) for credit in credits if credit is not None), None),
        trials=trials if trials > 1 else 0,
        space=dict(stated_space(suite, job.rule)) if trials > 1 else {},
    )


def _weight_transport(own: Sequence[Record]) -> bool:
    """Whether the rule declares weight transport. Anchors and a finish use exact gradients, so they have it."""
    declared = {record.credit.declared_transport for record in own if record.credit} - {None}
    return any(declared) if declared else _declared_now(own[0].job)


def _declared_now(job: Job) -> bool:
    """The same for records of older versions, which do not store it. Imports the rule, and with it torch."""
    from grape_bench.rules.make import make_rule
    from grape_bench.rules.names import RULES

    name = job.rule_name
    declared = RULES.get(name.reference).weight_transport
    if isinstance(declared, property):  # it depends on the settings
        declared = make_rule(job.rule, **job.rule_settings).weight_transport
    return name.anchored or name.finished or declared


def constraints(record: Record) -> str:
    """The packages of a record in the format of `pip install -c`, without builds such as `+cpu`, which no index has."""
    there = record.environment
    pinned = [
        f"{name}=={version.partition('+')[0]}"
        for name, version in sorted(there.packages.items())
        if name != "grape-bench"
    ]
    return "\n".join([f"# Python {there.python}", *pinned, ""])


def _copy_source(draft: Path, record: Record) -> None:
    """Copy the file of a user's rule to source.py, where a reader looks for it."""
    rule = record.job.rule_name
    if rule.file:
        shutil.copyfile(split_file_reference(rule.reference)[0], draft / SOURCE)
