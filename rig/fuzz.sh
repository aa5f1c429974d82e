# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# Shared by the scripts that fuzz (gmcc/fuzz/run, qemu-gm/tests/fuzz/run): start
# libFuzzer's programs, all at a time, and tell what became of them. Sourced, never run.
#
# FUZZERS: where fuzz-NAME is, and cov-NAME, the same with clang's coverage of lines
# instead of the sanitizers. FUZZ_OUT: corpora (in NAME/, seeds first), logs, and what
# was found (finding-NAME-*). FUZZ_RUNS: executions of each, 10^6 unless given;
# FUZZ_SECONDS: whatever comes first, no limit unless given. FUZZ_ONLY: names of
# those to run, all unless given. FUZZ_SOURCES: regular
# expression for the files whose lines do not count.

: "${FUZZERS:?}" "${FUZZ_OUT:?}" "${FUZZ_SOURCES:?}" "${FUZZ_RUNS:=1000000}" "${FUZZ_SECONDS:=0}"
: "${FUZZ_ONLY:=}"
fuzz_names=
fuzz_pids=

fuzz_wanted() {
	case " ${FUZZ_ONLY:-$1} " in
	*" $1 "*) true ;;
	*) false ;;
	esac
}

# fuzz_start NAME MAX-LENGTH [OPTION...]: in the background. LeakSanitizer looks once,
# when the fuzzer exits: what a run took must be free by then. libFuzzer's own check,
# after each run, would only say so earlier, and takes its time.
fuzz_start() {
	fuzz_wanted "$1" || return 0
	fuzz_name=$1
	fuzz_length=$2
	shift 2
	date +%s > "$FUZZ_OUT/$fuzz_name.began"
	{
		ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=16:malloc_context_size=6 \
			"$FUZZERS/fuzz-$fuzz_name" -runs="$FUZZ_RUNS" -max_total_time="$FUZZ_SECONDS" \
			-max_len="$fuzz_length" -timeout=60 -rss_limit_mb=2048 -detect_leaks=0 \
			-print_final_stats=1 -artifact_prefix="$FUZZ_OUT/finding-$fuzz_name-" "$@" \
			"$FUZZ_OUT/$fuzz_name" > "$FUZZ_OUT/$fuzz_name.log" 2>&1 &
		# shellcheck disable=SC2064 # the one there is now
		trap "kill $! 2> /dev/null; exit 1" TERM
		fuzz_status=0
		wait $! || fuzz_status=$?
		date +%s > "$FUZZ_OUT/$fuzz_name.ended"
		exit $fuzz_status
	} &
	fuzz_names="$fuzz_names $fuzz_name"
	fuzz_pids="$fuzz_pids $!"
	# shellcheck disable=SC2064 # those there are now
	trap "kill $fuzz_pids 2> /dev/null; exit 1" HUP INT TERM
}

# How many lines of the sources the corpus reaches; by file in NAME.coverage.
fuzz_lines() {
	if ! command -v llvm-cov > /dev/null || ! command -v llvm-profdata > /dev/null; then
		echo 'lines not counted (no llvm-cov: install llvm)'
		return
	fi
	rm -f "$FUZZ_OUT/$1".*.profraw
	if ! LLVM_PROFILE_FILE=$FUZZ_OUT/$1.%p.profraw "$FUZZERS/cov-$1" -runs=0 "$FUZZ_OUT/$1" \
		> "$FUZZ_OUT/$1.replay" 2>&1; then
		echo "lines not counted: see $FUZZ_OUT/$1.replay"
		return
	fi
	llvm-profdata merge -sparse -o "$FUZZ_OUT/$1.profile" "$FUZZ_OUT/$1".*.profraw
	llvm-cov report "$FUZZERS/cov-$1" -instr-profile="$FUZZ_OUT/$1.profile" \
		-ignore-filename-regex="$FUZZ_SOURCES" > "$FUZZ_OUT/$1.coverage"
	awk '$1 == "TOTAL" { printf "lines %s (%d of %d)\n", $10, $8 - $9, $8 }' "$FUZZ_OUT/$1.coverage"
}

fuzz_result() {
	fuzz_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$FUZZ_OUT/$1.log")
	fuzz_edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$FUZZ_OUT/$1.log" | tail -n 1)
	fuzz_time=$(($(cat "$FUZZ_OUT/$1.ended") - $(cat "$FUZZ_OUT/$1.began")))
	echo "fuzz-$1: ${fuzz_runs:-0} executions in $fuzz_time s, ${fuzz_edges:-0} edges, $(fuzz_lines "$1"), $2"
}

# Wait for all of them. Fails if one has found something, or could not run.
fuzz_wait() {
	fuzz_failed=0
	# shellcheck disable=SC2086
	set -- $fuzz_pids
	for fuzz_name in $fuzz_names; do
		if wait "$1"; then
			fuzz_result "$fuzz_name" 'no finding'
		else
			fuzz_result "$fuzz_name" "a finding: $FUZZ_OUT/$fuzz_name.log"
			fuzz_failed=1
		fi
		shift
	done
	[ -n "$fuzz_names" ] || {
		echo "there is no fuzzer called $FUZZ_ONLY here" >&2
		fuzz_failed=1
	}
	return $fuzz_failed
}
