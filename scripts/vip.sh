#!/usr/bin/env bash
# The virtual address with real kernels, in network namespaces (chaos/vip says what is checked). Needs root. Installs keepalived, HAProxy and three DNS servers when they are
# missing: with them the tests show that they can fail, and the comparison has somebody to compare with. Nothing of the machine's own network is touched.
# The recipes of docs/ADDRESS.md for other programs come last (recipes.sh).
#
#   vip.sh test     every fault, judged; VIP_REPEATS=20 for figures (default 2), VIP_FAULTS=kill,freeze for some, VIP_BUSY=600 for ten minutes of full load
#   vip.sh bench    the same faults beside keepalived with HAProxy, as a table; VIP_REPEATS=20, VIP_SYSTEMS=keepalived-10ms,lan,fast, VIP_FAULTS
#   HOLDFAST_BIN    the program (default: built from this tree)
#   VIP_LOGS        an empty directory in which the tests' nodes leave data and logs
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	echo 'vip.sh: network namespaces and raw sockets need root: run it with sudo' >&2
	exit 1
fi
PATH=$PATH:/usr/sbin:/sbin
missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
for program in keepalived haproxy unbound; do
	command -v "$program" >/dev/null || missing+=("$program")
done
command -v named >/dev/null || missing+=(bind9)
command -v dig >/dev/null || missing+=(bind9-dnsutils)
command -v dnsmasq >/dev/null || missing+=(dnsmasq-base)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: the tests start their own, the packages' services are to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

case ${1:-test} in
test) # one package after the other: their times would disturb each other
	go test -tags netns -count=1 -p 1 -timeout "${VIP_TIMEOUT:-90m}" ./internal/netlab ./vip/... ./chaos/vip/... ./chaos/lan
	exec ./scripts/recipes.sh ;;
bench)
	exec go test -tags netns -run '^$' -bench BesideKeepalived -benchtime "${VIP_REPEATS:-5}x" -timeout "${VIP_TIMEOUT:-6h}" -v ./chaos/vip ;;
*)
	echo "vip.sh: $1: want test or bench" >&2
	exit 2 ;;
esac
