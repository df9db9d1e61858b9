"""Count the files and functions of grape_bench that a reader meets when they follow one job.

python -m benchmarks.reading [RULE]    about ten seconds

"one epoch" runs one job of one epoch on digits through `grape_bench.job`. "command to record" is `grape-bench run`
from the command to record.json, with the worker's part in this process, so that its calls are counted too.
"""

import io
import json
import os
import runpy
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest import mock

import grape_bench
from grape_bench.execute.child import Child
from grape_bench.execute.start import called

HOME = str(Path(grape_bench.__file__).parent) + os.sep
SUITE = """
name = "reading"
version = "1"
rules = ["{rule}"]
seeds = 1
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = {{ hidden = [64, 64, 64] }}
dataset = "digits"
epochs = 1
batch_size = 64
optimizer = {{ name = "adamw", lr = 1e-3 }}
"""


def entered(do: Callable[[], Any]) -> set[CodeType]:
    """Record the functions of grape_bench that are called while `do` runs, without import-time code."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(HOME) and code.co_name != "<module>":
            found.add(code)

    sys.setprofile(note)
    threading.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return found


def files(functions: set[CodeType]) -> list[str]:
    return sorted({code.co_filename.removeprefix(HOME) for code in functions})


def one_epoch(rule: str) -> set[CodeType]:
    """Run a job of one epoch in this process: set-up, training with diagnostics, test."""
    from grape_bench.job.run import run

    return entered(lambda: run(_job(rule), lambda row: None))


def loop_alone(rule: str) -> set[CodeType]:
    """Run only the part that repeats: the steps of an epoch and the validation."""
    from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device

    job = _job(rule)
    data = load_data(job, pick_device())
    trainer = make_trainer(job, build_model(job, data, pick_device()), data, job.rule, job.rule_settings)
    return entered(lambda: trainer.train())


def command_to_record(rule: str) -> set[CodeType]:
    """Run `python -m grape_bench run` until its record exists, then run the worker on that job in this process."""
    with tempfile.TemporaryDirectory() as folder:
        suite, out = Path(folder) / "reading.toml", Path(folder) / "runs"
        suite.write_text(SUITE.format(rule=rule))
        command = ["run", str(suite), "--out", str(out), "--untuned", "--tracking-uri", "none"]
        functions = entered(lambda: _as_main("grape_bench", command))
        (manifest,) = out.rglob("manifest.json")
        (record,) = out.rglob("record.json")
        job_id = json.loads(record.read_text())["id"]
        record.unlink()
        kept = os.dup(1), os.dup(2)  # the worker redirects both to stderr.txt
        try:
            with mock.patch("grape_bench.execute.child.Child", Inline):
                functions |= entered(lambda: _as_main("grape_bench.execute.worker", [str(manifest), job_id]))
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
    return functions


class Inline(Child):
    """Does the work of a child in this process, so that its calls are counted."""

    def __init__(self, work: str, argument: Any, *_: object) -> None:
        self.sent: list[tuple[str, Any]] = []
        called(work)(argument, lambda kind, value: self.sent.append((kind, json.loads(json.dumps(value)))))

    def messages(self) -> Iterator[tuple[str, Any]]:
        yield from self.sent

    def code(self) -> int:
        return 0

    def close(self) -> None:
        pass


def _as_main(module: str, arguments: list[str]) -> None:
    """Run `python -m MODULE ARGUMENTS` in this process."""
    before, sys.argv = sys.argv, [module, *arguments]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            runpy.run_module(module, run_name="__main__")
    finally:
        sys.argv = before


def _job(rule: str) -> Any:
    from grape_bench.record.job import Job

    return Job(
        suite="reading",
        version="1",
        task="digits-mlp",
        rule=rule,
        rule_settings={},
        rule_source="",
        seed=0,
        model="mlp",
        model_args={"hidden": [64, 64, 64]},
        dataset="digits",
        dataset_args={},
        epochs=1,
        batch_size=64,
        optimizer={"name": "adamw", "lr": 1e-3},
        schedule="constant",
    )


def main() -> None:
    rule = sys.argv[1] if len(sys.argv) > 1 else "grape"
    walks = {"loop alone": loop_alone, "one epoch": one_epoch, "command to record": command_to_record}
    for name, walk in walks.items():
        functions = walk(rule)
        print(f"{name} of {rule}: {len(files(functions))} files, {len(functions)} functions")
        print("   ", " ".join(files(functions)))


if __name__ == "__main__":
    main()
