# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: the command line.

check "--help" "$GMCC_SAN" --help
check "--version" "$GMCC_SAN" --version
for sub in guard verify sign inspect; do
	check "$sub --help" "$GMCC_SAN" $sub --help
	fails "$sub without a file is wrong usage" 2 "" "$GMCC_SAN" $sub
done
fails "no command is wrong usage" 2 "" "$GMCC_SAN"
fails "an unknown command is wrong usage" 2 "" "$GMCC_SAN" frobnicate
fails "a bad number is wrong usage" 2 \
	"gmcc guard: --stacks wants a number from 1 to 256, not \`many'." \
	"$GMCC_SAN" guard --stacks many x.ko
fails "a missing file" 1 "gmcc: $tmp/none.ko: No such file or directory." \
	"$GMCC_SAN" guard "$tmp/none.ko"

: > "$tmp/empty.ko"
fails "an empty file" 1 \
	"gmcc: $tmp/empty.ko: not an ELF file. Give a kernel module (.ko, .ko.xz, .ko.zst)." \
	"$GMCC_SAN" guard "$tmp/empty.ko"
fails "a file that is no module" 1 \
	"gmcc: $here/run: not an ELF file. Give a kernel module (.ko, .ko.xz, .ko.zst)." \
	"$GMCC_SAN" guard "$here/run"
fails "an executable" 1 \
	"gmcc: $GMCC: not a relocatable object. Give a kernel module (.ko)." \
	"$GMCC_SAN" guard -o "$tmp/x" "$GMCC"
printf '\3757zXZ\0garbage' > "$tmp/bad.ko.xz"
fails "a broken .xz" 1 \
	"gmcc: $tmp/bad.ko.xz: not a valid xz file. Unpack it by other means." \
	"$GMCC_SAN" guard "$tmp/bad.ko.xz"

# Several modules: the good ones are guarded, whatever becomes of the others.
mkdir -p "$tmp/in" "$tmp/many"
assemble "$tmp/in/a.ko" < /dev/null
cp "$tmp/in/a.ko" "$tmp/in/b.ko"
fails "several modules, one of them none" 1 \
	"gmcc: $tmp/empty.ko: not an ELF file. Give a kernel module (.ko, .ko.xz, .ko.zst)." \
	"$GMCC_SAN" guard -q --verify -j 2 --report "$tmp/report" -o "$tmp/many" \
	"$tmp/in/a.ko" "$tmp/empty.ko" "$tmp/in/b.ko"
check "the others are there, and alike" cmp "$tmp/many/a.gm.ko" "$tmp/many/b.gm.ko"
check "as guarded alone" "$GMCC_SAN" guard -q -o "$tmp/alone.ko" "$tmp/in/a.ko"
check "byte for byte" cmp "$tmp/many/a.gm.ko" "$tmp/alone.ko"
check "the report has a line for each" test "$(sed 's/\t.*\t/ /' "$tmp/report" | sort)" = "0 $tmp/in/a.ko
0 $tmp/in/b.ko
1 $tmp/empty.ko"
fails "several modules into one file" 1 \
	"gmcc: $tmp/x.ko: not a folder. Name one for the images of several modules." \
	"$GMCC_SAN" guard -o "$tmp/x.ko" "$tmp/in/a.ko" "$tmp/in/b.ko"
fails "two modules of one name" 1 \
	"gmcc: $tmp/many/a.gm.ko: two modules have this image. Guard them into different folders." \
	"$GMCC_SAN" guard -o "$tmp/many" "$tmp/in/a.ko" "$tmp/in/a.ko"
fails "a wrong number of processes" 2 "gmcc guard: --jobs wants a number from 1 to 256, not \`0'." \
	"$GMCC_SAN" guard -j 0 "$tmp/in/a.ko"
mkdir -p "$tmp/crash"
if [ -n "${GMCC_COUNTS:-}" ]; then
	skip "a process that a signal kills" "what counts is a file, too"
else
	fails "a process that a signal kills" 1 \
		"gmcc: $tmp/in/a.ko: crashed by signal 25 (File size limit exceeded). Report this file.
gmcc: $tmp/in/b.ko: crashed by signal 25 (File size limit exceeded). Report this file." \
		sh -c 'ulimit -f 0; exec "$@"' sh "$GMCC" guard -q -o "$tmp/crash" "$tmp/in/a.ko" "$tmp/in/b.ko"
fi

# What the sanitizers reserve does not fit.
{ cat "$here/prelude.s"; printf '\t.section .note, "a"\n\t.zero 0x4000000\n'; } > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/large.ko" "$tmp/in.s"
fails "no memory for its work" 1 "gmcc: out of memory" \
	sh -c "ulimit -v 50000 && exec '$GMCC' guard -q -o '$tmp/x' '$tmp/large.ko'"
