"""The command for whoever has a GPU: its parts, on a CPU."""

import sys
import tarfile

import pytest

from benchmarks import gpu_all
from benchmarks.gpu_all import Part


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_part_that_fails_or_hangs_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    parts = [
        Part("fails", 30, python("import sys; print('before'); sys.exit(3)")),
        Part("hangs", 0.5, python("import time; time.sleep(60)")),
        Part("works", 30, python("print('done')")),
    ]
    monkeypatch.setattr(gpu_all, "parts", lambda out, dry: parts)
    assert gpu_all.main(["--out", str(tmp_path), "--dry-run"]) == 1
    codes = [line.split(" after")[0] for line in (tmp_path / "summary.txt").read_text().splitlines()]
    assert codes == ["fails: exit code 3", "hangs: exit code 124", "works: exit code 0"]
    assert (tmp_path / "fails.txt").read_text() == "before\n"
    assert (tmp_path / "works.txt").read_text() == "done\n"


def test_the_records_so_far_are_packed_after_every_part(tmp_path, monkeypatch):
    (tmp_path / "jobs" / "suite").mkdir(parents=True)
    (tmp_path / "jobs" / "suite" / "record.json").write_text("{}")
    monkeypatch.setattr(gpu_all, "parts", lambda out, dry: [Part("fails", 30, python("raise SystemExit(1)"))])
    gpu_all.main(["--out", str(tmp_path), "--dry-run"])
    with tarfile.open(tmp_path / "jobs.tar.gz") as archive:
        assert "jobs/suite/record.json" in archive.getnames()


@pytest.mark.slow
def test_the_dry_run_passes(tmp_path):
    assert gpu_all.main(["--out", str(tmp_path), "--dry-run"]) == 0, (tmp_path / "summary.txt").read_text()
    assert {"cost.csv", "rounds.csv", "table.csv", "jobs.tar.gz"} <= {path.name for path in tmp_path.iterdir()}
