"""`python setup.py install` or `develop`, for the habit of it.

pyproject.toml is the one description of the package and CMakeLists.txt its one build, for pip and
colcon alike; this only hands over to pip.
"""

import subprocess
import sys
from pathlib import Path

# Not isolated: the build needs the ROS 2 that is here.
COMMANDS = {'install': ['--no-build-isolation'], 'develop': ['--no-build-isolation', '--editable']}

if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit('usage: setup.py install | develop    (or: make setup | colcon build)')
    here = str(Path(__file__).resolve().parent)
    sys.exit(subprocess.call([sys.executable, '-m', 'pip', 'install', *COMMANDS[sys.argv[1]], here]))
