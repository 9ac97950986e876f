"""`sdstrack convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .convert import convert as convert_checkpoint


def convert(
    source: Annotated[Path, typer.Argument(metavar='IN', help='published checkpoint, .pth.tar')],
    target: Annotated[Path, typer.Argument(metavar='OUT', help='what to write, .safetensors')],
) -> None:
    """Turn a published checkpoint into safetensors; nothing in it is executed."""
    convert_checkpoint(source, target)
    typer.echo(f'wrote {target}')
