"""The ONNX files against the network, in ONNX Runtime."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import seeded_weights
import torch
import typer
from torch.torch_version import TorchVersion
from typer.testing import CliRunner

from sdstrack_ros.errors import CheckpointError, SettingError
from sdstrack_ros.model import SDSTrack, SDSTrackConfig, commands, export
from sdstrack_ros.model.commands import export as export_command
from sdstrack_ros.training.nano import NANO
from sdstrack_ros.types import Mode

pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')

TINY = SDSTrackConfig(
    dim=48,
    depth=4,
    heads=3,
    template_size=48,
    search_size=96,
    fusion_blocks=(1, 3),
    elimination_blocks=(1, 2),
    head_channels=16,
)


@pytest.fixture(scope='module', params=[TINY, NANO], ids=['with elimination', 'nano'])
def exported(request, tmp_path_factory) -> tuple[SDSTrack, dict[Mode, Path]]:
    network = SDSTrack(request.param)
    seeded_weights.fill_(network.state_dict())
    network.save(path := tmp_path_factory.mktemp('onnx') / 'some.safetensors')
    app = typer.Typer()
    app.command()(export_command)
    got = CliRunner().invoke(app, ['--checkpoint', str(path), '--out', str(path.parent)])
    assert got.exit_code == 0, got.output
    files = {mode: path.parent / f'some_{mode.name.lower()}.onnx' for mode in export.MODES}
    assert all(str(file) in got.output.replace('\n', '') for file in files.values())
    return network.eval(), files


@pytest.mark.parametrize('mode', export.MODES)
def test_a_file_gives_what_the_network_gives(exported, mode):
    network, files = exported
    config, generator = network.config, torch.Generator().manual_seed(1)
    template, search = (
        torch.randn(1, 6, size, size, generator=generator)
        for size in (config.template_size, config.search_size)
    )
    session = onnxruntime.InferenceSession(files[mode], providers=['CPUExecutionProvider'])
    maps = session.run(list(export.OUTPUTS), {'template': template.numpy(), 'search': search.numpy()})
    with torch.inference_mode():
        expected = network(template, search, mode=mode)
    for name, found in zip(export.OUTPUTS, maps, strict=True):
        assert found.std() > 0.01, name
        np.testing.assert_allclose(found, getattr(expected, name).numpy(), atol=1e-4, rtol=0, err_msg=name)
    told = session.get_modelmeta().custom_metadata_map
    assert told['mode'] == mode.name
    assert json.loads(told['config']) == json.loads(config.to_json())


def test_what_to_install_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(export, 'find_spec', lambda name: None if name == 'onnxscript' else find_spec(name))
    with pytest.raises(SettingError, match=r'sdstrack\[onnx\]'):
        export.export_onnx(SDSTrack(TINY), tmp_path, 'tiny')


def test_a_torch_that_is_too_old_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.4.1+cpu'))
    with pytest.raises(SettingError, match=r'torch 2\.5.*2\.4\.1.*sdstrack\[onnx\]'):
        export.export_onnx(SDSTrack(TINY), tmp_path, 'tiny')


def test_a_folder_that_cannot_be_one_is_named(tmp_path):
    (out := tmp_path / 'taken').write_text('')
    with pytest.raises(SettingError, match='taken'):
        export.export_onnx(SDSTrack(TINY), out, 'tiny')


def test_a_file_that_cannot_be_written_is_told_with_its_folder(tmp_path):
    (tmp_path / 'tiny_fused.onnx').mkdir()
    with pytest.raises(SettingError, match=re.escape(str(tmp_path))):
        export.export_onnx(SDSTrack(TINY), tmp_path, 'tiny')


def test_the_network_stays_in_training(tmp_path):
    network = SDSTrack(TINY).train()
    export.export_onnx(network, tmp_path, 'tiny')
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(
    ('file', 'name'),
    [
        ('rgbd.v2.safetensors', 'rgbd.v2'),
        ('SDSTrack_ep0015.pth.tar', 'SDSTrack_ep0015'),
        ('plain.pt', 'plain'),
        ('weights.0015', 'weights.0015'),
    ],
)
def test_versions_in_names_of_checkpoints_are_kept(tmp_path, monkeypatch, file, name):
    names = []
    monkeypatch.setattr(commands, 'export_onnx', lambda network, folder, name: names.append(name) or {})
    SDSTrack(TINY).save(tmp_path / file)
    export_command(tmp_path, tmp_path / file)
    assert names == [name]


def test_a_checkpoint_that_is_none_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'none\.safetensors'):
        export_command(tmp_path, tmp_path / 'none.safetensors')
