"""How a job ended."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The outcome of one job."""

    FINISHED = "finished"
    DIVERGED = "diverged"  # the loss, or what the model gives on evaluation, is not finite
    CRASHED = "crashed"
    OOM = "oom"
    TIMEOUT = "timeout"

    @property
    def is_result(self) -> bool:
        """Whether the outcome says something about the rule and comes back with the same seed.

        The other outcomes may not happen in the next run: such a job is retried, and its record is not scored.
        """
        return self in (Status.FINISHED, Status.DIVERGED)


FAILED = tuple(status for status in Status if not status.is_result)
