"""The progress of `gb.run` in a notebook is one area that changes, not a line per job."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grape_bench.cli.notebook import Notebook
from tests.cli.small_suite import write
from tests.cli.test_progress import ended
from tests.record.test_job import JOB

ROOT = Path(__file__).parents[2]


class Area(ModuleType):
    """Stands in for the module IPython.display, and for the handle that `display` returns."""

    def __init__(self) -> None:
        super().__init__("IPython.display")
        self.areas, self.shown = 0, [{"text/plain": "", "text/html": ""}]

    def display(self, content: dict[str, str], **how: Any) -> Area:
        assert how == {"raw": True, "display_id": True}
        self.areas += 1
        self.shown.append(content)
        return self

    def update(self, content: dict[str, str], **how: Any) -> None:
        assert how == {"raw": True}
        self.shown.append(content)

    @property
    def text(self) -> str:
        return self.shown[-1]["text/plain"]


@pytest.fixture
def area(monkeypatch: pytest.MonkeyPatch) -> Area:
    made = Area()
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", made)
    return made


def test_one_area_shows_the_jobs_and_keeps_what_went_wrong(area: Area) -> None:
    notebook, second = Notebook(), replace(JOB, seed=1)
    notebook.warned("no GPU")
    notebook.began([ended(replace(JOB, seed=2))], [JOB, second], 2)
    assert "2 jobs to run (1 already done)" in area.text and "1/3 jobs" in area.text
    notebook.started(JOB)
    notebook.started(second)
    for _ in range(5):
        notebook.progressed({JOB.id: {"epoch": 1, "epochs": 2, "validation_accuracy": 87.654}})
    assert "first dfa seed 0  epoch 1/2  87.7 %" in area.text
    notebook.ended(ended(JOB))
    assert "2/3 jobs about 2 s left" in area.text and "seed 0" not in area.text
    notebook.ended(ended(second, status="crashed", reason="ValueError: <script>alert(1)</script>"))
    notebook.closed()
    assert area.areas == 1 and len(area.shown) < 10  # what looks the same is not sent again
    lines = [line.rstrip() for line in area.text.splitlines()]
    assert lines[1].endswith("3/3 jobs") and lines[2] == "warning: no GPU"
    assert lines[3].startswith("first dfa seed 1: crashed: ValueError") and len(lines) == 4
    assert "<script>" not in area.shown[-1]["text/html"] and "&lt;script&gt;" in area.shown[-1]["text/html"]


def test_a_sweep_that_was_stopped_shows_no_running_job(area: Area) -> None:
    notebook = Notebook()
    notebook.began([ended(replace(JOB, seed=2))], [JOB], 1)
    notebook.started(JOB)
    notebook.progressed({})
    assert "epoch 0/" in area.text
    notebook.closed()
    assert "1/2 jobs" in area.text and "epoch" not in area.text and "left" not in area.text


@pytest.mark.slow
def test_a_kernel_gets_one_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    write("digits")
    cell = nbformat.v4.new_code_cell("import grape_bench as gb\n\ntable = gb.run('small.toml', seeds=2)")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    (area,) = [output for output in cell.outputs if output.output_type == "display_data"]
    assert "4 jobs to run" in area.data["text/html"] and "4/4 jobs" in area.data["text/html"]
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    assert "validation" not in printed and "jobs to run" not in printed
