# shellcheck shell=sh
# What bash completes. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
# completes NAME WORDS WANTED: the last of the words is the one to complete.
completes() {
	# shellcheck disable=SC2016,SC2086 # for the inner shell; words
	out=$(PATH=$TOOLS:$PATH bash -O extglob -c '. "$1"; shift; COMP_WORDS=("$@")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); case $1 in gm-run) _gm_run ;; *) _gmctl ;; esac
		echo "${COMPREPLY[*]}"' bash "$here/../completion.bash" $2 "${4-}" 2>&1)
	status=$? want=0 name="completes $1" text=$3
	judge
}
completes "commands" "gmctl" "register revoke" re
completes "options of a command" "gmctl register" "--by-path" --b
completes "options of gm-top" "gm-top" "--interval" --i
completes "a policy" "gmctl register --policy" "quarantine" q
completes "options of gm-run" "gm-run" "--device-passthrough --disk --dry-run" --d
serve normal
completes "modules" "gmctl revoke" "dummy" d
completes "grants" "gmctl revoke dummy" "mmio= msr= mwait" m
