# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: what `gmcc inspect' shows of victim.s, and of how images differ.

cat "$here/prelude.s" "$here/victim.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/old.ko" "$tmp/in.s"
"$GMCC" guard -q -o "$tmp/old.gm.ko" "$tmp/old.ko"
# h is a new entry, other a new exit; g is none any more; ext has one call less.
sed 's/^\tjmp ext/\tjmp other/; s/^\tconstant: .quad g/\tconstant: .quad h/; s/irp name, ext,/irp name, ext, other,/' \
	"$tmp/in.s" > "$tmp/new.s"
printf '\t.text\n\tfunc h\n\tmov 8(%%rsp), %%rax\n\tjmp __x86_return_thunk\n\tendfunc h\n' >> "$tmp/new.s"
"$CC" -c -x assembler -o "$tmp/new.ko" "$tmp/new.s"
"$GMCC" guard -q --stacks 16 -o "$tmp/new.gm.ko" "$tmp/new.ko"

json "counts pointers to entries and call sites of exits" \
	"(gates[('in-call', 'f')]['pointers'], gates[('in-call', 'g')]['pointers'], gates[('out-call', 'ext')]['call-sites'], gates[('out-call-indirect', 'rax')]['call-sites']) == (1, 1, 4, 1)" \
	"$tmp/old.gm.ko"
json "lists relocations, imports and the trampoline" \
	"len(j['relocations']) == 21 and j['relocations'][2] == {'region': 0, 'offset': 0x28, 'type': '32s', 'target': '.data', 'addend': 0} and [e['name'] for e in j['externs']] == ['ext'] and j['trampoline']['offset'] == 0x20 and not j['privileged-instructions'] and not j['requests']" \
	"$tmp/old.gm.ko"
{ cat "$tmp/in.s"; printf '\t.section .gm.hostinfo, "a"\n\t.p2align 12\n\t.zero 4096\n'; } > "$tmp/asks.s"
"$CC" -c -x assembler -o "$tmp/asks.ko" "$tmp/asks.s"
"$GMCC" guard -q --privilege hostinfo --privilege msr=0x35 --privilege pio=0x60-0x64 -o "$tmp/asks.gm.ko" \
	"$tmp/asks.ko"
json "lists what is requested, and the page for it" \
	"j['requests'] == ['pio=0x60-0x64', 'msr=0x35', 'hostinfo'] and {'kind': 'hostinfo', 'section': '.gm.hostinfo', 'pages': 1, 'file-offset': 0} in j['regions']" \
	"$tmp/asks.gm.ko"
"$GMCC_SAN" inspect "$tmp/asks.gm.ko" > "$tmp/text"
check "in text, too" sh -c "sed -n '/^requested privileges/,/^\$/p' '$tmp/text' | tr '\n' ' ' | grep -qx 'requested privileges   pio=0x60-0x64   msr=0x35   hostinfo  '"
"$GMCC_SAN" inspect --graph "$tmp/asks.gm.ko" > "$tmp/graph.svg"
check "--graph draws requests inside of the picture" python3 -c "
import sys, xml.etree.ElementTree as et
ns = '{http://www.w3.org/2000/svg}'
root = et.parse(sys.argv[1]).getroot()
asked = [t for t in root.iter(ns + 'text') if t.text in ('hostinfo', 'msr=0x35', 'pio=0x60-0x64')]
assert len({t.get('y') for t in asked}) == 3, asked
assert all(0 < int(t.get('y')) < int(root.get('height')) for t in asked)" "$tmp/graph.svg"
"$GMCC_SAN" inspect --graph=dot "$tmp/asks.gm.ko" > "$tmp/graph.dot"
check "--graph=dot says them" grep -qF 'label="bad\npio=0x60-0x64\nmsr=0x35\nhostinfo"];' "$tmp/graph.dot"
"$GMCC" guard -q --privilege hostinfo --privilege msr=0x35:rw -o "$tmp/less.gm.ko" "$tmp/asks.ko"
fails "--diff tells what is requested anew, and what no more" 1 "--- $tmp/less.gm.ko
+++ $tmp/asks.gm.ko
requested privileges
  + msr=0x35
  - msr=0x35:rw
  + pio=0x60-0x64" "$GMCC_SAN" inspect --diff "$tmp/less.gm.ko" "$tmp/asks.gm.ko"
"$here/mkwrong" "$tmp/old.gm.ko" "$tmp/asks.gm.ko" "$tmp/wrong" wrmsr
json "lists privileged instructions" "j['privileged-instructions'] == [{'instruction': 'wrmsr', 'places': 1}]" \
	"$tmp/wrong/wrmsr.ko"

"$GMCC_SAN" inspect --graph "$tmp/old.gm.ko" > "$tmp/graph.svg"
check "--graph draws every entry and exit, with its count" python3 -c "
import sys, xml.etree.ElementTree as et
ns = '{http://www.w3.org/2000/svg}'
root = et.parse(sys.argv[1]).getroot()
kinds = [r.get('class') for r in root.iter(ns + 'rect')]
assert [kinds.count(k) for k in ('life', 'in', 'out', 'ind', 'mod')] == [2, 2, 1, 2, 1], kinds
assert sum(p.get('class') is not None for p in root.iter(ns + 'path')) == 7
texts = [t.text for t in root.iter(ns + 'text')]
assert texts[texts.index('ext') + 1] == '4' and texts[texts.index('*rax') + 1] == '1', texts
w, h = int(root.get('width')), int(root.get('height'))
for r in root.iter(ns + 'rect'):
    if r.get('x'):
        assert int(r.get('x')) + int(r.get('width')) <= w and int(r.get('y')) + int(r.get('height')) <= h" \
	"$tmp/graph.svg"
"$GMCC_SAN" inspect --graph=dot "$tmp/old.gm.ko" > "$tmp/graph.dot"
check "--graph=dot says the same" python3 -c "
import re, sys
d = open(sys.argv[1]).read()
assert len(re.findall(r'in\d+ -> module', d)) == 4 and len(re.findall(r'module -> out\d+', d)) == 3, d
assert 'label=\"*rax\"' in d and 'penwidth=3, label=\"4\"' in d, d" "$tmp/graph.dot"
fails "--graph of another kind is wrong usage" 2 "gmcc inspect: --graph wants svg or dot, not \`png'." \
	"$GMCC_SAN" inspect --graph=png "$tmp/old.gm.ko"
fails "--graph and --json is wrong usage" 2 "" "$GMCC_SAN" inspect --graph --json "$tmp/old.gm.ko"

fails "--diff of equal borders" 0 "--- $tmp/old.gm.ko
+++ $tmp/old.gm.ko
the same border" "$GMCC_SAN" inspect --diff "$tmp/old.gm.ko" "$tmp/old.gm.ko"
fails "--diff tells what is new, gone and changed" 1 "--- $tmp/old.gm.ko
+++ $tmp/new.gm.ko
stacks  32, now 16
entries
  - g  (1 pointer)
  + h  (1 pointer)
exits
  ~ ext  (4, now 3 call sites)
  + other  (1 call site)
shared with the guest
  ~ .gm.anchors  (120, now 128 bytes)
imports
  + other" "$GMCC_SAN" inspect --diff "$tmp/old.gm.ko" "$tmp/new.gm.ko"
fails "--diff tells new privileges" 1 "--- $tmp/old.gm.ko
+++ $tmp/wrong/wrmsr.ko
privileged instructions
  + wrmsr  (1 place)" "$GMCC_SAN" inspect --diff "$tmp/old.gm.ko" "$tmp/wrong/wrmsr.ko"
"$GMCC_SAN" inspect --diff --json "$tmp/old.gm.ko" "$tmp/new.gm.ko" > "$tmp/j.json"
check "--diff --json" python3 -c "
import json, sys
j = json.load(open(sys.argv[1]))
assert not j['same'] and j['stacks'] == {'old': 32, 'new': 16}, j
assert [(e['change'], e['name']) for e in j['entries']] == [('removed', 'g'), ('added', 'h')], j
assert j['entries'][1]['new'] == {'count': 1, 'stack-words': 1}, j
assert j['exits'][0]['old']['count'] == 4 and j['exits'][0]['new']['count'] == 3, j" "$tmp/j.json"
fails "--diff with a file that is no image" 2 \
	"gmcc: $tmp/old.ko: no manifest. Give an image that \`gmcc guard' wrote." \
	"$GMCC_SAN" inspect --diff "$tmp/old.ko" "$tmp/old.gm.ko"
fails "--diff of one file is wrong usage" 2 "" "$GMCC_SAN" inspect --diff "$tmp/old.gm.ko"
