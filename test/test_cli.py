"""The command line: what it costs to ask for help, that every verb is there, and how mistakes end."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import typer
from typer.testing import CliRunner

from sdstrack_ros import cli
from sdstrack_ros.errors import BoxError


@pytest.fixture
def verb(monkeypatch):
    """Puts a function in the place of the verb `run`."""

    def put(function):
        module = types.ModuleType('sdstrack_ros.node.commands')
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['sdstrack', *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_help_names_every_verb_and_loads_neither_torch_nor_ros():
    code = (
        'import sys\n'
        'from sdstrack_ros import cli\n'
        'try:\n'
        '    cli.app(["--help"])\n'
        'finally:\n'
        '    print("loaded:", {"torch", "rclpy", "cv2", "matplotlib"} & set(sys.modules))'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in cli.VERBS)
    assert 'loaded: set()' in out


@pytest.mark.parametrize('name', cli.VERBS)
def test_every_verb_shows_its_own_help(name):
    result = CliRunner().invoke(cli.app, [name, '--help'])
    assert result.exit_code == 0, result.output
    assert f'sdstrack {name}' in result.output


def test_arguments_and_exit_status_pass_through(monkeypatch, verb):
    seen = []

    def run(source: str, count: int = 1, flag: bool = False):
        seen.append((source, count, flag))
        raise typer.Exit(3)

    verb(run)
    assert run_main(monkeypatch, 'run', '--count', '5', 'bag', '--flag') == 3
    assert seen == [('bag', 5, True)]


def test_a_mistake_of_the_user_is_one_line_and_status_2(monkeypatch, verb, capsys):
    def run():
        raise BoxError('box [0, 0, 0, 5]: the width is 0; give one above 0')

    verb(run)
    assert run_main(monkeypatch, 'run') == 2
    assert capsys.readouterr().err == 'sdstrack: box [0, 0, 0, 5]: the width is 0; give one above 0\n'


def test_what_the_system_refuses_is_one_line_and_status_2(monkeypatch, verb, capsys, tmp_path):
    def run():
        (tmp_path / 'file').touch()
        (tmp_path / 'file').mkdir(exist_ok=True)

    verb(run)
    assert run_main(monkeypatch, 'run') == 2
    assert capsys.readouterr().err == f'sdstrack: {tmp_path / "file"}: File exists\n'


def test_an_error_that_is_not_of_the_system_keeps_its_traceback(monkeypatch, verb):
    def run():
        raise OSError('a mistake of ours')

    verb(run)
    monkeypatch.setattr(sys, 'argv', ['sdstrack', 'run'])
    with pytest.raises(OSError, match='a mistake of ours'):
        cli.main()


def test_an_unknown_option_is_named(monkeypatch, verb, capsys):
    verb(lambda: None)
    assert run_main(monkeypatch, 'run', '--bogus') == 2
    assert '--bogus' in capsys.readouterr().err
