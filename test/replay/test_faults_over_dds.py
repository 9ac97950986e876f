"""A few faults at the real node over DDS; `sdstrack faults` tries them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdstrack_ros.replay.checkpoint_faults import CHECKPOINTS, try_checkpoints
from sdstrack_ros.replay.faults import FaultBench
from sdstrack_ros.types import Modality


@pytest.fixture(scope='module')
def bench(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultBench]:
    log = tmp_path_factory.mktemp('faults') / 'node.log'
    parameters = {'checkpoint': str(checkpoint), 'device': 'cpu'}
    with FaultBench(Modality.DEPTH, 15.0, log, parameters) as made:
        yield made
        assert made.process.stop() == 0


@pytest.mark.parametrize('name', ['x stopped for 1 s', 'rgb stopped for 1 s', 'x truncated'])
def test_the_promises_are_kept(bench: FaultBench, name: str) -> None:
    verdict = bench.verdict(name)
    assert verdict.broken == ()
    assert verdict.told_s is not None


def test_bad_checkpoints_are_refused_by_name_and_a_good_one_mends_it(tmp_path: Path) -> None:
    assert try_checkpoints(tmp_path, {'device': 'cpu'}) == dict.fromkeys(CHECKPOINTS, '')
