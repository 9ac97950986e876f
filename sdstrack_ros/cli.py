"""`sdstrack`: one verb per task. A verb's package is imported when the verb runs.

So `sdstrack --help` answers at once, and verbs that need no ROS run where there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from .errors import SdstrackError


class Verb(NamedTuple):
    """`function` of `module`, relative to this package, whose signature gives the options."""

    module: str
    function: str
    help: str


VERBS = {
    'demo': Verb('replay.commands', 'demo', 'See it work: a rendered sequence through the real node.'),
    'run': Verb('node.commands', 'run', 'Start the tracker node without ros2 launch.'),
    'replay': Verb('replay.commands', 'replay', 'Play a bag through the real node, over DDS.'),
    'faults': Verb(
        'replay.commands', 'faults', 'Let sensors fail in every known way, and see what the node does.'
    ),
    'evaluate': Verb(
        'evaluation.commands', 'evaluate', 'Score on bags and data sets, with a report to look at.'
    ),
    'annotate': Verb('evaluation.commands', 'annotate', 'Draw the first box of a bag.'),
    'train': Verb('training.commands', 'train', 'Train adapters as the paper does, on its data sets.'),
    'train-nano': Verb('training.nano_command', 'train_nano', 'Train the small weights that ship.'),
    'convert': Verb('model.commands', 'convert', 'Turn a published checkpoint into safetensors.'),
    'export': Verb('model.commands', 'export', 'Write the network as ONNX files.'),
    'bench': Verb('bench.commands', 'bench', 'Measure the speed on this machine.'),
}

app = typer.Typer(
    name='sdstrack',
    help='RGB + depth / thermal / event tracking for ROS 2 that survives a failing sensor.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _forward(name: str, verb: Verb) -> Callable[[typer.Context], None]:
    def forward(context: typer.Context) -> None:
        module = import_module(f'.{verb.module}', __package__)
        inner = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        inner.command(help=verb.help)(getattr(module, verb.function))
        status = inner(args=context.args, prog_name=f'sdstrack {name}', standalone_mode=False)
        raise typer.Exit(status if isinstance(status, int) else 0)

    return forward


for _name, _verb in VERBS.items():
    # Everything behind the verb, --help too, goes on to its own options.
    _pass_on = {'allow_extra_args': True, 'ignore_unknown_options': True}
    app.command(_name, help=_verb.help, add_help_option=False, context_settings=_pass_on)(
        _forward(_name, _verb)
    )


def main() -> None:
    """Run the command line; a mistake of the user ends in one line that names it and exit status 2.

    So does what the system refuses, such as a file that cannot be written.
    """
    try:
        app(prog_name='sdstrack')
    except SdstrackError as error:
        _refuse(str(error))
    except OSError as error:
        if error.strerror is None:  # not of the system
            raise
        _refuse(f'{error.filename}: {error.strerror}' if error.filename else error.strerror)


def _refuse(why: str) -> None:
    Console(stderr=True).print(Text(f'sdstrack: {why}', style='red'), soft_wrap=True)
    sys.exit(2)


if __name__ == '__main__':
    main()
