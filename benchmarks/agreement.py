"""Do fewer bits keep the boxes? Mean IoU with those of float32 in the same search regions, and accuracy.

    python benchmarks/agreement.py [FOLDER ...]    # sequences (rgb/, x/, groundtruth.txt) beside the videos

What is measured is explained in `sdstrack_ros/training/trust.py`. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from stand_in import videos

from sdstrack_ros.model import load_default
from sdstrack_ros.model.config import PRECISIONS
from sdstrack_ros.model.precision import at_precision
from sdstrack_ros.training.trust import Video, accuracy, agreement
from sdstrack_ros.types import Modality


def main() -> None:
    torch.set_num_threads(1)
    folders = [Path(each) for each in sys.argv[1:]]
    print('| X | video | precision | same boxes | IoU with the truth | of fp32 |\n|' + ' --- |' * 6)
    for modality in Modality:
        exact = load_default(modality)
        reduced = {name: at_precision(exact, name)[0] for name in PRECISIONS[1:]}
        for name, frames, truth in videos(modality, folders):
            video = Video(modality, frames, truth)
            best = accuracy(exact, video)
            for precision, model in reduced.items():
                scores = (agreement(exact, model, video), accuracy(model, video), best)
                cells = ' | '.join(f'{each:.3f}' for each in scores)
                print(f'| {modality.value} | {name} | {precision} | {cells} |', flush=True)


if __name__ == '__main__':
    main()
