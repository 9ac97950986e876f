"""Training pairs of a data set, made by worker processes; pair n is the same whoever makes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import count

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import DatasetError, ImageError
from ..evaluation.sequences import read_rgb, read_x
from ..sensing.appearance import appearance_for
from ..types import Box
from .augmentation import Augmentation, LabelledFrame, Sample
from .batch import TrainingBatch
from .datasets import TrainingSequence, draw_frames

LOGGER = logging.getLogger(__name__)
MAX_ATTEMPTS = 20


class PairDataset(Dataset[Sample]):
    """An endless set of random pairs: number n is a function of the seed and n alone.

    Every sequence is equally likely, whatever its length.
    """

    def __init__(self, sequences: Sequence[TrainingSequence], augmentation: Augmentation, seed: int) -> None:
        self._sequences = sequences
        self._augmentation = augmentation
        self._seed = seed

    def __getitem__(self, number: int) -> Sample:
        """Draws again where a box is too small to crop or a file cannot be read; the latter is warned of.

        DatasetError where that does not help.
        """
        random = np.random.default_rng((self._seed, number))
        for _ in range(MAX_ATTEMPTS):
            sequence = self._sequences[int(random.integers(len(self._sequences)))]
            frames = draw_frames(sequence.visible, random)
            try:
                template, search = (self._read(sequence, frame) for frame in frames)
            except (DatasetError, ImageError) as error:
                LOGGER.warning('left out: %s', error)
                continue
            appearance = appearance_for(sequence.benchmark.modality)
            sample = self._augmentation.pair(template, search, appearance, random)
            if sample is not None:
                return sample
        raise DatasetError(
            f'no usable pair in {MAX_ATTEMPTS} draws, last from {sequence.folder}; check the images and boxes'
        )

    def _read(self, sequence: TrainingSequence, frame: int) -> LabelledFrame:
        rgb_file, x_file = sequence.files(frame)
        rgb, x = read_rgb(rgb_file), read_x(x_file, sequence.benchmark.modality)
        if rgb.shape[:2] != x.shape[:2]:
            raise ImageError(f'{x_file}: {x.shape[1]}x{x.shape[0]}, its RGB is {rgb.shape[1]}x{rgb.shape[0]}')
        return LabelledFrame(rgb, x, Box.of(sequence.boxes[frame]))


class _Numbers(Sampler[int]):
    """first + rank, first + rank + world, ... without end."""

    def __init__(self, first: int, rank: int, world: int) -> None:
        self._start, self._stride = first + rank, world

    def __iter__(self) -> Iterator[int]:
        return count(self._start, self._stride)


class PairBatches:
    """A batch source for the loop: `batch` pairs per process and step, split among `world` processes."""

    def __init__(
        self,
        dataset: PairDataset,
        batch: int,
        workers: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._dataset, self._batch, self._workers = dataset, batch, workers
        self._device, self._rank, self._world = device, rank, world

    def __call__(self, step: int) -> Iterator[TrainingBatch]:
        """Batches from a step on, on the device."""
        loader = DataLoader(
            self._dataset,
            batch_size=self._batch,
            sampler=_Numbers(step * self._batch * self._world, self._rank, self._world),
            num_workers=self._workers,
            # A fork would inherit OpenCV's thread pool without its threads, and wait for them for ever.
            multiprocessing_context='spawn' if self._workers else None,
            collate_fn=_collate,
            worker_init_fn=_one_thread,
            pin_memory=self._device.type == 'cuda',
        )
        for template, search, box in loader:
            yield TrainingBatch(
                template.to(self._device, non_blocking=True),
                search.to(self._device, non_blocking=True),
                box.to(self._device, non_blocking=True),
            )


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)


def _collate(samples: list[Sample]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))
