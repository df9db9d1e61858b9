"""The pipeline model where its answer is known: equal stages, one device, hand-made partitions."""

import pytest

from grape_bench.cost.flops import Segment, StepFlops
from grape_bench.cost.pipeline import partition, pipeline, pipelines, step_time

F, B = 1.0, 2.0


def flops(backwards, *, independent, tangents=0.0):
    segments = tuple(Segment(str(index), F, backward) for index, backward in enumerate(backwards))
    return StepFlops(len(backwards) * F, sum(backwards), tangents, independent, segments)


@pytest.mark.parametrize("devices", [2, 4, 8])
@pytest.mark.parametrize("micro", [1, 4, 16])
def test_equal_stages_under_bp_wait_as_in_gpipe(devices, micro):
    found = step_time([(F, B)] * devices, micro, independent=False)
    assert found == pytest.approx((micro + devices - 1) * (F + B))


@pytest.mark.parametrize("devices", [2, 4, 8])
@pytest.mark.parametrize("micro", [1, 4, 16])
def test_under_direct_feedback_they_wait_for_the_forward_at_most(devices, micro):
    found = step_time([(F, B)] * devices, micro, independent=True)
    assert micro * (F + B) <= found <= (micro + devices - 1) * F + micro * B


def test_one_micro_batch_goes_forward_through_all_and_back_through_one():
    assert step_time([(F, B)] * 4, 1, independent=True) == pytest.approx(4 * F + B)
    assert step_time([(F, B)] * 4, 1, independent=False) == pytest.approx(4 * (F + B))


def test_one_device_never_waits():
    found = pipeline(flops([2.0, 2.0], independent=False), 1)
    assert found.bubble == pytest.approx(0) and found.time == pytest.approx(2 * F + 4.0)


def test_the_bubble_is_what_is_left_of_the_devices_time():
    found = pipeline(flops([2.0] * 4, independent=False), 4, micro_batches=4)
    assert found.bubble == pytest.approx(3 / 7)  # (k - 1) / (m + k - 1)
    direct = pipeline(flops([2.0] * 4, independent=True), 4, micro_batches=4)
    assert direct.bubble < found.bubble


def test_tangents_are_gone_through_with_the_forward():
    without, with_them = (pipeline(flops([2.0] * 2, independent=True, tangents=t), 2) for t in (0.0, 1.0))
    assert with_them.time > without.time


def test_the_busiest_device_has_as_little_as_can_be():
    segments = [Segment("", work, 0.0) for work in (1, 1, 1, 6, 1, 1, 4)]
    assert [forward for forward, _ in partition(segments, 3)] == [3, 6, 6]
    with pytest.raises(ValueError, match="7 segments"):
        partition(segments, 8)


def test_no_more_devices_than_segments():
    assert [found.devices for found in pipelines(flops([1.0] * 5, independent=True))] == [2, 4]
