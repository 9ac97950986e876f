"""`sdstrack convert` and `sdstrack export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..types import Modality
from .convert import convert as convert_checkpoint
from .defaults import load_default
from .export import export_onnx
from .network import SDSTrack

# Of checkpoints, ours and published ones; another dot may be that of a version.
_SUFFIX = re.compile(r'\.(safetensors|pth\.tar|pth|pt)$')


def convert(
    source: Annotated[Path, typer.Argument(metavar='IN', help='published checkpoint, .pth.tar')],
    target: Annotated[Path, typer.Argument(metavar='OUT', help='what to write, .safetensors')],
) -> None:
    """Turn a published checkpoint into safetensors; nothing in it is executed."""
    convert_checkpoint(source, target)
    typer.echo(f'wrote {target}')


def export(
    out: Annotated[Path, typer.Option(help='folder for the .onnx files')] = Path('onnx'),
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    modality: Annotated[Modality, typer.Option(help='whose adapters, without a checkpoint')] = Modality.DEPTH,
) -> None:
    """Write the network as ONNX files, one for RGB + X and one for each stream alone."""
    if checkpoint is not None:
        network, name = SDSTrack.from_checkpoint(checkpoint), _SUFFIX.sub('', checkpoint.name)
    else:
        network, name = load_default(modality), f'nano_{modality.value}'
    for path in export_onnx(network, out, name).values():
        typer.echo(f'wrote {path}')
