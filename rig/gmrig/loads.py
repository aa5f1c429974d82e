# SPDX-License-Identifier: GPL-2.0
"""The table of modules that are loaded guarded: rig/loads.toml. A row says what
to do with the module; how is in cases/loads.py. The images are made of the
same table (guard, sign)."""

import os
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass, field

from . import kmod
from .config import TOP, ConfigError

TABLE = os.path.join(TOP, "rig", "loads.toml")
DEFAULT_GROUP = "load"		# runs with every other test
GROUP = "loads"			# all of the table


@dataclass
class Check:
    run: str			# in the guest's shell
    want: str = ""		# a regular expression for all that it prints
    timeout: float = 30


@dataclass
class Row:
    name: str			# the file's name, without .ko
    about: str
    kind: str
    check: list
    guarded: list = field(default_factory=list)		# loaded before it, guarded too
    stock: list = field(default_factory=list)		# loaded before it, as they are
    absorb: list = field(default_factory=list)		# objects of guest/absorb
    params: str = ""
    algorithms: int | dict = 0	# how many it registers; each must pass its self-test
    setup: list = field(default_factory=list)
    teardown: list = field(default_factory=list)
    calls: int = 1		# in-calls that the checks make at least
    default: bool = False

    @property
    def module(self):
        return kmod.canonical(self.name)


def load():
    with open(TABLE, "rb") as stream:
        table = tomllib.load(stream)["module"]
    rows = []
    for values in table:
        try:
            values["check"] = [Check(**check) for check in values.get("check", [])]
            row = Row(**values)
        except TypeError as error:
            raise ConfigError(f"loads.toml: {values.get('name', '?')}: {error}") from None
        if not row.check:
            raise ConfigError(f"loads.toml: {row.name}: checks nothing")
        rows.append(row)
    names = [row.module for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"loads.toml: {name}: there twice")
    return rows


def guarded_modules():
    return sorted({kmod.canonical(name) for row in load() for name in (*row.guarded, row.name)})


def stock_modules():
    """All modules that the guest has as they are: the rows', and what they want."""
    return [name for row in load() for name in (*row.stock, *row.guarded, row.name)]


def image(config, module):
    return os.path.join(config.images, f"{module}.gm.ko")


def is_fresh(path, sources):
    return os.path.exists(path) and all(os.path.getmtime(source) < os.path.getmtime(path)
                                        for source in sources)


def absorbed(config):
    """{module: the objects that it absorbs}; they are built for one kernel."""
    rows = [row for row in load() if row.absorb]
    if config.guest_kernel != "6.12":
        for row in rows:
            print(f"{row.name}: guarded without {', '.join(row.absorb)}, "
                  f"which there are for Linux 6.12 only")
        return {}
    return {row.module: [config.need(config.built("guest", "absorb", f"{name}.ko"), "guest")
                         for name in row.absorb] for row in rows}


def build_images(config):
    """Guard and sign the modules of the table, those that are not done yet."""
    gmcc = config.need(config.built("gmcc", "gmcc"), "gmcc")
    key, certificate = (config.need(config.built("keys", name), "images")
                        for name in ("signer.key", "signer.crt"))
    modules = kmod.Modules(config.kernel_modules)
    objects = absorbed(config)
    os.makedirs(os.path.dirname(image(config, "x")), exist_ok=True)
    failed = []
    for module in guarded_modules():
        target, source = image(config, module), modules.paths.get(module)
        if source is None:
            raise ConfigError(f"loads.toml: the kernel has no module {module}")
        absorb = objects.get(module, [])
        if is_fresh(target, (gmcc, key, source, *absorb)):
            continue
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as work:
            unsigned, signed = f"{work}/{module}.ko", f"{work}/signed"
            for command in (
                    ["guard", "--btf", config.btf, "--verify", "-o", unsigned,
                     *(f"--absorb={path}" for path in absorb), source],
                    ["sign", "--key", key, "--cert", certificate, "-o", signed, unsigned]):
                done = subprocess.run([gmcc, *command], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False)
                if done.returncode:
                    failed.append(f"{module}: gmcc {command[0]} ended with "
                                  f"{done.returncode}:\n{done.stdout}")
                    break
            else:
                os.rename(signed, target)
    if failed:
        raise ConfigError("\n".join(failed))
