# shellcheck shell=sh
# gmctl top: rates, tables, JSON, and the live view. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
serve count
timeout 30 "$gmctl" top --json --interval 0.2 >"$tmp/top" 2>"$tmp/err" &
top=$!
await_lines "$tmp/top" 5
kill -INT "$top"
wait "$top"
status=$? name="top --json ends with SIGINT" want=0 out=$(cat "$tmp/err") text=""
judge
check "rates, also of counters that begin anew" python3 - "$tmp/top" <<'PYTHON'
import json, sys
looks = [json.loads(line) for line in open(sys.argv[1])]
# Look N + 1 of the server, less look N: sealed anew before look 3, registered anew before 5.
kinds, symbols = [100, 100, 100, 10, 10], [1, 1, 1, 1, 1]
assert len(looks) >= 5
for look, kind, symbol in zip(looks, kinds, symbols):
    module = {m["name"]: m for m in look["modules"]}["dummy"]
    assert 0.15 < look["interval"] < 2, look["interval"]
    for rate in module["crossings-per-second"].values():
        assert abs(rate * look["interval"] - kind) < 0.5, (look, kind)
    for weight, s in enumerate(module["symbols"]):
        assert abs(s["crossings-per-second"] * look["interval"] - symbol * weight * 40) < 0.5, s
assert looks[0]["violations-total"] == 2 and looks[0]["seals-refused"] == 6
PYTHON
check "each look asks for symbols" [ "$(grep -c '"symbols": true' "$tmp/log")" -ge 6 ]

serve normal
"$gmctl" top --once --interval 0.1 | sed 's/over [0-9.]* s/over T s/' >"$tmp/out" 2>&1
status=$? name="top --once" want=0 out=$(cat "$tmp/out")
text="2 modules, 0.0 crossings/s, 3 violations, 6 seals refused, over T s

MODULE  STATE       INSIDE  IN-CALL/s  OUT-RETURN/s  OUT-CALL/s  IN-RETURN/s  EVENT-EXIT/s  RESUME/s  ALL/s  VIOLATIONS
dummy   sealed        2/32        0.0           0.0         0.0          0.0           0.0       0.0    0.0           3
other   registered    0/32        0.0           0.0         0.0          0.0           0.0       0.0    0.0           0

SYMBOL      MODULE  KIND      CROSSINGS/s  CROSSINGS
dummy_xmit  dummy   in-call           0.0         10
netif_rx    dummy   out-call          0.0         28"
judge
check "top --sort total" sh -c "'$gmctl' top --once --interval 0.1 --sort total | grep -A1 ^SYMBOL | \
tail -n 1 | grep -q ^netif_rx"
check "gm-top is gmctl top" sh -c "'$TOOLS/gm-top' --once --interval 0.1 | grep -q ^MODULE"
check "no colour but on a terminal" sh -c "! '$gmctl' top --once --interval 0.1 | grep -q '$(printf '\033')'"
for mode in gone half-answer; do
	serve $mode
	says "top: a server that goes away ($mode)" 3 "gmctl: @/sock: QEMU has closed the connection" \
		"$gmctl" top --interval 0.1
done
serve normal
check "the live view: keys, sizes, and a terminal left as it was" \
	timeout 60 "$here/live_view.py" "$TOOLS/gm-top" "$server"
