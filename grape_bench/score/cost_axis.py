"""What a comparison can hold equal: training samples, seconds, FLOPs, FLOPs on the critical path, or joules."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from statistics import median

from grape_bench.record.profile import Profile
from grape_bench.record.rule_name import RuleName
from grape_bench.score.cell import Cell
from grape_bench.score.inference import mean
from grape_bench.score.quantity import Quantity

PROFILED = "`grape-bench run SUITE`, which profiles the first seed of each task and rule"


@dataclass(frozen=True, kw_only=True)
class CostAxis:
    """A cost of a training step, as a multiple of the cost of BP's step.

    `of` reads it from a profile: NaN if it was not measured, and None where the cost is that of BP for every rule.
    `timed` says that it depends on the machine. `meaning` explains it in captions, and `recorded_by` says what
    records it.
    """

    name: str
    heading: str
    meaning: str
    of: Callable[[Profile], float] | None = None
    timed: bool = False
    recorded_by: str = PROFILED

    @property
    def quantity(self) -> Quantity:
        """The cost so far, as the horizontal axis of a learning curve."""
        return Quantity(
            name="cost",
            heading=f"{self.heading} ÷ BP's",
            meaning=f"Cost so far: {self.meaning}.",
            axis=f"{self.heading}, 1 = BP's whole training",
        )

    def step(self, cell: Cell, classes: Collection[str]) -> tuple[float, str]:
        """The cost of a step ÷ that of BP's, median over the profiled jobs. If there is none: NaN, and why.

        If the cost is `timed`, only jobs on a hardware class in `classes` count. BP's own cost is 1.
        """
        if self.of is None or cell.rule == "bp":
            return 1.0, ""
        found = [
            (cost, record.environment.hardware.kind)
            for record in cell.results
            if record.profile and math.isfinite(cost := self.of(record.profile))
        ]
        costs = [cost for cost, kind in found if not self.timed or kind in classes]
        if costs:
            return median(costs), ""
        where = "on BP's hardware class" if found else "in a profile"
        return math.nan, f"no {self.heading} of a step are recorded {where}"


@dataclass(frozen=True)
class CostModel:
    """What a share of a whole training costs, in whole trainings of BP.

    `step` is the cost of the rule's own step ÷ that of BP's. The share `exact` of the steps are BP's own, at a cost of
    1: anchors, spread over the training, or with `at_end` a finish. The profile does not see them.
    """

    step: float
    exact: float = 0.0
    at_end: bool = False

    @classmethod
    def of(cls, cell: Cell, step: float) -> CostModel:
        """The spending of the runs of `cell`, whose own step costs `step`."""
        shares = [record.credit.anchor_share or 0.0 for record in cell.results if record.credit]
        return cls(step, mean(shares) if shares else 0.0, RuleName.parse(cell.rule).finished)

    def until(self, share: float) -> float:
        """The cost of the first `share` of the training."""
        # Example: step 3, a finish of 0.1 -> the first half costs 1.5, the whole 0.9 * 3 + 0.1 = 2.8
        own = min(share, 1 - self.exact) if self.at_end else share * (1 - self.exact)
        return own * self.step + (share - own)

    def share(self, cost: float) -> float:
        """The share of the training that this cost pays for, at most 1: the inverse of `until`."""
        if cost >= (whole := self.until(1.0)):
            return 1.0
        if not self.at_end:
            return cost / whole
        begin = 1 - self.exact  # of the finish
        return min(cost / self.step, begin) + max(0.0, cost - begin * self.step)


def classes_of(bp: Cell | None, cells: Iterable[Cell]) -> set[str]:
    """The hardware classes on which timed costs are comparable: those of BP's profiled jobs, or of all its jobs.

    Jobs that were not profiled are ignored, because they may share a GPU. Without BP it is the class of the `cells`, if
    they have only one.
    """
    if bp is not None and bp.results:
        return {record.environment.hardware.kind for record in bp.results if record.profile} or set(bp.hardware)
    found = {record.environment.hardware.kind for cell in cells for record in cell.results if record.profile}
    return found if len(found) == 1 else set()


def _flops(profile: Profile) -> float:
    return profile.flops.total / profile.flops.bp if profile.flops and profile.flops.bp else math.nan


def _critical(profile: Profile) -> float:
    return profile.flops.critical / profile.flops.bp if profile.flops and profile.flops.bp else math.nan


def _joules(profile: Profile) -> float:
    return profile.energy.step_j / profile.energy.bp_step_j if profile.energy and profile.energy.bp_step_j else math.nan


AXES = {
    axis.name: axis
    for axis in (
        CostAxis(name="samples", heading="samples", meaning="training samples, whatever a step costs"),
        CostAxis(
            name="seconds",
            heading="seconds",
            meaning="seconds of training steps, by the step ÷ BP of the profiles, without evaluation and set-up",
            of=lambda profile: profile.step_ratio,
            timed=True,
        ),
        CostAxis(
            name="flops",
            heading="FLOPs",
            meaning="counted FLOPs of training steps, without the optimizer",
            of=_flops,
        ),
        CostAxis(
            name="critical-path",
            heading="critical-path FLOPs",
            meaning="FLOPs on the longest chain of dependent blocks, as if independent blocks ran side by side",
            of=_critical,
        ),
        CostAxis(
            name="joules",
            heading="joules",
            meaning="joules of training steps by the GPU's own counter, which includes the power at rest",
            of=_joules,
            timed=True,
            recorded_by=(
                "`grape-bench run SUITE --seeds 1 --slots 1 --out DIR` on a GPU that counts its energy and runs nothing"
                " else"
            ),
        ),
    )
}
"""The axes by the name that `--at` takes."""
