# SPDX-License-Identifier: GPL-2.0
"""What test cases are written with."""

from .channel import RigError


class Failed(Exception):
    """The thing under test is wrong."""


class Skip(Exception):
    """The test cannot run here; the message says why."""


def case(function):
    """Marks a function as the code of the row of tests.toml with its name."""
    function.is_case = True
    return function


def expect(condition, message):
    if not condition:
        raise Failed(message)


def expect_equal(what, got, wanted):
    if got != wanted:
        raise Failed(f"{what}: got {got!r}, want {wanted!r}")


class Bench:
    """What a case gets: the machines, booted as its row says, and the paths."""

    def __init__(self, session, case_row):
        self.session = session
        self.config = session.config
        self.case = case_row
        self.notes = []
        self.passed = None		# a native suite may count several tests
        self.failed = 0
        self.skipped = 0

    @property
    def outer(self):
        return self.session.outer()

    @property
    def guest(self):
        return self.session.guest(self.case.boot)

    def l1(self, command, timeout=30):
        return self.outer.shell.check(command, timeout)

    def l2(self, command, timeout=30):
        return self.guest.shell.check(command, timeout)

    def note(self, text):
        """A line for the report, whatever the verdict."""
        self.notes.append(text)

    def file(self, name):
        """A path in this run's folder, which L1 sees under the same name."""
        return f"{self.session.run}/{name}"


__all__ = ["Bench", "Failed", "RigError", "Skip", "case", "expect", "expect_equal"]
