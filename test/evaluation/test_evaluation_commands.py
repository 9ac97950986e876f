"""The command line: what a user types, and what comes out."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sdstrack_ros.errors import SdstrackError
from sdstrack_ros.evaluation import annotation, commands
from sdstrack_ros.evaluation.bag_writer import BagWriter
from sdstrack_ros.evaluation.evaluate import SourceOptions, open_sources
from sdstrack_ros.evaluation.truth import read_truth
from sdstrack_ros.types import Modality

app = typer.Typer()
app.command()(commands.evaluate)
app.command()(commands.annotate)
IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)


def call(*arguments, text=None):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=text)


def test_evaluate_prints_a_table_and_resumes(make_folder, tmp_path):
    folder, out = make_folder(), tmp_path / 'out'
    first = call('evaluate', folder, '--no-sdstrack', '--peer', 'kcf', '--jobs', 1, '--out', out)
    assert first.exit_code == 0, first.output
    assert 'kcf' in first.output
    record = next((out / 'records').rglob('*.npz'))
    before = record.stat().st_mtime_ns
    again = call('evaluate', folder, '--no-sdstrack', '--peer', 'kcf', '--jobs', 1, '--out', out)
    assert again.exit_code == 0, again.output
    assert record.stat().st_mtime_ns == before
    call('evaluate', folder, '--no-sdstrack', '--peer', 'kcf', '--jobs', 1, '--out', out, '--no-resume')
    assert record.stat().st_mtime_ns > before


def test_an_interrupt_keeps_what_is_done(make_folder, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, 'run_evaluation', interrupted)
    got = call('evaluate', make_folder(), '--no-sdstrack', '--peer', 'kcf', '--jobs', 1, '--out', tmp_path)
    assert got.exit_code == 130
    assert 'the same command goes on' in got.output


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--peer', 'kfc'], "peer 'kfc'"),
        (['--missing', 'x:2'], "missing: 'x:2'"),
        (['--missing', 'file:none.json'], 'none.json'),
        (['--results', 'theirs'], 'NAME=FOLDER'),
        (['--checkpoint', 'none.safetensors'], 'none.safetensors'),
    ],
)
def test_bad_options_name_themselves(make_folder, tmp_path, arguments, message):
    got = call('evaluate', make_folder(frames=3), '--jobs', 1, '--out', tmp_path, *arguments)
    assert isinstance(got.exception, SdstrackError)
    assert message in str(got.exception)


def test_a_bag_needs_a_modality(tmp_path):
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag:
        bag.write_rgb(10**9, IMAGE)
    got = call('evaluate', tmp_path / 'bag', '--out', tmp_path / 'out')
    assert 'add --modality' in str(got.exception)


@pytest.fixture
def bag(tmp_path, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    with BagWriter(tmp_path / 'run_1', Modality.DEPTH) as writer:
        for i in (5, 6):
            writer.write_rgb(i * 10**9, IMAGE)
    return tmp_path / 'run_1'


@pytest.mark.parametrize(('options', 'typed'), [(['--box', '10,12,20,16'], None), ([], '10,12,20,16\n')])
def test_annotate_writes_the_first_box_beside_the_bag(bag, options, typed):
    got = call('annotate', bag, *options, text=typed)
    assert got.exit_code == 0, got.output
    truth = read_truth(bag.parent / 'run_1.truth.csv')
    assert truth.stamps_ns.tolist() == [5 * 10**9]
    assert truth.boxes.tolist() == [[10, 12, 20, 16]]
    assert (bag.parent / 'run_1.truth.jpg').exists() == (typed is not None)


def test_annotate_replaces_a_truth_only_when_told_to(bag):
    truth = bag.parent / 'run_1.truth.csv'
    truth.write_text('stamp_ns,x,y,w,h\n')
    got = call('annotate', bag, '--box', '10,12,20,16')
    assert '--force' in str(got.exception)
    assert truth.read_text() == 'stamp_ns,x,y,w,h\n'
    assert call('annotate', bag, '--box', '10,12,20,16', '--force').exit_code == 0
    assert len(read_truth(truth).boxes) == 1


@pytest.mark.parametrize(
    'box', ['1,2,3', 'a,b,c,d', '200,200,5,5', '1,1,0,5', 'nan,1,2,3', '10,10,0.4,0.4', '0,0,161,20']
)
def test_a_box_that_the_tracker_would_refuse_is_refused(box):
    with pytest.raises(SdstrackError, match='box'):
        annotation.parse_box(box, 80, 60)


def test_a_bag_has_its_name_also_from_inside(bag, monkeypatch):
    monkeypatch.chdir(bag)
    got = call('annotate', '.', '--box', '10,12,20,16')
    assert got.exit_code == 0, got.output
    assert (bag.parent / 'run_1.truth.csv').exists()
    (sequence,) = open_sources([Path('.')], SourceOptions('none'))
    assert sequence.name == 'run_1'


def test_a_folder_has_its_name_also_from_inside(make_folder, monkeypatch):
    folder = make_folder()
    (folder / 'meta.yaml').write_text('modality: depth')
    monkeypatch.chdir(folder)
    (sequence,) = open_sources([Path('.')], SourceOptions())
    assert sequence.name == folder.name


@pytest.mark.parametrize(
    'options',
    [('--precision', 'fp8'), ('--device', 'gpu'), ('--device', 'cuda:99'), ('--stand-in', 'mirror')],
)
def test_what_there_is_none_of_is_named_before_any_work(make_folder, tmp_path, monkeypatch, options):
    monkeypatch.setattr(commands, 'open_sources', lambda *_: pytest.fail('work was begun'))
    refused = call('evaluate', make_folder(), *options, '--out', tmp_path / 'out')
    assert refused.exit_code != 0
    assert isinstance(refused.exception, SdstrackError)
    assert repr(options[1]) in str(refused.exception)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('out', ['file', 'file/below'])
def test_a_folder_that_cannot_be_is_found_out_before_any_work(make_folder, tmp_path, monkeypatch, out):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(commands, 'open_sources', lambda *_: pytest.fail('work was begun'))
    refused = call('evaluate', make_folder(), '--out', tmp_path / out)
    assert refused.exit_code != 0
    assert str(tmp_path / out) in str(refused.exception) + refused.output
