#!/usr/bin/env bash
# Redis, PostgreSQL and HAProxy, with their own clients, through listeners of protocol tcp of three real nodes (chaos/streams says what is checked). Installs what is
# missing (needs root for that only). Everything runs on loopback, in directories that are removed; exit status 1 when a client failed, was on another
# instance, or was taken for another one.
#
#   HOLDFAST_BIN  the program (default: built from this tree)
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v redis-server >/dev/null && command -v redis-cli >/dev/null || missing+=(redis-server redis-tools)
command -v haproxy >/dev/null || missing+=(haproxy)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && command -v psql >/dev/null || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: we start our own, the packages' services are to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
exec go test -tags servers -count=1 -v -timeout 10m -run RealServers ./chaos/streams
