#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time given (default 30s). A failing input stays in the package's
# testdata/fuzz and so becomes a regression test. Each package is built once.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
targets=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out
module=$(go list -m)
cache=$(go env GOCACHE)/fuzz # where go test -fuzz keeps what it has found

# fuzz DIR NAME: one target. When the time is up, Go's fuzzing engine sometimes reports its own deadline as a failure (no input, no
# crash, only "context deadline exceeded"); that alone is run again, twice at most. A finding always names its input.
fuzz() {
	local try
	for try in 1 2 3; do
		if (cd "$1" && "$work/program" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$time" -test.fuzzminimizetime 10x -test.fuzzcachedir "$cache/$module/$1") 2>&1 | tee "$out"; then
			grep -q '^fuzz: elapsed' "$out" || { echo "$2 was not run" >&2; return 1; }
			return 0
		fi
		if grep -q 'Failing input' "$out" || ! grep -qx ' *context deadline exceeded' "$out"; then
			return 1
		fi
		printf 'the engine ran into its own deadline without a finding (try %d)\n' "$try"
	done
	return 1
}

built=
while read -r dir name; do
	if [ "$dir" != "$built" ]; then
		go test -c -fuzz=. -o "$work/program" "./$dir"
		built=$dir
	fi
	printf '== %s %s (%s)\n' "$dir" "$name" "$time"
	fuzz "$dir" "$name"
	targets=$((targets + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed -E 's|/[^/]*:func | |' | sort)
printf '%d fuzz targets ran for %s each\n' "$targets" "$time"
[ "$targets" -gt 0 ]
