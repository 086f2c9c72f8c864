#!/usr/bin/env bash
# The recipes of docs/ADDRESS.md for keepalived, BIRD and ExaBGP, read from that file and run by the real programs: three nodes on three machines (network
# namespaces), a client and router on a fourth. Each must lead clients to the nodes that serve, and away from one that is killed with SIGKILL or evacuated.
# Needs root. Installs what is missing. Nothing of the machine's own network is touched; exit status 1 when a recipe does not do it.
#
#   recipes.sh [keepalived|bird|exabgp ...]   some recipes (default: all); 20 s
#   HOLDFAST_BIN                              the program (default: built from this tree)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	echo 'recipes.sh: network namespaces need root: run it with sudo' >&2
	exit 1
fi
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # ExaBGP needs the python3 of the distribution
recipes=("$@")
[ $# -gt 0 ] || recipes=(keepalived bird exabgp)
missing=()
for program in keepalived bird exabgp; do
	command -v "$program" >/dev/null || missing+=("${program/#bird/bird2}")
done
command -v curl >/dev/null || missing+=(curl)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	# RUNLEVEL=1: we start our own, the packages' services are to stay down.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

dir=$(mktemp -d)
bin=${HOLDFAST_BIN:-$dir/holdfast}
[ -n "${HOLDFAST_BIN:-}" ] || CGO_ENABLED=0 go build -o "$bin" ./cmd/holdfast
lab=hfrec$$
cleanup() {
	local status=$? m pid
	for m in r 1 2 3; do
		for pid in $(ip netns pids "$lab-$m" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
	done
	if [ $status != 0 ]; then
		echo "recipes.sh: what the programs said:" >&2
		tail -n 20 "$dir"/*.log >&2
	fi
	for m in r 1 2 3; do ip netns del "$lab-$m" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT

# block HEADING N: the N-th block of code behind the line of the document that begins with HEADING.
block() {
	awk -v heading="$1" -v n="$2" '
		index($0, heading) == 1 { on = 1; next }
		on && /^```/ { if (inside && k == n) exit; inside = !inside; k += inside; next }
		inside && k == n' docs/ADDRESS.md
}

on() { # MACHINE COMMAND...
	local m=$1
	shift
	ip netns exec "$lab-$m" "$@"
}

begin() { # LOG COMMAND...: in the background, until the end; $! is its process
	local log=$dir/$1.log
	shift
	"$@" >>"$log" 2>&1 </dev/null &
	disown
}

# alone MACHINE DIR COMMAND...: COMMAND on the machine, with a DIR of its own; for begin.
alone() {
	# shellcheck disable=SC2016
	exec ip netns exec "$lab-$1" sh -c 'mkdir -p "$0" && mount -t tmpfs none "$0" && exec "$@"' "${@:2}"
}

# within SECONDS WHAT COMMAND...: COMMAND succeeds in time.
within() {
	local began end what=$2
	began=$(date +%s%N) end=$(($(date +%s%N) + $1 * 1000000000))
	shift 2
	until "$@"; do
		if [ "$(date +%s%N)" -gt "$end" ]; then
			echo "recipes.sh: not in time: $what" >&2
			exit 1
		fi
		sleep 0.05
	done
	echo "  $what: $((($(date +%s%N) - began) / 1000000)) ms"
}

for m in r 1 2 3; do
	ip netns add "$lab-$m"
	ip -n "$lab-$m" link set lo up
done
ip -n "$lab-r" link add br0 type bridge
ip -n "$lab-r" link set br0 up
ip -n "$lab-r" address add 192.0.2.1/24 dev br0
for i in 1 2 3; do
	ip link add eth0 netns "$lab-$i" type veth peer name "p$i" netns "$lab-r"
	ip -n "$lab-r" link set "p$i" master br0
	ip -n "$lab-r" link set "p$i" up
	ip -n "$lab-$i" link set eth0 up
	ip -n "$lab-$i" address add "192.0.2.1$i/24" dev eth0
done

HOLDFAST_JOIN_TOKEN=$("$bin" init --group recipes 2>/dev/null)
export HOLDFAST_JOIN_TOKEN
nodes=()
node() {
	begin "n$1" ip netns exec "$lab-$1" "$bin" serve --name "n$1" --data-dir "$dir/n$1" --advertise "192.0.2.1$1:7701" \
		--bootstrap-expect 3 --join 192.0.2.11:7701,192.0.2.12:7701,192.0.2.13:7701
	nodes[$1]=$!
}
ready() { on "$1" curl -fsS -m 1 -o /dev/null http://127.0.0.1:7700/readyz 2>/dev/null; }
for i in 1 2 3; do node $i; done
for i in 1 2 3; do within 30 "n$i is ready" ready $i; done
cat >"$dir/web.yaml" <<'EOF'
listeners: [{name: web, address: ":8080"}]
clusters: [{name: c, modules: [{contextRoot: /}], instances: [{name: i, listeners: ["http://192.0.2.1:9000"]}], health: {type: none}}]
EOF
on 1 "$bin" config apply -f "$dir/web.yaml" --wait >/dev/null
# What a node answers without the instance is enough: it is a node that answers.
served() { on r curl -sS -m 1 -o /dev/null "http://$1:8080/" 2>/dev/null; }

kills() { # WHERE ADDRESS: a node that is killed, one that comes back, one that is evacuated; WHERE says which ones clients reach
	local where=$1 at=$2 i
	i=$("$where" | cut -c1)
	kill -9 "${nodes[$i]}"
	within 20 "away from n$i, which was killed" away "$where" "$i"
	within 20 "a client is served" served "$at"
	node "$i"
	within 30 "n$i is ready again" ready "$i"
	[ "$where" != routed ] || within 20 "back to n$i" back "$where" "$i"
	i=$("$where" | cut -c1)
	on "$i" "$bin" node evacuate "n$i" >/dev/null 2>&1
	within 20 "away from n$i, which is evacuated" away "$where" "$i"
	within 20 "a client is served" served "$at"
	on "$i" "$bin" node evacuate "n$i" --undo >/dev/null 2>&1
}
away() { [[ $("$1") != "" && $("$1") != *"$2"* ]]; }
back() { [[ $("$1") == *"$2"* ]]; }

# held: the machines that have keepalived's address.
held() {
	for i in 1 2 3; do
		if ip -n "$lab-$i" -4 address show dev eth0 | grep -q 192.0.2.100/; then echo -n $i; fi
	done
}
keepalived_recipe() {
	block '### keepalived' 1 >"$dir/keepalived.conf"
	for i in 1 2 3; do
		begin keepalived$i ip netns exec "$lab-$i" keepalived -n -l -P -f "$dir/keepalived.conf" -p "$dir/k$i.pid" -r "$dir/k$i.vrrp.pid"
	done
	one() { [[ $(held) =~ ^.$ ]]; }
	within 20 'one machine has the address' one
	kills held 192.0.2.100
	for i in 1 2 3; do kill "$(cat "$dir/k$i.pid")"; done
}

# routed: the machines by which the router sends packets for the address.
routed() { on r ip -4 route show 198.51.100.10 | grep -o '192\.0\.2\.1[123]' | cut -c10 | sort | tr -d '\n' || true; }
router() {
	cat >"$dir/router.conf" <<'EOF'
router id 192.0.2.1;
protocol device { }
protocol kernel { merge paths on; ipv4 { import none; export all; }; }
template bgp node { local 192.0.2.1 as 65000; ipv4 { import all; export none; }; }
protocol bgp n1 from node { neighbor 192.0.2.11 as 65011; }
protocol bgp n2 from node { neighbor 192.0.2.12 as 65011; }
protocol bgp n3 from node { neighbor 192.0.2.13 as 65011; }
EOF
	begin router alone r /run/bird bird -f -c "$dir/router.conf"
	routers=($!)
	for i in 1 2 3; do ip -n "$lab-$i" address replace 198.51.100.10/32 dev lo; done
}
all() { [ "$(routed)" = 123 ]; }
none() { [ -z "$(routed)" ]; }
announced() {
	within 30 'routes to all three' all
	kills routed 198.51.100.10
	kill "${routers[@]}"
	within 20 'no routes any more' none
}
bird_recipe() {
	router
	block '**BIRD**' 2 >"$dir/bird.sh"
	for i in 1 2 3; do
		block '**BIRD**' 1 | sed "s/192\.0\.2\.11/192.0.2.1$i/" >"$dir/bird$i.conf"
		begin bird$i alone $i /run/bird sh -c "bird -f -c $dir/bird$i.conf & trap 'kill \$!; exit' TERM; . $dir/bird.sh"
		routers+=($!)
	done
	announced
}
exabgp_recipe() {
	router
	for i in 1 2 3; do
		block '**ExaBGP**' 1 | sed "s/192\.0\.2\.11/192.0.2.1$i/" >"$dir/exabgp$i.conf"
		begin exabgp$i alone $i /run/exabgp sh -c "exec exabgp $dir/exabgp$i.conf"
		routers+=($!)
	done
	announced
}

for r in "${recipes[@]}"; do
	echo "$r"
	"${r}_recipe"
done
echo ok
