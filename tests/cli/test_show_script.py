"""`grape-bench show RUN --script`: the script of a recorded job repeats its test score bit for bit."""

from __future__ import annotations

import ast
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.plan.numerics import numerics_of
from grape_bench.record.environment import Git, environment
from grape_bench.record.record import Outcome, Record, make_record, now, write_record
from grape_bench.report.script import script
from tests.cli.small_suite import command
from tests.job.jobs import job
from tests.score.records import changed

SCHEDULED = {"schedule": "cosine", "warmup": 3, "clip": 1.0, "dataset_args": {"augment": "flip-crop"}, "epochs": 1}


def recorded(rule: str, **changes: Any) -> Record:
    """The record of a small job that runs here, on one thread."""
    numerics = numerics_of(rule, "mlp", "digits")
    spec = replace(job(rule, **changes), numerics=numerics, probes=0, features=False)
    started = now()
    measured = training.run(spec, lambda row: None)
    return make_record(spec, Outcome.from_dict(measured), environment(1, Git(commit="unknown", dirty=None)), started)


def written(record: Record, folder: Path) -> str:
    """The path of the record's folder."""
    path = folder / "runs" / "test" / record.name
    path.mkdir(parents=True)
    write_record(path, record)
    return str(path)


def shown(record: Record, folder: Path) -> Path:
    """The script of the record, as a file."""
    said = command("show", written(record, folder), "--script")
    assert said.exit_code == 0, said.output
    (folder / "script.py").write_text(said.stdout)
    return folder / "script.py"


def last_line(record: Record) -> str:
    assert record.result
    return f"test accuracy = {record.result.test!r}"


def test_the_script_prints_the_recorded_score_to_the_last_digit(tmp_path: Path) -> None:
    record = recorded("grape+anchor")
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    given = [sys.executable, shown(record, tmp_path)]
    ran = subprocess.run(given, cwd=tmp_path, env=there, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == last_line(record)


@pytest.mark.parametrize(("rule", "changes"), [("dfa", {}), ("grape+anchor", SCHEDULED)])
def test_the_script_of_other_jobs_does_so_too(
    tmp_path: Path, rule: str, changes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, where the import of torch is done."""
    record = recorded(rule, **changes)
    path = shown(record, tmp_path)
    capsys.readouterr()
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.splitlines()[-1] == last_line(record)


def test_a_script_that_cannot_be_exact_is_refused_by_name(tmp_path: Path) -> None:
    path = written(changed(recorded("bp", epochs=1), ema=0.9), tmp_path)
    refused = command("show", path, "--script")
    assert refused.exit_code == 2 and "ema = 0.9" in refused.output and "Traceback" not in refused.output
    assert command("show", path, "--script", "--json").exit_code == 2


def test_nothing_in_a_strangers_record_becomes_code_of_the_script() -> None:
    record = recorded("bp", epochs=1)
    told = changed(record, suite='x"""\nimport os  # \\', version='1"""')
    compile(script(told), "script.py", "exec")
    docstring, rest = ast.parse(script(told)).body[0], script(told).split('"""')[2]
    assert isinstance(docstring, ast.Expr) and "import os  #" not in rest
    for changes in (
        {"optimizer": {"name": "adamw", "lr": 1e-3, "args": {"eps=os.system('x'), amsgrad": True}}},
        {"optimizer": {"name": "torch:SGD(print(1)) or torch.optim.SGD", "lr": 1e-3}},
        {"rule_settings": {"scale=print(1), feedback": 1}},
    ):
        with pytest.raises(UserError, match="is no name"):
            script(changed(record, **changes))
