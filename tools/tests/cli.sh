# shellcheck shell=sh
# Usage, and which monitor is meant. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
for command in list info register unregister grant revoke events top; do
	check "gmctl $command --help" sh -c "'$gmctl' $command --help | grep -q '^Usage: gmctl $command'"
done
check "gmctl --help names every command" sh -c "'$gmctl' --help | grep -c '^  [a-z]' | grep -qx 8"
says "gmctl --version" 0 "gmctl 0.1" "$gmctl" --version
says "gm-top --version" 0 "gm-top 0.1" "$TOOLS/gm-top" --version
says "gm-run --version" 0 "gm-run 0.1" "$gm_run" --version
check "gm-run --help" sh -c "'$gm_run' --help | grep -q '^Usage: gm-run'"
check "the manual names every option of gm-run" sh -c "
	for word in \$('$gm_run' --help | grep -o -e '--[a-z][a-z-]*'); do
		sed 's/\\\\-/-/g' '$here/../gm-run.1' | grep -q -e \"\$word\" || { echo \$word; exit 1; }
	done"
check "the manual names every option of gmctl" sh -c "
	for command in list info register unregister grant revoke events top; do
		for word in \$('$gmctl' \$command --help | grep -o -e '--[a-z][a-z-]*'); do
			sed 's/\\\\-/-/g' '$here/../gmctl.1' | grep -q -e \"\$word\" || { echo \$word; exit 1; }
		done
	done"

wrong() {
	name=$1 text=$2 where=$3
	shift 3
	says "wrong usage: $name" 2 "gmctl: $text
\`gmctl $where--help' tells the options." "$gmctl" "$@"
}
wrong "an option that is none" "\`--nope': no such option" "" --nope list
wrong "a command's option that is none" "\`--nope': no such option" "list " list --nope
wrong "an option without argument" "\`--qmp': its argument is missing" "list " list --qmp
wrong "too much" "\`x' is too much: it takes no arguments" "list " list x
wrong "no file" "it takes one FILE, not 0" "register " register
wrong "two files" "it takes one FILE, not 2" "register " register a b
wrong "no module" "it takes one NAME" "unregister " unregister
wrong "no grant" "it takes a NAME and at least one SPEC" "grant " grant dummy
wrong "nothing to revoke" "it takes a NAME and at least one SPEC" "revoke " revoke dummy
wrong "two monitors" "--qmp and --name exclude each other" "list " list --qmp a --name b
wrong "a name that is a path" "--name: \`../b' is no name of a guest" "list " list --name ../b
wrong "a timeout that is none" "--timeout wants seconds, 0.1 to 86400, not \`inf'" "list " \
	list --timeout inf
wrong "an interval that is none" "--interval wants seconds, 0.1 to 3600, not \`0'" "top " \
	top --interval 0
wrong "a sort key that is none" "--sort wants crossings, total, name, violations or activations, \
not \`size'" "top " top --sort size
check "no command" sh -c "'$gmctl' 2>&1 >/dev/null | grep -q '^Usage:'; '$gmctl' 2>/dev/null; [ \$? = 2 ]"
check "a command that is none" sh -c "'$gmctl' nope 2>&1 | head -n 1 | grep -qx \"gmctl: no such \
command, .nope'.\"; '$gmctl' nope 2>/dev/null; [ \$? = 2 ]"

says "no guest" 3 "gmctl: no guest of gm-run runs (there is none in @/runtime/gm-run). Name QEMU's \
monitor with --qmp PATH or \$GM_QMP" "$gmctl" list
says "a socket that is none" 3 "gmctl: cannot connect to @/none: No such file or directory" \
	"$gmctl" list --qmp "$tmp/none"
says "\$GM_QMP" 3 "gmctl: cannot connect to /none: No such file or directory" \
	env GM_QMP=/none "$gmctl" list
long=/$(printf '%0200d' 0)
says "a path that is too long" 3 "gmctl: $long: a socket's path has 107 bytes at most" \
	"$gmctl" list --qmp "$long"
says "a runtime folder that is relative" 3 "gmctl: \$XDG_RUNTIME_DIR is not an absolute path, so the \
guests of gm-run are not known. Name QEMU's monitor with --qmp PATH or \$GM_QMP" \
	env XDG_RUNTIME_DIR=here "$gmctl" list

# Guests of gm-run are told by the lock that it holds.
hold() {
	mkdir -p "$tmp/runtime/gm-run/$1"
	flock "$tmp/runtime/gm-run/$1/lock" sleep 60 &
	held=$!
	for _ in $(seq 200); do
		flock -n "$tmp/runtime/gm-run/$1/lock" true || break
		sleep 0.1
	done
}
mkdir -p "$tmp/runtime/gm-run/stale"
: >"$tmp/runtime/gm-run/stale/lock"
hold one
one=$held
serve normal
ln -s "$sock" "$tmp/runtime/gm-run/one/qmp"
unset GM_QMP
check "the only guest that runs, beside a stale one" "$gmctl" list
says "a guest that does not run" 3 "gmctl: no guest \`stale' of gm-run runs (looked in \
@/runtime/gm-run)" "$gmctl" list --name stale
hold two
two=$held
"$gmctl" list >"$tmp/out" 2>&1
status=$?
name="several guests: one must be chosen" want=3
out=$(sed 's/one, two\|two, one/BOTH/' "$tmp/out")
text="gmctl: 2 guests run: BOTH. Choose one with --name NAME, or --qmp PATH"
judge
check "one of several, by name" "$gmctl" --name one list
pkill -P "$one" 2>/dev/null
pkill -P "$two" 2>/dev/null
rm -rf "$tmp/runtime/gm-run"
