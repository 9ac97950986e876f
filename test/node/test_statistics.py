from __future__ import annotations

import math

import pytest

from sdstrack_ros.node.statistics import OutputStatistics

MS = 1_000_000


def test_rate_and_latency_of_a_steady_output() -> None:
    statistics = OutputStatistics(window_s=2.0)
    for i in range(100):
        latency = 50 if i % 10 == 0 else 20
        now = i * 40 * MS
        statistics.on_output(now - latency * MS, now, latency // 2 * MS)
    report = statistics.report(100 * 40 * MS)
    assert report.rate == pytest.approx(25.0, rel=0.05)
    assert report.latency.p50 == pytest.approx(0.020)
    assert 0.020 < report.latency.p95 <= 0.050
    assert report.inference == pytest.approx((report.latency.p50 / 2, report.latency.p95 / 2))


def test_silence_gives_no_rate_and_no_latency() -> None:
    statistics = OutputStatistics(window_s=1.0)
    statistics.on_output(0, 10 * MS, 5 * MS)
    report = statistics.report(5000 * MS)
    assert report.rate == 0.0
    assert all(map(math.isnan, (*report.latency, *report.inference)))


def test_stamps_of_another_clock_say_nothing_of_latency() -> None:
    statistics = OutputStatistics(window_s=1.0)
    for i in range(10):
        statistics.on_output(i * MS, 3600_000 * MS + i * MS, 5 * MS)
    report = statistics.report(3600_010 * MS)
    assert report.rate > 0
    assert math.isnan(report.latency.p95)
    assert report.inference.p95 == pytest.approx(0.005)
