# shellcheck shell=sh disable=SC2154,SC2119,SC2120
# SPDX-License-Identifier: GPL-2.0
# Part of run: policies, as a file and as notes in the module's source.

cat "$here/prelude.s" "$here/victim.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/p.ko" "$tmp/in.s"
p="$tmp/p.toml"

# policed: guards p.ko by the policy on standard input.
policed() {
	cat > "$p"
	"$GMCC_SAN" guard -q --policy "$p" "$@" -o "$tmp/p.gm.ko" "$tmp/p.ko"
}
# wants NAME MESSAGE < policy: refused with this message, which leaves the file's name out.
wants() {
	cat > "$p.in"
	fails "$1" 1 "gmcc: $2" policed < "$p.in"
}

policed < /dev/null
cp "$tmp/p.gm.ko" "$tmp/empty.gm.ko"
"$GMCC" guard -q -o "$tmp/default.gm.ko" "$tmp/p.ko"
check "an empty policy is none" cmp "$tmp/empty.gm.ko" "$tmp/default.gm.ko"

wants "an entry that the policy does not name" \
	"$tmp/p.ko: .rodata+0x0: the address of g is given away, but the policy does not name it as an entry." <<-'T'
	entries = ["f"]
T
check "entries that it names" policed <<-'T'
	entries = [
	  "f",	# called back
	  "g",
	]
T
check "make an image that verifies" "$GMCC_SAN" verify -q "$tmp/p.gm.ko"
json "with another id" "j['id'] != '$("$GMCC" inspect "$tmp/default.gm.ko" | sed -n 's/^id *//p')'" "$tmp/p.gm.ko"
wants "an entry that is no function" \
	"$p: names the entry h, which is no function of $tmp/p.ko." <<-'T'
	entries = ["f", "g", "h"]
T
wants "data that cannot be private" \
	"$tmp/p.ko: .text+0x28 (f): gives an address in .data away, which the policy wants private." <<-'T'
	private = [".data"]
T
wants "data that is not there" "$p: names .date, which is no section of writable data in $tmp/p.ko." <<-'T'
	shared = [".date"]
T
check "data that the policy shares" policed <<-'T'
	shared = [".data.private"]
T
json "is shared" \
	"'.data.private' in [s['name'] for s in j['shared']] and 'data' not in [r['kind'] for r in j['regions']]" \
	"$tmp/p.gm.ko"
check "stacks by policy" policed --stack-pages 3 <<-'T'
	stacks = 5
	stack-pages = 4
T
json "and by option, which wins" "(j['stacks'], j['stack-pages']) == (5, 3)" "$tmp/p.gm.ko"

wants "an unknown list" \
	"$p: unknown list, entry. Known are entries, private, shared and privileges." <<-'T'
	entry = ["f"]
T
wants "an unknown number" "$p: unknown number, stack. Known are stacks and stack-pages." <<-'T'
	stack = 3
T
wants "a number out of range" "$p: stacks is a number from 1 to 256, not 257." <<-'T'
	stacks = 257
T
wants "a value of another kind" "$p: entries holds something that is no string." <<-'T'
	entries = ["f", 3]
T
wants "a table" "$p: entries is neither a string, a whole number nor a list of strings." <<-'T'
	[entries]
	f = true
T
printf 'stacks = 4\nentries = [\n' > "$p"
fails "no TOML" 1 "" "$GMCC_SAN" guard -q --policy "$p" -o "$tmp/x" "$tmp/p.ko"
check "says in which line" sh -c "'$GMCC' guard -q --policy '$p' -o '$tmp/x' '$tmp/p.ko' 2>&1 | grep -q '^gmcc: $p: line [23]: '"
fails "a policy that is not there" 1 "" "$GMCC_SAN" guard --policy "$tmp/none.toml" -o "$tmp/x" "$tmp/p.ko"

sed 's/^\tnopl 0x11223344.*/\tmwait/' "$tmp/in.s" > "$tmp/mwait.s"
{ cat "$tmp/mwait.s"; printf '\t.section .modinfo\n\t.asciz "gm_privilege=mwait"\n\t.asciz "gm_entry=f"\n'; } > "$tmp/notes.s"
"$CC" -c -x assembler -o "$tmp/p.ko" "$tmp/notes.s"
fails "notes in the source" 1 \
	"gmcc: $tmp/p.ko: .rodata+0x0: the address of g is given away, but the policy does not name it as an entry." \
	"$GMCC_SAN" guard -q -o "$tmp/p.gm.ko" "$tmp/p.ko"
check "and a policy add up" policed <<-'T'
	entries = ["g"]
T
