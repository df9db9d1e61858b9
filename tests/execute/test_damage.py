"""Damaged files of a finished sweep: `run` runs the jobs again, and the other commands name the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.execute.resume import survey
from grape_bench.record.folder import read_records

SUITE = """\
name = "tiny"
version = "1.0"
rules = ["bp", "dfa"]
seeds = 1
features = false
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [8] }
dataset = "digits"
epochs = 4
batch_size = 512
optimizer = { name = "sgd", lr = 0.1 }
"""
Damage = Callable[[bytes], bytes]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite and its finished runs, as `grape-bench run` leaves them."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ran = call("run", "tiny.toml", "--tracking-uri", "none")
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished runs, as the current folder."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(copy)
    return copy


def edited(change: Callable[[dict], object]) -> Damage:
    def damage(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return damage


ANY: dict[str, Damage] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "NULs": lambda data: b"\0" * len(data),
    "NULs at the end": lambda data: data[:-9] + b"\0" * 9,
    "not UTF-8": lambda data: bytes((7 * i + 131) % 256 for i in range(len(data))),
    "without its last line": lambda data: b"\n".join(data.splitlines()[:-1]) + b"\n",
}
JSON: dict[str, Damage] = {
    **ANY,
    "not JSON": lambda data: b"<html>404</html>",
    "a list": lambda data: b"[]",
    "a key twice": lambda data: data.replace(b'"schema"', b'"schema": 3, "schema"', 1),
    "nested too deep": lambda data: b'{"a":' * 100_000,
    "schema alone": lambda data: b'{"schema": 3}',
    "an integer of 5,000 digits": lambda data: data.replace(b'"schema": ', b'"schema": ' + b"9" * 5000, 1),
}
RECORD: dict[str, Damage] = {
    **JSON,
    "result is null": edited(lambda record: record.update(result=None)),
    "a key is missing": edited(lambda record: record["time"].pop("samples")),
    "a key of the wrong type": edited(lambda record: record["memory"].update(peak_bytes="7")),
    "true for a number": edited(lambda record: record["job"].update(epochs=True)),
    "an unknown status": edited(lambda record: record.update(status="done")),
    "another rule than its job": edited(lambda record: record.update(rule="bp+anchor")),
    "test is not finite": edited(lambda record: record["result"].update(test=float("nan"))),
}
MANIFEST: dict[str, Damage] = {
    **JSON,
    "a key is missing": edited(lambda manifest: manifest.pop("git")),
    "a job's key is missing": edited(lambda manifest: manifest["jobs"][0]["job"].pop("model")),
    "a job's key of the wrong type": edited(lambda manifest: manifest["jobs"][0]["job"].update(seed="0")),
}
CURVE: dict[str, Damage] = {
    **ANY,
    "a column is missing": lambda data: data.replace(b"samples", b"simples", 1),
    "a row is missing": lambda data: b"".join(line for i, line in enumerate(data.splitlines(True)) if i != 2),
    "no number": lambda data: data.replace(b"\n2,", b"\n2,x", 1),
}
CASES = [("record.json", *case) for case in RECORD.items()]
CASES += [("manifest.json", *case) for case in MANIFEST.items()]
CASES += [("curve.csv", *case) for case in CURVE.items()]
CASES += [("diagnostics.csv", *case) for case in ANY.items()]


@pytest.mark.parametrize(("name", "how", "damage"), CASES, ids=[f"{name} {how}" for name, how, _ in CASES])
def test_a_damaged_file_is_named_and_its_job_is_run_again(folder: Path, name: str, how: str, damage: Damage) -> None:
    runs = folder / "runs" / "tiny"
    before = read_records(runs)
    job = runs / before[1].name
    path = runs / name if name == "manifest.json" else job / name
    path.write_bytes(damage(path.read_bytes()))
    for command in (["report", runs, "-o", folder / "out"], ["compare", f"{runs}#bp", f"{runs}#dfa"], ["show", job]):
        said = call(*command)
        assert said.exit_code == 2 and isinstance(said.exception, SystemExit), (command, said.output, said.exception)
        assert f"{path.name}: this file is damaged" in said.output and "try: `grape-bench run`" in said.output
    assert not (folder / "out").exists()
    if name != "manifest.json":
        left = survey([record.job for record in before], runs)
        assert [job.rule for job, _ in left.damaged] == [job.rule for job in left.pending] == ["dfa"]


@pytest.mark.parametrize("name", ["record.json", "manifest.json", "curve.csv", "diagnostics.csv"])
def test_run_sets_a_damaged_file_aside_and_runs_its_job_again(folder: Path, name: str) -> None:
    runs = folder / "runs" / "tiny"
    before = read_records(runs)
    path = (runs if name == "manifest.json" else runs / before[1].name) / name
    path.write_bytes(ANY["half"](path.read_bytes()))
    ran = call("run", "tiny.toml", "--tracking-uri", "none")
    assert ran.exit_code == 0, ran.output
    assert f"{name}: this file is damaged" in ran.stderr and f"renamed to {name}.damaged" in ran.stderr
    assert (path.parent / f"{name}.damaged").is_file()
    again = read_records(runs)
    assert [record.result for record in again] == [record.result for record in before]
    assert [one.ended != other.ended for one, other in zip(before, again, strict=True)] == [
        False,
        name != "manifest.json",
    ]
    assert call("report", runs, "-o", folder / "out").exit_code == 0


def test_what_a_killed_job_left_of_its_curve_is_not_damage(folder: Path) -> None:
    runs = folder / "runs" / "tiny"
    job = runs / read_records(runs)[1].name
    (job / "record.json").write_bytes(
        edited(lambda record: record.update(status="timeout", result=None, time=None))(
            (job / "record.json").read_bytes()
        )
    )
    (job / "curve.csv").write_text("epoch,samples,seconds,train_loss\n1,512,0.1,2.0\n2,10")
    assert call("report", runs, "-o", folder / "out").exit_code == 0
    shown = call("show", job)
    assert shown.exit_code == 0 and "2 → 2" in shown.output
