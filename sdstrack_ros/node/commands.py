"""`sdstrack run`: the node without ros2 launch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..share import shared_file
from ..types import Modality
from .arguments import check_params_file, parameter
from .main import main


def run(
    modality: Annotated[
        Modality | None, typer.Option(help='what the second sensor, X, measures; depth by default')
    ] = None,
    rgb_topic: Annotated[str, typer.Option(help='RGB images')] = 'rgb/image_raw',
    x_topic: Annotated[str, typer.Option(help='X images, or event packets')] = 'x/image_raw',
    camera_info_topic: Annotated[str, typer.Option(help='intrinsics, for the position')] = 'rgb/camera_info',
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    device: Annotated[str | None, typer.Option(help='auto (the default), cpu, cuda or cuda:N')] = None,
    init_box: Annotated[str | None, typer.Option(help='first target: x,y,w,h in pixels')] = None,
    namespace: Annotated[str, typer.Option(help='where the topics lie')] = 'sdstrack',
    params_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help='parameters, YAML; config/MODALITY.yaml by default'),
    ] = None,
    use_sim_time: Annotated[bool, typer.Option(help='follow /clock, for a bag played with --clock')] = False,
    log_level: Annotated[str, typer.Option(help='debug, info, warn, error or fatal')] = 'info',
) -> None:
    """Start the tracker node. Boxes come out on /NAMESPACE/bbox; Ctrl-C ends it.

    The settings come from PARAMS_FILE; an option that is given goes before it.
    """
    namespace = f'/{namespace.strip("/")}'
    arguments = ['sdstrack', '--ros-args', '--log-level', log_level, '-r', f'__ns:={namespace}']
    for topic, target in (
        ('rgb/image_raw', rgb_topic),
        ('x/image_raw', x_topic),
        ('rgb/camera_info', camera_info_topic),
    ):
        if target != topic:
            arguments += ['-r', f'{topic}:={target}']
    params_file = params_file or shared_file(f'config/{(modality or Modality.DEPTH).value}.yaml')
    if params_file is not None:
        check_params_file(params_file, f'{namespace.rstrip("/")}/tracker')
        arguments += ['--params-file', str(params_file)]
    parameters = {
        'modality': modality.value if modality is not None else None,
        'device': device,
        'checkpoint': checkpoint,
        'init_box': init_box,
        'use_sim_time': use_sim_time or None,
    }
    for name, value in parameters.items():
        if value is not None:
            arguments += ['-p', parameter(name, value)]
    raise typer.Exit(main(arguments))
