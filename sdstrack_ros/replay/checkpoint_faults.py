"""Checkpoints that are damaged or mean harm, given to the real node: it says so, lives, and can be mended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters

from ..errors import NodeError
from ..model import SDSTrack, SDSTrackConfig
from .process import NodeProcess, own_domain
from .station import Station

CHECKPOINTS = tuple(
    f'checkpoint {kind}' for kind in ('corrupt', 'truncated', 'malicious', 'missing', 'mended')
)
_SMALL = SDSTrackConfig(dim=48, depth=2, heads=3, fusion_blocks=(1,), elimination_blocks=(), head_channels=32)


class _Harm:
    """Pickled, it is a command that is run by whoever unpickles it carelessly."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._mark),)


def try_checkpoints(folder: Path, parameters: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with the node's behaviour, by the kind of checkpoint; empty where all is well.

    One node gets one after the other, and at last a good one, with which it has to become active.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / 'harm_was_done'
    good, bad = _make(folder, mark)
    names = list(bad)
    found: dict[str, str] = {}
    domain = own_domain()
    first = {**parameters, 'checkpoint': str(bad[names[0]])}
    log = folder / 'node.log'
    with NodeProcess(first, domain=domain, log=log) as process, Station(domain, process) as station:
        for number, name in enumerate(names):
            if number:
                _set_checkpoint(station, bad[name])
                station.change_state(Transition.TRANSITION_CONFIGURE)
            found[f'checkpoint {name}'] = _refusal_problem(station, bad[name])
        if mark.exists():
            found['checkpoint malicious'] = 'code of the checkpoint was run'
        _set_checkpoint(station, good)
        mended = station.change_state(Transition.TRANSITION_CONFIGURE)
        mended = mended and station.change_state(Transition.TRANSITION_ACTIVATE)
        found['checkpoint mended'] = '' if mended else f'does not start with a good one: {process.tail}'
    return found


def _make(folder: Path, mark: Path) -> tuple[Path, dict[str, Path]]:
    """A good checkpoint, and bad ones by their kind."""
    good = folder / 'good.safetensors'
    torch.manual_seed(0)
    SDSTrack(_SMALL).save(good)
    whole = good.read_bytes()
    bad = {name: folder / f'{name}.safetensors' for name in ('corrupt', 'truncated')}
    bad['corrupt'].write_bytes(whole[:64] + bytes(255 - byte for byte in whole[64:1024]) + whole[1024:])
    bad['truncated'].write_bytes(whole[: len(whole) // 2])
    bad['malicious'] = folder / 'malicious.pth.tar'
    torch.save({'net': _Harm(mark)}, bad['malicious'])
    bad['missing'] = folder / 'nowhere.safetensors'
    return good, bad


def _refusal_problem(station: Station, path: Path) -> str:
    """Empty where the node lives, refuses the file and names it."""
    try:
        station.wait_for(
            lambda: station.health is not None and path.name in station.health.message,
            f'the health to name {path.name}',
            patience_s=30.0,
        )
    except NodeError as error:
        return str(error)
    return '' if station.process.alive else 'the node died'


def _set_checkpoint(station: Station, path: Path) -> None:
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(path))
    request = SetParameters.Request(parameters=[Parameter(name='checkpoint', value=value)])
    (result,) = station.call(SetParameters, 'tracker/set_parameters', request).results
    if not result.successful:
        raise NodeError(f'the node refused the parameter checkpoint: {result.reason}')
