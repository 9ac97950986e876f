"""Many runs: resumed, in parallel, with errors kept apart."""

import dataclasses

import numpy as np
import pytest
import torch

from sdstrack_ros.evaluation.contestants import TrackerSpec, parse_peer
from sdstrack_ros.evaluation.fleet import run_fleet
from sdstrack_ros.evaluation.missing import Condition
from sdstrack_ros.evaluation.parallel import Job, run_job, run_jobs
from sdstrack_ros.evaluation.sequences import open_folder
from sdstrack_ros.model import SDSTrack, SDSTrackConfig


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """More would only wait for each other here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Untrained weights of a very small network."""
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    config = SDSTrackConfig(
        dim=32, depth=2, heads=2, fusion_blocks=(1,), elimination_blocks=(0,), head_channels=16
    )
    SDSTrack(config).eval().save(path)
    return path


@pytest.fixture
def jobs(make_folder, tmp_path, tiny):
    sequences = [open_folder(make_folder(name, frames=n)) for name, n in (('short', 5), ('long', 9))]
    trackers = [TrackerSpec(checkpoint=tiny), parse_peer('kcf')]
    conditions = [Condition('complete'), Condition('x:0.5')]
    return [Job(s, t, c, tmp_path / 'records') for s in sequences for t in trackers for c in conditions]


def boxes(outcomes):
    return {o.job.path: o.result.boxes for o in outcomes}


def test_two_processes_give_the_boxes_of_one_and_each_record_is_found_again(jobs):
    frames = []
    together = boxes(run_jobs(jobs, 2, frames.append))
    assert frames[-1] == 28 * 2
    finished = {job.path: job.finished().boxes for job in jobs}
    alone = boxes(run_jobs(jobs, 1))
    assert len(alone) == 8
    for path, expected in alone.items():
        np.testing.assert_array_equal(together[path], expected)
        np.testing.assert_array_equal(finished[path], expected)


def test_a_record_counts_only_for_the_very_same_run(jobs, tiny):
    job = jobs[0]
    run_job(job)
    assert job.finished() is not None

    def of_sequence(**changes: object) -> Job:
        return dataclasses.replace(job, sequence=dataclasses.replace(job.sequence, **changes))

    others = [
        dataclasses.replace(job, condition=Condition('complete', seed=1)),
        dataclasses.replace(job, tracker=dataclasses.replace(job.tracker, missing='zero')),
        dataclasses.replace(job, realtime=30.0),
        of_sequence(benchmark='lasher'),
        of_sequence(stamps_ns=job.sequence.stamps_ns[:-1]),
        of_sequence(truth_x=job.sequence.truth.boxes),
    ]
    assert all(other.path == job.path and other.finished() is None for other in others)
    job.path.write_bytes(b'broken')
    assert job.finished() is None


def test_other_weights_under_the_same_name_are_another_run(jobs, tiny, tmp_path):
    copy = tmp_path / 'weights.safetensors'
    copy.write_bytes(tiny.read_bytes())
    before = TrackerSpec(checkpoint=copy).identity
    renamed = tmp_path / 'other.safetensors'
    renamed.write_bytes(tiny.read_bytes() + b' ')
    assert TrackerSpec(checkpoint=renamed).identity != before


def test_one_bad_sequence_does_not_end_the_others(jobs, make_folder):
    broken = make_folder('broken', frames=4)
    sequence = open_folder(broken)
    (broken / 'x' / '00000003.png').write_bytes(b'')
    bad = dataclasses.replace(jobs[0], sequence=sequence)
    outcomes = list(run_jobs([bad, jobs[1]], 1))
    assert outcomes[0].result is None
    assert 'broken, sdstrack: ' in outcomes[0].error
    assert '00000003.png' in outcomes[0].error
    assert outcomes[1].result is not None


def test_a_fleet_gives_the_same_boxes(jobs):
    pytest.importorskip('ray', reason='Ray is an optional extra')
    expected = boxes(run_jobs(jobs[:3], 1))
    for path, got in boxes(run_fleet('local', jobs[:3])).items():
        np.testing.assert_array_equal(got, expected[path])
