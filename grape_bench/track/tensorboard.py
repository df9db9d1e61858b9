"""Records as TensorBoard runs: a folder of event files per job, with the samples seen as the step."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.track.store import Store, Sweep
from grape_bench.track.values import Value, curve_values, diagnostics_values, metric_values, row_values

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COPIED = "copied.txt"
"""In the folder of a job that was copied whole: when its record ended."""


class TensorBoardStore(Store):
    """DIR/SUITE/JOB/events..., for the URI `tensorboard:DIR`. Raises UserError if TensorBoard is not installed."""

    def __init__(self, uri: str, sweep: Sweep) -> None:
        super().__init__(uri, sweep)
        if find_spec("tensorboard") is None:
            raise UserError("TensorBoard is not installed", where=uri, hint="pip install tensorboard")
        self.folder = Path(uri.partition(":")[2] or "tensorboard")
        self.place = f"tensorboard --logdir {self.folder}"
        self._live: dict[str, SummaryWriter] = {}

    @override
    def add(self, record: Record) -> bool:
        """Write the whole run of a job. It replaces what was shown while the job ran."""
        if writer := self._live.pop(record.id, None):
            writer.close()
        copied = self._of(record.name) / COPIED
        if copied.is_file() and copied.read_text() == record.ended:
            return False
        shutil.rmtree(self._of(record.name), ignore_errors=True)
        source = self.sweep.folder / record.name
        writer = self._writer(record.name)
        _write(writer, (*curve_values(source, record), *diagnostics_values(source, record), *metric_values(record)))
        writer.close()
        copied.write_text(record.ended)
        return True

    @override
    def follow(self, job: Job, row: Mapping[str, Any]) -> None:
        """Add the latest evaluation of a job that still runs."""
        if job.id not in self._live:
            shutil.rmtree(self._of(job.name), ignore_errors=True)  # of an attempt that was killed
            self._live[job.id] = self._writer(job.name)
        _write(self._live[job.id], row_values(row))
        self._live[job.id].flush()

    @override
    def close(self, complete: bool) -> None:
        """Close the runs of jobs that did not end."""
        for writer in self._live.values():
            writer.close()

    def _of(self, run: str) -> Path:
        return self.folder / self.sweep.suite / run

    def _writer(self, run: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._of(run)))


def _write(writer: SummaryWriter, values: Iterable[Value]) -> None:
    for value in values:
        if value.finite:
            writer.add_scalar(value.name, value.value, value.step)
