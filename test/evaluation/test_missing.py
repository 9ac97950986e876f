"""Masks of missing sensors: rates, patterns, files, scripts."""

import json

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError, SettingError
from sdstrack_ros.evaluation.missing import PATTERNS, RATES, Condition, save_masks, sweep

STAMPS = np.arange(1, 202, dtype=np.int64) * 100_000_000


def runs(missing):
    """Lengths of the runs of missing frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('rate', RATES)
def test_a_pattern_misses_its_share_one_sensor_at_a_time(pattern, rate):
    mask = Condition(f'{pattern}:{rate}').mask('s', STAMPS)
    missing = ~mask
    assert missing.any(axis=1).sum() == round(rate * 200)
    assert not missing.all(axis=1).any()
    assert mask[0].all()


def test_long_term_is_one_stretch_of_one_sensor_and_swap_one_of_each():
    long_term = ~Condition('long_term:0.6').mask('s', STAMPS)
    assert sorted([runs(long_term[:, 0]), runs(long_term[:, 1])]) == [[], [120]]
    swap = ~Condition('swap:0.6').mask('s', STAMPS)
    assert [runs(swap[:, 0]), runs(swap[:, 1])] == [[60], [60]]
    assert runs(swap.any(axis=1)) == [120]


def test_one_sensor_loses_half_of_its_frames_at_random():
    mask = Condition('rgb:0.5').mask('s', STAMPS)
    assert (~mask).sum(axis=0).tolist() == [100, 0]
    assert len(runs(~mask[:, 0])) > 20


def test_masks_differ_between_sequences_and_seeds_and_repeat_otherwise():
    def mask(name, seed):
        return Condition('random:0.3', seed).mask(name, STAMPS)

    np.testing.assert_array_equal(mask('a', 1), mask('a', 1))
    assert (mask('a', 1) != mask('b', 1)).any()
    assert (mask('a', 1) != mask('a', 2)).any()


def test_a_sweep_goes_from_nothing_to_everything_but_the_first():
    conditions = [Condition(text) for text in sweep('x')]
    missing = [(~c.mask('s', STAMPS)).sum() for c in conditions]
    assert missing == [20 * i for i in range(11)]


def test_scripted_outages_follow_the_clock():
    mask = Condition('outage:rgb@1-2,x@1.5-2.5,both@19.9-').mask('s', STAMPS)
    assert np.flatnonzero(~mask[:, 0]).tolist() == [*range(10, 20), 199, 200]
    assert np.flatnonzero(~mask[:, 1]).tolist() == [*range(15, 25), 199, 200]


def test_mask_files_of_ipl_and_flextrack_are_read(tmp_path):
    path = tmp_path / 'masks.json'
    path.write_text(json.dumps({'s': {'data': [[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], 'missing_rate': 0.6}}))
    mask = Condition(f'file:{path}').mask('s', STAMPS[:3])
    assert mask.tolist() == [[True, True], [False, True], [True, False]]
    # a data set whose first frame is left out has rows for it in the file
    assert Condition(f'file:{path}').mask('s', STAMPS[:2], skipped=1).tolist() == [
        [True, True],
        [True, False],
    ]


def test_written_masks_are_read_back(tmp_path):
    mask = Condition('swap:0.3').mask('s', STAMPS)
    save_masks(tmp_path / 'm.json', {'s': mask})
    np.testing.assert_array_equal(Condition(f'file:{tmp_path / "m.json"}').mask('s', STAMPS), mask)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'cannot be read'),
        ('{"other": {"data": []}}', "has no 's'"),
        ('{"s": {"data": [[1, 1]]}}', 'expected 3 rows'),
        ('{"s": {"data": [[1, 1], [2, 1], [1, 1]]}}', 'each 0 or 1'),
    ],
)
def test_a_mask_file_that_does_not_fit_is_an_error(tmp_path, content, message):
    path = tmp_path / 'masks.json'
    path.write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        Condition(f'file:{path}').mask('s', STAMPS[:3])
    assert str(path) in str(caught.value)


def test_a_missing_mask_file_is_an_error_at_once():
    with pytest.raises(DatasetError, match='does not exist'):
        Condition('file:nowhere.json')


@pytest.mark.parametrize(
    'text',
    [
        'fog:0.5',
        'random',
        'random:1.5',
        'rgb:half',
        'outage:rgb@2',
        'outage:rgb@3-2',
        'outage:',
        'complete:1',
    ],
)
def test_a_condition_that_cannot_be_read_is_named(text):
    with pytest.raises(SettingError, match='missing: '):
        Condition(text)
