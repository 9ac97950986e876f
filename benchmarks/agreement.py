"""Do fewer bits keep the boxes? Mean IoU with the boxes of float32, every variant tracking freely.

    python benchmarks/agreement.py [FOLDER ...]    # sequences (rgb/, x/, groundtruth.txt) beside the videos

One row per video and precision: the agreement, and the mean IoU with the truth of both. Prints Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from stand_in import videos

from sdstrack_ros.model import load_default
from sdstrack_ros.model.precision import PRECISIONS, at_precision
from sdstrack_ros.tracking import Tracker
from sdstrack_ros.types import Box, Modality


def follow(model, modality: Modality, frames, truth) -> list[Box]:
    tracker = Tracker(model, modality)
    tracker.init(*frames[0], Box.of(truth[0]))
    return [tracker.track(rgb, x).box for rgb, x in frames[1:]]


def accuracy(boxes: list[Box], truth) -> float:
    pairs = zip(boxes, truth[1:], strict=True)
    return float(np.mean([box.iou(Box.of(true)) for box, true in pairs if np.isfinite(true).all()]))


def main() -> None:
    torch.set_num_threads(1)
    folders = [Path(each) for each in sys.argv[1:]]
    print('| X | video | precision | with fp32 | with the truth | fp32 with the truth |\n|' + ' --- |' * 6)
    for modality in Modality:
        exact = load_default(modality)
        reduced = {name: at_precision(exact, name)[0] for name in PRECISIONS[1:]}
        for name, frames, truth in videos(modality, folders):
            boxes = follow(exact, modality, frames, truth)
            for precision, model in reduced.items():
                others = follow(model, modality, frames, truth)
                same = np.mean([a.iou(b) for a, b in zip(boxes, others, strict=True)])
                scores = ' | '.join(
                    f'{each:.3f}' for each in (same, accuracy(others, truth), accuracy(boxes, truth))
                )
                print(f'| {modality.value} | {name} | {precision} | {scores} |', flush=True)


if __name__ == '__main__':
    main()
