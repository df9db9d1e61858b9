"""What a step and a share of a training cost, relative to BP."""

from __future__ import annotations

import math

import pytest

from grape_bench.cli.report import COSTS
from grape_bench.record.profile import Energy, Flops
from grape_bench.record.record import Record
from grape_bench.score.cell import Cell, cells
from grape_bench.score.cost_axis import AXES, CostModel, classes_of
from tests.score.records import make

FLOPS = Flops(forward=1.0, credit=1.0, tangents=1.0, critical=2.4, total=3.0, bp=2.0)
ENERGY = Energy(step_j=0.9, bp_step_j=0.6)


def cell(*records: Record) -> Cell:
    (found,) = cells(records).values()
    return found


@pytest.mark.parametrize(
    ("axis", "cost"), [("samples", 1.0), ("seconds", 2.0), ("flops", 1.5), ("critical-path", 1.2), ("joules", 1.5)]
)
def test_a_step_costs_what_the_profile_says(axis: str, cost: float) -> None:
    profiled = make("x", profile={"step_ratio": 2.0, "flops": FLOPS, "energy": ENERGY})
    assert AXES[axis].step(cell(profiled), {"cpu-x"}) == (pytest.approx(cost), "")


def test_bp_costs_1_by_definition() -> None:
    measured = make("bp", profile={"step_ratio": 1.03, "flops": None, "energy": None})
    assert all(axis.step(cell(measured), set()) == (1.0, "") for axis in AXES.values())


def test_the_step_is_the_median_over_profiled_jobs() -> None:
    jobs = [make("x", seed, profile={"step_ratio": ratio}) for seed, ratio in enumerate((2.0, 2.2, 9.0))]
    assert AXES["seconds"].step(cell(*jobs), {"cpu-x"}) == (2.2, "")


def test_a_cost_that_was_not_measured_says_so() -> None:
    plain = cell(make("x", profile={"step_ratio": 2.0, "flops": None, "energy": None}))
    assert AXES["flops"].step(plain, {"cpu-x"})[1] == "no FLOPs of a step are recorded in a profile"
    assert AXES["joules"].step(plain, {"cpu-x"})[1] == "no joules of a step are recorded in a profile"


def test_seconds_count_on_the_class_of_bp_alone_and_flops_everywhere() -> None:
    own = cell(make("x", hardware="gpu", profile={"step_ratio": 2.0, "flops": FLOPS}))
    assert AXES["seconds"].step(own, {"cpu-x"})[1] == "no seconds of a step are recorded on BP's hardware class"
    assert AXES["flops"].step(own, {"cpu-x"}) == (1.5, "")


def test_jobs_without_a_profile_may_have_shared_the_machine() -> None:
    """The protocol runs the first seed alone on a GPU, and lets the others share it."""
    alone = make("bp", 0, hardware="gpu", profile={"step_ratio": 1.0})
    assert classes_of(cell(alone, make("bp", 1, hardware="gpu, 8 jobs at once")), []) == {"gpu"}
    assert classes_of(cell(make("bp", 0)), []) == {"cpu-x"}  # BP itself was not profiled


def test_without_bp_the_profiled_jobs_must_agree_on_a_class() -> None:
    one, other = cell(make("x", hardware="a")), cell(make("y", hardware="b"))
    assert classes_of(None, [one]) == {"a"} and classes_of(None, [one, other]) == set()


def test_exact_steps_cost_as_much_as_bps() -> None:
    """A step of 3 with 10 % of BP's own steps: 0.9 * 3 + 0.1 = 2.8 for the whole training."""
    anchors = CostModel.of(cell(make("x+anchor", credit={"anchor_share": 0.1})), 3.0)
    finish = CostModel.of(cell(make("x+finish", credit={"anchor_share": 0.1})), 3.0)
    assert anchors == CostModel(3.0, 0.1) and finish == CostModel(3.0, 0.1, at_end=True)
    assert anchors.until(1.0) == finish.until(1.0) == pytest.approx(2.8)
    assert anchors.until(0.5) == pytest.approx(1.4)  # spread over the training
    assert finish.until(0.5) == pytest.approx(1.5) and finish.until(0.95) == pytest.approx(2.75)


@pytest.mark.parametrize("spending", [CostModel(3.0), CostModel(3.0, 0.1), CostModel(3.0, 0.1, at_end=True)])
def test_a_share_is_what_a_cost_pays_for(spending: CostModel) -> None:
    for share in (0.0, 0.2, 0.9, 0.95, 1.0):
        assert spending.share(spending.until(share)) == pytest.approx(share)
    assert spending.share(10.0) == 1.0


def test_a_rule_without_credit_has_no_exact_steps() -> None:
    assert CostModel.of(cell(make("x", credit=None)), 2.0) == CostModel(2.0)
    assert math.isclose(CostModel(2.0).until(0.25), 0.5)


def test_the_command_offers_every_axis() -> None:
    assert tuple(AXES) == COSTS
