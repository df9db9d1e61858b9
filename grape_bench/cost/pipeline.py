"""A model of pipeline training: how long devices wait for each other under BP and under direct feedback.

Assumptions:
- The segments between cuts are assigned to k equal devices in contiguous runs, so that the busiest device has the least
  work.
- A batch is split into m micro-batches. A device updates its weights after the backward of all of them. So no weight is
  stale, and the update equals that of a single device.
- Time is FLOPs. Communication is free. Tangents are spread over the devices in proportion to the forward.
- Under BP, the backward of a micro-batch on device i waits for device i + 1. Under direct feedback it waits only for
  the error, which exists when the last device has finished the forward.
"""

# Example: 2 devices, 2 micro-batches a and b. Forward F takes 1 unit of time, backward B takes 2. Dots are waits.
#   BP:     device 0: Fa Fb .  .  .  Ba Ba Bb Bb    device 1: .  Fa Fb Ba Ba Bb Bb .  .     9 units
#   direct: device 0: Fa Fb Ba Ba Bb Bb .           device 1: .  Fa Fb Ba Ba Bb Bb          7 units

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import accumulate, pairwise

from grape_bench.cost.flops import Segment, StepFlops

MICRO_BATCHES, DEVICES = 8, (2, 4, 8)
STEPS = 4  # to simulate; all later steps take as long as the last one


@dataclass(frozen=True)
class Pipeline:
    """The `time` of a step on `devices`, in FLOPs of one device, and `bubble`, the share of time that devices wait."""

    devices: int
    time: float
    bubble: float


def pipelines(flops: StepFlops) -> list[Pipeline]:
    """Simulate 2, 4 and 8 devices, if there are at least as many segments."""
    return [pipeline(flops, devices) for devices in DEVICES if devices <= len(flops.segments)]


def pipeline(flops: StepFlops, devices: int, micro_batches: int = MICRO_BATCHES) -> Pipeline:
    """Simulate one step on `devices`. Raises ValueError if there are fewer segments."""
    share = 1 + flops.tangents / flops.forward
    stages = partition([Segment(s.name, s.forward * share, s.backward) for s in flops.segments], devices)
    of_micro_batch = [(forward / micro_batches, backward / micro_batches) for forward, backward in stages]
    time = step_time(of_micro_batch, micro_batches, independent=flops.independent)
    return Pipeline(devices, time, 1 - sum(map(sum, stages)) / (devices * time))


def partition(segments: Sequence[Segment], parts: int) -> list[tuple[float, float]]:
    """Split `segments` into `parts` contiguous runs. Returns each run's (forward, backward) FLOPs.

    The split has the smallest possible maximum.
    """
    # Example: work 1 1 1 6 1 1 4 in 3 parts: [1 1 1] [6] [1 1 4] -> 3, 6, 6. No split has a maximum below 6.
    if parts > len(segments):
        raise ValueError(f"cannot split {len(segments)} segments into {parts} parts")
    forward = [0.0, *accumulate(segment.forward for segment in segments)]
    backward = [0.0, *accumulate(segment.backward for segment in segments)]
    work = [f + c for f, c in zip(forward, backward, strict=True)]
    # end -> (the largest run, the bounds of all runs) of the best split of the first `end` segments into `count` runs.
    best: dict[int, tuple[float, tuple[int, ...]]] = {end: (work[end], (0, end)) for end in range(1, len(segments) + 1)}
    for count in range(2, parts + 1):
        best = {
            end: min((max(best[cut][0], work[end] - work[cut]), (*best[cut][1], end)) for cut in range(count - 1, end))
            for end in range(count, len(segments) + 1)
        }
    bounds = best[len(segments)][1]
    return [(forward[b] - forward[a], backward[b] - backward[a]) for a, b in pairwise(bounds)]


def step_time(stages: Sequence[tuple[float, float]], micro_batches: int, *, independent: bool) -> float:
    """The time per step in a long training, under the better of two schedules: backward first, or forward first."""
    runs = (_Run(stages, micro_batches, independent, back_first) for back_first in (True, False))
    return min(run.step_time() for run in runs)


@dataclass(frozen=True, order=True)
class _Task:
    """The forward or the backward of one micro-batch on one device. `rank` orders the tasks that are ready."""

    step: int
    rank: int
    micro: int
    device: int
    back: bool


@dataclass
class _Run:
    """Simulates `STEPS` steps. A free device starts the first task that is ready."""

    stages: Sequence[tuple[float, float]]
    micro_batches: int
    independent: bool
    back_first: bool

    def step_time(self) -> float:
        """The mean time of all steps after the first."""
        ends = self._ends()
        return (ends[-1] - ends[0]) / (STEPS - 1)

    def _task(self, step: int, micro: int, device: int, *, back: bool) -> _Task:
        return _Task(step, int(back != self.back_first), micro, device, back)

    def _before(self, task: _Task) -> list[_Task]:
        """The tasks that `task` waits for."""
        step, micro, device, last = task.step, task.micro, task.device, len(self.stages) - 1
        if task.back:
            if device == last or self.independent:
                return [self._task(step, micro, last, back=False)]
            return [self._task(step, micro, device + 1, back=True)]
        before = [self._task(step, micro, device - 1, back=False)] if device else []
        stepped = range(self.micro_batches) if step else ()
        return before + [self._task(step - 1, each, device, back=True) for each in stepped]

    def _ends(self) -> list[float]:
        """The time at which the last task of each step ends."""
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
