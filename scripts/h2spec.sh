#!/usr/bin/env bash
# h2spec (github.com/summerwind/h2spec), in strict mode, against a real node in front of a sample instance: whether it speaks HTTP/2 as RFC 9113 and 7541 say.
# Everything runs on loopback, in a directory that is removed; exit status 1 when a case fails.
#
#   HOLDFAST_BIN  the program (default: built from this tree)
#   H2SPEC_BIN    h2spec (default: built from the Go module proxy)
#   arguments     are handed to h2spec, as in: http2/6.9.1
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.2.1+incompatible # the newest that the module proxy has
base=${HOLDFAST_TEST_PORT:-17900} # this port and the four above it

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-h2spec.XXXXXX")
pids=()
finish() {
	for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null && wait "$pid" || true; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -z "${HOLDFAST_BIN:-}" ]; then
	HOLDFAST_BIN=$work/holdfast
	CGO_ENABLED=0 go build -o "$HOLDFAST_BIN" ./cmd/holdfast
fi
if [ -z "${H2SPEC_BIN:-}" ]; then
	H2SPEC_BIN=$work/h2spec
	GOBIN=$work go install "github.com/summerwind/h2spec/cmd/h2spec@$version"
fi

"$HOLDFAST_BIN" sample-instance --address "127.0.0.1:$((base + 1))" --name instance1 >"$work/instance.log" 2>&1 &
pids+=($!)
HOLDFAST_DATA_DIR=$work/data "$HOLDFAST_BIN" serve --name n1 --bootstrap --peer-addr "127.0.0.1:$((base + 2))" --admin-addr "127.0.0.1:$((base + 3))" >"$work/node.log" 2>&1 &
pids+=($!)
command -v openssl >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends openssl; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat >"$work/h2spec.yaml" <<YAML
listeners:
  - {name: web, address: "127.0.0.1:$base"}
  - {name: webs, address: "127.0.0.1:$((base + 4))", protocol: https, certificates: [site]}
clusters:
  - name: cluster1
    modules: [{contextRoot: /}]
    instances: [{name: instance1, listeners: ["http://127.0.0.1:$((base + 1))"]}]
YAML
export HOLDFAST_ADMIN=http://127.0.0.1:$((base + 3))
applied=
for _ in $(seq 150); do
	"$HOLDFAST_BIN" cert add site --cert "$work/cert.pem" --key "$work/key.pem" >"$work/apply.log" 2>&1 || true # done already, or no leader yet
	if "$HOLDFAST_BIN" config apply -f "$work/h2spec.yaml" --wait >"$work/apply.log" 2>&1; then
		applied=yes
		break
	fi
	sleep 0.2
done
[ -n "$applied" ] || { cat "$work/apply.log" "$work/node.log" >&2; exit 1; }

# check LABEL PORT ARGUMENTS...
check() {
	local label=$1 port=$2
	shift 2
	echo "$label"
	"$H2SPEC_BIN" --strict --host 127.0.0.1 --port "$port" --timeout 5 "$@" | tee "$work/report" || true
	grep -q '^[0-9]* tests, [1-9][0-9]* passed, 0 skipped, 0 failed' "$work/report" || { echo "h2spec.sh: $label: not passed" >&2; exit 1; }
}
check 'clear text' "$base" "$@"
check 'over TLS' "$((base + 4))" --tls --insecure "$@"
