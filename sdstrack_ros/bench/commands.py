"""`sdstrack bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from rich.console import Console

from ..errors import SettingError
from ..model.devices import choose_device
from ..types import Modality
from .machine import facts, forget_memory, peak_memory, peak_rate
from .networks import NO_FILES, Variants, measure_networks, named_models
from .parts import measure_parts
from .report import Measurements, show

_NODE_FRAMES = 300  # ten seconds


def bench(
    model: Annotated[
        list[str] | None, typer.Option(help='nano, vit-b or a checkpoint; may be repeated')
    ] = None,
    modality: Annotated[Modality, typer.Option(help='what the second sensor, X, measures')] = Modality.DEPTH,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'auto',
    precision: Annotated[
        list[str] | None, typer.Option(help='fp32, bf16, int8 or auto; may be repeated, to compare')
    ] = None,
    targets: Annotated[
        list[int] | None, typer.Option(min=1, help='looked for at once, as a batch; may be repeated')
    ] = None,
    compile: Annotated[bool, typer.Option(help='compile the networks; for CUDA')] = False,  # noqa: A002, the option's name
    threads: Annotated[int, typer.Option(min=0, help='of the network on a CPU; 0: as torch has it')] = 0,
    seconds: Annotated[float, typer.Option(min=0, help='per network and mode, and per image size')] = 5.0,
    node: Annotated[bool, typer.Option(help='also the real node over DDS, at 30 Hz')] = False,
    output: Annotated[
        Path | None, typer.Option('--json', dir_okay=False, help='write the numbers to this file')
    ] = None,
) -> None:
    """Measure the speed on this machine, and how far it is from what matrix products alone would take.

    The parts, and the node, run the first of the models; the node in the first of the precisions.
    """
    if threads:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # as in the node
    console, where = Console(), choose_device(device)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
    names, precisions = model or ['nano'], precision or ['fp32']
    of_node = _parameters(names[0], device, precisions[0], threads, compile) if node else None
    models = named_models(names, modality, where)
    machine = facts(where)
    with console.status('matrix products'):
        peak = peak_rate(where)
    forget_memory(where)
    with console.status('networks'):
        variants = Variants(tuple(precisions), tuple(targets or [1]), compile)
        networks = measure_networks(models, variants, where, peak, seconds)
    with console.status('parts of a frame'):
        parts = measure_parts(models[0].network, modality, where, seconds)
    memory = peak_memory(where)
    over_dds = None
    if of_node is not None:
        from .wire import measure_node  # needs ROS, as nothing else here does

        with console.status('node over DDS'):
            over_dds = measure_node(modality, _NODE_FRAMES, of_node)
    found = Measurements(
        machine,
        where.type,
        peak,
        networks,
        parts,
        memory,
        over_dds,
    )
    show(console, found)
    if output is not None:
        output.write_text(json.dumps(found.as_json(), indent=1, allow_nan=False) + '\n')
        console.print(f'Numbers: [bold]{output}[/bold]', soft_wrap=True)


def _parameters(
    model: str,
    device: str,
    precision: str,
    threads: int,
    compile: bool,  # noqa: A002, as above
) -> dict[str, object]:
    """Of the node, so that it runs what is measured without it."""
    if model == 'vit-b':
        raise SettingError(
            "--node: the node has no weights for 'vit-b', which is random here; "
            'give --model nano or a checkpoint first'
        )
    given: dict[str, object] = {
        'device': device,
        'precision': precision,
        'threads': threads,
        'compile': compile,
    }
    if model not in NO_FILES:
        given['checkpoint'] = str(Path(model).expanduser().resolve())
    return given
