"""What should stand in for a stream that is missing? Mean IoU per modality, failure and choice.

    python benchmarks/stand_in.py [FOLDER ...]    # sequences (rgb/, x/, groundtruth.txt) beside the videos

Each choice of `sdstrack_ros.tracking.streams.MISSING` runs on the same rendered videos and the same frames go
missing: half of them at random, or one stretch of a third of the video. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from rich.progress import track as progress

from sdstrack_ros.evaluation.datasets import open_sequence
from sdstrack_ros.evaluation.missing import generated
from sdstrack_ros.model import load_default
from sdstrack_ros.simulation import render_sequence
from sdstrack_ros.tracking import Tracker
from sdstrack_ros.types import Box, Modality

CHOICES = ('skip', 'zero', 'last', 'copy')
SEEDS, FRAMES, RATE = (1, 3, 4, 7), 60, 15.0
FAILURES = ('rgb half', 'x half', 'rgb stretch', 'x stretch')


def videos(modality: Modality, folders: Iterable[Path]):
    """Name, frames (rgb, x) and true boxes of each."""
    for seed in SEEDS:
        video = render_sequence(modality, FRAMES, 320, 240, seed, RATE)
        yield f'rendered {seed}', list(zip(video.rgb, video.x, strict=True)), video.boxes
    for folder in folders:
        sequence = open_sequence(folder)
        if sequence.modality is modality:
            frames = [(seen.rgb.image, seen.x.image) for seen in sequence.frames]
            yield sequence.name, frames, sequence.truth.boxes


def present(failure: str, count: int) -> np.ndarray:
    """(T,2) bool, RGB and X; the first frame is complete."""
    mask = np.ones((count, 2), bool)
    stream, kind = failure.split()
    column = ('rgb', 'x').index(stream)
    if kind == 'half':
        return generated(stream, 0.5, count, np.random.default_rng(0))
    mask[count // 3 : 2 * count // 3, column] = False
    return mask


def mean_iou(model, modality: Modality, missing: str, frames, truth, mask) -> float:
    tracker = Tracker(model, modality, missing)
    tracker.init(*frames[0], Box.of(truth[0]))
    found = []
    for (rgb, x), box, (has_rgb, has_x) in zip(frames[1:], truth[1:], mask[1:], strict=True):
        result = tracker.track(rgb if has_rgb else None, x if has_x else None)
        if np.isfinite(box).all():
            found.append(result.box.iou(Box.of(box)))
    return float(np.mean(found))


def main() -> None:
    torch.set_num_threads(1)
    folders = [Path(each) for each in sys.argv[1:]]
    print('| X | failure | complete | ' + ' | '.join(CHOICES) + ' |\n|' + ' --- |' * (3 + len(CHOICES)))
    for modality in Modality:
        model = load_default(modality)
        material = list(progress(videos(modality, folders), modality.value, transient=True))

        def mean(choice: str, failure: str = '', model=model, modality=modality, material=material) -> float:
            every = []
            for _, frames, truth in material:
                whole = np.ones((len(frames), 2), bool)
                mask = present(failure, len(frames)) if failure else whole
                every.append(mean_iou(model, modality, choice, frames, truth, mask))
            return float(np.mean(every))

        complete = mean('skip')
        for failure in FAILURES:
            cells = ' | '.join(f'{value:.3f}' for value in (complete, *(mean(c, failure) for c in CHOICES)))
            print(f'| {modality.value} | {failure} | {cells} |', flush=True)


if __name__ == '__main__':
    main()
