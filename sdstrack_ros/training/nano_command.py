"""`sdstrack train-nano`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from ..errors import SettingError
from ..simulation.library import procedural_library
from ..simulation.pictures import picture_library
from .commands import Precision, training_device
from .nano import NanoSettings, make_nano


def train_nano(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help='folders of photographs with outlines; without any, textures made of noise'),
    ] = None,
    out: Annotated[Path, typer.Option(help='folder for weights, logs and state')] = Path('out/nano'),
    start: Annotated[
        Path | None,
        typer.Option(help='folder with the weights of an earlier run to go on from, instead of from nothing'),
    ] = None,
    resume: Annotated[bool, typer.Option(help='go on where the run in OUT was stopped')] = False,
    batch: Annotated[int | None, typer.Option(help='pairs of a step; 512 by default, 32 suit a CPU')] = None,
    foundation_minutes: Annotated[float | None, typer.Option(help='time of the RGB foundation')] = None,
    foundation_lr: Annotated[float | None, typer.Option(help='its highest learning rate')] = None,
    shared_minutes: Annotated[
        float | None, typer.Option(help='time of the adapters on all modalities in turn')
    ] = None,
    adapter_minutes: Annotated[float | None, typer.Option(help='time of each modality after that')] = None,
    adapter_lr: Annotated[float | None, typer.Option(help='their highest learning rate')] = None,
    seed: Annotated[int | None, typer.Option(help='of weights and pairs')] = None,
    precision: Annotated[Precision, typer.Option(help='arithmetic of forward and backward')] = Precision.BF16,
    compile: Annotated[bool, typer.Option(help='compile the network: faster on a GPU')] = True,  # noqa: A002, the option's name
    device: Annotated[str, typer.Option(help='auto, cpu or cuda')] = 'auto',
) -> None:
    """Train the small weights that ship, from rendered pairs: a foundation, then adapters per modality."""
    given: dict[str, Any] = {
        'batch': batch,
        'foundation_minutes': foundation_minutes,
        'foundation_lr': foundation_lr,
        'shared_minutes': shared_minutes,
        'adapter_minutes': adapter_minutes,
        'adapter_lr': adapter_lr,
        'seed': seed,
        'precision': precision.value,
        'compile': compile,
    }
    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        raise SettingError('train-nano runs in one process, on one GPU: start it without torchrun')
    settings = dataclasses.replace(NanoSettings(), **{k: v for k, v in given.items() if v is not None})
    with training_device(device) as where:
        if pictures:
            library = picture_library(pictures, where)
        else:
            library = procedural_library(settings.seed, plates=200, sprites=400, device=where)
        torch.manual_seed(settings.seed)
        make_nano(library, settings, out, start=start, resume=resume)
