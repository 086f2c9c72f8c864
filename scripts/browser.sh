#!/usr/bin/env bash
# The pages in a real browser. Needs Chromium, and root to install it when it is missing. Nothing is asked of the network: the pages are files.
#
#   browser.sh                     the tests
#   browser.sh FILE.png [RUN.json] the same, and a picture of a chaos report (docs/img/chaos-report.png is one), of the run or of a sample
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'browser.sh: there is no Chromium: install one (Debian: apt-get install chromium), or run this as root' >&2
		exit 1
	fi
	echo 'installing chromium'
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core
fi

picture=()
if [ $# -gt 0 ]; then
	picture=(-picture "$(realpath -m "$1")")
	[ $# -lt 2 ] || picture+=(-of "$(realpath "$2")")
fi
exec go test -tags browser -count=1 -timeout 10m -run 'Browser|TroubleIsSeen' ./chaos/report "${picture[@]}"
