# shellcheck shell=sh
# Servers that are broken, slow or mean. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
no_qmp="gmctl: @/sock: this is no QMP monitor, or not a sane one:"

# broken MODE TEXT [ARGUMENT...]: list ends with status 3 and this text.
broken() {
	serve "$1"
	mode=$1 text=$2
	shift 2
	says "a server that is broken: $mode" 3 "$text" "$gmctl" list --timeout 1 "$@"
}
broken silent "gmctl: @/sock: no answer within 1 s; does another program use this monitor? It \
serves one at a time"
broken http "$no_qmp unexpected character"
broken close "gmctl: @/sock: QEMU has closed the connection"
broken half "gmctl: @/sock: QEMU has closed the connection"
broken not-qmp "$no_qmp it does not introduce itself"
broken endless "$no_qmp a line of more than 16 MiB" --timeout 30
broken trickle "gmctl: @/sock: no end of a line within 1 s"
broken gone "gmctl: @/sock: QEMU has closed the connection"
broken half-answer "gmctl: @/sock: QEMU has closed the connection"
broken never "gmctl: @/sock: no answer within 1 s"
broken wrong-id "$no_qmp an answer to something that was not asked"
broken no-id "$no_qmp an answer to something that was not asked"
broken neither "$no_qmp an answer with neither a result nor an error"
broken not-json "$no_qmp quoted object property name expected"
broken array "$no_qmp a line that is no JSON object"
broken deep "$no_qmp nesting too deep"
broken zero-byte "$no_qmp a line with a zero byte"
broken not-utf8 "$no_qmp invalid utf-8 string"
broken lacks "gmctl: QEMU's answer has no 'violations'; is it one with guarded modules, and not older \
than this tool?"
broken wrong-type "gmctl: 'modules' in QEMU's answer is not of type array"
broken wrong-element "gmctl: an element of a list in QEMU's answer is no object"
broken chatter "gmctl: @/sock: no answer within 1 s"
