#!/bin/sh
# HTTP/3 with clients that others have written: gtlsclient of ngtcp2 and Chromium, both of Debian's packages, and curl (curl3.sh says which).
set -eu
cd "$(dirname "$0")/.."
for need in gtlsclient:ngtcp2-client chromium:chromium; do
	if ! command -v "${need%%:*}" >/dev/null 2>&1; then
		if [ "$(id -u)" != 0 ]; then
			echo "${need%%:*} is not installed: install the package ${need##*:}, or run this as root once" >&2
			exit 1
		fi
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${need##*:}"
	fi
done
HOLDFAST_CURL=$(./scripts/curl3.sh)
export HOLDFAST_CURL
HOLDFAST_TEST_ENGINE=loop exec go test -count=1 -tags http3clients -run 'TestClientOfNgtcp2|TestChromiumSpeaksHTTP3|TestChromiumKeepsItsInstance|TestCurlChangesItsProtocol' ./lb
