"""Where a command copies its records, and what it says about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import click
import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.cli.tracking import say_where, tracking
from grape_bench.record.environment import Git
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, Manifest
from grape_bench.record.record import Record, read_record, write_record
from grape_bench.track.mirror import Mirror
from grape_bench.track.uri import TRACKING_URI

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"


def finished(folder: Path) -> list[Record]:
    """A finished sweep of two rules in `folder`, without running it."""
    files = [path for rule in ("bp", "dfa") for path in RECORDED.glob(f"digits-mlp.{rule}.s0.*/record.json")]
    records = [record for record in map(read_record, files) if record.job.trials > 1]
    for record in records:
        (folder / record.name).mkdir(parents=True)
        write_record(folder / record.name, record)
    jobs: list[Job] = [record.job for record in records]
    Manifest("quickstart", jobs[0].version, Git(commit="unknown", dirty=None), jobs).write(folder)
    assert (folder / MANIFEST).is_file()
    return records


def sync(**environment: str) -> Result:
    return CliRunner().invoke(cli, ["sync", "runs/quickstart"], env=environment)


def test_the_run_of_a_sweep_holds_its_table_and_its_page(
    new_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    records = finished(tmp_path / "runs" / "quickstart")
    copy = tmp_path / "other" / "mlflow.db"
    copy.parent.mkdir()
    copy.write_bytes(new_database.read_bytes())
    done = sync(MLFLOW_TRACKING_URI=f"sqlite:///{copy}")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "mlflow.db").exists(), "the variable names another store"

    client = MlflowClient(f"sqlite:///{copy}")
    experiment = client.get_experiment_by_name(f"grape_bench/quickstart@{records[0].job.version}")
    (root,) = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'sweep'")
    files = {file.path for file in client.list_artifacts(root.info.run_id)}
    assert files == {"manifest.json", "table.csv", "index.html"}
    table = Path(client.download_artifacts(root.info.run_id, "table.csv", str(tmp_path))).read_text()
    assert [line.split(",")[:2] for line in table.splitlines()[1:]] == [["digits-mlp", "bp"], ["digits-mlp", "dfa"]]


@dataclasses.dataclass
class Mirrored:
    """A mirror that has ended."""

    uri: str
    warning: str = ""
    note: str = ""
    place: str = "the place"


@pytest.mark.parametrize(
    ("mirror", "environment", "said"),
    [
        (Mirrored("sqlite:///mlflow.db"), {}, "copies   the place\n"),
        (
            Mirrored("http://me:secret@mlflow.example:5000"),
            {"MLFLOW_TRACKING_URI": "http://me:secret@mlflow.example:5000"},
            "copies   the place (from MLFLOW_TRACKING_URI)\n",
        ),
        (
            Mirrored("http://me:secret@mlflow.example:5000", warning="timed out"),
            {},
            "warning: not every job was copied to the store (timed out); to copy them later: "
            "grape-bench sync runs/s --tracking-uri http://mlflow.example:5000\n",
        ),
    ],
)
def test_a_command_says_where_the_records_are(mirror: Mirrored, environment: dict[str, str], said: str) -> None:
    @click.command()
    @tracking("MLflow store.")
    def command(tracking_uri: str) -> None:
        assert tracking_uri == environment.get("MLFLOW_TRACKING_URI", TRACKING_URI)
        say_where(Path("runs/s"), cast("Mirror", mirror))

    assert CliRunner().invoke(command, env={"MLFLOW_TRACKING_URI": None, **environment}).output == said
