"""The report as a user meets it: the files, and the page in a browser."""

import csv
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from sdstrack_ros.errors import SettingError
from sdstrack_ros.evaluation.bag_writer import BagWriter
from sdstrack_ros.evaluation.bags import open_bag
from sdstrack_ros.evaluation.contestants import parse_peer
from sdstrack_ros.evaluation.evaluate import evaluate, parse_conditions, plan, published_results
from sdstrack_ros.evaluation.film import film_strip
from sdstrack_ros.evaluation.missing import Condition
from sdstrack_ros.evaluation.runner import run_sequence
from sdstrack_ros.evaluation.sequences import open_folder
from sdstrack_ros.types import Box, Modality

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
QUIET = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--proxy-server=127.0.0.1:9',  # nobody answers there: the page has to do without a network
]


@pytest.fixture(scope='module')
def written(make_folder_once, tmp_path_factory):
    """Two sequences, a peer on both streams, an outage, and result files of somebody else."""
    folders = [make_folder_once('square'), make_folder_once('plain', modality='none')]
    sequences = [open_folder(folder) for folder in folders]
    tmp_path = tmp_path_factory.mktemp('evaluation')
    theirs = tmp_path / 'theirs'
    theirs.mkdir()
    (theirs / 'square.txt').write_text((folders[0] / 'groundtruth.txt').read_text())
    out = tmp_path / 'out'
    conditions = parse_conditions(['outage:x@0.1-0.3'], seed=0)
    jobs = plan(sequences, [parse_peer('kcf'), parse_peer('kcf@x')], conditions, out)
    published = published_results(sequences[:1], 'theirs', theirs)
    numbers = evaluate(jobs, sequences, out, 1, published=published)
    return out, numbers


def test_numbers_tables_and_boxes_are_written(written):
    out, numbers = written
    assert json.loads((out / 'metrics.json').read_text()) == numbers
    runs = list(csv.DictReader((out / 'runs.csv').open()))
    assert {(r['sequence'], r['tracker'], r['condition']) for r in runs} == {
        ('square', 'kcf', 'complete'),
        ('square', 'kcf on X', 'complete'),
        ('square', 'kcf', 'outage:x@0.1-0.3'),
        ('square', 'kcf on X', 'outage:x@0.1-0.3'),
        ('square', 'theirs', 'complete'),
        ('plain', 'kcf', 'complete'),
    }
    theirs = next(row for row in numbers['summary'] if row['tracker'] == 'theirs')
    assert theirs['mean_iou'] == pytest.approx(1.0)
    assert (out / 'boxes' / 'complete' / 'kcf' / 'square.txt').exists()
    assert {'command', 'processor', 'PyTorch', 'OpenCV'} <= set(numbers['provenance'])


def test_two_trackers_of_one_name_are_refused(make_folder, tmp_path):
    folder = make_folder()
    theirs = tmp_path / 'theirs'
    theirs.mkdir()
    (theirs / 'square.txt').write_text((folder / 'groundtruth.txt').read_text())
    sequences = [open_folder(folder)]
    jobs = plan(sequences, [parse_peer('kcf')], parse_conditions([], seed=0), tmp_path / 'out')
    for names in (['kcf'], ['theirs', 'theirs']):
        published = [each for name in names for each in published_results(sequences, name, theirs)]
        with pytest.raises(SettingError, match=f"called '{names[0]}'"):
            evaluate(jobs, sequences, tmp_path / 'out', 1, published=published)
    assert not (tmp_path / 'out').exists()


def test_a_moment_without_a_usable_frame_has_an_empty_still(tmp_path):
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag:
        for i in range(6):
            picture = np.full((30, 40, 3), 0 if i == 5 else 90 + i, np.uint8)
            picture[::2, ::2] += np.uint8(40 if i < 5 else 0)
            bag.write_rgb(10**9 + i * 40_000_000, picture)
            bag.write_truth(10**9 + i * 40_000_000, Box(5, 5, 10, 10))
    sequence = open_bag(tmp_path / 'bag', None)
    result = run_sequence(sequence, parse_peer('kcf').build(None), 'kcf', Condition('complete'))
    assert len(result) == 6
    assert [bool(still.rgb) for still in film_strip(sequence, [result])] == [True] * 5 + [False]


def test_the_page_needs_nothing_but_itself(written):
    page = (written[0] / 'report.html').read_text()
    links = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert links
    assert all(link.startswith('data:image/') for link in links)
    assert '<script' not in page
    assert 'X missing' in page


def test_the_page_opens_in_a_browser(written, tmp_path):
    if CHROMIUM is None:
        assert os.environ.get('CI') != 'true', 'CI has to check the report in a browser: install chromium'
        pytest.skip('no Chromium on this machine')
    page = (written[0] / 'report.html').as_uri()
    common = [CHROMIUM, *QUIET, f'--user-data-dir={tmp_path / "profile"}']
    # Without a network: every request would have to go through a proxy that is not there.
    common.append('--proxy-server=127.0.0.1:9')
    dom = subprocess.run(
        [*common, '--dump-dom', page], capture_output=True, text=True, timeout=60, check=True
    )
    assert dom.stdout.count('<section class="sequence"') == 2
    assert dom.stdout.count('<figure>') == 8 * 3
    picture = tmp_path / 'page.png'
    shot = [*common, '--window-size=1280,2400', f'--screenshot={picture}', page]
    subprocess.run(shot, capture_output=True, timeout=120, check=True)
    assert picture.stat().st_size > 100_000  # an empty page takes a tenth of that
