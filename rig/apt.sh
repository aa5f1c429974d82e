# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# apt.sh: take packages from a Debian suite that is not the machine's own. A private
# apt state is built, whose suites are the wanted ones on the mirrors that this
# machine uses already. Sourced after lib.sh.

# deb and deb-src lines for the suite $1, derived from the machine's Debian suites.
sources_list() {
	local suite=$1 site release component options=''
	[ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
		options='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' | sort -u |
		while read -r site release component; do
			[ "$component" = main ] || continue
			case $release in
			*-backports*) continue ;;
			*-*) release=$suite-${release#*-} ;;
			*) release=$suite ;;
			esac
			printf '%s\n' "deb $options$site $release main" \
				"deb-src $options$site $release main"
		done
}

# private_apt STATE COMMAND ARGUMENTS..: apt-get or apt-cache on that state, in its
# folder out/.
private_apt() {
	local state=$1 command=$2
	shift 2
	(cd "$state/out" && "$command" -q -o Dir::Etc::sourcelist="$state/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists="$state/lists" \
		-o Dir::Cache="$state/cache" -o APT::Sandbox::User= \
		-o Acquire::Languages=none "$@" </dev/null)
}

# private_suite STATE SUITE: make the state, and read the suite's indexes.
private_suite() {
	mkdir -p "$1"/lists/partial "$1"/cache/archives/partial "$1"/out
	sources_list "$2" >"$1/sources.list"
	if ! [ -s "$1/sources.list" ]; then
		say "apt knows no index of Debian's archive yet: updating"
		as_root apt-get -q update >&2
		sources_list "$2" >"$1/sources.list"
	fi
	if ! [ -s "$1/sources.list" ]; then
		say "this machine's apt has no Debian suite to derive a mirror from"
		return 1
	fi
	private_apt "$1" apt-get update >&2
}
