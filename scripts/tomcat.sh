#!/usr/bin/env bash
# Three real Tomcats behind three real nodes, killed in turn: chaos/tomcat says what is checked. Installs Debian's Tomcat 10
# and its examples when they are missing (needs root for that only). Everything runs on loopback, in a directory that is
# removed; exit status 1 when a session changed its instance, lost an attribute, or a request got no answer.
#
#   HOLDFAST_BIN  the program (default: built from this tree)
#   arguments     are handed to chaos/tomcat (-users 50, -logs DIR)
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in tomcat10 tomcat10-examples; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
command -v javac >/dev/null || missing+=(default-jdk-headless) # for tomcat_store.sh
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: we start our own instances, the package's service is to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
command -v java >/dev/null || { echo 'tomcat.sh: no java in PATH, though tomcat10 is installed' >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-tomcat.XXXXXX")
driver=
finish() {
	# The driver ends its own processes by their ids, also when it is killed itself (parent-death signal).
	if [ -n "$driver" ] && kill -0 "$driver" 2>/dev/null; then
		kill -TERM "$driver" && wait "$driver" || true
	fi
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -z "${HOLDFAST_BIN:-}" ]; then
	HOLDFAST_BIN=$work/holdfast
	CGO_ENABLED=0 go build -o "$HOLDFAST_BIN" ./cmd/holdfast
fi
export HOLDFAST_BIN
go build -o "$work/driver" ./chaos/tomcat
TMPDIR=$work "$work/driver" "$@" &
driver=$!
status=0
wait "$driver" || status=$?
driver=
exit "$status"
