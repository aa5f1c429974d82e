#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fake_qmp.py SOCKET LOG MODE-FILE: a QMP server for the tests of gmctl.

Serves one connection after the other, each as the mode file says then; a change of it makes
all begin anew. What it is asked, and the content of files
that are passed to it, goes to LOG, a line of JSON each. Most modes are a way in
which a server can be broken."""

import array
import copy
import json
import os
import signal
import socket
import sys
import time

GREETING = {"QMP": {"version": {"qemu": {"micro": 13, "minor": 0, "major": 10}, "package": ""},
                    "capabilities": []}}
KINDS = ("in-call", "out-return", "out-call", "in-return", "event-exit", "resume")
TOP = 0xffffffffc05f2149	# more than a signed number holds

MODULE = {
    "name": "dummy", "id": "ea" * 32, "file": "fd:/tmp/dummy.gm.ko", "size": 90112,
    "signer": "Test: signer", "pages": 103, "gates": 33, "activations-max": 32,
    "requests": ["msr=0x198", "mwait"], "grants": ["mwait"], "policy": "inject",
    "state": "sealed", "seal": 1, "sealed-pages": 103, "activations": 2, "activations-lost": 0,
    "crossings": dict(zip(KINDS, (16, 16, 28, 28, 5, 5))),
    "violations": [{"kind": "exec", "count": 1}, {"kind": "write", "count": 2}],
    "hidden": [{"grant": "mmio=nic0", "reads": 3, "writes": 4, "config-writes": 5, "bars": [
        {"bar": 0, "access": "own-pages", "pages": 32, "direct-pages": 31},
        {"bar": 2, "access": "ports"}, {"bar": 3, "access": "guest-pages"}]},
               {"grant": "pio=0x60", "reads": 0, "writes": 1}],
    "symbols": [{"name": "dummy_xmit", "kind": "in-call", "crossings": 10},
                {"name": "netif_rx", "kind": "out-call", "crossings": 28},
                {"name": "dummy_setup", "kind": "in-call", "crossings": 0}]}
IDLE = {**MODULE, "name": "other", "id": "0b" * 32, "state": "registered", "grants": [],
        "activations": 0, "sealed-pages": 0, "crossings": dict.fromkeys(KINDS, 0),
        "violations": [], "hidden": []}
for absent in ("seal", "symbols"):
    del IDLE[absent]
INFO = {"modules": [IDLE, MODULE], "keys": ["CN=Test: signer"], "can-seal": True,
        "seals-refused": 6, "violations-total": 3,
        "violations": [{"kind": "exec", "count": 1}, {"kind": "write", "count": 2}],
        "last-violations": [{"kind": "exec", "module": "dummy", "gate": "dummy_xmit", "rip": TOP,
                             "address": TOP, "cpu-index": 0, "policy": "inject", "count": 3}]}
EVENTS = [
    {"event": "RESUME", "data": {}},
    {"event": "GM_SEALED", "data": {"module": "dummy", "id": "ea" * 32, "seal": 1, "pages": 103,
                                    "cpu-index": 1}},
    {"event": "GM_VIOLATION", "data": {"kind": "exec", "rip": TOP, "address": TOP, "gpa": 4096,
                                       "cpu-index": 0, "policy": "inject", "count": 1}},
    {"event": "GM_UNSEALED", "data": {"module": "dummy", "seal": 1, "reason": "guest"}}]


class Server:
    def __init__(self, path, log, mode_file):
        self.mode_file = mode_file
        self.mode_text = self.mode = None
        self.log_path = log
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path + ".new")
        self.listener.listen(8)
        os.rename(path + ".new", path)

    def run(self):
        while True:
            self.peer, _ = self.listener.accept()
            self.look_at_mode()
            try:
                self.serve()
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.peer.close()

    def look_at_mode(self):
        with open(self.mode_file, encoding="ascii") as stream:
            text = stream.read()
        if text != self.mode_text:
            self.mode_text, self.mode = text, text.split()[0]
            self.queries = 0
            self.files = {}

    def note(self, what):
        with open(self.log_path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(what) + "\n")

    def send(self, message):
        self.peer.sendall(json.dumps(message).encode() + b"\r\n")

    def forever(self):
        while self.peer.recv(4096):
            pass

    def serve(self):
        greet = getattr(self, "greet_" + self.mode.replace("-", "_"), None)
        if greet:
            greet()
            return
        self.send(GREETING)
        pending = b""
        while True:
            data, control, _, _ = self.peer.recvmsg(65536, 4096)
            for level, kind, content in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.passed = array.array("i", content)[0]
            if not data:
                return
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                if not self.answer(json.loads(line)):
                    return

    # Ways to begin that are none.
    def greet_silent(self):
        self.forever()

    def greet_http(self):
        self.peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.forever()

    def greet_close(self):
        pass

    def greet_not_qmp(self):
        self.send({"hello": 1})
        self.forever()

    def greet_endless(self):
        while True:
            self.peer.sendall(b" " * 65536)

    def greet_trickle(self):
        for byte in json.dumps(GREETING).encode():
            self.peer.sendall(bytes([byte]))
            time.sleep(0.3)

    def greet_half(self):
        self.peer.sendall(b'{"QMP": ')

    def answer(self, request):
        name, arguments = request["execute"], request.get("arguments", {})
        self.note({"execute": name, "arguments": arguments})
        if name == "qmp_capabilities":
            self.send({"return": {}, "id": request["id"]})
            if self.mode == "events":
                self.events()
            return True
        if name == "query-gm":
            broken = getattr(self, "query_" + self.mode.replace("-", "_"), None)
            if broken:
                return broken(request["id"], arguments)
        handler = getattr(self, "do_" + name.replace("-", "_"), None)
        result = handler(arguments) if handler else f"The command {name} has not been found"
        if isinstance(result, str):
            self.send({"error": {"class": "GenericError", "desc": result}, "id": request["id"]})
        else:
            self.send({"return": result, "id": request["id"]})
        return True

    def events(self):
        for second, event in enumerate(EVENTS):
            self.send({**event, "timestamp": {"seconds": 1763884800 + second,
                                              "microseconds": 42}})

    def do_getfd(self, arguments):
        with os.fdopen(self.passed, "rb") as stream:
            self.files[arguments["fdname"]] = stream.read()
        self.note({"file": self.files[arguments["fdname"]].decode()})
        return {}

    def do_closefd(self, arguments):
        return {} if self.files.pop(arguments["fdname"], None) else "File descriptor not found"

    def do_gm_register(self, arguments):
        if "fd" in arguments and self.mode != "refuse" and not self.files.pop(arguments["fd"], None):
            return "File descriptor named '%s' has not been found" % arguments["fd"]
        if self.mode == "refuse":
            return "cannot register 'x': it is not signed\x1b[31m"
        answer = {key: MODULE[key] for key in ("name", "id", "file", "size", "signer", "pages",
                                               "gates", "activations-max", "requests", "policy")}
        return {**answer, "grants": arguments.get("grants", [])}

    def do_gm_unregister(self, arguments):
        if arguments["name"] != "dummy":
            return "no module '%s' is registered" % arguments["name"]
        return {}

    def do_gm_grant(self, arguments):
        if "mwait" in arguments["grants"]:
            return "module 'dummy' has been granted 'mwait' already"
        return {}

    def do_gm_revoke(self, arguments):
        return {} if "mwait" in arguments["grants"] else "module 'dummy' has not been granted that"

    def do_query_gm(self, arguments):
        info = copy.deepcopy(INFO)
        if not arguments.get("symbols"):
            info["modules"][1].pop("symbols")
        if self.mode == "empty":
            info["modules"] = []
        if self.mode == "no-kvm":
            info["can-seal"] = False
        if self.mode == "escapes":
            info["modules"][1].update(name="du\x1b]0;x\x07mmy", signer="Zoë \u202e\x9b",
                                      grants=["a\nb"])
        if self.mode == "count":
            self.count(info)
        return info

    def count(self, info):
        """Counters of look N; before look 3 the module is sealed anew, before look 5 registered
        anew."""
        self.queries += 1
        n = self.queries
        module = info["modules"][1]
        crossings = n * 100 if n < 5 else (n - 4) * 10
        module["crossings"] = dict.fromkeys(KINDS, crossings)
        for weight, symbol in enumerate(module["symbols"]):
            symbol["crossings"] = weight * (n if n < 3 else n - 2) * 40
        info["violations-total"] = n

    # Answers that are none, or end in the middle.
    def query_gone(self, _number, _arguments):
        return False

    def query_half_answer(self, number, _arguments):
        self.peer.sendall(b'{"id": %d, "return": {"mod' % number)
        return False

    def query_never(self, _number, _arguments):
        return True

    def query_chatter(self, _number, _arguments):
        while True:
            self.send({"event": "X", "data": {}})

    def query_wrong_id(self, number, _arguments):
        self.send({"return": INFO, "id": number + 1})
        return True

    def query_no_id(self, _number, _arguments):
        self.send({"return": INFO})
        return True

    def query_neither(self, number, _arguments):
        self.send({"id": number})
        return True

    def query_not_json(self, _number, _arguments):
        self.peer.sendall(b"{a: 1}\n")
        return True

    def query_array(self, _number, _arguments):
        self.send([1])
        return True

    def query_deep(self, number, _arguments):
        self.peer.sendall(b'{"id": %d, "return": ' % number + b"[" * 100000 + b"\n")
        return True

    def query_zero_byte(self, number, _arguments):
        self.peer.sendall(b'{"id": %d, \0"return": {}}\n' % number)
        return True

    def query_not_utf8(self, number, _arguments):
        self.peer.sendall(b'{"id": %d, "return": {"a": "\xff"}}\n' % number)
        return True

    def query_lacks(self, number, _arguments):
        self.send({"return": {"modules": [{}]}, "id": number})
        return True

    def query_wrong_type(self, number, _arguments):
        self.send({"return": {"modules": {}}, "id": number})
        return True

    def query_wrong_element(self, number, _arguments):
        self.send({"return": {**INFO, "modules": [[]]}, "id": number})
        return True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Server(*sys.argv[1:]).run()
