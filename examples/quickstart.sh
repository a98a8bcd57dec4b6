#!/usr/bin/env bash
# From crystal structures to an ionic conductivity on this machine: bash examples/quickstart.sh [DIR] [--seed N]
#
# Everything lies in DIR (default: out): AiiDA's profile, the running programs' folders, and the results. Nothing outside it
# is touched but the environment. Stop it whenever you like and start it again: it goes on where the work stands. The seed
# (default: 1) determines which sites are exchanged, and every random choice.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
directory=out seed=()
while [ $# -gt 0 ]; do
    case $1 in
        --seed) seed=(--seed "${2:-}"); shift $(($# > 1 ? 2 : 1)) ;;
        --seed=*) seed=("$1"); shift ;;
        -*) echo "Usage: bash examples/quickstart.sh [DIR] [--seed N]" >&2; exit 2 ;;
        *) directory=$1; shift ;;
    esac
done
if [ ${#seed[@]} -gt 0 ] && ! [[ ${seed[-1]#--seed=} =~ ^[0-9]+$ ]]; then
    echo "Error: --seed is a whole number of at least 0, got '${seed[-1]#--seed=}'." >&2
    exit 2
fi
mkdir -p -- "$directory"
directory=$(cd -- "$directory" && pwd)

# shellcheck source=examples/environment.sh
. "$root/examples/environment.sh"
use_environment "$root" local

export AIIDA_PATH=$directory PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1
if ! verdi -p quickstart profile show >/dev/null 2>&1; then
    verdi presto --non-interactive --profile-name quickstart --use-zeromq >"$directory/profile.log" 2>&1 ||
        { cat "$directory/profile.log" >&2; exit 1; }
fi
exec verdi -p quickstart run "$root/examples/quickstart.py" "$directory" ${seed[@]+"${seed[@]}"}
