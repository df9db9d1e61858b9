"""How a job ended."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The outcome of one job."""

    FINISHED = "finished"
    DIVERGED = "diverged"  # the loss or an evaluation is not finite
    CRASHED = "crashed"
    OOM = "oom"
    TIMEOUT = "timeout"

    @property
    def is_result(self) -> bool:
        """Whether the outcome belongs to the rule and would repeat with the same seed.

        Any other outcome may not repeat. Such a job is retried, and its record is not scored.
        """
        return self in (Status.FINISHED, Status.DIVERGED)


FAILED = tuple(status for status in Status if not status.is_result)
