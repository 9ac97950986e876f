"""Which answer belongs to which frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sdstrack.msg import TrackedBox

from sdstrack_ros.evaluation.bag_writer import BagWriter
from sdstrack_ros.evaluation.bags import open_bag
from sdstrack_ros.node.conversions import header_of
from sdstrack_ros.replay.recorder import Heard, answered_frames, inference_times_of, result_of
from sdstrack_ros.types import Box, Frame, Modality, Mode

MS = 1_000_000
START = 1_000 * MS
PICTURE = np.full((6, 8, 3), 90, np.uint8)


def heard(stamp_ns: int, mode: Mode) -> Heard:
    message = TrackedBox(
        header=header_of(Frame(stamp_ns, PICTURE)),
        state=TrackedBox.TRACKING,
        mode=int(mode),
        center_x=3.0,
        center_y=3.0,
        size_x=2.0,
        size_y=2.0,
        inference_time=0.25,
    )
    return Heard(stamp_ns + 20 * MS, message)


def test_x_that_answers_in_the_place_of_rgb_makes_no_second_row(tmp_path: Path) -> None:
    """The cameras are 4 ms apart; the third RGB frame is black, and nothing answers the fourth."""
    stamps = [START + 40 * MS * i for i in range(5)]
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag:
        for stamp in stamps:
            bag.write_rgb(stamp, PICTURE)
            bag.write_x(stamp + 4 * MS, np.full((6, 8), 1000, np.uint16))
            bag.write_truth(stamp, Box(2, 2, 2, 2))
    sequence = open_bag(tmp_path / 'bag', Modality.DEPTH)
    given = {stamp: heard(stamp, Mode.FUSED) for stamp in (*stamps[:2], stamps[4])}
    given[stamps[2] + 4 * MS] = heard(stamps[2] + 4 * MS, Mode.X_ONLY)
    sent = {stamp: stamp for stamp in (*stamps, stamps[2] + 4 * MS)}
    result = result_of(sequence, START, given, sent, tracker='ours', condition='complete', size=(8, 6))
    assert result.stamps_ns.tolist() == [*stamps[:2], stamps[2] + 4 * MS, *stamps[3:]]
    assert result.fresh.tolist() == [True, True, True, False, True]
    assert result.judged.all()
    assert answered_frames(stamps, given, sequence.tolerance_ns) == {*stamps[:3], stamps[4]}
    times = inference_times_of(result.stamps_ns, given)
    np.testing.assert_array_equal(times, [0.25, 0.25, 0.25, np.nan, 0.25])
