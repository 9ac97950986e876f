"""Parameters, transitions, and what happens to a node that cannot start."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from sdstrack.msg import TrackerHealth

from sdstrack_ros.errors import SettingError
from sdstrack_ros.node import node
from sdstrack_ros.share import shared_file


def state(t) -> int:
    return t.call(GetState, 'tracker/get_state', GetState.Request()).current_state.id


def change(t, transition: int) -> bool:
    return t.call(
        ChangeState, 'tracker/change_state', ChangeState.Request(transition=Transition(id=transition))
    ).success


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('modality', 'sonar', 'depth'),
        ('sync.slop', 'much', 'float'),
        ('sync.slop', -0.1, 'minimum'),
        ('health.x.timeout', 1e9, 'maximum'),
        ('target.lost', 0.9, 'uncertain'),
        ('sync.slopp', 0.1, 'sync.slop'),
        ('catch_up', True, 'int'),
        ('init_box', '1,2,3', 'four numbers'),
        ('init_box', '1,2,0,3', 'above 0'),
        ('x_transport', 'event_packet', 'modality event'),
    ],
)
def test_a_bad_parameter_is_named(tester, name: str, value: object, words: str) -> None:
    with pytest.raises(SettingError, match=name.replace('.', r'\.')) as error:
        tester(**{name: value})
    assert words in str(error.value)


def test_a_whole_number_does_for_a_float(tester) -> None:
    t = tester(sync__sync_timeout=1, autostart=False)
    assert t.tracker.get_parameter('sync.sync_timeout').value == 1.0


def test_parameters_describe_themselves(tester) -> None:
    t = tester(autostart=False)
    names = ['sync.slop', 'modality', 'target.hold_timeout', 'health.rgb.invalid_after']
    slop, modality, hold, count = t.call(
        DescribeParameters, 'tracker/describe_parameters', DescribeParameters.Request(names=names)
    ).descriptors
    assert 'stamp difference' in slop.description
    assert (slop.floating_point_range[0].from_value, slop.floating_point_range[0].to_value) == (0.0, 1.0)
    assert "'thermal'" in modality.additional_constraints
    assert hold.description
    assert count.integer_range[0].from_value == 2


def test_by_itself_to_active_unless_told_not_to(tester) -> None:
    assert state(tester().start()) == State.PRIMARY_STATE_ACTIVE


def test_through_all_states_and_back_again(tester) -> None:
    t = tester(autostart=False)
    assert state(t) == State.PRIMARY_STATE_UNCONFIGURED
    t.wait_for(lambda: t.healths and t.health.message == 'unconfigured', 'the news')
    for _ in range(2):
        assert change(t, Transition.TRANSITION_CONFIGURE)
        t.wait_for(lambda: t.health.message == 'inactive', 'the news')
        assert t.rgb.get_subscription_count() == 0
        assert change(t, Transition.TRANSITION_ACTIVATE)
        t.start()
        t.exchange()
        assert change(t, Transition.TRANSITION_DEACTIVATE)
        t.wait_for(lambda: t.rgb.get_subscription_count() == 0, 'the subscription to go')
        assert change(t, Transition.TRANSITION_CLEANUP)
        assert t.tracker._model is None
    assert change(t, Transition.TRANSITION_CONFIGURE)
    assert change(t, Transition.TRANSITION_INACTIVE_SHUTDOWN)
    assert state(t) == State.PRIMARY_STATE_FINALIZED


def test_shutdown_while_active_lets_go_of_everything(tester) -> None:
    t = tester().start()
    t.exchange()
    assert change(t, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(t) == State.PRIMARY_STATE_FINALIZED
    assert t.tracker._pipeline is None


def test_a_checkpoint_that_cannot_be_read_is_told_and_can_be_mended(tester, tmp_path, checkpoint) -> None:
    broken = tmp_path / 'broken.safetensors'
    broken.write_bytes(checkpoint.read_bytes()[:1000])
    t = tester(checkpoint=broken)
    t.wait_for(lambda: t.healths and t.health.level == TrackerHealth.ERROR, 'the error')
    assert 'broken.safetensors' in t.health.message
    assert state(t) == State.PRIMARY_STATE_UNCONFIGURED
    answer = t.call(
        SetParameters,
        'tracker/set_parameters',
        SetParameters.Request(parameters=[Parameter('checkpoint', value=str(checkpoint)).to_parameter_msg()]),
    )
    assert answer.results[0].successful
    assert change(t, Transition.TRANSITION_CONFIGURE)
    assert change(t, Transition.TRANSITION_ACTIVATE)
    t.start()
    t.exchange()


@pytest.mark.parametrize(
    ('error', 'words'),
    [(MemoryError('no room'), 'no room'), (KeyError('bug'), 'an error of sdstrack itself')],
)
def test_what_keeps_the_model_from_running_is_told_and_can_be_mended(
    tester, monkeypatch, error: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(node, 'warm_up', fail)
        t = tester(autostart=False)
        assert not change(t, Transition.TRANSITION_CONFIGURE)
    t.wait_for(lambda: t.healths and t.health.level == TrackerHealth.ERROR, 'the error')
    assert words in t.health.message
    assert state(t) == State.PRIMARY_STATE_UNCONFIGURED
    values = [Parameter('threads', value=1).to_parameter_msg()]
    answer = t.call(SetParameters, 'tracker/set_parameters', SetParameters.Request(parameters=values))
    assert answer.results[0].successful
    assert change(t, Transition.TRANSITION_CONFIGURE)


def test_a_device_that_is_not_there_is_named(tester) -> None:
    t = tester(device='cuda:7')
    t.wait_for(lambda: t.healths and t.health.level == TrackerHealth.ERROR, 'the error')
    assert 'cuda:7' in t.health.message


def test_parameters_do_not_change_while_configured(tester) -> None:
    t = tester().start()
    request = SetParameters.Request(parameters=[Parameter('sync.slop', value=0.1).to_parameter_msg()])
    result = t.call(SetParameters, 'tracker/set_parameters', request).results[0]
    assert not result.successful
    assert 'sync.slop' in result.reason


@pytest.mark.parametrize('modality', ['depth', 'thermal', 'event'])
def test_the_settings_that_ship_are_parameters_of_the_node(tester, modality: str) -> None:
    settings = shared_file(f'config/{modality}.yaml')
    t = tester(cli_args=['--ros-args', '--params-file', str(settings)], autostart=False)
    assert t.tracker.get_parameter('modality').value == modality
    assert t.tracker.get_parameter('sync.sync_timeout').value > 0
