#!/usr/bin/env bash
# All checks: ruff, mypy, and the tests. Needs Python 3.11 or later, and apt with root for what is missing.
#   bash tests/run.sh                        the suite, then every protocol of every chain with small sizes
#   bash tests/run.sh [pytest arguments]     what they select, e.g. tests/transport, or -m protocols tests/protocols
set -uo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

# The tests reach a second computer through an sshd of their own on loopback, and label with CP2K; aiida-cp2k brings
# a package (regex) that has to be compiled.
missing=()
[ -x /usr/sbin/sshd ] || command -v sshd >/dev/null || missing+=(openssh-server)
command -v cp2k.psmp >/dev/null || command -v cp2k >/dev/null || missing+=(cp2k)
command -v cc >/dev/null || missing+=(gcc libc6-dev python3-dev)
if [ "${#missing[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"; } >/dev/null || exit 1
fi

# shellcheck source=examples/environment.sh
. "$root/examples/environment.sh"
use_environment "$root" local,tests,docs || exit 1

# A profile of nobody: the tests make their own, one for each worker, and never see the user's.
AIIDA_PATH=$(mktemp -d) && trap 'rm -rf "$AIIDA_PATH"' EXIT
export AIIDA_PATH OMP_NUM_THREADS=1 TF_INTRA_OP_PARALLELISM_THREADS=1 TF_INTER_OP_PARALLELISM_THREADS=1
export DP_INTRA_OP_PARALLELISM_THREADS=1 DP_INTER_OP_PARALLELISM_THREADS=1

status=0
ruff check aiida_dpasse tests examples docs || status=1
mypy || status=1
if [ $# -gt 0 ]; then
    pytest -n 2 --dist loadscope "$@" || status=$?
else
    pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=40 -m 'not protocols' || status=$?
    # A class for each protocol, and each on one worker.
    pytest -n 2 --dist loadscope --durations=20 -m protocols tests/protocols || status=$?
fi
[ "$status" = 0 ] || echo "FAILED: see ruff, mypy or pytest above (exit $status)" >&2
exit "$status"
