#!/bin/sh
# The CI profile of the harness against a holdfast program, for any CI system that runs a shell. No root, no network beyond loopback, two cores, five minutes.
#
#   scripts/chaos-ci.sh [OUT]     default: chaos-out
#   HOLDFAST_BIN                  the program under test (default: built from this tree)
#   CHAOS_BIN                     the harness (default: built from this tree)
#   CHAOS_SEED                    default: drawn, so that each run of the pipeline plays something else; it is printed, and plays the same again
#
# Relative paths are seen from the folder in which this is called: nothing here changes it.
#
# Exit status: 0 everything held, 1 a promise was broken, 2 wrong usage, 3 it could not be played. OUT has report.html, junit.xml and summary.json with 0 and 1, and with 3 where a run was begun; not with 2, and not
# with 3 where none could be, as when there is no program.
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-chaos-out}
if [ -z "${HOLDFAST_BIN:-}" ] || [ -z "${CHAOS_BIN:-}" ]; then
	make -s -C "$tree" build
fi
HOLDFAST_BIN=${HOLDFAST_BIN:-$tree/bin/holdfast}
CHAOS_BIN=${CHAOS_BIN:-$tree/bin/holdfast-chaos}
seed=${CHAOS_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
echo "seed $seed"
exec "$CHAOS_BIN" run --profile ci --binary "$HOLDFAST_BIN" --seed "$seed" --out "$out"
