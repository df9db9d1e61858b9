"""The file of a rule's settings that a search has found: `baselines/<suite>/<rule>.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from grape_bench.errors import UserError
from grape_bench.plan.find import baseline_folders
from grape_bench.plan.suite import Settings, Space, Suite
from grape_bench.record.rule_name import RuleName


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Trial(_Part):
    """One point of the search and how it did on the validation split; as chance does where it diverged."""

    settings: Settings
    status: str
    validation: float
    validation_loss: float | None = None


class Choice(_Part):
    """The outcome on one task; `definition` stands for the task and budget that the settings were found for."""

    definition: str
    metric: str
    trial: int
    settings: Settings
    trials: list[Trial]


class Tuned(_Part):
    """One rule's settings on the tasks of one suite, and where they come from."""

    schema_: Literal[1] = Field(alias="schema")
    suite: str
    version: str
    rule: str
    rule_source: str  # hash of the file that defined the rule
    numerics: dict[str, int] = {}  # of the parts that made the trials, by name; absent means 1
    trials: int
    space: Space
    sampler: str
    seeds: list[int]
    tasks: dict[str, Choice]
    git: dict[str, JsonValue]
    hardware: list[str]
    packages: dict[str, str]
    date: str

    def to_dict(self) -> dict[str, JsonValue]:
        """What the file says, as JSON types."""
        content: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return content


def tuned_file(folder: Path, rule: str) -> Path:
    """Where the settings of `rule` lie in a suite's `folder`."""
    return folder / f"{RuleName.parse(rule).file_label}.json"


def find_tuned(suite: Suite, rule: str, folders: Sequence[Path] | None = None) -> tuple[Tuned, Path] | None:
    """The settings of `rule` and their file; None where there are none.

    Searches `folders`; by default the user's own baselines, then those that come with the package.
    """
    for folder in baseline_folders() if folders is None else folders:
        path = tuned_file(folder / suite.name, rule)
        if path.is_file():
            return read_tuned(path), path
    return None


def read_tuned(path: Path) -> Tuned:
    """The settings in the file `path`; raises UserError where it is not such a file."""
    try:
        return Tuned.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        what = f"not a file of tuned settings: {str(error).splitlines()[0]}"
        raise UserError(what, where=str(path), hint="grape-bench tune SUITE writes it anew") from error
