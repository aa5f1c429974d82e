# SPDX-License-Identifier: GPL-2.0
"""The command line of gm-rig."""

import argparse
import contextlib
import signal
import sys

from . import accel, loads
from .channel import Patience, RigError
from .config import GUEST_KERNELS, L1_KERNELS, Config, ConfigError, host_description
from .session import BOOTS, Session
from .table import SETS

INTERRUPTED = 130


def parser():
    top = argparse.ArgumentParser(
        prog="gm-rig", description="Boot a nested chain (L1: Debian kernel with our KVM; "
        "L2: a guest of our QEMU) and run something in it.")
    commands = top.add_subparsers(dest="command", required=True)

    commands.add_parser("accel", help="say which accelerator would be used, and why")

    def l1_kernel(command):
        command.add_argument("--l1-kernel", choices=sorted(L1_KERNELS), default="stock",
                             help="the distribution's kernel in L1, or the one of `make "
                             "debug-kernel' with the kernel's checkers, or with KASAN, UBSAN "
                             "and lockdep alone; timeouts follow [stock]")

    def vendor(command):
        command.add_argument("--vendor", choices=sorted(accel.VENDORS), help="of L1's CPU: "
                             "AMD's SVM or Intel's VMX [what the hardware has, or svm]")

    def guest_kernel(command):
        command.add_argument("--guest-kernel", choices=GUEST_KERNELS, default=GUEST_KERNELS[0],
                             help="Linux in L2: L1's own, or Debian 12's of `make "
                             f"guest-kernel' [{GUEST_KERNELS[0]}]")

    def add(name, text):
        command = commands.add_parser(name, help=text)
        command.add_argument("--kvm", choices=("gm", "stock"), default="gm",
                             help="modules to load in L1 [gm]")
        command.add_argument("--boot", choices=sorted(BOOTS), default="guarded",
                             help="how to start L2 [guarded]")
        l1_kernel(command)
        guest_kernel(command)
        vendor(command)
        return command

    run = add("run", "run commands, in the order given")
    for level, text in (("l1", "in L1's shell"), ("l2", "in L2's shell"),
                        ("hmp", "at L2's human monitor")):
        run.add_argument(f"--{level}", metavar="CMD", action=Ordered, dest="steps",
                         default=[], help=f"run CMD {text}")
    run.add_argument("--timeout", type=float, default=60, help="for each command [60 s]")

    add("shell", "an interactive session: `l1 CMD', `l2 CMD', `hmp CMD'")

    test = commands.add_parser("test", help="run test cases or groups")
    test.add_argument("names", nargs="*", metavar="NAME|GROUP", help="all but those that "
                      "only some group has when none is given")
    test.add_argument("--stock", action="store_true", help="in the group loads, load the "
                      "modules as they are: does what is done with them work at all?")
    l1_kernel(test)
    guest_kernel(test)
    vendor(test)
    test.add_argument("--set", choices=SETS, default="default", help="of the rows of tests.toml, "
                      "when none is named and VMX is emulated [default]")
    test.add_argument("--l1-cpus", type=int, choices=(1, 2), default=1,
                      help="of L1 in Bochs [1]; elsewhere it has 2")
    test.add_argument("--beside", action="store_true", help="run the raw attacks in a machine "
                      "of their own at the same time; or, with no VMX asked for, VMX's quick set")

    guest_kernel(commands.add_parser("load-images",
                                     help="guard and sign the modules of loads.toml"))

    commands.add_parser("list", help="list the test cases")

    selftests = commands.add_parser("selftests", help="run KVM's own tests in L1, on "
                                    "the unpatched KVM and on ours, and compare")
    selftests.add_argument("names", nargs="*", metavar="NAME",
                           help="all but those of rig/selftests.exclude when none is given")
    selftests.add_argument("--limit", type=int, default=120, metavar="SECONDS",
                           help="for each test [120]")

    hammer = commands.add_parser("hammer", help="random calls and states, machines that come "
                                 "and go, failing allocations, signals: raw-hammer in L1")
    hammer.add_argument("ways", nargs="*", metavar="WAY", help="of raw-hammer --help, all when "
                        "none is given")
    hammer.add_argument("--runs", type=int, help="of each [raw-hammer's own]")
    hammer.add_argument("--seconds", type=int, help="for each at most")
    hammer.add_argument("--seed", type=int, help="of the random numbers [drawn]")
    hammer.add_argument("--coverage", action="store_true", help="count what is reached of "
                        "KVM's files for guarded modules; with --l1-kernel=debug")
    l1_kernel(hammer)
    vendor(hammer)

    soak = commands.add_parser("soak", help="Linux guests for long: threads in a guarded "
                               "module while others come and go; QEMU killed at any moment")
    soak.add_argument("parts", nargs="*", metavar="PART", help="threads or kills, both when "
                      "none is given")
    soak.add_argument("--crossings", type=int, default=1000000, help="by the threads [1000000]")
    soak.add_argument("--kills", type=int, default=50, help="of QEMU [50]")
    soak.add_argument("--seed", type=int, help="of the moments of the kills [drawn]")
    vendor(soak)

    mutants = commands.add_parser("mutants", help="remove each security check of "
                                  "KVM, of QEMU's side and of gmcc's verify in turn; a test must notice")
    mutants.add_argument("names", nargs="*", metavar="NAME",
                         help="rows of the components' mutants.toml, or kvm, qemu or gmcc "
                         "for all of one; all when none is given")
    return top


class Ordered(argparse.Action):
    """Collects --l1, --l2 and --hmp in the order of the command line."""

    def __call__(self, _parser, namespace, value, option=None):
        namespace.steps = namespace.steps + [(option.lstrip("-"), value)]


def perform(session, boot, level, command, timeout):
    """Run one command and print its output; its status."""
    if level == "l1":
        status, output = session.outer().shell.run(command, timeout)
    elif level == "l2":
        status, output = session.guest(boot).shell.run(command, timeout)
    else:
        status, output = 0, session.guest(boot).hmp.run(command, timeout) + "\n"
    print(output, end="", flush=True)
    return status


def run_command(session, options):
    for level, command in options.steps:
        status = perform(session, options.boot, level, command, options.timeout)
        if status:
            return status
    return 0


def shell_command(session, options):
    session.guest(options.boot)
    print(f"logs: {session.run}\n`l1 CMD', `l2 CMD', `hmp CMD'; the level stays until "
          "another is named; `new' starts a fresh L2, `reload' loads rebuilt modules "
          "first, `console' shows what L2's console said, `exit' ends")
    level = "l2"
    while True:
        try:
            line = input(f"{level}> ").strip()
        except EOFError:
            return 0
        word, _, rest = line.partition(" ")
        if word in ("l1", "l2", "hmp"):
            level, line = word, rest.strip()
        try:
            if line in ("exit", "quit"):
                return 0
            if line == "new":
                session.guest(options.boot, fresh=True)
            elif line == "reload":
                session.drop_guest()
                session.outer().load_kvm(options.kvm)
                session.guest(options.boot)
            elif line == "console":
                print(session.guest(options.boot).console_added())
            elif line:
                status = perform(session, options.boot, level, line, 600)
                if status:
                    print(f"[status {status}]")
        except RigError as error:
            print(f"gm-rig: {error}")
        trouble = session.current_outer and session.current_outer.trouble()
        if trouble:
            print(f"--- L1's console:\n{trouble}")


def main():
    options = parser().parse_args()
    if options.command == "accel":
        for vendor in accel.VENDORS:
            kind, why = accel.choose(vendor)
            default = ", the default" if vendor == accel.default_vendor() else ""
            print(f"{vendor}: {kind} ({why}){default}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    session = None
    try:
        config = Config(getattr(options, "l1_kernel", "stock"), getattr(options, "stock", False),
                        getattr(options, "guest_kernel", GUEST_KERNELS[0]))
        Patience.factor = config.slowness * accel.slowness(getattr(options, "vendor", None))
        if options.command in ("test", "list"):
            from . import runner
            return runner.main(config, options)
        if options.command == "load-images":
            loads.build_images(config)
            return 0
        if options.command == "selftests":
            from . import selftests
            return selftests.main(config, options)
        if options.command == "hammer":
            from . import hammer
            return hammer.main(config, options)
        if options.command == "soak":
            from . import soak
            return soak.main(config, options)
        if options.command == "mutants":
            from . import mutants
            return mutants.main(config, options)
        print(f"host: {host_description()}", flush=True)
        session = Session(config, options.kvm, options.vendor)
        if options.command == "shell":
            import readline  # noqa: F401, gives input() its line editing
            return shell_command(session, options)
        return run_command(session, options)
    except (ConfigError, RigError) as error:
        print(f"gm-rig: {error}", file=sys.stderr)
        if session:
            with contextlib.suppress(RigError):
                print("\n".join(session.last_words()), file=sys.stderr)
            print(f"gm-rig: logs are in {session.run}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gm-rig: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        if session:
            session.close()
