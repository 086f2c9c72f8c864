#!/usr/bin/env bash
# Two real Tomcats that keep their sessions in a real node (docs/samples/tomcat): the one that has a session is killed, and the other goes on with it, attributes and all.
# Needs a JDK, and Debian's tomcat10 and tomcat10-examples (scripts/tomcat.sh installs them). Everything runs on loopback, in a directory that is removed.
#
#   HOLDFAST_BIN  the program (default: built from this tree)
set -euo pipefail
cd "$(dirname "$0")/.."
home=/usr/share/tomcat10
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-tomcat-store.XXXXXX")
pids=()
finish() {
	for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT

mkdir "$work/classes"
javac -cp "$home/lib/*" -d "$work/classes" docs/samples/tomcat/HoldfastStore.java
jar cf "$work/holdfast-store.jar" -C "$work/classes" .
if [ -z "${HOLDFAST_BIN:-}" ]; then
	HOLDFAST_BIN=$work/holdfast
	CGO_ENABLED=0 go build -o "$HOLDFAST_BIN" ./cmd/holdfast
fi
# until COMMAND... waits a minute for it.
until_done() { for _ in $(seq 120); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done; echo "gave up on: $*" >&2; exit 1; }

export HOLDFAST_ADMIN=http://127.0.0.1:17700
"$HOLDFAST_BIN" serve --bootstrap --name n1 --group tomcat --data-dir "$work/data" --peer-addr 127.0.0.1:17701 --admin-addr 127.0.0.1:17700 >"$work/node.log" 2>&1 &
pids+=($!)
until_done "$HOLDFAST_BIN" status
"$HOLDFAST_BIN" config apply -f - <<-YAML
	listeners: [{name: web, address: "127.0.0.1:17780"}]
	clusters:
	  - name: shop
	    affinity: {type: learn}
	    modules: [{contextRoot: /examples, store: {sessions: true}}]
	    instances:
	      - {name: t1, listeners: ["http://127.0.0.1:17791"]}
	      - {name: t2, listeners: ["http://127.0.0.1:17792"]}
YAML

for n in 1 2; do
	base=$work/t$n
	mkdir -p "$base"/{conf,logs,temp,webapps,work,lib}
	cp "$work/holdfast-store.jar" "$base/lib/"
	cp "$home/etc/web.xml" "$base/conf/"
	printf 'common.loader="${catalina.base}/lib/*.jar","${catalina.home}/lib","${catalina.home}/lib/*.jar"\ntomcat.util.scan.StandardJarScanFilter.jarsToSkip=*.jar\n' >"$base/conf/catalina.properties"
	cat >"$base/conf/server.xml" <<-XML
		<Server port="-1"><Service name="Catalina"><Connector port="1779$n" address="127.0.0.1"/>
		<Engine name="Catalina" defaultHost="localhost" jvmRoute="t$n"><Host name="localhost" appBase="webapps">
		<Context path="/examples" docBase="/usr/share/tomcat10-examples/examples">
		<Valve className="org.apache.catalina.valves.PersistentValve"/>
		<Manager className="org.apache.catalina.session.PersistentManager" maxIdleBackup="0" saveOnRestart="false">
		<Store className="com.holdfast.tomcat.HoldfastStore" urls="http://127.0.0.1:17700" cluster="shop"/></Manager>
		</Context></Host></Engine></Service></Server>
	XML
	java -Xmx96m -cp "$home/bin/bootstrap.jar:$home/bin/tomcat-juli.jar" -Dcatalina.home=$home -Dcatalina.base="$base" -Djava.io.tmpdir="$base/temp" \
		org.apache.catalina.startup.Bootstrap start >"$base/out.log" 2>&1 &
	pids+=($!)
	until_done curl -fsS "http://127.0.0.1:1779$n/examples/index.html"
done

page=http://127.0.0.1:17780/examples/servlets/servlet/SessionExample
visit() { curl -fsS -c "$work/jar" -b "$work/jar" "$page$1"; }
touch "$work/jar"
until_done visit ''
visit '?dataname=color&datavalue=blue' | grep -q 'color = blue'
holder=$(grep -o 't[12]$' "$work/jar")
echo "the session is on $holder: killed"
kill -9 "${pids[${holder#t}]}"
until_done visit '' # the other one may have been checked last before it had started
for _ in 1 2 3; do
	visit '' | grep -q 'color = blue' || { echo "the attribute is gone with its instance" >&2; exit 1; }
done
visit '?dataname=size&datavalue=xl' | grep -q 'size = xl'
"$HOLDFAST_BIN" session list | grep -q " shop *t$((3 - ${holder#t})) " || { echo "the session has not moved" >&2; exit 1; }
echo "the other instance goes on with the session and its attributes"
