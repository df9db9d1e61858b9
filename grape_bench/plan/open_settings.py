"""Open settings: better settings of a rule, found by anyone with any number of trials (`baselines/<suite>/open.toml`).

Their rows come below the rows with equal budgets. They are never references and never ranked.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StringConstraints, ValidationError

from grape_bench.arguments import schema_error
from grape_bench.errors import UserError, unknown
from grape_bench.plan.find import baseline_folders
from grape_bench.plan.job import make_job
from grape_bench.plan.read import read_document
from grape_bench.plan.suite import Settings, Suite, Task, TomlTable
from grape_bench.record.job import OPTIMIZER_SETTINGS, Job
from grape_bench.record.rule_name import FROZEN, RuleName
from grape_bench.rules.names import RULES

FILE = "open.toml"
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
EXAMPLES = {
    "open": '[[open]], with rule = "...", by = "...", source = "...", date = ... below it',
    "by": 'by = "Jane Doe"',
    "source": 'source = "200 random trials on validation, https://example.org/search"',
    "date": "date = 2026-07-01",
    "task": "[open.task.NAME] with settings = { lr = 3e-3 } and definition",
    "settings": "settings = { lr = 3e-3, weight_decay = 1e-4 }",
}


class OpenTask(TomlTable):
    """The settings on one task. `definition` identifies the task and budget that they were found for."""

    settings: Annotated[Settings, Field(min_length=1)]
    definition: str = ""


class OpenEntry(TomlTable):
    """Settings of one rule, by task: who sent them, and how they were found."""

    rule: Line
    by: Line
    source: Line
    date: datetime.date
    task: Annotated[dict[str, OpenTask], Field(min_length=1)]


class OpenFile(TomlTable):
    """The content of open.toml."""

    entries: Annotated[list[OpenEntry], Field(alias="open", min_length=1)]


class Sent(NamedTuple):
    """The settings of a rule on a task, and who sent them."""

    settings: Settings
    by: str


@dataclass(frozen=True)
class Opened:
    """The open settings of a suite by (task, rule), and the file that they come from."""

    path: Path | None = None
    sent: Mapping[tuple[str, str], Sent] = field(default_factory=dict)

    def job(self, suite: Suite, task: Task, rule: str, **more: Any) -> Job | None:
        """The job of seed 0 for the open settings of `rule` on `task`, if there are any. `more` as for `make_job`."""
        found = self.sent.get((task.name, rule))
        if found is None:
            return None
        return make_job(suite, task, str(RuleName.parse(rule).opened), 0, found.settings, open_by=found.by, **more)

    def note(self, rules: Collection[str]) -> str:
        """A line for the user on the open settings of `rules`. Raises UserError if there are none."""
        chosen = {f"{rule} by {sent.by}": None for (_, rule), sent in self.sent.items() if rule in rules}
        if not chosen:
            every = sorted({rule for _, rule in self.sent})
            what = "no open settings of these rules" if every else "nobody has sent open settings of this suite"
            allowed = ", ".join(every)
            raise UserError(what, where=str(self.path or "--open"), allowed=allowed, hint="leave out --open")
        return f"open settings: {', '.join(chosen)} ({self.path})"


NOT_OPEN = Opened()


def open_settings(suite: Suite, folders: Sequence[Path] | None = None) -> Opened:
    """The open settings of `suite`; empty if there is no file.

    Searches `folders`. The default is the user's own baselines, then those that ship with the package. Raises
    UserError for a file that does not fit the suite.
    """
    for folder in baseline_folders() if folders is None else folders:
        path = folder / suite.name / FILE
        if path.is_file():
            return _read(path, suite)
    return NOT_OPEN


def check_settings(opened: Opened) -> None:
    """Raise UserError for a setting that its rule does not have. Imports the rules, and with them torch."""
    from grape_bench.rules.make import check_settings as check

    for (task, rule), sent in opened.sent.items():
        try:
            check(rule, sent.settings, also=OPTIMIZER_SETTINGS)
        except UserError as error:
            hint = "settings of the rule and of its optimizer; the task's budget is equal for every row"
            where = f"{opened.path}: {rule} on {task}"
            raise UserError(error.what, where=where, allowed=error.allowed, hint=hint) from error


def _read(path: Path, suite: Suite) -> Opened:
    document = read_document(path)
    try:
        entries = OpenFile.model_validate(document, by_alias=True, by_name=False).entries
    except ValidationError as error:
        raise schema_error(error, OpenFile, document, where=str(path), examples=EXAMPLES) from error
    sent: dict[tuple[str, str], Sent] = {}
    for entry in entries:
        _check_entry(entry, suite, str(path))
        for task, found in entry.task.items():
            if (task, entry.rule) in sent:
                what = f"{entry.rule} has open settings on {task} twice"
                raise UserError(what, where=str(path), hint="keep the better ones")
            sent[task, entry.rule] = Sent(found.settings, entry.by)
    return Opened(path, sent)


def _check_entry(entry: OpenEntry, suite: Suite, where: str) -> None:
    """Raise UserError unless the suite has the rule and the tasks of `entry`, as they were when it was sent."""
    rules = [rule for rule in suite.rules if rule != FROZEN and _ships(RuleName.parse(rule))]
    if entry.rule not in rules:
        raise unknown("rule", entry.rule, rules, where=where)
    tasks = {task.name: task for task in suite.tasks_of(entry.rule)}
    for name, found in entry.task.items():
        if name not in tasks:
            raise unknown("task", name, tasks, where=f"{where}: {entry.rule}")
        now = make_job(suite, tasks[name], entry.rule, 0).definition
        if found.definition != now:
            what, hint = "'definition' is missing", f'definition = "{now}"'
            if found.definition:
                what = "the task, its budget or the suite's settings have changed since these settings were found"
                hint = f"leave out --set, or search again and write {hint}"
            raise UserError(what, where=f"{where}: {entry.rule} on {name}", hint=hint)


def _ships(name: RuleName) -> bool:
    return not name.file and not name.variant and RULES.builtin(name.base) is not None
