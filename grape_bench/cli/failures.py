"""Messages about jobs that did not finish: what happened, where to look, what to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grape_bench.execute.outcome import stderr_tail
from grape_bench.record.record import RECORD, STDERR, Record
from grape_bench.record.status import Status

_TRIES = {
    "oom": "fewer --slots, more --memory-limit, or a smaller model or batch with --set {task}.batch_size=N",
    "timeout": "a longer --time-limit, or fewer epochs with --set {task}.epochs=N",
    "crashed": "fix the cause; the same command runs this job again",
}


def exit_code(records: Sequence[Record]) -> int:
    """0 if all jobs finished, 1 if a job failed, 2 if no job failed but one diverged."""
    statuses = {record.status for record in records}
    if any(not status.is_result for status in statuses):
        return 1
    return 2 if Status.DIVERGED in statuses else 0


def failures(records: Sequence[Record], folder: Path) -> list[str]:
    """One message per task, rule and kind of failure. It lists the seeds that failed in this way."""
    alike: dict[tuple[str, str, Status, str], list[Record]] = {}
    for record in records:
        if record.status is not Status.FINISHED:
            # The step at which a loss stops being finite depends on the seed. The fix does not.
            reason = "" if record.status is Status.DIVERGED else record.reason
            key = (record.task, record.rule, record.status, reason)
            alike.setdefault(key, []).append(record)
    return [_message(group, folder) for group in alike.values()]


def _message(group: Sequence[Record], folder: Path) -> str:
    first = group[0]
    seeds = ", ".join(str(record.seed) for record in group)
    lines = [f"{first.status}: {first.task} {first.job.rule_name.label}, seed {seeds}: {first.reason}"]
    if first.status is Status.DIVERGED:
        rate = float(f"{first.job.optimizer['lr'] / 10:.3g}")
        key = f"{first.task}.rule.{first.job.rule_name.label}.lr"
        return "\n".join([*lines, f"  try: a lower learning rate, --set {key}={rate:g}"])
    file = folder / first.name / STDERR
    lines.append(f"  record: {folder / first.name / RECORD}")
    slurm = first.environment.slurm
    if slurm:
        lines += [f"  Slurm job {slurm.job} ({slurm.state}):", f"    {slurm.stdout}", f"    {slurm.stderr}"]
    if slurm and not stderr_tail(file):
        file = Path(slurm.stderr)  # the job ended before it had its own file
    tail = stderr_tail(file)
    lines.append(f"  output: {file}" + (", which ends with:" if tail else ""))
    lines += [f"    {line}" for line in tail.splitlines()]
    return "\n".join([*lines, "  try: " + _TRIES[first.status].format(task=first.task)])
