#!/usr/bin/env bash
# From crystal structures to an ionic conductivity on this machine: bash examples/quickstart.sh [DIR]
#
# Everything lies in DIR (default: out): AiiDA's profile, the running programs' folders, and the results. Nothing outside it
# is touched but the environment. Stop it whenever you like and start it again: it goes on where the work stands.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p -- "${1:-out}"
directory=$(cd -- "${1:-out}" && pwd)

# shellcheck source=examples/environment.sh
. "$root/examples/environment.sh"
use_environment "$root" local

export AIIDA_PATH=$directory PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1
if ! verdi -p quickstart profile show >/dev/null 2>&1; then
    verdi presto --non-interactive --profile-name quickstart --use-zeromq >"$directory/profile.log" 2>&1 ||
        { cat "$directory/profile.log" >&2; exit 1; }
fi
exec verdi -p quickstart run "$root/examples/quickstart.py" "$directory"
