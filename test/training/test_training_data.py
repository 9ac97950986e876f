"""Data sets in their published layouts, and the pairs that are drawn from them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.training.augmentation import NO_JITTER, Augmentation
from sdstrack_ros.training.datasets import BENCHMARKS, draw_frames, read_sequences
from sdstrack_ros.training.loader import PairBatches, PairDataset

CPU = torch.device('cpu')


@pytest.mark.parametrize('benchmark', list(BENCHMARKS))
def test_each_layout_gives_pairs_that_show_the_target(
    benchmark, tiny, tmp_path, write_sequence, moving_boxes
):
    labels = '1' * len(moving_boxes) if benchmark == 'visevent' else None
    write_sequence(benchmark, 'car', moving_boxes, labels)
    sequences = read_sequences(tmp_path / benchmark, benchmark)
    plain = Augmentation(tiny, search_jitter=NO_JITTER, mirror=0.0, brightness=0.0)
    sample = PairDataset(sequences, plain, seed=0)[0]
    assert sample.template.shape == (6, 32, 32)
    assert sample.search.shape == (6, 64, 64)
    for image, side in ((sample.template, 32), (sample.search, 64)):
        middle, edge = image[:, side // 2, side // 2], image[:, 2, 2]
        assert (middle[:3] > edge[:3] + 1).all(), 'the target is bright in RGB'
        assert np.abs(middle[3:] - edge[3:]).max() > 1, 'and differs from the ground in X'
    x, y, w, h = sample.box
    assert 0.4 < x + w / 2 < 0.6
    assert 0.4 < y + h / 2 < 0.6
    assert w * h == pytest.approx(1 / 16, rel=0.1)


def test_visibility_rules(tmp_path, write_sequence, moving_boxes):
    boxes = moving_boxes.copy()
    boxes[3, 2], boxes[4, 2], boxes[5] = 10, 4, np.nan
    boxes[6, 3] = 0
    write_sequence('depthtrack', 'a', boxes)
    write_sequence('lasher', 'a', boxes)
    write_sequence('visevent', 'a', boxes, '1' * 7 + '0' + '1' * 16)
    for benchmark, hidden in (('depthtrack', {3, 4, 5, 6}), ('lasher', {5, 6}), ('visevent', {4, 5, 6, 7})):
        (sequence,) = read_sequences(tmp_path / benchmark, benchmark)
        assert set(np.flatnonzero(~sequence.visible)) == hidden, benchmark


def test_lists_short_sequences_and_uneven_counts(tmp_path, write_sequence, moving_boxes, caplog):
    for name in ('one', 'two'):
        write_sequence('visevent', name, moving_boxes, '1' * 24)
    write_sequence('visevent', 'short', moving_boxes[:19], '1' * 19)
    root = tmp_path / 'visevent'
    (root / 'two' / 'vis_imgs' / '00000024.bmp').unlink()
    with caplog.at_level(logging.WARNING):
        assert [s.folder.name for s in read_sequences(root, 'visevent')] == ['one', 'two']
    assert 'two' in caplog.text
    assert '1 of 3 sequences left out' in caplog.text
    (root / 'trainlist.txt').write_text('two\n')
    (sequence,) = read_sequences(root, 'visevent')
    assert len(sequence.boxes) == len(sequence.rgb) == len(sequence.x) == len(sequence.visible) == 23


def test_errors_name_the_folder_and_what_is_missing(tmp_path, write_sequence, moving_boxes):
    folder = write_sequence('visevent', 'a', moving_boxes)
    with pytest.raises(DatasetError, match=r'a: absent_label\.txt is missing'):
        read_sequences(tmp_path / 'visevent', 'visevent')
    with pytest.raises(DatasetError, match=r'nothing: color is missing'):
        read_sequences(tmp_path, 'depthtrack', ['nothing'])
    with pytest.raises(DatasetError, match='no usable sequence of lasher'):
        read_sequences(folder, 'lasher')
    with pytest.raises(DatasetError, match='not one of'):
        read_sequences(tmp_path, 'lasot')


def test_causal_sampling_keeps_order_visibility_and_reach():
    visible = np.zeros(1000, bool)
    visible[[0, 10, 150, 600, 700, 999]] = True
    random = np.random.default_rng(0)
    pairs = {draw_frames(visible, random) for _ in range(3000)}
    # from 150 and 700 nothing is near, so both frames are drawn anew; the last frame is no template
    assert {(0, 10), (0, 150), (10, 150), (600, 700)} <= pairs
    assert all(visible[[t, s]].all() and s - t > 0 for t, s in pairs)
    assert not {(0, 999), (999, 999)} & pairs


def test_the_reach_grows_until_a_frame_is_found():
    visible = np.zeros(900, bool)
    visible[[0, 850]] = True
    assert draw_frames(visible, np.random.default_rng(0)) == (0, 850)


# torch may abort a worker that is still reading when an endless loader is let go, and says so as it goes.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_pairs_depend_on_seed_and_number_alone(tiny, tmp_path, write_sequence, moving_boxes):
    write_sequence('lasher', 'a', moving_boxes)
    sequences = read_sequences(tmp_path / 'lasher', 'lasher')
    dataset = PairDataset(sequences, Augmentation(tiny), seed=1)

    def boxes_of(batches, step, count):
        source = batches(step)
        return [next(source).box for _ in range(count)]

    whole = torch.cat(boxes_of(PairBatches(dataset, 4, 0, CPU), 0, 3))
    assert len(torch.unique(whole, dim=0)) > 6
    torch.testing.assert_close(torch.cat(boxes_of(PairBatches(dataset, 4, 0, CPU), 1, 2)), whole[4:])
    torch.testing.assert_close(torch.cat(boxes_of(PairBatches(dataset, 4, 2, CPU), 0, 2)), whole[:8])
    halves = [torch.cat(boxes_of(PairBatches(dataset, 2, 0, CPU, rank, 2), 0, 3)) for rank in (0, 1)]
    torch.testing.assert_close(torch.stack(halves, 1).flatten(0, 1), whole)
    other = PairDataset(sequences, Augmentation(tiny), seed=2)
    assert not torch.equal(boxes_of(PairBatches(other, 4, 0, CPU), 0, 1)[0], whole[:4])


def test_an_unreadable_image_is_left_out_with_a_warning(tiny, tmp_path, write_sequence, moving_boxes, caplog):
    folder = write_sequence('lasher', 'a', moving_boxes)
    for path in sorted((folder / 'infrared').iterdir())[::2]:
        path.write_bytes(b'broken')
    dataset = PairDataset(read_sequences(tmp_path / 'lasher', 'lasher'), Augmentation(tiny), seed=0)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            assert np.isfinite(dataset[number].search).all()
    assert 'not a readable image' in caplog.text
    for path in (folder / 'visible').iterdir():
        path.write_bytes(b'broken')
    with pytest.raises(DatasetError, match='no usable pair'):
        dataset[0]
