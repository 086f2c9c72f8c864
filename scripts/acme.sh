#!/usr/bin/env bash
# Three real nodes obtain and renew certificates from Pebble, the ACME server of Let's Encrypt for tests, which asks for challenges at each of them (chaos/acme says
# what is checked). Pebble is built from the Go module proxy at a fixed version. Everything runs on loopback, in directories that are removed; exit status 1 when a
# certificate was not obtained, or a request failed meanwhile.
#
#   HOLDFAST_BIN     the program
#   HOLDFAST_PEBBLE  pebble (default: built)
set -euo pipefail
cd "$(dirname "$0")/.."

PEBBLE=github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.0

if [ -z "${HOLDFAST_PEBBLE:-}" ]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	GOBIN="$dir" go install "$PEBBLE"
	export HOLDFAST_PEBBLE="$dir/pebble"
fi
go test -tags servers -count=1 -v -timeout 10m -run RealAuthority ./chaos/acme
