#!/usr/bin/env bash
# The corpus of ambiguous requests through a real node to Debian's Tomcat 10, nginx and a Go server: what each of them logs must be what was forwarded
# (chaos/attack says how). Installs Tomcat and nginx when they are missing (needs root for that only). Everything runs on loopback, in directories that are
# removed; exit status 1 when a request was read in another way, or twice.
#
#   HOLDFAST_BIN  the program (default: built from this tree)
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in tomcat10 nginx-light; do
	case $package in
	nginx-light) command -v nginx >/dev/null && continue ;;
	*) dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed && continue ;;
	esac
	missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: we start our own instances, the packages' services are to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
command -v java >/dev/null || { echo 'smuggling.sh: no java in PATH, though tomcat10 is installed' >&2; exit 1; }
exec go test -tags servers -count=1 -v -timeout 5m -run RealServers ./chaos/attack
