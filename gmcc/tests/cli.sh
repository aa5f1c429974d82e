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
