"""The leaderboard: baselines, a row per submission, and nothing that one submission does to another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.publish.badge import stage, write_verification
from grape_bench.publish.index import write_index
from grape_bench.publish.site import Board, build, preview
from grape_bench.publish.verify import Verification, verify
from tests.publish.authored import RECORDED, edit, publish, runs_of, settle
from tests.publish.forged_settings import rule_called

RANKED = {"bp", "fa", "dfa", "dfa+anchor", "grape", "grape+anchor", "frozen", "head-only"}
BASELINE = {*RANKED, "bp:open", "dfa:open"}


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("author"))


@pytest.fixture
def root(tmp_path: Path, submission: Path) -> Path:
    """The maintainers' results, with two submissions of one name."""
    root = tmp_path / "results"
    shutil.copytree(RECORDED, root / "quickstart" / "runs")
    for name in ("Mine", "Other"):
        shutil.copytree(submission, root / "quickstart" / name)
    return root


@pytest.fixture(autouse=True)
def _no_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of the suites take seconds, and most of these tests are about the boards."""
    if "page" not in request.node.name:
        monkeypatch.setattr("grape_bench.report.page.render", lambda *given: "")


def board_of(root: Path) -> Board:
    (board,) = build(root, root.parent / "site")
    return board


def by_folder(board: Board) -> dict[str, str]:
    return {entry.folder.name: entry.badge for entry in board.entries}


def rerun_by_a_maintainer(folder: Path, root: Path) -> None:
    verified = Verified(verify(folder))
    write_verification(verified, 0, root / "verifications")


class Verified(Verification):
    """A verification whose reruns, which take minutes, agreed."""

    badge = "verified"

    def __init__(self, checked: Verification) -> None:
        super().__init__(checked.submission, checked.outcomes)


def norm_acc(board: Board, rule: str) -> float:
    assert board.results is not None
    overall = board.results.overall.set_index("rule")
    return float(overall.loc[rule, "norm_acc"])


def test_only_rows_that_a_maintainer_has_rerun_are_ranked(root: Path) -> None:
    rerun_by_a_maintainer(root / "quickstart" / "Other", root)
    shutil.rmtree(root / "quickstart" / "Mine")  # the same content, and so the same reruns
    shutil.copytree(root / "quickstart" / "Other", root / "quickstart" / "Mine")
    edit(runs_of(root / "quickstart" / "Mine", "Mine"), lambda record: record["memory"].update(peak_bytes=10**8))
    settle(root / "quickstart" / "Mine")
    board = board_of(root)
    assert by_folder(board) == {"Mine": "recomputed", "Other": "verified"}
    assert board.results is not None and set(board.results.rules) == {*BASELINE, "Mine (Other)"}
    overview = (root.parent / "site" / "index.html").read_text()
    assert "Not ranked: nobody has rerun it yet." in overview and "Norm acc as published: 0." in overview


def test_without_submissions_the_baselines_make_a_page(root: Path) -> None:
    for name in ("Mine", "Other"):
        shutil.rmtree(root / "quickstart" / name)
    board = board_of(root)
    assert not board.entries and board.results is not None and set(board.results.rules) == BASELINE
    assert (root.parent / "site" / "quickstart" / "index.html").is_file()


def test_a_card_with_the_name_of_another_row_changes_no_other_row(root: Path) -> None:
    suite = root / "quickstart"
    rerun_by_a_maintainer(suite / "Mine", root)
    shutil.rmtree(suite / "Other")
    before = board_of(root)
    for name in ("bp", "dfa", "Mine"):
        other = Path(shutil.copytree(suite / "Mine", suite / f"z-{name}"))
        rule_called(name)(other) if name != "Mine" else None
        edit(runs_of(other, "bp"), lambda record: record["result"].update(test=11.1))
        edit(runs_of(other, "bp"), lambda record: record.update(ended="9999-01-01T00:00:00.000+00:00"))
        settle(other)
    after = board_of(root)
    assert after.results is not None and len(after.results.rules) == len(BASELINE) + 1
    for rule in RANKED:
        assert norm_acc(after, rule) == norm_acc(before, rule), rule
    assert norm_acc(after, "Mine (Mine)") == norm_acc(before, "Mine")
    assert by_folder(after) == {"Mine": "verified", "z-bp": "reported", "z-dfa": "reported", "z-Mine": "reported"}


def test_a_verification_of_the_submitters_own_gives_no_badge(root: Path) -> None:
    mine = root / "quickstart" / "Mine"
    content = {"id": json.loads((mine / "index.json").read_text())["id"], "badge": "verified"}
    (mine / "verification.json").write_text(json.dumps(content))
    (mine / "verifications").mkdir()
    (mine / "verifications" / f"{content['id']}.json").write_text(json.dumps(content))
    write_index(mine)
    assert by_folder(board_of(root))["Mine"] == "reported"


def test_a_linked_folder_is_no_submission_and_a_linked_verification_counts_for_nothing(root: Path) -> None:
    mine = root / "quickstart" / "Mine"
    rerun_by_a_maintainer(mine, root)
    (saved,) = (root / "verifications").iterdir()
    saved.rename(root / "saved.json")
    saved.symlink_to(root / "saved.json")
    shutil.move(mine, root.parent / "elsewhere")
    mine.symlink_to(root.parent / "elsewhere")
    assert by_folder(board_of(root)) == {"Other": "recomputed"}


def half_an_index(folder: Path) -> None:
    (folder / "index.json").write_text('{"schema": 1')


def no_card(folder: Path) -> None:
    (folder / "rule.toml").unlink()


def half_a_card(folder: Path) -> None:
    (folder / "rule.toml").write_text("name = [")


def no_suite(folder: Path) -> None:
    (folder / "suite.toml").unlink()


def half_a_suite(folder: Path) -> None:
    (folder / "suite.toml").write_text('name = "quickstart"')


def half_a_record(folder: Path) -> None:
    (runs_of(folder, "Mine")[0][0] / "record.json").write_text("{")


def no_runs(folder: Path) -> None:
    shutil.rmtree(folder / "runs")


def half_a_curve(folder: Path) -> None:
    (runs_of(folder, "Mine")[0][0] / "curve.csv").write_text("epoch")


def a_file_more(folder: Path) -> None:
    (folder / "extra").touch()


def another_budget(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["job"].update(epochs=1))
    settle(folder)


def a_trial(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"].update(trial=1))
    settle(folder)


BROKEN = [
    half_an_index,
    no_card,
    half_a_card,
    no_suite,
    half_a_suite,
    half_a_record,
    no_runs,
    half_a_curve,
    a_file_more,
    another_budget,
    a_trial,
]


def test_broken_submissions_are_listed_with_the_reason_and_the_rest_is_built(root: Path) -> None:
    suite = root / "quickstart"
    rerun_by_a_maintainer(suite / "Other", root)
    for breaks in BROKEN:
        breaks(Path(shutil.copytree(suite / "Mine", suite / breaks.__name__)))
    shutil.rmtree(suite / "Mine")
    board = board_of(root)
    assert board.results is not None and len(board.results.rules) == len(BASELINE) + 1
    assert by_folder(board) == {"Other": "verified", **{breaks.__name__: "reported" for breaks in BROKEN}}
    reasons = {entry.folder.name: entry.reason for entry in board.entries}
    assert not reasons.pop("Other")
    assert all(reason and "it cannot be checked" not in reason for reason in reasons.values()), reasons


def test_a_check_that_fails_itself_stops_no_other_submission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(folder: Path) -> Verification:
        if folder.name == "Mine":
            raise ZeroDivisionError
        return verify(folder)

    monkeypatch.setattr("grape_bench.publish.site.verify", failing)
    reasons = {entry.folder.name: entry.reason for entry in board_of(root).entries}
    assert reasons == {"Mine": "it cannot be checked: ZeroDivisionError", "Other": "nobody has rerun it yet"}


def test_baselines_that_fail_their_checks_are_not_used(root: Path) -> None:
    edit(runs_of(root / "quickstart", "dfa"), lambda record: record["result"].update(test=5.0))
    board = board_of(root)
    assert board.results is None and "is no share of 359 samples" in board.refused


def test_a_submission_called_runs_is_no_baseline(root: Path) -> None:
    shutil.rmtree(root / "quickstart" / "runs")
    shutil.copytree(root / "quickstart" / "Mine", root / "quickstart" / "runs")
    shutil.copyfile(RECORDED / "manifest.json", root / "quickstart" / "runs" / "manifest.json")
    board = board_of(root)
    assert board.results is None and {entry.reason for entry in board.entries if entry.folder.name != "runs"} == {
        "there are no baselines of this suite to compare it with"
    }


def test_a_folder_without_publications_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no publications in this folder"):
        build(tmp_path, tmp_path / "site")


def test_a_submission_sees_its_row_before_it_is_ranked(root: Path) -> None:
    mine = root / "quickstart" / "Mine"
    rules = {record.job.rule_name.label for record in preview(root, mine)}
    assert rules == BASELINE | {verify(mine).submission.card.name}
    with pytest.raises(UserError, match="no baselines of this suite"):
        preview(root.parent / "elsewhere", mine)
    (mine / "table.csv").write_text("task,rule\n")
    with pytest.raises(UserError, match="the check files fails"):
        preview(root, mine)


def test_the_stages_of_a_submission(root: Path) -> None:
    mine, reruns = root / "quickstart" / "Mine", root / "verifications"
    assert stage(verify(mine), reruns) == "recomputed"
    rerun_by_a_maintainer(mine, root)
    assert stage(verify(mine), reruns) == "rerun"
    (path,) = reruns.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "confirmed": "A. Author, 2026-11-27"}))
    assert stage(verify(mine), reruns) == "confirmed by its authors"
    (mine / "rule.toml").write_text((mine / "rule.toml").read_text() + "\n")
    assert stage(verify(mine), reruns) == "received"
