# Says in plain words what `make setup` is missing on this machine. usage: check_machine.sh PYTHON
python=$1
fail() {
  echo "make setup: $1" >&2
  exit 1
}

[ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || fail "the pip wheels of ROS 2 exist for Linux on x86-64 only \
and this is $(uname -s) on $(uname -m). Source a ROS 2 installation and use colcon build instead, see README.md."
command -v "$python" >/dev/null || fail "no $python. Install Python 3.10 to 3.12, or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' ||
  fail "$("$python" --version) is not Python 3.10 to 3.12. Name another one: make PYTHON=/path/to/python3.12"
"$python" -c 'import ensurepip' 2>/dev/null || fail 'no venv module. Debian and Ubuntu: apt install python3-venv'
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
  fail 'no Python.h. Debian and Ubuntu: apt install python3-dev'
command -v g++ >/dev/null || fail 'no C++ compiler. Debian and Ubuntu: apt install g++'
