"""DepthTrack, LasHeR and VisEvent as sequences to train on, in their published layouts.

| benchmark | a sequence's folder | list of sequences |
| --- | --- | --- |
| depthtrack | color/, depth/, groundtruth.txt | every folder |
| lasher | visible/, infrared/, visible.txt, infrared.txt | every folder |
| visevent | vis_imgs/, event_imgs/, groundtruth.txt, absent_label.txt (1 = present) | trainlist.txt |

Frame i is the i-th image by name of either stream. The published training looks LasHeR's frames up by a
pattern on their number and so mixes frames of different times now and then; that is not repeated here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from ..evaluation.sequences import list_images, read_boxes
from ..types import Modality

LOGGER = logging.getLogger(__name__)

MIN_LENGTH = 20  # frames of a sequence worth sampling
MIN_VISIBLE = 5  # of which show the target
MAX_GAP = 200  # frames between template and search
GAP_STEP = 5  # by which that grows until a frame is found


@dataclass(frozen=True)
class Benchmark:
    """One published layout."""

    modality: Modality
    rgb: str  # folder of the RGB images
    x: str
    truth: str
    min_side: float  # a box counts as visible above this width and height, px
    labels: str | None = None  # file with 1 for each frame that shows the target
    names: str | None = None  # file with the names of the training sequences


BENCHMARKS = {
    'depthtrack': Benchmark(Modality.DEPTH, 'color', 'depth', 'groundtruth.txt', 10.0),
    'lasher': Benchmark(Modality.THERMAL, 'visible', 'infrared', 'visible.txt', 0.0),
    'visevent': Benchmark(
        Modality.EVENT,
        'vis_imgs',
        'event_imgs',
        'groundtruth.txt',
        5.0,
        labels='absent_label.txt',
        names='trainlist.txt',
    ),
}


@dataclass(frozen=True, eq=False)
class TrainingSequence:
    """Files and boxes of one sequence; boxes (T,4) x, y, w, h px, visible (T,) bool."""

    folder: Path
    benchmark: Benchmark
    rgb: tuple[str, ...]  # file names in their folder, one per frame
    x: tuple[str, ...]
    boxes: npt.NDArray[np.float64]
    visible: npt.NDArray[np.bool_]

    def files(self, frame: int) -> tuple[Path, Path]:
        """The RGB and the X file of a frame."""
        return (
            self.folder / self.benchmark.rgb / self.rgb[frame],
            self.folder / self.benchmark.x / self.x[frame],
        )


def read_sequences(
    root: Path, benchmark: str, names: Sequence[str] | None = None
) -> tuple[TrainingSequence, ...]:
    """Training sequences of a data set at `root`, by name; those with too little to see are left out.

    names: which sequences; by default those of the data set's own list, or all there are. DatasetError
    where a folder or file is missing, or nothing usable is found.
    """
    if benchmark not in BENCHMARKS:
        raise DatasetError(f'data set {benchmark!r} is not one of {", ".join(BENCHMARKS)}')
    layout = BENCHMARKS[benchmark]
    if not root.is_dir():
        raise DatasetError(f'{root}: no such folder; give the folder that holds the sequences of {benchmark}')
    if names is None:
        names = _listed_names(root, layout)
    sequences = [_read_sequence(root / name, layout) for name in names]
    usable = [s for s in sequences if len(s.boxes) >= MIN_LENGTH and s.visible.sum() >= MIN_VISIBLE]
    if len(usable) < len(sequences):
        LOGGER.warning(
            '%s: %d of %d sequences left out: under %d frames, or the target in under %d of them',
            *(root, len(sequences) - len(usable), len(sequences), MIN_LENGTH, MIN_VISIBLE),
        )
    if not usable:
        raise DatasetError(f'{root}: no usable sequence of {benchmark}; a sequence holds {_contents(layout)}')
    return tuple(usable)


def draw_frames(visible: npt.NDArray[np.bool_], random: np.random.Generator) -> tuple[int, int]:
    """A template frame and a later search frame ("causal" sampling), both of which show the target.

    The template is any visible frame but the last of the sequence, the search frame any visible one less
    than MAX_GAP after it; where there is none, both are drawn anew with a longer reach.
    At least two frames have to be visible.
    """
    shown = np.flatnonzero(visible)
    templates = shown[shown < len(visible) - 1]
    reach = MAX_GAP
    while True:
        template = int(random.choice(templates))
        later = shown[(shown > template) & (shown < template + reach)]
        if len(later):
            return template, int(random.choice(later))
        reach += GAP_STEP


def _listed_names(root: Path, layout: Benchmark) -> list[str]:
    if layout.names is not None and (root / layout.names).is_file():
        return (root / layout.names).read_text().split()
    return sorted(p.name for p in root.iterdir() if (p / layout.truth).is_file())


def _contents(layout: Benchmark) -> str:
    parts = (f'{layout.rgb}/', f'{layout.x}/', layout.truth, layout.labels)
    return ', '.join(part for part in parts if part)


def _read_sequence(folder: Path, layout: Benchmark) -> TrainingSequence:
    for part in (layout.rgb, layout.x, layout.truth, layout.labels):
        if part is not None and not (folder / part).exists():
            raise DatasetError(f'{folder}: {part} is missing; a sequence holds {_contents(layout)}')
    boxes = read_boxes(folder / layout.truth, strict=False)
    rgb = tuple(path.name for path in list_images(folder / layout.rgb))
    x = tuple(path.name for path in list_images(folder / layout.x))
    with np.errstate(invalid='ignore'):  # NaN: not visible
        large = (boxes[:, 2:] > layout.min_side).all(axis=1)
    visible: npt.NDArray[np.bool_] = np.asarray(large & np.isfinite(boxes).all(axis=1))
    counts = [len(rgb), len(x), len(boxes)]
    if layout.labels is not None:
        present = np.array([float(word) == 1 for word in (folder / layout.labels).read_text().split()])
        counts.append(len(present))
    # Some published sequences have a few images more or less at the end.
    length = min(counts)
    visible = visible[:length]
    if length < max(counts):
        LOGGER.warning('%s: %s images and rows; the first %d are used', folder, counts, length)
    if layout.labels is not None:
        visible = visible & present[:length]
    return TrainingSequence(folder, layout, rgb[:length], x[:length], boxes[:length], visible)
