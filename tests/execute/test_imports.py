"""The worker and `gb.attach` start without the packages that a bare GPU machine lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grape_bench.execute.executor import TRAINER
from grape_bench.plan.expand import make_plan
from grape_bench.record.environment import INSTALLED
from grape_bench.record.manifest import Manifest
from grape_bench.record.record import read_record

BLOCKED = ("mlflow", "datasets", "psutil", "joblib")
BLOCK = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Block())
"""
SUITE = """\
name = "bare"
version = "1.0"
rules = ["dfa"]
seeds = 1
[[task]]
name = "mnist1d-mlp"
model = "mlp"
model_args = { hidden = [8] }
dataset = "mnist1d"
epochs = 1
batch_size = 256
optimizer = { name = "sgd", lr = 0.1 }
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCK + code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("name", BLOCKED)
def test_the_block_works(name: str) -> None:
    assert f"{name} is blocked" in python(f"import {name}").stderr


PARTS = [
    "import grape_bench; grape_bench.attach",
    f"import grape_bench.execute.worker, {TRAINER}, grape_bench.train.checkpoint",
    "import grape_bench.execute.forkserver, grape_bench.execute.local, grape_bench.rules.make",
]


def test_imports() -> None:
    done = python("\n".join(f"{part}\nassert not {{*{BLOCKED}}} & {{*sys.modules}}, {part!r}" for part in PARTS))
    assert done.returncode == 0, done.stderr


def test_a_whole_job_of_the_worker(tmp_path: Path) -> None:
    (tmp_path / "bare.toml").write_text(SUITE)
    (job,) = make_plan(str(tmp_path / "bare.toml")).jobs
    manifest = Manifest("bare", "1.0", INSTALLED, [job]).write(tmp_path)
    done = python("from grape_bench.execute.worker import main\nsys.exit(main())", str(manifest), job.id)
    printed = (tmp_path / job.name / "stderr.txt").read_text()
    assert done.returncode == 0, printed
    assert read_record(tmp_path / job.name / "record.json").status == "finished"
