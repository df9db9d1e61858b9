"""One value of one record is changed at random. A check finds it, or the value is one that only a rerun can tell."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest

from grape_bench.network.transport import Transport
from grape_bench.publish import checks
from grape_bench.publish.checks.credit import WORDS
from grape_bench.publish.submission import Submission, read_submission
from grape_bench.record.record import Record
from tests.publish.authored import publish
from tests.publish.mutations import CHEAP_FIRST, Mutation, finding_check, mutations

ONLY_A_RERUN_SEES = re.compile(
    r"credit/(forward_passes|backward_passes|transport|own_steps)"  # within bounds; none of them is a score
    r"|diagnostics/\w+"
    r"|environment/(platform|python|packages/grape-bench|hardware/threads)"
    r"|features/(penalty|test_error)"
    r"|memory/\w+"
    r"|profile/(step_ratio|low|high|bp_step_s|rounds|holders/\w+|split/\w+|pipeline/.+)"
    r"|result/test_loss"
    r"|job/(profile|probes)"  # what else was measured
    r"|time/resumed|started|ended"
)
"""Values that one record alone states, if they stay possible. No score of the table is among them but the costs."""


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    return read_submission(publish(tmp_path_factory.mktemp("author")))


def run_of(submission: Submission, rule: str, seed: int) -> Record:
    runs = [one for one in submission.records.values() if one.task == "digits-mlp" and one.seed == seed]
    return next(one for one in runs if one.job.rule_name.label == rule)


def missed(submission: Submission, record: Record, chosen: list[Mutation]) -> list[str]:
    found = [one for one in chosen if not finding_check(submission, record, one)]
    return [f"{one.path} = {one.value!r}" for one in found if not ONLY_A_RERUN_SEES.fullmatch(one.path)]


@pytest.mark.parametrize(("rule", "seed"), [("Mine", 0), ("bp", 1), ("frozen", 2)])
def test_mutations_of_a_record_are_found(submission: Submission, rule: str, seed: int) -> None:
    record = run_of(submission, rule, seed)
    assert missed(submission, record, list(islice(mutations(record.to_dict(), seed), 25))) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["Mine", "bp", "dfa", "frozen", "head-only"])
def test_every_value_of_a_record(submission: Submission, rule: str, seed: int) -> None:
    record = run_of(submission, rule, seed)
    assert missed(submission, record, mutations(record.to_dict(), seed)) == []


def test_a_score_is_never_left_to_a_rerun() -> None:
    scores = ("result/test", "result/validation", "result/train_loss", "features/test", "metric/chance", "status")
    assert not [one for one in scores if ONLY_A_RERUN_SEES.fullmatch(one)]


def test_the_mutations_meet_every_check_that_reads_records() -> None:
    assert {*CHEAP_FIRST} == {*checks.NAMES} - {"files", "table"}


def test_the_words_of_transport() -> None:
    assert get_args(Transport) == WORDS


def test_mutations_are_seeded(submission: Submission, tmp_path: Path) -> None:
    content = run_of(submission, "bp", 1).to_dict()
    assert mutations(content, 3) == mutations(content, 3) != mutations(content, 4)
