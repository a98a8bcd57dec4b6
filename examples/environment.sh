# Sourced by examples/quickstart.sh and tests/run.sh:
#   use_environment ROOT EXTRAS    e.g. use_environment "$root" local,tests
# Uses the active environment (venv or conda), else ROOT/.venv, which it makes; installs ROOT[EXTRAS] into it unless all of
# it is there already (then the network is not touched); puts it first in PATH and sets $environment.

use_environment() {
    local root=$1 extras=$2 python
    environment=${VIRTUAL_ENV:-${CONDA_PREFIX:-$root/.venv}}
    python=$environment/bin/python
    if [ ! -x "$python" ]; then
        echo "Making the environment $environment"
        make_environment "$environment"
    fi
    export VIRTUAL_ENV=$environment PATH=$environment/bin:$PATH
    # uv leaves compiling to the first import. Where its result may not be kept, as in many containers, every job would
    # compile TensorFlow anew: 20 s a start instead of 6.
    unset PYTHONDONTWRITEBYTECODE
    if ! "$python" "$root/examples/installed.py" "$root" "$extras" 2>/dev/null; then
        echo "Installing aiida-dpasse[$extras] into $environment (about 6 GB, one to three minutes)"
        install_package "$python" "$root" "$extras"
    fi
}

make_environment() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            # Debian keeps ensurepip in a package of its own.
            if ! "$candidate" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                apt-get update -qq && apt-get install -y -qq "$(basename "$(readlink -f "$(command -v "$candidate")")")-venv"
            fi
            "$candidate" -m venv "$1" && return
            rm -rf "$1"
            echo "Error: $candidate cannot make a virtual environment: install its venv module (Debian: python3-venv)." >&2
            return 1
        fi
    done
    echo 'Error: no Python 3.11, 3.12 or 3.13 found: install one, or activate an environment that has it.' >&2
    return 1
}

install_package() {
    local python=$1 root=$2 extras=$3
    # uv takes 40 s where pip takes two minutes; it comes from the same index.
    if uv --version >/dev/null 2>&1; then
        uv pip install --quiet --python "$python" -e "$root[$extras]" && return
    elif "$python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null; then
        "$python" -m uv pip install --quiet --python "$python" -e "$root[$extras]" && return
    fi
    echo 'uv did not install it: trying pip'
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --default-pip >/dev/null
    "$python" -m pip install --quiet --disable-pip-version-check -e "$root[$extras]"
}
