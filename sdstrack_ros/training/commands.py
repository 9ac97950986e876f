"""`sdstrack train`."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.distributed as dist
import typer

from ..errors import DatasetError, SettingError
from .datasets import BENCHMARKS, read_sequences
from .distillation import DistillationSettings
from .recipes import RECIPES, train_paper


class Precision(str, Enum):
    FP32 = 'fp32'
    BF16 = 'bf16'


def train(
    dataset: Annotated[str, typer.Argument(help=f'what to train on: {", ".join(BENCHMARKS)}')],
    root: Annotated[Path, typer.Option(help='folder that holds the sequences')],
    foundation: Annotated[Path, typer.Option(help='OSTrack checkpoint, vitb_256_mae_ce_32x4_ep300')],
    out: Annotated[Path, typer.Option(help='folder for weights, log and state')],
    sequences: Annotated[
        Path | None, typer.Option(help='file with the names to train on, one a line')
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help='file with the names to judge by after every epoch, one a line')
    ] = None,
    resume: Annotated[bool, typer.Option(help='go on from the state in OUT')] = False,
    epochs: Annotated[int | None, typer.Option(help='published: 15, 40 or 50')] = None,
    lr: Annotated[float | None, typer.Option(help='published: 5e-5 for depth, else 1e-4')] = None,
    batch: Annotated[int | None, typer.Option(help='pairs per process and step; published: 16')] = None,
    samples_per_epoch: Annotated[int | None, typer.Option(help='published: 60000')] = None,
    validation_pairs: Annotated[int | None, typer.Option(help='after every epoch; published: 10000')] = None,
    keep_rate_until: Annotated[
        int | None, typer.Option(help='epoch at which elimination is as strong as in use; published: 20')
    ] = None,
    workers: Annotated[int | None, typer.Option(help='image loading processes per training process')] = None,
    seed: Annotated[int | None, typer.Option(help='of every random draw')] = None,
    precision: Annotated[
        Precision, typer.Option(help='bf16 is faster on a GPU; published: fp32')
    ] = Precision.FP32,
    compile: Annotated[bool, typer.Option(help='compile the network')] = False,  # noqa: A002, the option's name
    device: Annotated[str, typer.Option(help='auto, cpu or cuda')] = 'auto',
    align_tokens: Annotated[bool, typer.Option(help='distil between tokens of the same patch')] = False,
    stop_gradient: Annotated[bool, typer.Option(help='the unmasked path only teaches')] = False,
    sensor_dropout: Annotated[float, typer.Option(help='share of samples that lose a whole sensor')] = 0.0,
    single_sensor: Annotated[float, typer.Option(help='share of steps with one stream alone')] = 0.0,
) -> None:
    """Train as the paper does, on DepthTrack, LasHeR or VisEvent.

    Several GPUs: torchrun --nproc-per-node 4 -m sdstrack_ros.cli train ... trains as published.
    """
    logging.basicConfig(level=logging.INFO, format='%(levelname)s %(name)s: %(message)s')
    if dataset not in RECIPES:
        raise SettingError(f'data set {dataset!r} is not one of {", ".join(RECIPES)}')
    given: dict[str, Any] = {
        'epochs': epochs,
        'lr': lr,
        'batch': batch,
        'samples_per_epoch': samples_per_epoch,
        'validation_pairs': validation_pairs,
        'keep_rate_until': keep_rate_until,
        'workers': workers,
        'seed': seed,
        'precision': precision.value,
        'compile': compile,
    }
    recipe = dataclasses.replace(RECIPES[dataset], **{k: v for k, v in given.items() if v is not None})
    distillation = DistillationSettings(
        align_tokens=align_tokens,
        stop_gradient=stop_gradient,
        sensor_dropout=sensor_dropout,
        single_sensor=single_sensor,
    )
    held_out = [] if validation is None else _names(validation)
    chosen = None if sequences is None else _names(sequences)
    if twice := sorted(set(chosen or ()) & set(held_out)):
        raise DatasetError(
            f'{validation}: {", ".join(twice)} of it stand in {sequences} too; take them out of one'
        )
    judges = read_sequences(root, dataset, held_out) if held_out else ()
    found = [each for each in read_sequences(root, dataset, chosen) if each.folder.name not in held_out]
    if not found:
        raise DatasetError(
            f'{root}: {validation} holds every sequence out, so that none is left to learn from'
        )
    with training_device(device) as where:
        train_paper(
            recipe,
            found,
            foundation,
            out,
            device=where,
            distillation=distillation,
            validation=judges,
            resume=resume,
        )


@contextmanager
def training_device(device: str) -> Iterator[torch.device]:
    """The device of this process; under torchrun it joins the others, and leaves them at the end."""
    if device not in ('auto', 'cpu', 'cuda'):
        raise SettingError(f'device {device!r} is not one of auto, cpu, cuda')
    if device == 'cuda' and not torch.cuda.is_available():
        raise SettingError('device cuda: torch sees no GPU here; use --device cpu, or mend the driver')
    cuda = device == 'cuda' or (device == 'auto' and torch.cuda.is_available())
    chosen = torch.device('cuda', int(os.environ.get('LOCAL_RANK', '0'))) if cuda else torch.device('cpu')
    if cuda:
        torch.cuda.set_device(chosen)
    if 'WORLD_SIZE' not in os.environ:
        yield chosen
        return
    dist.init_process_group('nccl' if cuda else 'gloo')
    try:
        yield chosen
    finally:
        dist.destroy_process_group()


def _names(path: Path) -> list[str]:
    """Of the sequences that a file lists; a name is that of a folder, without a path."""
    try:
        names = [line.strip().rstrip('/') for line in path.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise DatasetError(f'{path}: the list of sequences cannot be read: {error.strerror}') from None
    if not names:
        raise DatasetError(f'{path}: it lists no sequence')
    if paths := [name for name in names if Path(name).name != name]:
        raise DatasetError(f'{path}: {paths[0]!r} is a path; give the names of folders in the root')
    return names
