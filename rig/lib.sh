# shellcheck shell=bash
#
# Shared by the set-up scripts: messages, the cache outside the clone, locks,
# content keys. Sourced, never run.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck disable=SC2034 # for the scripts that source this file
BUILD=$TOP/build
CACHE=${GM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/guarded-modules}

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# What ./configure wrote, as shell variables.
load_config() {
	[ -f "$TOP/config.mk" ] || die "no config.mk: run ./configure first"
	local name value
	while read -r name _ value; do
		case $name in
		'' | \#*) ;;
		*) declare -g "$name=$value" ;;
		esac
	done <"$TOP/config.mk"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root is needed for '$*', and there is no sudo"
	fi
}

# key WORD...: a content key for what is on stdin and the words.
key() {
	{
		printf '%s\n' "$@"
		cat
	} | sha256sum | cut -c1-16
}

# content_of PATH...: names, modes and contents of all files below the paths,
# which are relative to the current folder; those that do not exist count as
# empty.
content_of() {
	local path
	for path in "$@"; do
		[ ! -e "$path" ] || find "$path" -type f -printf '%p %m\n'
	done | LC_ALL=C sort | while read -r path mode; do
		printf '%s %s ' "$mode" "$path"
		sha256sum <"$path"
	done
}

# with_lock NAME FUNCTION ARG...: no two runs, of any clone, in FUNCTION at once.
with_lock() {
	local lock=$CACHE/locks/$1 fd
	shift
	mkdir -p "$CACHE/locks"
	exec {fd}>"$lock"
	if ! flock -n "$fd"; then
		say "waiting for another run that holds ${lock##*/}"
		flock "$fd"
	fi
	"$@"
	exec {fd}>&-
}

# in_cache DIR FUNCTION ARG...: make sure that the cache has DIR, which is
# FUNCTION's output; FUNCTION gets an empty folder as its first argument. The
# folder appears under its name only when complete, so that an interrupted step
# is simply run again.
in_cache() {
	with_lock "${1//\//_}" in_cache_locked "$@"
}

in_cache_locked() {
	local dir=$CACHE/$1 work function=$2
	shift 2
	[ ! -d "$dir" ] || return 0
	mkdir -p "$(dirname "$dir")"
	rm -rf "$dir".tmp.*
	work=$(mktemp -d "$dir.tmp.XXXXXX")
	"$function" "$work" "$@"
	mv -T "$work" "$dir"
}

# prune DIR KEEP: drop all but the KEEP most recently used entries of DIR.
prune() {
	find "$CACHE/$1" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' |
		sort -rn | tail -n +"$(($2 + 1))" | cut -d' ' -f2- |
		while read -r old; do
			rm -rf "$old"
		done
}
