#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time given (default 30s). A failing input stays in the package's
# testdata/fuzz and so becomes a regression test.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
targets=0
while IFS=: read -r file name; do
	dir=./$(dirname "$file")
	printf '== %s %s (%s)\n' "$dir" "$name" "$time"
	go test -run '^$' -fuzz "^${name}\$" -fuzztime "$time" -fuzzminimizetime 10x "$dir"
	targets=$((targets + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')
printf '%d fuzz targets ran for %s each\n' "$targets" "$time"
[ "$targets" -gt 0 ]
