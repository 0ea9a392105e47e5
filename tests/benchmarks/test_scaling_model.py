"""The model of a step's time on several devices."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from benchmarks.scaling_model import (
    Machine,
    Work,
    all_reduce_seconds,
    largest_of,
    late_seconds,
    predict,
    strong_scaling,
    weak_scaling,
)

COUNTS = [2**power for power in range(11)]
MACHINE = Machine(devices=8, inside=100e9, across=10e9, inside_latency=10e-6, across_latency=50e-6)
PERFECT = Machine(devices=8, inside=math.inf, across=math.inf, inside_latency=0.0, across_latency=0.0)
WORK = Work(base=0.010, each=0.001, gradient_bytes=100e6, spread=0.02)


def test_one_device_has_nothing_to_wait_for() -> None:
    one = predict(WORK, MACHINE, 1, 32)
    assert one.efficiency == 1
    assert one.seconds == one.compute == pytest.approx(0.042)
    assert one.waiting == one.reducing == 0
    assert one.images_per_second == pytest.approx(32 / 0.042)
    assert one.limit == "compute"


def test_a_ring_within_a_machine_by_hand() -> None:
    # 4 devices: 2 * 3 / 4 of 8 GB at 100 GB/s is 0.12 s, and 6 messages of 10 us.
    assert all_reduce_seconds(8e9, MACHINE, 4) == pytest.approx(0.12 + 60e-6)


def test_machines_reduce_by_themselves_then_with_one_another_by_hand() -> None:
    # 8 devices in each of 4 machines: 2 * 7 / 8 of 8 GB at 100 GB/s is 0.14 s, 2 * 3 / 4 of it at 10 GB/s is 1.2 s;
    # 14 messages round the ring, 2 * log2(4) between machines.
    assert all_reduce_seconds(8e9, MACHINE, 32) == pytest.approx(1.34 + 14 * 10e-6 + 4 * 50e-6)


def test_the_time_of_an_all_reduce_has_a_limit_but_for_latency() -> None:
    machine = replace(MACHINE, inside_latency=0.0, across_latency=0.0)
    limit = 2 * 7 / 8 * 1e9 / 100e9 + 2 * 1e9 / 10e9
    seconds = [all_reduce_seconds(1e9, machine, count) for count in COUNTS]
    assert seconds == sorted(seconds)
    assert seconds[-1] < limit
    assert all_reduce_seconds(1e9, machine, 2**20) == pytest.approx(limit, rel=1e-4)


def test_twice_the_bandwidth_halves_what_is_not_latency() -> None:
    faster = replace(MACHINE, inside=2 * MACHINE.inside, across=2 * MACHINE.across)
    latency = all_reduce_seconds(0, MACHINE, 64)
    assert latency == pytest.approx(14 * 10e-6 + 6 * 50e-6)
    slow, fast = (all_reduce_seconds(1e9, machine, 64) - latency for machine in (MACHINE, faster))
    assert fast == pytest.approx(slow / 2)


def test_the_slowest_of_several_agrees_with_drawn_numbers() -> None:
    draw = random.Random(0)
    for count in (2, 8, 64):
        drawn = [max(draw.gauss(0, 1) for _ in range(count)) for _ in range(20000)]
        assert largest_of(count) == pytest.approx(sum(drawn) / len(drawn), abs=0.03)
    assert largest_of(1) == 0
    assert all(largest_of(count) < math.sqrt(2 * math.log(count)) for count in COUNTS[1:])


def test_one_bucket_is_sent_after_backward_and_nothing_of_it_is_hidden() -> None:
    work = replace(WORK, gradient_bytes=10e6)
    assert late_seconds(work, MACHINE, 4, compute=1.0) == pytest.approx(all_reduce_seconds(10e6, MACHINE, 4))


def test_of_many_buckets_only_the_last_comes_after_a_long_backward() -> None:
    work = replace(WORK, gradient_bytes=10e6, bucket_bytes=2e6)
    assert late_seconds(work, MACHINE, 4, compute=1.0) == pytest.approx(all_reduce_seconds(2e6, MACHINE, 4))


def test_without_overlap_the_whole_all_reduce_comes_after_backward() -> None:
    work = replace(WORK, gradient_bytes=10e6, bucket_bytes=2e6, overlap=0.0)
    assert late_seconds(work, MACHINE, 4, compute=1.0) == pytest.approx(5 * all_reduce_seconds(2e6, MACHINE, 4))


def test_buckets_by_hand_where_each_takes_longer_to_send_than_to_fill() -> None:
    # 2 devices, 1 GB/s, no latency: a bucket of 1 GB takes 1 s, and backward of 0.4 s fills four. The first is full
    # after 0.1 s, the last arrives after 4.1 s, so 3.7 s after backward.
    machine = replace(PERFECT, devices=2, inside=1e9)
    work = Work(base=0.0, each=0.0, gradient_bytes=4e9, overlap=0.4, bucket_bytes=1e9)
    assert late_seconds(work, machine, 2, compute=1.0) == pytest.approx(3.7)


def test_a_step_by_hand() -> None:
    # Two devices with 10 images each: 0.01 + 10 * 0.001 s; one bucket of 10 MB at 100 GB/s, 2 messages of 10 us; two
    # exchanges of 2 messages.
    work = Work(base=0.01, each=0.001, gradient_bytes=10e6)
    two = predict(work, MACHINE, 2, 20)
    assert two.compute == pytest.approx(0.02)
    assert two.reducing == pytest.approx(0.0001 + 20e-6 + 40e-6)
    assert two.seconds == pytest.approx(0.02016)
    assert two.efficiency == pytest.approx(0.02 / 0.02016)


def test_with_the_same_images_on_each_device_efficiency_only_falls() -> None:
    efficiencies = [one.efficiency for one in weak_scaling(WORK, MACHINE, 32, COUNTS)]
    assert efficiencies[0] == 1
    assert efficiencies == sorted(efficiencies, reverse=True)
    assert efficiencies[-1] > 0


def test_without_noise_and_with_a_perfect_network_weak_scaling_is_perfect() -> None:
    work = replace(WORK, spread=0.0)
    assert all(one.efficiency == pytest.approx(1) for one in weak_scaling(work, PERFECT, 32, COUNTS))


def test_with_the_same_batch_the_part_of_a_step_that_does_not_shrink_is_the_limit() -> None:
    work = replace(WORK, spread=0.0)
    steps = strong_scaling(work, PERFECT, 1024, COUNTS)
    assert [one.batch for one in steps] == [1024] * len(COUNTS)
    # By Amdahl's law: 1,034 ms on one device, 10 + 1024 / n ms on n.
    for one in steps:
        assert one.seconds == pytest.approx(0.010 + 1.024 / one.devices)
        assert one.efficiency == pytest.approx(1.034 / (one.devices * one.seconds))


def test_strong_scaling_is_never_better_than_weak_scaling() -> None:
    strong = strong_scaling(WORK, MACHINE, 1024, COUNTS)
    weak = weak_scaling(WORK, MACHINE, 1024, COUNTS)
    for same, more in zip(strong, weak, strict=True):
        assert same.efficiency <= more.efficiency


def test_a_small_model_waits_less_for_a_faster_network() -> None:
    slow = predict(WORK, MACHINE, 64, 64 * 8)
    fast = predict(WORK, replace(MACHINE, across=40e9), 64, 64 * 8)
    assert fast.reducing < slow.reducing
    assert fast.efficiency > slow.efficiency


def test_a_slow_network_becomes_the_limit() -> None:
    work = replace(WORK, gradient_bytes=272e6)
    assert predict(work, replace(MACHINE, across=0.1e9), 16, 16 * 4).limit == "all-reduce"
    assert predict(work, MACHINE, 8, 8 * 64).limit == "compute"


def test_machines_that_prepare_too_few_images_become_the_limit() -> None:
    # A device takes 32 images in 42 ms; 8 of them would take 6,095 images a second, and get 2,000.
    machine = replace(MACHINE, input_rate=2000.0)
    one, eight, two_machines = weak_scaling(WORK, machine, 32, [1, 8, 16])
    assert one.limit == "compute"
    assert eight.limit == two_machines.limit == "input"
    assert eight.seconds == pytest.approx(8 * 32 / 2000)
    assert eight.images_per_second == pytest.approx(2000)
    assert two_machines.images_per_second == pytest.approx(4000)


def test_one_device_that_waits_for_its_input_still_has_an_efficiency_of_one() -> None:
    one = predict(WORK, replace(MACHINE, input_rate=100.0), 1, 32)
    assert one.limit == "input"
    assert one.efficiency == 1


def test_synchronized_batch_norm_costs_the_latency_of_its_exchanges() -> None:
    layers = 57
    plain = predict(WORK, MACHINE, 8, 256)
    synchronized = predict(replace(WORK, exchanges=WORK.exchanges + 2 * layers), MACHINE, 8, 256)
    assert synchronized.reducing - plain.reducing == pytest.approx(2 * layers * 14 * 10e-6)


def test_more_noise_means_more_waiting_for_the_slowest() -> None:
    calm, noisy = (predict(replace(WORK, spread=spread), MACHINE, 8, 256) for spread in (0.01, 0.05))
    assert noisy.waiting == pytest.approx(5 * calm.waiting)
    assert noisy.efficiency < calm.efficiency


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="30 images does not divide by 4"):
        predict(WORK, MACHINE, 4, 30)
