# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Completion for gmctl, gm-top and gm-run, loaded by bash-completion.

_gm_options() {
	"$@" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u
}

# The modules that are registered.
_gm_modules() {
	gmctl --timeout 1 list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_gm_fill() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

_gm_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
}

_gmctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
	local commands='list info register unregister grant revoke events top'

	[[ ${COMP_WORDS[0]##*/} != gm-top ]] || command=top
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ -z $command && " $commands " == *" ${COMP_WORDS[i]} "* ]] || continue
		command=${COMP_WORDS[i]}
	done
	case $before in
	--qmp)
		_gm_files
		return
		;;
	--policy)
		_gm_fill 'inject stop quarantine'
		return
		;;
	--sort)
		_gm_fill 'crossings total name violations activations'
		return
		;;
	--grant)
		_gm_fill 'mmio= pio= msr= mwait hostinfo'
		return
		;;
	esac
	if [[ $word == -* ]]; then
		_gm_fill "$(_gm_options gmctl ${command:+"$command"})"
	elif [[ -z $command ]]; then
		_gm_fill "$commands"
	elif [[ $command == register ]]; then
		_gm_files
	elif [[ $before == "$command" && $command == @(unregister|grant|revoke) ]]; then
		_gm_fill "$(_gm_modules)"
	elif [[ $command == @(grant|revoke) ]]; then
		_gm_fill 'mmio= pio= msr= mwait hostinfo'
	fi
}

_gm_run() {
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--kernel | --initrd | --disk | --keyring | --crl | --image | --qmp | --qemu | --verifier | --sysroot)
		_gm_files
		;;
	--policy)
		_gm_fill 'inject stop quarantine'
		;;
	--device-passthrough)
		_gm_fill "$(cd /sys/bus/pci/devices 2>/dev/null && echo *)"
		;;
	*)
		_gm_fill "$(_gm_options gm-run)"
		;;
	esac
}

complete -F _gmctl gmctl gm-top
complete -F _gm_run gm-run
