#!/bin/sh
# Prints a command that is curl with HTTP/3: $HOLDFAST_CURL, the curl of this machine when it can, or else that of Debian 13 with its own libraries, which
# apt fetches (no root) into a cache of the user's. Nothing is installed.
set -eu
can() { "$1" --version 2>/dev/null | grep -q '^Features:.* HTTP3'; }
if [ -n "${HOLDFAST_CURL:-}" ]; then
	can "$HOLDFAST_CURL" || { echo "curl3.sh: HOLDFAST_CURL: $HOLDFAST_CURL cannot speak HTTP/3" >&2; exit 1; }
	echo "$HOLDFAST_CURL"
	exit
fi
if can curl; then
	echo curl
	exit
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
if ! can "$cache/curl3/curl"; then
	command -v apt-get >/dev/null || { echo 'curl3.sh: no curl with HTTP/3 here, and no apt to fetch one: name one with HOLDFAST_CURL' >&2; exit 1; }
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/curl3.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/etc/apt.conf.d" "$work/etc/preferences.d" "$work/state/lists/partial" "$work/cache/archives/partial" "$work/root"
	: >"$work/status"
	echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' >"$work/etc/sources.list"
	# An apt of its own, which knows of nothing that is installed: so it fetches all that curl needs.
	own() {
		apt-get -qq -o Dir::Etc="$work/etc" -o Dir::Etc::sourcelist="$work/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$work/state" -o Dir::State::status="$work/status" \
			-o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@" >&2
	}
	own update
	own -y --no-install-recommends --download-only install curl ca-certificates
	for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/root"; done
	cat >"$work/curl" <<-'END'
		#!/bin/sh
		root=$(dirname "$0")/root
		exec "$(echo "$root"/usr/lib*/ld-linux*.so.*)" --library-path "$(echo "$root"/usr/lib/*-linux-gnu*)" "$root/usr/bin/curl" "$@"
	END
	chmod +x "$work/curl"
	rm -rf "$work/cache" "$work/state"
	can "$work/curl" || { echo 'curl3.sh: the curl of Debian 13 cannot run here, or speaks no HTTP/3: name one with HOLDFAST_CURL' >&2; exit 1; }
	rm -rf "$cache/curl3"
	mv "$work" "$cache/curl3"
	trap - EXIT
fi
echo "$cache/curl3/curl"
