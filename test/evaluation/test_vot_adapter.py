"""What the vot-toolkit is told, without the toolkit."""

import numpy as np

from sdstrack_ros.evaluation.contestants import Answer
from sdstrack_ros.evaluation.vot_adapter import VotRun
from sdstrack_ros.types import Box, Modality, Mode, TargetState


class Loses:
    """Sees the target in the first frame after each start, and never again."""

    def __init__(self):
        self.seen = []

    def start(self, observation, box):
        self.seen = [observation]

    def step(self, observation, now_ns):
        self.seen.append(observation)
        box = Box(5, 6, 7, 8) if len(self.seen) == 2 else None
        state = TargetState.TRACKING if box else TargetState.LOST
        return Answer(box, 0.7 if box else 0.1, state, Mode.FUSED, held=False)


def test_a_box_is_reported_always_with_its_score(make_folder):
    folder, tracker = make_folder(), Loses()
    run = VotRun(tracker, Modality.DEPTH)
    files = [(folder / 'rgb' / f'{i:08d}.png', folder / 'x' / f'{i:08d}.png') for i in (1, 2, 3)]
    run.initialize(*files[0], Box(1, 2, 3, 4))
    assert run.frame(*files[1]) == (Box(5, 6, 7, 8), 0.7)
    assert run.frame(*files[2]) == (Box(5, 6, 7, 8), 0.1)
    assert tracker.seen[2].x.image.dtype == np.uint16
    stamps = [observation.lead.stamp_ns for observation in tracker.seen]
    assert stamps == sorted(set(stamps))


def test_a_restart_begins_at_the_new_box(make_folder):
    folder, tracker = make_folder(), Loses()
    run = VotRun(tracker, Modality.DEPTH)
    pair = folder / 'rgb' / '00000001.png', folder / 'x' / '00000001.png'
    run.initialize(*pair, Box(1, 2, 3, 4))
    run.frame(*pair)
    run.initialize(*pair, Box(9, 9, 3, 4))
    tracker.seen.append(None)
    assert run.frame(*pair) == (Box(9, 9, 3, 4), 0.1)
