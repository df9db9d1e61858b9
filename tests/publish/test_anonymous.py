"""An anonymous publication says nothing about its author, passes every check, and is otherwise the same submission."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.errors import UserError
from grape_bench.publish.anonymous import anonymous
from grape_bench.publish.archive import opened
from grape_bench.publish.index import shared_id
from grape_bench.publish.pack import About, pack, pack_anonymous
from grape_bench.publish.sandbox import missing
from grape_bench.publish.site import build
from grape_bench.publish.verify import verify
from grape_bench.record.environment import SlurmJob
from grape_bench.record.parts import Data, Diagnostics
from grape_bench.record.record import read_record, write_record
from grape_bench.record.status import Status
from tests.publish.author import PLANTED, become
from tests.publish.authored import RECORDED, ran
from tests.score.records import changed, make

SUITE = """\
name = "small"
version = "1.0"
rules = ["bp", "dfa", "head-only"]
seeds = 2
probes = 0
[[task]]
name = "rows"
model = "HERE/nets.py:net"
dataset = "csv:HERE/data"
dataset_args = { label_column = "label" }
epochs = 2
batch_size = 32
optimizer = { name = "sgd", lr = 0.1 }
"""
RULE = """\
import grape_bench as gb


class Halved(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error / 2, block)
"""
NET = """\
from torch import nn


def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, classes))
"""
ROWS = "a,b,label\n" + "".join(f"{n % 7 + n % 2},{n % 5},{n % 2}\n" for n in range(200))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of two seeds whose records hold what records may hold of their author's machine."""
    runs = ran(become(tmp_path, monkeypatch))
    (runs / "manifest.json").unlink()  # the tests change jobs, which it lists
    for path in runs.glob("*/record.json"):
        record = read_record(path)
        if record.seed > 1:
            shutil.rmtree(path.parent)
            continue
        if record.rule.endswith(":Mine"):
            record = changed(record, rule="../thesis/mine.py:Mine")
        packages = {**record.environment.packages, "torch": "2.14.1+windmill7"}
        there = replace(record.environment, packages=packages, platform="Linux-6.1-zelda-x86_64-with-glibc2.36")
        lost = {"probes": "OSError: windmill7: /home/zelda/x.so"} if record.rule == "bp" else None
        write_record(path.parent, replace(record, environment=there, lost=lost))
    return runs


def publish(runs: Path, *allowed: str) -> Path:
    return pack_anonymous(runs, "Mine", runs.parent / "out", "1.0", allowed)


def texts(archive: Path) -> dict[str, str]:
    with ZipFile(archive) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}


def test_nothing_of_the_author_is_in_the_zip(runs: Path) -> None:
    commit = read_record(next(runs.glob("*/record.json"))).environment.git.commit
    found = texts(publish(runs))
    everything = "\n".join([*found, *found.values()]).casefold()
    for planted in (*PLANTED, commit[:7], "/home", str(runs.parent), "thesis", "A paper"):
        assert planted.casefold() not in everything, planted
    assert 'paper = "anonymous"' in found["quickstart/Mine/rule.toml"]
    assert found["quickstart/Mine/source.py"] == (runs.parent / "mine.py").read_text()


def test_the_zip_is_the_same_submission(runs: Path) -> None:
    """All checks pass, apart from the seeds that the fixture left out; ids, curves, table and code are equal."""
    named = verify(pack(runs, "Mine", runs.parent / "named", About(paper="A paper")))
    with opened(publish(runs)) as folder:
        hidden = verify(folder)
    failing = [[outcome.name for outcome in one.outcomes if not outcome.ok] for one in (named, hidden)]
    assert failing == [["plan"], ["plan"]]
    one, other = named.submission, hidden.submission
    assert {name: r.id for name, r in one.records.items()} == {name: r.id for name, r in other.records.items()}
    assert one.index["id"] != other.index["id"] and shared_id(one.index["files"]) == shared_id(other.index["files"])
    assert {r.environment.git.commit for r in other.records.values()} == {"withheld"}


def test_the_zip_is_equal_to_the_bit(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(runs).read_bytes()
    (runs.parent / "out").rename(runs.parent / "before")
    monkeypatch.setattr("time.time", lambda: 2e9)
    for path in (runs.parent / "mine.py", *runs.rglob("*.csv")):
        path.chmod(0o755)
    archive = publish(runs)
    assert archive.read_bytes() == first
    with ZipFile(archive) as opened:
        infos = opened.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    facts = {(info.date_time, info.external_attr >> 16, info.create_system, info.extra) for info in infos}
    assert facts == {((1980, 1, 1, 0, 0, 0), 0o100644, 3, b"")}


def test_a_withheld_commit_passes_in_an_anonymous_publication_only(runs: Path) -> None:
    from grape_bench.publish.index import write_index

    with opened(publish(runs)) as folder:
        card = folder / "rule.toml"
        card.write_text(card.read_text().replace('"anonymous"', '"A paper"'))
        write_index(folder)
        failing = [outcome.name for outcome in verify(folder).outcomes if not outcome.ok]
    assert failing == ["plan", "environment"]


def in_the_rule(line: str) -> Callable[[Path], None]:
    def plant(runs: Path) -> None:
        file = runs.parent / "mine.py"
        file.write_text(f"import grape_bench as gb\n{line}\n{file.read_text()}")
        again(runs)

    return plant


def in_the_suite(line: str) -> Callable[[Path], None]:
    def plant(runs: Path) -> None:
        (runs / "suite.toml").write_text(f"{line}\n{(runs / 'suite.toml').read_text()}")

    return plant


def again(runs: Path) -> None:
    """Give the records the hash of the author's file as it is now."""
    from grape_bench.user_code import user_code

    source = user_code(runs.parent / "mine.py").digest
    for path in [*runs.glob("*.Mine.*/record.json")]:
        record = changed(read_record(path), rule_source=source)
        write_record(path.parent, record)
        path.parent.rename(runs / record.name)


@pytest.mark.parametrize(
    ("plant", "place", "text", "what"),
    [
        (in_the_rule("# By zelda"), "mine.py, line 2", "zelda", "your user name"),
        (in_the_rule("# Z. Quixote, 2026"), "mine.py, line 2", "Z. Quixote", "your name in git"),
        (in_the_rule("# zq@mancha.example"), "mine.py, line 2", "zq@mancha.example", "an e-mail address"),
        (in_the_rule("# ran on windmill7"), "mine.py, line 2", "windmill7", "the name of your machine"),
        (in_the_rule("x = '/home/me/x'"), "mine.py, line 2", "/home/me/x", "an absolute path"),
        (in_the_rule("# github.com/dulcinea-lab/x"), "mine.py, line 2", "dulcinea-lab", "git remote origin"),
        (in_the_rule("# logs: rocinante.mancha.example"), "line 2", "rocinante.mancha.example", "MLflow store"),
        (in_the_rule("__author__ = 'x'"), "mine.py, line 2", "__author__", "a line about an author"),
        (in_the_suite("# Author: x"), "runs/suite.toml, line 1", "Author:", "a line about an author"),
        (in_the_suite("# data in /data/lab/x"), "runs/suite.toml, line 1", "/data/lab/x", "an absolute path"),
    ],
)
def test_a_text_of_the_authors_own_is_refused(
    runs: Path, plant: Callable[[Path], None], place: str, text: str, what: str
) -> None:
    plant(runs)
    with pytest.raises(UserError) as error:
        publish(runs)
    assert f"{place}: {text!r} is " in str(error.value) and what in str(error.value)
    assert "--allow TEXT" in error.value.hint and not (runs.parent / "out").exists()
    assert publish(runs, text.upper(), "quixote", "mancha.example").is_file()


def test_a_name_in_a_setting_is_refused_with_its_record(runs: Path) -> None:
    for path in [*runs.glob("*/record.json")]:
        record = read_record(path)
        record = changed(record, task=f"quixote-{record.task}")
        write_record(path.parent, record)
        path.parent.rename(runs / record.name)
    (runs / "suite.toml").write_text((runs / "suite.toml").read_text().replace("digits-mlp", "zelda-task"))
    with pytest.raises(UserError, match=r"suite.toml, line \d+: 'zelda' is your user name(.*\n)*.*'quixote'"):
        publish(runs)


def test_a_rule_named_after_its_author_is_refused_by_its_name(runs: Path) -> None:
    mine = runs.parent / "mine.py"
    mine.rename(mine.with_name("zelda_rule.py"))
    for path in runs.glob("*.Mine.*/record.json"):
        record = read_record(path)
        write_record(path.parent, changed(record, rule=record.rule.replace("mine.py", "zelda_rule.py")))
    with pytest.raises(UserError, match=r"the name of .*zelda_rule.py: 'zelda' is your user name"):
        publish(runs)


def test_a_record_loses_what_its_job_id_does_not_cover() -> None:
    record = make("dfa")
    hashes = {"rule_source": "1" * 16, "contents": {"dataset": "2" * 16}}
    record = changed(record, rule="../zelda/my.py:MyRule+anchor", dataset="csv:zelda/iris", **hashes)
    slurm = SlurmJob(job="zelda-1", state="x", stdout="", stderr="")
    packages = {"torch": "2.5.0+cu124", "numpy": "2.0+mancha", "grape-bench": "0.1.0"}
    there = replace(record.environment, slurm=slurm, packages=packages, platform="macOS-15-windmill7")
    data = Data(name=record.job.dataset)
    crashed = replace(record, status=Status.CRASHED, reason="zelda", environment=there, data=data)
    crashed = replace(crashed, diagnostics=Diagnostics(moments=1, failed="probe: windmill7"))
    shown = anonymous(crashed)
    assert (shown.job.rule, shown.job.dataset, shown.job.id) == ("my.py:MyRule+anchor", "csv:iris", record.id)
    assert shown.reason == "withheld" and shown.environment.platform == "macOS" and shown.environment.slurm is None
    assert shown.environment.packages == {"torch": "2.5.0+cu124", "numpy": "2.0", "grape-bench": "0.1.0"}
    assert not any(planted in str(shown.to_dict()) for planted in PLANTED)
    diverged = replace(record, status=Status.DIVERGED, reason="result.test is nan")
    assert anonymous(diverged).reason == "result.test is nan", "a check reads it"


def test_the_leaderboard_names_no_author(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.report.page.render", lambda *given: "")
    results = runs.parent / "results"
    shutil.copytree(RECORDED, results / "quickstart" / "runs")
    archive = publish(runs)
    with ZipFile(archive) as opened:
        opened.extractall(results)
    (board,) = build(results, runs.parent / "site")
    assert [(entry.rule, entry.paper) for entry in board.entries] == [("Mine", "anonymous")]
    assert "Mine 1.0, anonymous" in (runs.parent / "site" / "index.html").read_text()
    with pytest.raises(UserError, match="this is a file"):
        build(archive, runs.parent / "site")


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    return done.exit_code, done.output


def test_the_commands(runs: Path) -> None:
    code, said = call("publish", str(runs), "--rule", "Mine", "--anonymous", "--paper", "By Zelda", "-o", "out")
    assert code == 1 and "published to out/quickstart/Mine-anonymous.zip" in said  # a seed is missing in the fixture
    assert "FAILED  plan" in said and "out/quickstart/Mine-anonymous.zip: reported" in said
    assert call("publish", str(runs), "--rule", "Mine", "--anonymous", "-o", "out")[0] == 2
    assert "this file exists" in call("publish", str(runs), "--rule", "Mine", "--anonymous", "-o", "out")[1]
    (runs / "suite.toml").write_text(f"# Author: x\n{(runs / 'suite.toml').read_text()}")
    again = ("publish", str(runs), "--rule", "Mine", "--anonymous", "-o", "out", "--replace")
    assert call(*again)[0] == 2 and call(*again, "--allow", "author:")[0] == 1
    assert "--allow belongs to --anonymous" in call("publish", str(runs), "--rule", "Mine", "--allow", "x")[1]
    code, said = call("verify", "out/quickstart/Mine-anonymous.zip")
    assert code == 1 and said.count("ok    ") == 20 and "/tmp" not in said
    assert json.loads(texts(Path("out/quickstart/Mine-anonymous.zip"))["quickstart/Mine/index.json"])["schema"] == 1


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing() or "isolation is available")
def test_from_a_rule_to_a_rerun_of_its_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The author's rule, model and table lie in folders with their name. A reviewer has the zip and the table."""
    repository = become(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    commit = "4d0f6b1c9a7e2853bb6120d9f3ac47e851f0c2d8"
    monkeypatch.setattr("grape_bench.execute.sweep.git_state", lambda: {"commit": commit, "dirty": False})
    for name, content in {"rules/mine.py": RULE, "nets.py": NET, "data/train.csv": ROWS, "data/test.csv": ROWS}.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(content)
    (repository / "small.toml").write_text(SUITE.replace("HERE", str(repository)))
    ran = call("run", "small.toml", "--rule", "rules/mine.py:Halved", "--tracking-uri", "none")
    assert ran[0] == 0, ran[1]
    code, said = call("publish", "runs/small", "--rule", "Halved", "--anonymous", "-o", str(tmp_path))
    assert code == 0, said
    named = call("publish", "runs/small", "--rule", "Halved", "-o", str(tmp_path))[1]
    (digest,) = {line for text in (said, named) for line in text.splitlines() if line.startswith("digest")}
    assert len(digest.split()[1]) == 64

    archive = tmp_path / "small" / "Halved-anonymous.zip"
    for name, text in texts(archive).items():
        for planted in (*PLANTED, "thesis", str(tmp_path), commit[:7], "Linux-", "mlflow"):
            assert planted.casefold() not in f"{name}\n{text}".casefold(), (planted, name)
    shutil.move(repository / "data", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "home")
    code, said = call("verify", str(archive), "--rerun", "2", "--data", "copy")
    assert code == 0 and said.count("to the bit") == 2 and f"{archive}: verified" in said, said
