#!/usr/bin/env bash
# What a request costs, beside HAProxy, nginx and Caddy: one run, interleaved, medians and ratios (chaos/rivals says what is measured).
# Installs HAProxy, nginx, wrk and h2load from Debian when they are missing (needs root then), and builds Caddy into a cache.
#
#   PROXY_ROUNDS=5               rounds
#   PROXY_RIVALS=haproxy-st,...  some of haproxy, haproxy-st, nginx, caddy, holdfast, and before: another build of holdfast
#   PROXY_PARTS=load,...         some of load, paced, new, idle, tls, h2
#   PROXY_ROWS="1 KiB",...       some rows of load, by words of theirs (a comma parts them)
#   HOLDFAST_BEFORE              the program of the rival before
#   HOLDFAST_BIN                 the program (default: bin/holdfast)
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v wrk >/dev/null || missing+=(wrk)
command -v h2load >/dev/null || missing+=(nghttp2-client)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: the benchmark starts its own, the packages' services are to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
caddy=v2.11.9
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/caddy-$caddy
if [ ! -x "$cache/caddy" ]; then
	echo "building Caddy $caddy"
	GOBIN=$cache go install "github.com/caddyserver/caddy/v2/cmd/caddy@$caddy"
fi
ulimit -n 20000
export CADDY_BIN=$cache/caddy HOLDFAST_BIN=${HOLDFAST_BIN:-$PWD/bin/holdfast}
exec go test -tags rivals -run '^$' -bench BesideOthers -benchtime "${PROXY_ROUNDS:-5}x" -timeout 2h -v ./chaos/rivals
