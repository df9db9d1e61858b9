"""The shipped claims, their page, and the command that prints them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.report.claims import Judged, judged, page, read_claims, total
from grape_bench.score.claim import FAILS, HOLDS, OPEN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> list[Judged]:
    return judged(read_claims(ROOT / "claims"), ROOT / "results")


def test_every_claim_names_recorded_rules_and_gets_a_word(shipped: list[Judged]) -> None:
    assert len(shipped) >= 20 and {one.word for one in shipped} == {HOLDS, FAILS, OPEN}
    told = [one for one in shipped if not one.claim.untestable]
    reasons = {seen.reason for one in told for seen in one.observed}
    assert reasons <= {"", "neither rule is above untrained features"}  # no rule is missing, and no seed


def test_a_claim_may_be_filed_before_its_suite_ran_if_the_suite_has_its_tasks_and_rules(shipped: list[Judged]) -> None:
    for one in shipped:
        if one.missing:
            assert one.word == OPEN
            cells = {(job.task, job.rule) for job in make_plan(one.claim.suite, Overrides()).jobs}
            assert {(task, rule) for task in one.claim.tasks for rule in (one.claim.rule, one.claim.than)} <= cells


def test_a_claim_says_what_differs_from_its_source(shipped: list[Judged]) -> None:
    assert all("seed" in one.claim.differs for one in shipped)


def test_the_page_has_every_claim_and_loads_nothing(shipped: list[Judged]) -> None:
    html = page(shipped)
    assert html.count("<details") == len(shipped)
    assert "http://" not in html and "https://" not in html and "<script" not in html


def test_the_table_fits_80_columns_and_counts_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(cli, ["claims"])
    assert result.exit_code == 0 and max(map(len, result.output.splitlines())) <= 80
    assert f"{len(list((ROOT / 'claims').glob('*.toml')))} claims: " in result.output


def test_a_star_needs_a_word_that_survives_the_correction_for_the_number_of_claims(shipped: list[Judged]) -> None:
    kept = [one for one in shipped if one.confirmed]
    assert kept and all(one.word in (HOLDS, FAILS) and one.p < one.adjusted < 0.05 for one in kept)
    lost = [one for one in shipped if one.word in (HOLDS, FAILS) and not one.confirmed]
    assert lost and all(one.p < 0.05 <= one.adjusted for one in lost)
    (sentence,) = (text for text in total(shipped).split(". ") if "Holm" in text)
    assert f"{sum(one.word == HOLDS for one in kept)} still hold" in sentence


def test_one_claim_is_printed_with_its_source_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert "Caillon" in CliRunner().invoke(cli, ["claims", "grape-above-dfa-cifar10"]).output
    found = json.loads(CliRunner().invoke(cli, ["claims", "grape-above-dfa-cifar10", "--json"]).output)
    assert found[0]["word"] == HOLDS and found[0]["observed"][0]["n"] == 5


def test_a_misspelled_claim_and_a_wrong_file_are_user_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(cli, ["claims", "grape-above-dfa-cifar"])
    assert result.exit_code == 2 and "did you mean" in result.output
    (tmp_path / "one.toml").write_text('sentence = "x"\ndirektion = "above"\n')
    with pytest.raises(UserError, match=r"direktion"):
        read_claims(tmp_path)
    with pytest.raises(UserError, match="no claims in this folder"):
        read_claims(tmp_path / "absent")


def test_a_suite_without_runs_cannot_tell(tmp_path: Path) -> None:
    claims = dict(list(read_claims(ROOT / "claims").items())[:1])
    (one,) = judged(claims, tmp_path)
    assert one.word == OPEN and "has no runs" in one.missing
