"""The network as ONNX files, one per mode, for TensorRT, OpenVINO or ONNX Runtime.

A file takes template (1,6,t,t) and search (1,6,s,s), normalised as `tracking.crops` does, and gives
score_map, size_map and offset_map as `network.TrackerOutput` has them. All shapes are fixed. The files of one
stream keep all six channels, so that one caller serves all; they read three.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import SettingError
from ..types import Mode
from .network import SDSTrack

OPSET = 18
MODES = (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY)
INPUTS = ('template', 'search')
OUTPUTS = ('score_map', 'size_map', 'offset_map')


class _OneMode(nn.Module):
    """What goes into one file."""

    def __init__(self, network: SDSTrack, mode: Mode) -> None:
        super().__init__()
        self.network = network
        self.mode = mode

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.network(template, search, mode=self.mode)
        return out.score_map, out.size_map, out.offset_map


def export_onnx(network: SDSTrack, folder: Path, name: str) -> dict[Mode, Path]:
    """Write `name`_fused.onnx, `name`_rgb_only.onnx and `name`_x_only.onnx into the folder.

    The network's config and the mode are in the file's metadata, 'config' and 'mode'. SettingError where the
    packages for it are not installed, or nothing can be written there.
    """
    if torch.__version__ < '2.5':  # as versions, not as texts
        raise SettingError(
            f"ONNX files need torch 2.5, and {torch.__version__} is installed: pip install 'sdstrack[onnx]'"
        )
    if find_spec('onnx') is None or find_spec('onnxscript') is None:
        raise SettingError("ONNX files need packages that are not installed: pip install 'sdstrack[onnx]'")
    network = copy.deepcopy(network).eval()  # the caller's may be in training, and stays so
    config = network.config
    device = next(network.parameters()).device
    example = tuple(
        torch.zeros(1, 6, size, size, device=device) for size in (config.template_size, config.search_size)
    )
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for mode in MODES:
        program = torch.onnx.export(
            _OneMode(network, mode).eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUTS,
            output_names=OUTPUTS,
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(config=config.to_json(), mode=mode.name)
        written[mode] = folder / f'{name}_{mode.name.lower()}.onnx'
        with _writing_to(folder):
            program.save(os.fspath(written[mode]))
    return written


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingError(
            f'{folder}: ONNX files cannot be written there ({error}); choose another folder'
        ) from error
