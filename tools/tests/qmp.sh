# shellcheck shell=sh
# Every command, against a server that answers as QEMU does. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
serve normal
says "list" 0 "MODULE  STATE       INSIDE  CROSSINGS  VIOLATIONS  SIGNER        GRANTS
other   registered    0/32          0           0  Test: signer  -
dummy   sealed        2/32         98           3  Test: signer  mwait" "$gmctl" list
logged "list asks for no symbols" '{"execute": "query-gm", "arguments": {}}'
says "list -v" 0 "other: registered
  signer:      Test: signer
  file:        fd:/tmp/dummy.gm.ko
  id:          $(printf '0b%.0s' $(seq 32))
  size:        90112 bytes, 103 pages, 0 of them sealed, 33 gates
  inside:      0 of 32 activations
  asks for:    msr=0x198, mwait
  granted:     nothing
  policy:      inject
  violations:  none
  crossings:   in-call     0
               out-return  0
               out-call    0
               in-return   0
               event-exit  0
               resume      0
dummy: sealed (seal 1)
  signer:      Test: signer
  file:        fd:/tmp/dummy.gm.ko
  id:          $(printf 'ea%.0s' $(seq 32))
  size:        90112 bytes, 103 pages, 103 of them sealed, 33 gates
  inside:      2 of 32 activations
  asks for:    msr=0x198, mwait
  granted:     mwait
  hidden:      mmio=nic0: the guest read 3 times, wrote 4 times
               mmio=nic0: 5 writes to configuration space were refused
               mmio=nic0: BAR 0: 32 pages of its own, 31 without exits
               mmio=nic0: BAR 2: ports
               mmio=nic0: BAR 3: where the guest maps it
               pio=0x60: the guest read 0 times, wrote 1 times
  policy:      inject
  violations:  exec 1, write 2
  crossings:   in-call     16
               out-return  16
               out-call    28
               in-return   28
               event-exit   5
               resume       5
  symbols:     dummy_xmit   in-call   10
               netif_rx     out-call  28
               dummy_setup  in-call    0" "$gmctl" list -v
logged "list -v asks for symbols" '{"execute": "query-gm", "arguments": {"symbols": true}}'
check "list --json is an array of modules" sh -c "'$gmctl' list --json | python3 -c '
import json, sys
modules = json.load(sys.stdin)
assert [m[\"name\"] for m in modules] == [\"other\", \"dummy\"], modules
assert \"symbols\" not in modules[1]'"
check "list --json -v has symbols" sh -c "'$gmctl' list --json -v | python3 -c '
import json, sys
assert json.load(sys.stdin)[1][\"symbols\"][1][\"crossings\"] == 28'"
says "info" 0 "key: CN=Test: signer
modules: 2 registered, 1 sealed
seals refused: 6
violations: 3 (exec 1, write 2)
  kind exec, module dummy, gate dummy_xmit, rip 0xffffffffc05f2149, address 0xffffffffc05f2149, \
cpu-index 0, policy inject, count 3" "$gmctl" info
check "info --json keeps addresses, and leaves modules out" sh -c "'$gmctl' info --json | python3 -c '
import json, sys
info = json.load(sys.stdin)
assert info[\"last-violations\"][0][\"rip\"] == 0xffffffffc05f2149, info
assert \"modules\" not in info'"

: >"$tmp/log"
echo content >"$tmp/dummy.gm.ko"
(cd "$tmp" && "$gmctl" register --grant msr=0x198 --grant mwait --policy stop dummy.gm.ko) \
	>"$tmp/out" 2>&1
status=$? name="register" want=0 out=$(cat "$tmp/out")
text="dummy: id eaeaeaeaeaea, signed by Test: signer, 103 pages, 33 gates
asks for: msr=0x198, mwait
granted: msr=0x198, mwait"
judge
logged "register passes the open file" \
	'{"execute": "getfd", "arguments": {"fdname": "@/dummy.gm.ko"}}' '{"file": "content\n"}' \
	'{"execute": "gm-register", "arguments": {"grants": ["msr=0x198", "mwait"], "policy": "stop", "fd": "@/dummy.gm.ko"}}'
says "register --by-path" 0 "dummy: id eaeaeaeaeaea, signed by Test: signer, 103 pages, 33 gates
asks for: msr=0x198, mwait" "$gmctl" register --by-path "$tmp/dummy.gm.ko"
logged "register --by-path passes the path" \
	'{"execute": "gm-register", "arguments": {"file": "@/dummy.gm.ko"}}'
check "register --json" sh -c "'$gmctl' register --json '$tmp/dummy.gm.ko' | python3 -m json.tool"
: >"$tmp/log"
says "register: no such file" 1 "gmctl: cannot open @/none: No such file or directory" \
	"$gmctl" register "$tmp/none"
says "register: a folder" 1 "gmctl: @ is not a regular file" "$gmctl" register "$tmp"
mkfifo "$tmp/fifo"
says "register: a FIFO that nobody writes" 1 "gmctl: @/fifo is not a regular file" \
	"$gmctl" register "$tmp/fifo"
logged "register asks for nothing when there is no file" ""
says "unregister" 0 "" "$gmctl" unregister dummy
says "unregister: no such module" 1 "gmctl: QEMU refuses gm-unregister: no module 'x' is registered
gmctl list shows those that are." "$gmctl" unregister x
says "grant" 0 "" "$gmctl" grant dummy msr=0x198 mmio=nic0
says "grant: refused" 1 "gmctl: QEMU refuses gm-grant: module 'dummy' has been granted 'mwait' \
already" "$gmctl" grant dummy mwait
says "revoke" 0 "" "$gmctl" revoke dummy mwait
says "revoke: refused" 1 "gmctl: QEMU refuses gm-revoke: module 'dummy' has not been granted that" \
	"$gmctl" revoke dummy pio=0x60
logged "what was granted and revoked" '{"execute": "gm-unregister", "arguments": {"name": "dummy"}}' \
	'{"execute": "gm-unregister", "arguments": {"name": "x"}}' \
	'{"execute": "gm-grant", "arguments": {"name": "dummy", "grants": ["msr=0x198", "mmio=nic0"]}}' \
	'{"execute": "gm-grant", "arguments": {"name": "dummy", "grants": ["mwait"]}}' \
	'{"execute": "gm-revoke", "arguments": {"name": "dummy", "grants": ["mwait"]}}' \
	'{"execute": "gm-revoke", "arguments": {"name": "dummy", "grants": ["pio=0x60"]}}'
says "options of the monitor after the command" 0 "" "$gmctl" unregister --qmp "$sock" dummy
says "standard output that is full" 1 "gmctl: cannot write to standard output: No space left on \
device" sh -c "'$gmctl' list >/dev/full"

serve refuse
says "register: refused, in QEMU's words, safe for a terminal" 1 "gmctl: QEMU refuses gm-register: \
cannot register 'x': it is not signed\\x1b[31m" "$gmctl" register "$tmp/dummy.gm.ko"
logged "register takes the file back when it is refused" \
	'{"execute": "getfd", "arguments": {"fdname": "@/dummy.gm.ko"}}' '{"file": "content\n"}' \
	'{"execute": "gm-register", "arguments": {"fd": "@/dummy.gm.ko"}}' \
	'{"execute": "closefd", "arguments": {"fdname": "@/dummy.gm.ko"}}'

serve empty
says "list: no modules" 0 "no modules are registered" "$gmctl" list
says "list -v: no modules" 0 "no modules are registered" "$gmctl" list -v
serve no-kvm
says "info without KVM" 0 "sealing: not possible, QEMU runs without KVM" \
	sh -c "'$gmctl' info | head -n 1"
serve escapes
says "names drive no terminal" 0 'du\x1b]0;x\x07mmy  sealed        2/32         98           3  Zoë \xe2\x80\xae\xc2\x9b  a\x0ab' \
	sh -c "'$gmctl' list | tail -n 1"

# Events, until Ctrl-C.
serve events
"$gmctl" events >"$tmp/out" 2>&1 &
follower=$!
await_lines "$tmp/out" 3
timeout 60 "$gmctl" events --qmp "$sock" --timeout 1 >"$tmp/second" 2>&1
second=$?
kill -INT "$follower"
wait "$follower"
status=$? name="events: a line each, until SIGINT" want=0 out=$(cat "$tmp/out")
text="2025-11-23T08:00:01.000042Z GM_SEALED: module dummy, id $(printf 'ea%.0s' $(seq 32)), seal 1, \
pages 103, cpu-index 1
2025-11-23T08:00:02.000042Z GM_VIOLATION: kind exec, rip 0xffffffffc05f2149, address \
0xffffffffc05f2149, gpa 0x1000, cpu-index 0, policy inject, count 1
2025-11-23T08:00:03.000042Z GM_UNSEALED: module dummy, seal 1, reason guest"
judge
status=$second name="a monitor that is in use" want=3 out=$(sed "s|$tmp|@|g" "$tmp/second")
text="gmctl: @/sock: no answer within 1 s; does another program use this monitor? It serves one at a \
time"
judge
"$gmctl" events --json >"$tmp/out" 2>&1 &
follower=$!
await_lines "$tmp/out" 3
kill "$server"
wait "$follower"
status=$? server='' want=3 name="events end when QEMU does"
out=$(tail -n 1 "$tmp/out" | sed "s|$tmp|@|g") text="gmctl: @/sock: QEMU has closed the connection"
judge
check "events --json: QEMU's own, an object a line" sh -c "head -n 3 '$tmp/out' | python3 -c '
import json, sys
events = [json.loads(line) for line in sys.stdin]
assert [e[\"event\"] for e in events] == [\"GM_SEALED\", \"GM_VIOLATION\", \"GM_UNSEALED\"]
assert events[1][\"data\"][\"rip\"] == 0xffffffffc05f2149'"
serve events
ln -sf "$sock" "$tmp/with"
serve_events=$tmp/with-events
rm -f "$serve_events"
"$here/fake_qmp.py" "$serve_events" "$tmp/log" "$tmp/mode" &
extra=$!
await "$serve_events"
"$gmctl" events --qmp "$tmp/with" >"$tmp/out" 2>&1 &
follower=$!
await_lines "$tmp/out" 3
check "events leave the monitor free where there is one for them" \
	"$gmctl" list --qmp "$tmp/with" --timeout 5
kill "$follower" "$extra"
wait "$follower" "$extra" 2>/dev/null
