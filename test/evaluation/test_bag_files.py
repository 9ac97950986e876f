"""Writing bags, reading them, and what is left of them when the file breaks off."""

import re
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.bag_reader import BagReader, is_bag
from sdstrack_ros.evaluation.bag_types import IMAGE, TRACKED_BOX, TRACKED_BOX_DEFINITION, stamp_of
from sdstrack_ros.evaluation.bag_writer import BagWriter
from sdstrack_ros.types import Box, Modality

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 255, (30, 40, 3), dtype=np.uint8)
DEPTH = RNG.integers(0, 60000, (30, 40), dtype=np.uint16)
START, PERIOD = 5_000_000_000, 33_000_000


def write_bag(folder, frames=40, storage=StoragePlugin.MCAP):
    with BagWriter(folder, Modality.DEPTH, storage=storage) as bag:
        for i in range(frames):
            stamp = START + i * PERIOD
            bag.write_rgb(stamp, RGB)
            bag.write_x(stamp, DEPTH)
            bag.write_truth(stamp, Box(i, 2, 8, 6) if i % 5 else None, (0.1, 0.2, 1.5))
        bag.write_camera_info(stamp, 40, 30, (35.0, 36.0, 20.0, 15.0))
    return next(p for p in folder.iterdir() if p.suffix in ('.mcap', '.db3'))


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_what_is_written_is_read_back(tmp_path, storage):
    file = write_bag(tmp_path / 'bag', 3, storage)
    assert [is_bag(p) for p in (tmp_path / 'bag', file, tmp_path)] == [True, True, False]
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics['/camera/rgb/image_raw'] == IMAGE
        assert bag.counts['/camera/depth/image_raw'] == 3
        rgb, *_ = bag.messages(['/camera/rgb/image_raw'])
        image = bag.decode(rgb)
        depth = bag.decode(next(iter(bag.messages(['/camera/depth/image_raw']))))
        boxes = [bag.decode(m) for m in bag.messages(['/truth/bbox'])]
        info = bag.decode(next(iter(bag.messages(['/camera/rgb/camera_info']))))
    assert stamp_of(rgb.raw) == START == rgb.received_ns
    assert (image.encoding, image.step) == ('rgb8', 120)
    np.testing.assert_array_equal(image.data.reshape(30, 40, 3), RGB)
    np.testing.assert_array_equal(depth.data.view(np.uint16).reshape(30, 40), DEPTH)
    assert (boxes[1].center_x, boxes[1].size_x, boxes[1].position.z) == (5.0, 8.0, 1.5)
    assert (boxes[0].state, boxes[0].size_x) == (3, 0.0)
    assert info.k[0] == 35.0
    assert not bag.damage


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize('share', [0.35, 0.8])
def test_a_truncated_bag_gives_what_comes_before_the_break(tmp_path, storage, share):
    file = write_bag(tmp_path / 'bag', 40, storage)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with BagReader(tmp_path / 'bag') as bag:
        stamps = [stamp_of(m.raw) for m in bag.messages(['/camera/rgb/image_raw'])]
        assert 'breaks off' in bag.damage
    expected = [START + i * PERIOD for i in range(40)]
    assert stamps == expected[: len(stamps)]
    assert share * 40 - 5 <= len(stamps) < 40
    assert file.read_bytes() == whole[: int(len(whole) * share)]  # the original is untouched


def test_topics_that_a_recorder_wrote_out_of_order_are_merged(tmp_path):
    """It stamps a message as it comes in, and writes it when its turn comes; without an index that shows."""
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag:
        for i in range(40):
            stamp = START + i * PERIOD
            bag.write_rgb(stamp, RGB, received_ns=stamp + 2000)
            bag.write_x(stamp, DEPTH, received_ns=stamp + 1000)
    file = next((tmp_path / 'bag').glob('*.mcap'))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.8)])
    with BagReader(tmp_path / 'bag') as bag:
        received = [m.received_ns for m in bag.messages(['/camera/rgb/image_raw', '/camera/depth/image_raw'])]
        assert 'breaks off' in bag.damage
    assert received == sorted(received)
    assert len(received) > 55


def test_damage_that_the_database_itself_speaks_of_ends_the_reading(tmp_path):
    file = write_bag(tmp_path / 'bag', 40, StoragePlugin.SQLITE3)
    content = bytearray(file.read_bytes())
    page = len(content) // 2 // 4096 * 4096
    content[page : page + 4096] = bytes(4096)  # it never reached the disk
    file.write_bytes(content)
    with BagReader(tmp_path / 'bag') as bag:
        count = len(list(bag.messages(['/camera/rgb/image_raw'])))
        assert bag.damage
    assert 0 < count < 40


def test_a_bag_split_into_files_is_read_in_order_and_only_the_broken_one_is_mended(tmp_path):
    first, second = write_bag(tmp_path / 'one', 3), write_bag(tmp_path / 'two', 40)
    folder = tmp_path / 'split'
    folder.mkdir()
    (folder / 'a.mcap').write_bytes(first.read_bytes())
    (folder / 'b.mcap').write_bytes(second.read_bytes()[: second.stat().st_size // 2])
    with BagReader(folder) as bag:
        received = [m.received_ns for m in bag.messages(['/camera/rgb/image_raw'])]
        assert bag.damage.startswith('b.mcap breaks off')
    assert received == sorted(received)
    assert len(received) > 3 + 10


def test_metadata_that_name_no_storage_do_not_matter(tmp_path):
    write_bag(tmp_path / 'bag', 3)
    metadata = tmp_path / 'bag' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('storage_identifier: mcap', "storage_identifier: ''"))
    with BagReader(tmp_path / 'bag') as bag:
        message = next(iter(bag.messages(['/truth/bbox'])))
        assert bag.decode(message).state == 3
        assert not bag.damage


def test_a_bag_without_metadata_is_read(tmp_path):
    write_bag(tmp_path / 'bag', 3)
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    with BagReader(tmp_path / 'bag') as bag:
        assert len(list(bag.messages(['/truth/bbox']))) == 3


@pytest.mark.parametrize('content', [b'', b'no bag at all', b'\x89MCAP0\r\n' + bytes(5)])
def test_a_file_that_is_no_bag_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / 'broken.mcap'
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=re.escape(str(file))):
        BagReader(file)


def test_a_bag_that_exists_is_not_overwritten(tmp_path):
    write_bag(tmp_path / 'bag', 1)
    with pytest.raises(DatasetError, match='cannot write a bag'):
        BagWriter(tmp_path / 'bag', Modality.DEPTH)


def test_an_array_without_encoding_is_refused(tmp_path):
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag, pytest.raises(DatasetError, match='int64'):
        bag.write_x(START, DEPTH.astype(np.int64))


def test_the_box_definition_is_that_of_the_package():
    text = (Path(__file__).parents[2] / 'msg' / 'TrackedBox.msg').read_text()
    lines = [' '.join(line.split('#')[0].split()) for line in text.splitlines()]
    assert [line for line in lines if line] == TRACKED_BOX_DEFINITION.split('\n')[1:-1]
    assert TRACKED_BOX.endswith('TrackedBox')
