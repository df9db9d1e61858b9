"""A model of training on several devices in a row: how long they wait under BP and under direct feedback.

Assumptions. The segments between cuts are shared out to k equal devices, contiguous, so that the busiest has as little
to do as possible. A batch is split into m micro-batches, and a device steps its weights when it has gone back through
all of them: no weight is stale, and the update is that of one device. Time is FLOPs; what is sent costs nothing.
Tangents take their share of the forward. Under BP a micro-batch goes back through device i after device i + 1; under
direct feedback as soon as its error is there, which is when the last device has gone forward.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import accumulate, pairwise

from grape_bench.cost.flops import Segment, StepFlops

MICRO_BATCHES, DEVICES = 8, (2, 4, 8)
STEPS = 4  # simulated: the last one's time is that of all later ones


@dataclass(frozen=True)
class Pipeline:
    """`time` of a step on `devices`, in FLOPs of one device, and `bubble`, the share of it in which they wait."""

    devices: int
    time: float
    bubble: float


def pipelines(flops: StepFlops) -> list[Pipeline]:
    """On 2, 4 and 8 devices, as far as there are segments for them."""
    return [pipeline(flops, devices) for devices in DEVICES if devices <= len(flops.segments)]


def pipeline(flops: StepFlops, devices: int, micro_batches: int = MICRO_BATCHES) -> Pipeline:
    """One step on `devices`; raises ValueError where there are fewer segments."""
    share = 1 + flops.tangents / flops.forward
    stages = partition([Segment(s.name, s.forward * share, s.credit) for s in flops.segments], devices)
    of_micro_batch = [(forward / micro_batches, credit / micro_batches) for forward, credit in stages]
    time = step_time(of_micro_batch, micro_batches, independent=flops.independent)
    return Pipeline(devices, time, 1 - sum(map(sum, stages)) / (devices * time))


def partition(segments: Sequence[Segment], parts: int) -> list[tuple[float, float]]:
    """(forward, credit) FLOPs of each of `parts` contiguous runs, of which the largest is as small as can be."""
    if parts > len(segments):
        raise ValueError(f"{len(segments)} segments are no {parts} parts")
    forward = [0.0, *accumulate(segment.forward for segment in segments)]
    credit = [0.0, *accumulate(segment.credit for segment in segments)]
    work = [f + c for f, c in zip(forward, credit, strict=True)]
    # For the first `end` segments in so many runs: the largest run, and where they begin and end.
    best: dict[int, tuple[float, tuple[int, ...]]] = {end: (work[end], (0, end)) for end in range(1, len(segments) + 1)}
    for count in range(2, parts + 1):
        best = {
            end: min((max(best[cut][0], work[end] - work[cut]), (*best[cut][1], end)) for cut in range(count - 1, end))
            for end in range(count, len(segments) + 1)
        }
    bounds = best[len(segments)][1]
    return [(forward[b] - forward[a], credit[b] - credit[a]) for a, b in pairwise(bounds)]


def step_time(stages: Sequence[tuple[float, float]], micro_batches: int, *, independent: bool) -> float:
    """Time of one of many steps, the better of two schedules: a device goes back first where it can, or forward."""
    runs = (_Run(stages, micro_batches, independent, back_first) for back_first in (True, False))
    return min(run.step_time() for run in runs)


@dataclass(frozen=True, order=True)
class _Task:
    """Going forward or back with one micro-batch on one device; `rank` orders what is ready there."""

    step: int
    rank: int
    micro: int
    device: int
    back: bool


@dataclass
class _Run:
    """A simulation of `STEPS` steps; every device begins the first task that is ready as soon as it is free."""

    stages: Sequence[tuple[float, float]]
    micro_batches: int
    independent: bool
    back_first: bool

    def step_time(self) -> float:
        """The mean of all steps but the first."""
        ends = self._ends()
        return (ends[-1] - ends[0]) / (STEPS - 1)

    def _task(self, step: int, micro: int, device: int, *, back: bool) -> _Task:
        return _Task(step, int(back != self.back_first), micro, device, back)

    def _before(self, task: _Task) -> list[_Task]:
        """What has to be done before it."""
        step, micro, device, last = task.step, task.micro, task.device, len(self.stages) - 1
        if task.back:
            if device == last or self.independent:
                return [self._task(step, micro, last, back=False)]
            return [self._task(step, micro, device + 1, back=True)]
        before = [self._task(step, micro, device - 1, back=False)] if device else []
        stepped = range(self.micro_batches) if step else ()
        return before + [self._task(step - 1, each, device, back=True) for each in stepped]

    def _ends(self) -> list[float]:
        """When each step's last task is done."""
        tasks = [
            self._task(step, micro, device, back=back)
            for step in range(STEPS)
            for micro in range(self.micro_batches)
            for device in range(len(self.stages))
            for back in (False, True)
        ]
        order = TopologicalSorter({task: self._before(task) for task in tasks})
        order.prepare()
        ready: list[list[_Task]] = [[] for _ in self.stages]
        ends, busy = [0.0] * STEPS, [False] * len(self.stages)
        running: list[tuple[float, _Task]] = []
        now = 0.0
        while order.is_active():
            for task in order.get_ready():
                heapq.heappush(ready[task.device], task)
            for device, waiting in enumerate(ready):
                if waiting and not busy[device]:
                    task, busy[device] = heapq.heappop(waiting), True
                    heapq.heappush(running, (now + self.stages[device][task.back], task))
            now, task = heapq.heappop(running)
            busy[task.device], ends[task.step] = False, now
            order.done(task)
        return ends
