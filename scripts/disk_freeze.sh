#!/usr/bin/env bash
# The disk of a leader hangs: three real nodes, each on an ext4 of its own, one of which is frozen. Another one must lead, the old one must not be ready, must end although its
# write cannot, with status 4 and its ports closed, and must come back. Needs root; about 50 s. HOLDFAST_BIN names the program.
set -euo pipefail
bin=${HOLDFAST_BIN:?make build, and HOLDFAST_BIN=bin/holdfast}
dir=$(mktemp -d)
pids=()
fail() { echo "disk_freeze: $*" >&2; tail -n 20 "$dir"/log* >&2; exit 1; }
cleanup() {
	for i in 1 2 3; do fsfreeze -u "$dir/m$i" 2>/dev/null || true; done # first: nothing else ends before
	for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	for i in 1 2 3; do umount "$dir/m$i" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT

serve() { # NODE
	"$bin" serve --name "n$1" --data-dir "$dir/m$1/data" --bootstrap-expect 3 --join 127.0.0.1:27711,127.0.0.1:27712,127.0.0.1:27713 \
		--peer-addr "127.0.0.1:2771$1" --admin-addr "127.0.0.1:2761$1" >>"$dir/log$1" 2>&1 &
	pids[$1]=$!
}
admin() { echo "http://127.0.0.1:2761$1"; }
ready() { curl -s -m 2 -o /dev/null -w '%{http_code}' "$(admin "$1")/readyz" || true; }
leader() { # NODE whom to ask
	"$bin" status --admin "$(admin "$1")" 2>/dev/null | awk '$2 == "leader" {print substr($1, 2)}'
}
until_true() { # SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "$what"
		sleep 0.1
	done
}

HOLDFAST_JOIN_TOKEN=$("$bin" init --group freeze 2>/dev/null)
export HOLDFAST_JOIN_TOKEN
for i in 1 2 3; do
	truncate -s 128M "$dir/i$i"
	mkfs.ext4 -q -F "$dir/i$i"
	mkdir "$dir/m$i"
	mount -o loop "$dir/i$i" "$dir/m$i"
	serve "$i"
done
all_ready() { [ -n "$(leader 1)" ] && "$bin" maintenance on --reason start --admin "$(admin 1)" >/dev/null 2>&1; }
until_true 30 "the group does not start" all_ready

old=$(leader 1)
other=$((old % 3 + 1))
echo "n$old leads; its disk hangs now"
fsfreeze -f "$dir/m$old"
start=$(date +%s%N)
timeout 2 "$bin" maintenance off --admin "$(admin "$old")" >/dev/null 2>&1 || true # a write for it to hang in
again() { timeout 1 "$bin" maintenance off --admin "$(admin "$other")" >/dev/null 2>&1; }
until_true 10 "nobody else takes writes" again
echo "another node takes writes $((($(date +%s%N) - start) / 1000000)) ms after, the wait of the first client (2 s at most) included"
[ "$(ready "$old")" = 503 ] || fail "n$old is ready on a hung disk"
[ "$(ready "$other")" = 200 ] || fail "n$other is not ready"

closed() { ! (exec 3<>"/dev/tcp/127.0.0.1/2771$old") 2>/dev/null && ! (exec 3<>"/dev/tcp/127.0.0.1/2761$old") 2>/dev/null; }
until_true 45 "n$old does not end" closed
echo "n$old has ended, its ports are closed; its disk answers again"
fsfreeze -u "$dir/m$old"
status=0
wait "${pids[$old]}" || status=$?
[ "$status" = 4 ] || fail "n$old ended with status $status, not 4"
serve "$old"
back() { [ "$(ready "$old")" = 200 ]; }
until_true 30 "n$old does not come back" back
echo "n$old is back: passed"
