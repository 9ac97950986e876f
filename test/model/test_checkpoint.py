"""Checkpoints in and out: published pickles, our safetensors, and everything that can be wrong with them."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from sdstrack_ros.errors import CheckpointError, SettingError
from sdstrack_ros.model import Calibration, SDSTrack, SDSTrackConfig, convert, defaults, load_default
from sdstrack_ros.model.checkpoint import is_adapter_key, is_unused_key, read_checkpoint
from sdstrack_ros.model.pickles import read_torch_file

SMALL = SDSTrackConfig(
    dim=24,
    depth=3,
    heads=3,
    template_size=32,
    search_size=64,
    fusion_blocks=(1,),
    elimination_blocks=(1,),
    head_channels=8,
    calibration=Calibration(uncertain=0.4, lost=0.2),
)


class StatValue:
    """Plays a class of the authors' own training code."""

    def __init__(self):
        self.history = [1.0, 2.0]


class Settings(dict):
    """Another, of the kind whose items a pickle sets one by one."""


class Bomb:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f'touch {self.victim}',)


@pytest.fixture(scope='module')
def published_file(seeded_state, tmp_path_factory):
    """A file as the published training saves it, foreign objects included."""
    path = tmp_path_factory.mktemp('published') / 'SDSTrack_ep0050.pth.tar'
    content = {
        'epoch': 50,
        'net_type': 'SDSTrack',
        'net': seeded_state,
        'optimizer': {'state': {0: {'step': torch.tensor(3.0)}}},
        'stats': {'train': {'Loss/total': StatValue()}},
        'settings': Settings(batchsize=16, env=StatValue()),
    }
    torch.save(content, path)
    return path


def small_model() -> SDSTrack:
    torch.manual_seed(3)
    return SDSTrack(SMALL).eval()


def assert_same_network(a: SDSTrack, b: SDSTrack) -> None:
    """Equal in all that the network reads."""
    assert a.config == b.config
    other = b.state_dict()
    for key, value in a.state_dict().items():
        if not is_unused_key(key, a.config):
            torch.testing.assert_close(value, other[key], rtol=0, atol=0)


def test_published_file_with_foreign_classes_is_loaded(published_file, seeded_state):
    model = SDSTrack.from_checkpoint(published_file)
    assert model.config == SDSTrackConfig()
    assert not model.training
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in seeded_state.items())


def test_convert_keeps_the_network(published_file, tmp_path):
    target = tmp_path / 'sdstrack.safetensors'
    convert(published_file, target)
    assert_same_network(SDSTrack.from_checkpoint(published_file), SDSTrack.from_checkpoint(target))
    with pytest.raises(CheckpointError, match='safetensors'):
        convert(published_file, tmp_path / 'sdstrack.pth')


@pytest.mark.parametrize('place', ['net', 'settings'])
@pytest.mark.parametrize('zipped', [True, False])
def test_malicious_pickle_runs_nothing(tmp_path, place, zipped):
    victim, path = tmp_path / 'victim', tmp_path / 'bad.pth'
    content = {'net': {'w': torch.ones(2)}, 'settings': 0}
    content[place] = Bomb(victim)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    if zipped and place == 'settings':
        assert set(read_torch_file(path)) == {'w'}
    else:
        with pytest.raises(CheckpointError, match=r'bad\.pth'):
            read_torch_file(path)
    assert not victim.exists()


def test_bare_pickle_is_refused(tmp_path):
    victim, path = tmp_path / 'victim', tmp_path / 'bare.pth'
    path.write_bytes(pickle.dumps(Bomb(victim)))
    with pytest.raises(CheckpointError, match=r'bare\.pth'):
        SDSTrack.from_checkpoint(path)
    assert not victim.exists()


def test_pickle_cannot_alter_the_permitted_functions(tmp_path):
    """BUILD on a function would set attributes of torch's own."""

    content = b'\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x06\x00\x00\x00tampedq\x00K\x01s\x86b.'
    path = tmp_path / 'tamper.pth'
    torch.save({'net': {}}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, content if name.endswith('data.pkl') else data)
    with pytest.raises(CheckpointError, match=r'tamper\.pth'):
        read_torch_file(path)
    assert not hasattr(torch._utils._rebuild_tensor_v2, 'tamped')


def test_old_torch_format_is_read_when_plain(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({'net': {'w': torch.arange(3.0)}}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_torch_file(path)['w'], torch.arange(3.0))


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(path)
    with pytest.raises(CheckpointError, match='TorchScript'):
        read_torch_file(path)


@pytest.mark.parametrize('share', [0.0, 0.3, 0.95])
@pytest.mark.parametrize('kind', ['pickle', 'safetensors'])
def test_truncated_files(tmp_path, kind, share):
    path = tmp_path / f'cut.{kind}'
    model = small_model()
    if kind == 'pickle':
        torch.save({'net': model.state_dict()}, path)
    else:
        model.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        SDSTrack.from_checkpoint(path)


@pytest.mark.parametrize('place', ['structure', 'numbers'])
def test_corrupt_pickle(tmp_path, place):
    path = tmp_path / 'corrupt.pth'
    torch.save({'net': small_model().state_dict()}, path)
    data = bytearray(path.read_bytes())
    start = data.index(b'data.pkl') + 200 if place == 'structure' else len(data) // 2
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r'corrupt\.pth.*copy it again'):
        SDSTrack.from_checkpoint(path)


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        SDSTrack.from_checkpoint(tmp_path / 'absent.pth')
    path = tmp_path / 'other.pth'
    torch.save({'model': {}, 'epoch': 3}, path)
    with pytest.raises(CheckpointError, match=r"'model', 'epoch'"):
        SDSTrack.from_checkpoint(path)
    torch.save({f'weight{i}': torch.zeros(1) for i in range(400)}, path)
    with pytest.raises(CheckpointError, match=r"'weight4' and 395 more"):
        SDSTrack.from_checkpoint(path)


def test_misfits_are_named(seeded_state, tmp_path):
    state = dict(seeded_state)
    state['backbone.head.weight'] = torch.zeros(1)
    del state['backbone.norm.bias']
    state['box_head.conv5_ctr.bias'] = torch.zeros(7)
    path = tmp_path / 'misfit.pth'
    torch.save({'net': state}, path)
    with pytest.raises(CheckpointError) as caught:
        SDSTrack.from_checkpoint(path)
    message = str(caught.value)
    assert '1 missing: backbone.norm.bias' in message
    assert '1 unexpected: backbone.head.weight' in message
    assert '1 misshapen: box_head.conv5_ctr.bias is (7,), expected (1,)' in message


def test_weights_of_whole_numbers_are_named(seeded_state, tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save({'net': seeded_state | {'backbone.norm.bias': torch.zeros(768, dtype=torch.int64)}}, path)
    with pytest.raises(CheckpointError, match=r'1 mistyped: backbone\.norm\.bias is torch\.int64'):
        SDSTrack.from_checkpoint(path)


def test_keys_of_a_wrapped_network_are_named(seeded_state, tmp_path):
    path = tmp_path / 'wrapped.pth'
    torch.save({'net': {f'module.{key}': value for key, value in seeded_state.items()}}, path)
    with pytest.raises(CheckpointError, match=r'unexpected: module\.'):
        SDSTrack.from_foundation(path)


def test_own_safetensors_round_trip(tmp_path):
    model, path = small_model(), tmp_path / 'small.safetensors'
    model.save(path)
    assert_same_network(model, SDSTrack.from_checkpoint(path))
    assert not any(is_unused_key(key, SMALL) for key in read_checkpoint(path).tensors)
    model.save(path, half=True)
    halved = SDSTrack.from_checkpoint(path)
    assert halved.backbone.pos_embed_z.dtype == torch.float32
    weight = model.backbone.patch_embed.proj.weight
    assert torch.equal(halved.backbone.patch_embed.proj.weight, weight.half().float())


def test_a_network_does_not_change_with_its_file(tmp_path):
    """Written over or cut short while a node runs."""
    model, path = small_model(), tmp_path / 'small.safetensors'
    model.save(path)
    loaded = SDSTrack.from_checkpoint(path)
    with path.open('r+b') as file:
        file.write(bytes(path.stat().st_size))
    assert_same_network(model, loaded)


def test_one_part_is_no_network(tmp_path):
    for part in ('foundation', 'adapters'):
        small_model().save(tmp_path / 'part.safetensors', part)
        with pytest.raises(CheckpointError, match=f'the {part} alone'):
            SDSTrack.from_checkpoint(tmp_path / 'part.safetensors')


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model, path = small_model(), tmp_path / 'spoilt.safetensors'
    weight = model.backbone.patch_embed.proj.weight
    weight.data[0, 0, 0, 0] = 1e5
    with pytest.raises(CheckpointError, match=r'too large for float16: backbone\.patch_embed'):
        model.save(path, half=True)
    weight.data[0, 0, 0, 0] = torch.nan
    model.save(path)
    with pytest.raises(CheckpointError, match=r'no numbers in backbone\.patch_embed'):
        SDSTrack.from_checkpoint(path)


def test_safetensors_without_config(tmp_path):
    path = tmp_path / 'alien.safetensors'
    save_file({'w': torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match='config'):
        SDSTrack.from_checkpoint(path)
    save_file({'w': torch.zeros(1)}, path, metadata={'config': '{"dim": 3}'})
    with pytest.raises(CheckpointError, match=r'alien\.safetensors'):
        SDSTrack.from_checkpoint(path)


def test_foundation_from_an_ostrack_file(seeded_state, tmp_path, caplog):
    new = ('Adapter', 'multimodal', 'z_z_dte', 'x_x_dte')
    ostrack = {key: value for key, value in seeded_state.items() if not any(part in key for part in new)}
    assert len(ostrack) == 242
    path = tmp_path / 'OSTrack_ep0300.pth.tar'
    torch.save({'net': ostrack, 'settings': StatValue()}, path)
    with caplog.at_level('INFO'):
        model = SDSTrack.from_foundation(path)
    state = model.state_dict()
    read = [key for key in ostrack if not is_unused_key(key, model.config)]
    assert all(torch.equal(state[key], ostrack[key]) for key in read)
    assert '242 tensors' in caplog.text
    assert '196 left fresh' in caplog.text
    adapter = state['backbone.blocks.5.Space_X_DTE_Adapter.D_fc1.weight']
    assert adapter.std().item() == pytest.approx(0.02, rel=0.05)
    assert not torch.equal(
        state['backbone.patch_embed_multimodal.proj.weight'], state['backbone.patch_embed.proj.weight']
    )
    del ostrack['backbone.blocks.7.mlp.fc1.bias']
    torch.save({'net': ostrack}, path)
    with pytest.raises(CheckpointError, match=r'missing: backbone\.blocks\.7\.mlp\.fc1\.bias'):
        SDSTrack.from_foundation(path)


def test_parts_make_the_whole(tmp_path, monkeypatch):
    model = small_model()
    model.save(tmp_path / defaults.FOUNDATION, 'foundation')
    model.save(tmp_path / 'nano_depth.safetensors', 'adapters')
    assert all(is_adapter_key(key) for key in read_checkpoint(tmp_path / 'nano_depth.safetensors').tensors)
    monkeypatch.setattr(defaults, 'weight_folders', lambda: [tmp_path / 'elsewhere', tmp_path])
    assert_same_network(model, load_default('depth'))
    with pytest.raises(CheckpointError, match='nano_event'):
        load_default('event')
    with pytest.raises(SettingError, match='depth, thermal, event'):
        load_default('sonar')


def test_adapters_of_another_architecture(tmp_path):
    SDSTrack(dataclasses.replace(SMALL, depth=4)).save(tmp_path / 'deep.safetensors', 'adapters')
    with pytest.raises(CheckpointError, match='another architecture'):
        small_model().load_adapters(tmp_path / 'deep.safetensors')


def test_config_round_trip():
    assert SDSTrackConfig.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(ValueError, match='heads'):
        SDSTrackConfig(dim=100, heads=3)
    with pytest.raises(ValueError, match='lost'):
        Calibration(uncertain=0.2, lost=0.4)
    with pytest.raises(ValueError, match='fp8'):
        Calibration(uncertain=0.4, lost=0.2, precisions=('fp8',))


@pytest.mark.parametrize(
    ('name', 'value'),
    [('heads', 0), ('dim', 48.0), ('depth', -2), ('mlp_ratio', None), ('patch', True), ('calibration', 'no')],
)
def test_a_config_of_wrong_values_is_named(name, value):
    values = json.loads(SMALL.to_json()) | {name: value}
    with pytest.raises(CheckpointError, match='calibration|dictionary' if name == 'calibration' else name):
        SDSTrackConfig.from_json(json.dumps(values))


def test_unwritable_target(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='cannot be written'):
        small_model().save(tmp_path / 'file' / 'x.safetensors')
