# SPDX-License-Identifier: GPL-2.0
"""mkwrong's images that have one field damaged: of the object, of the manifest, of its tables."""
import struct

BLANK = 4096 * 4096     # bytes: more pages than may be sealed


class Fields:
    """What is put where, by the name of the field."""

    def __init__(self, image):
        self.image = image
        self.data = image.data

    def put(self, off, fmt, value):
        struct.pack_into(fmt, self.data, off, value)

    def manifest(self, off, fmt, value):
        self.put(self.image.sec(".gm.manifest")["offset"] + off, fmt, value)

    def table(self, at, offset=None, count=None):
        """AT: where the manifest has the table."""
        if offset is not None:
            self.manifest(at, "<I", offset)
        if count is not None:
            self.manifest(at + 4, "<I", count)

    def string(self, i, value):
        """A character of the manifest's strings."""
        base = self.image.sec(".gm.manifest")["offset"]
        off, count = struct.unpack_from("<II", self.data, base + 160)
        self.put(base + off + i % count, "<B", value)

    def rename(self, old, new):
        """What the manifest calls a section."""
        base = self.image.sec(".gm.manifest")["offset"]
        off, = struct.unpack_from("<I", self.data, base + 160)
        at = self.data.index(b"\0" + old.encode() + b"\0", base + off) + 1
        self.data[at:at + len(old)] = new.encode()

    def anchor(self, name):
        """The number of the anchor with a name."""
        base = self.image.sec(".gm.manifest")["offset"]
        off, = struct.unpack_from("<I", self.data, base + 160)
        for number, anchor in enumerate(self.image.tables("anchors")):
            at = base + off + anchor["name"]
            if self.data[at:self.data.index(b"\0", at)] == name.encode():
                return number
        raise KeyError(name)

    def reloc(self, section, info):
        """The type and the symbol of a section's first relocation."""
        self.put(self.image.sec(".rela" + section)["offset"] + 8, "<Q", info)

    def like(self, section, other):
        """Gives a section the name of another one."""
        self.image.header(section, name=self.image.sec(other)["name"])

    def swap_gates(self, a, b):
        rows = self.image.tables("gates")
        self.image.entry("gates", a, **rows[b])
        self.image.entry("gates", b, **rows[a])

    def swap(self, section):
        """The first two relocations of a section."""
        at = self.image.sec(".rela" + section)["offset"]
        self.data[at:at + 48] = self.data[at + 24:at + 48] + self.data[at:at + 24]


def big_endian(f):
    f.data[5] = 2
    for at in (16, 18, 58):
        f.data[at:at + 2] = reversed(f.data[at:at + 2])


NO_OBJECT = "loader: not a relocatable object for x86-64."
NO_SECTIONS = "loader: no section table."
TABLE = "+0x{:x}: manifest: the table of {} ({} entries) is misaligned, too long or outside of the manifest."


def table(name, off, count):
    return (".gm.manifest" + TABLE).format(off, name, count)


def bad(what):
    return f".gm.manifest+0x0: manifest: {what}."


GATE = "a gate has a bad kind, name, target or place"
RELOC = "a relocation has a bad type, anchor or place"
ANCHOR = "an anchor has a bad kind or name"
REGION = "a region has a bad kind or anchor"
TRAMPOLINE = "the trampoline or the return has a bad place"
STRINGS = "the strings do not start and end with NUL"

# Name, change of f (Fields) and i (Image), what verify says.
OBJECT = [
    ("big-endian", lambda f, i: big_endian(f), [NO_OBJECT]),
    ("executable", lambda f, i: f.put(16, "<H", 2), [NO_OBJECT]),
    ("section-header-size", lambda f, i: f.put(58, "<H", 56), [NO_OBJECT]),
    ("section-table-misaligned", lambda f, i: f.put(40, "<Q", i.shoff + 4), ["loader: misaligned section table."]),
    ("no-sections", lambda f, i: (f.put(60, "<H", 1), f.put(62, "<H", 0)), [NO_SECTIONS]),
    ("no-section-names", lambda f, i: f.put(62, "<H", len(i.headers)), [NO_SECTIONS]),
    ("section-table-outside", lambda f, i: f.put(40, "<Q", 1 << 40), ["loader: no section table."]),
    ("section-beyond-the-file", lambda f, i: i.header(".text", offset=1 << 40),
     ["loader: section 1 lies outside of the file."]),
    ("section-too-long", lambda f, i: i.header(".text", size=1 << 40),
     ["loader: section 1 lies outside of the file."]),
    ("section-of-too-many-pages", lambda f, i: i.header(".gm.stacks", size=BLANK + 4096),
     ["loader: section 14 is too large."]),
    ("section-without-a-name", lambda f, i: i.header(".data", name=1 << 20),
     ["loader: section 2 has no valid name."]),
    ("section-with-an-endless-name", lambda f, i: i.header(".shstrtab", size=i.sec(".data")["name"] + 3),
     ["loader: section 2 has no valid name."]),
    ("symbol-without-a-name", lambda f, i: i.symbol("f", name=1 << 20),
     [".symtab+0x2b8: loader: symbol 29 has no valid name."]),
    ("symbol-names-without-content", lambda f, i: i.header(".symtab", link=i.index[".gm.stacks"]),
     [".symtab+0x18: loader: symbol 1 has no valid name."]),
    ("symbol-names-in-no-section", lambda f, i: i.header(".symtab", link=99),
     [".symtab+0x0: loader: malformed symbol table."]),
    ("two-symbol-tables", lambda f, i: i.header(".strtab", type=2), ["loader: 2 symbol tables, not one."]),
    ("symbol-table-of-odd-size", lambda f, i: i.header(".symtab", size=i.sec(".symtab")["size"] + 1),
     [".symtab+0x0: loader: malformed symbol table."]),
    ("symbol-table-without-content", lambda f, i: i.header(".symtab", size=0),
     [".symtab+0x0: loader: malformed symbol table."]),
    ("common-symbol", lambda f, i: i.symbol("__x86_return_thunk", shndx=0xfff2),
     [".symtab+0x2a0: loader: common symbol __x86_return_thunk; the module loader refuses that."]),
    ("symbol-of-no-section", lambda f, i: i.symbol("init_module", shndx=len(i.headers)),
     [".symtab+0x288: loader: symbol init_module lies outside of its section."]),
    ("symbol-beyond-its-section", lambda f, i: i.symbol("constant", value=0x1001),
     [".symtab+0x78: loader: symbol constant lies outside of its section."]),
    ("relocations-of-no-section", lambda f, i: i.header(".rela.data", info=99),
     [".rela.data+0x0: loader: malformed relocation section."]),
    ("relocations-of-the-null-section", lambda f, i: i.header(".rela.data", info=0),
     [".rela.data+0x0: loader: malformed relocation section."]),
    ("relocations-of-another-size", lambda f, i: i.header(".rela.data", entsize=16),
     [".rela.data+0x0: loader: malformed relocation section."]),
    ("relocations-and-a-half", lambda f, i: i.header(".rela.data", size=25),
     [".rela.data+0x0: loader: malformed relocation section."]),
    ("relocations-by-other-symbols", lambda f, i: i.header(".rela.data", link=i.index[".strtab"]),
     [".rela.data+0x0: loader: malformed relocation section."]),
    ("relocations-twice", lambda f, i: i.header(".rela.rodata", info=i.index[".data"]), [
        ".rela.rodata+0x0: loader: second relocation section for .data.",
        ".rodata+0x0: relocation: relocation 9 of the manifest is not in the object.",
    ]),
    ("relocation-by-no-symbol", lambda f, i: f.reloc(".data", 999 << 32 | 1),
     [".data+0x0: loader: relocation against a symbol that does not exist."]),
    ("relocation-without-content", lambda f, i: i.header(".rela.data", info=i.index[".gm.stacks"]),
     [".gm.stacks+0x0: loader: relocation outside of the section."]),
    ("relocation-beyond-the-section", lambda f, i: i.rela(".data", 0, off=9),
     [".data+0x9: loader: relocation outside of the section."]),
    ("relocation-of-a-thread",
     lambda f, i: (i.symbol("__x86_return_thunk", info=0x16),
      i.rela(".data", 0, sym="__x86_return_thunk")),
     [".data+0x0: loader: relocation against __x86_return_thunk, which the module loader cannot place."]),
    ("relocation-by-a-common-symbol",
     lambda f, i: (i.symbol("__x86_return_thunk", shndx=0xfff2),
      i.rela(".data", 0, sym="__x86_return_thunk")), [
        ".symtab+0x2a0: loader: common symbol __x86_return_thunk; the module loader refuses that.",
        ".data+0x0: loader: relocation against __x86_return_thunk, which the module loader cannot place.",
    ]),
    ("relocation-out-of-range-below", lambda f, i: i.rela(".data", 0, addend=-1 << 31), [
        ".data+0x0: loader: relocation out of range (gm_gate_f-2147483648).",
        ".data+0x0: address: points among the gates, but to none, gm_gate_f-2147483648.",
    ]),
    ("relocation-to-what-is-not-loaded", lambda f, i: i.rela(".data", 0, sym="section:.gm.manifest"),
     [".data+0x0: loader: relocation against .gm.manifest, which is not loaded."]),
    ("relocations-in-another-order", lambda f, i: f.swap(".text"), []),
    ("relocations-that-overlap", lambda f, i: i.rela(".gnu.linkonce.this_module", 1, off=0x13c),
     [".gnu.linkonce.this_module+0x13c: loader: relocations overlap."]),
    ("two-modinfos", lambda f, i: f.like(".orc_header", ".modinfo"),
     [".modinfo+0x0: loader: 2 sections .modinfo; the module loader wants one, loaded."]),
    ("modinfo-without-content", lambda f, i: i.header(".modinfo", type=8),
     [".modinfo+0x0: loader: 1 sections .modinfo; the module loader wants one, loaded."]),
    ("modinfo-without-size", lambda f, i: i.header(".modinfo", size=0),
     [".modinfo+0x0: loader: 1 sections .modinfo; the module loader wants one, loaded."]),
    ("modinfo-not-loaded", lambda f, i: i.header(".modinfo", flags=0),
     [".modinfo+0x0: loader: 1 sections .modinfo; the module loader wants one, loaded."]),
    ("modinfo-without-end", lambda f, i: i.put(".modinfo", i.sec(".modinfo")["size"] - 1, 0x78),
     [".modinfo+0x14: manifest: does not end with NUL."]),
    ("modinfo-without-a-name", lambda f, i: i.put(".modinfo", 12, 0x4e),
     [".modinfo+0x0: manifest: does not name the module."]),
    ("relocations-without-addends", lambda f, i: i.header(".rela.data", type=9),
     [".rela.data+0x0: loader: relocations without addends; the module loader refuses that."]),
    ("alignment-of-three", lambda f, i: i.header(".modinfo", align=3),
     [".modinfo+0x0: loader: alignment is no power of two."]),
]

MANIFEST = [
    ("table-misaligned", lambda f, i: f.table(120, 0xfc), [table("anchors", 0xfc, 9)]),
    ("table-in-the-header", lambda f, i: f.table(120, 8), [table("anchors", 8, 9)]),
    ("table-too-long", lambda f, i: f.table(136, None, 1000),
     [".gm.manifest+0x248: manifest: the table of relocations (1000 entries) is misaligned, too long or outside of the manifest."]),
    ("no-strings", lambda f, i: f.table(160, None, 0), [bad(STRINGS)]),
    ("strings-with-another-start", lambda f, i: f.string(0, 0x78), [bad(STRINGS)]),
    ("strings-without-end", lambda f, i: f.string(-1, 0x78), [bad(STRINGS)]),
    ("string-with-a-control-character", lambda f, i: f.string(1, 7), [bad("a string is not printable")]),
    ("anchor-without-a-name", lambda f, i: i.entry("anchors", 6, name=9999), [bad(ANCHOR)]),
    ("anchor-kind-0", lambda f, i: i.entry("anchors", 6, kind=0), [bad(ANCHOR)]),
    ("anchor-kind-5", lambda f, i: i.entry("anchors", 6, kind=5), [bad(ANCHOR)]),
    ("region-without-an-anchor", lambda f, i: i.entry("regions", 2, anchor=99), [bad(REGION)]),
    ("region-kind-0", lambda f, i: i.entry("regions", 2, kind=0), [bad(REGION)]),
    ("region-kind-8", lambda f, i: i.entry("regions", 2, kind=8), [bad(REGION)]),
    ("relocation-without-an-anchor", lambda f, i: i.entry("relocs", 2, anchor=99), [bad(RELOC)]),
    ("relocation-type-0", lambda f, i: i.entry("relocs", 2, type=0), [bad(RELOC)]),
    ("relocation-type-6", lambda f, i: i.entry("relocs", 2, type=6), [bad(RELOC)]),
    ("relocation-in-no-region", lambda f, i: i.entry("relocs", 2, region=9), [bad(RELOC)]),
    ("gate-without-a-name", lambda f, i: i.entry("gates", 3, name=9999), [bad(GATE)]),
    ("gate-without-a-target", lambda f, i: i.entry("gates", 3, target=99), [bad(GATE)]),
    ("gate-kind-0", lambda f, i: i.entry("gates", 3, kind=0), [bad(GATE)]),
    ("gate-kind-7", lambda f, i: i.entry("gates", 3, kind=7), [bad(GATE)]),
    ("gate-at-the-end", lambda f, i: i.entry("gates", 3, offset=0xffe), [bad(GATE)]),
    ("frame-in-no-region", lambda f, i: i.entry("frames", 4, region=9, offset=0), [bad("a frame has a bad place")]),
    ("trampoline-at-the-end", lambda f, i: i.manifest("trampoline_offset", 0xffb), [bad(TRAMPOLINE)]),
    ("return-at-the-end", lambda f, i: i.manifest("ret_offset", 0x1000), [bad(TRAMPOLINE)]),
    ("no-name", lambda f, i: i.manifest("name", b""),
     [".gm.manifest+0x30: manifest: the module's name is empty or has no end."]),
    ("endless-name", lambda f, i: i.manifest("name", b"a" * 64),
     [".gm.manifest+0x30: manifest: the module's name is empty or has no end."]),
    ("name-with-more-behind", lambda f, i: i.manifest("name", b"bad\0x"),
     [".gm.manifest+0x34: manifest: bad character 0x78 in the module's name."]),
    ("name-with-a-blank", lambda f, i: i.manifest("name", b"b d"),
     [".gm.manifest+0x31: manifest: bad character 0x20 in the module's name."]),
    ("two-manifests", lambda f, i: f.like(".orc_header", ".gm.manifest"),
     ["manifest: 2 sections .gm.manifest, not one. Give an image that `gmcc guard' wrote."]),
    ("manifest-loaded", lambda f, i: i.header(".gm.manifest", flags=2),
     [".gm.manifest+0x0: manifest: too short, or loaded."]),
    ("manifest-too-short", lambda f, i: i.header(".gm.manifest", size=64),
     [".gm.manifest+0x0: manifest: too short, or loaded."]),
    ("manifest-magic", lambda f, i: f.manifest(0, "<B", 0), [".gm.manifest+0x0: manifest: wrong magic or size."]),
]

REGIONS = [
    ("merged-constants", lambda f, i: i.header(".rodata", flags=0x12),
     [".rodata+0x0: region: section flags 0x12 do not fit region kind 3."]),
    ("region-twice", lambda f, i: i.entry("regions", 2, anchor=0), [
        ".text+0x0 (init_module+0x0): region: regions 0 and 2 are one section.",
        ".gm.anchors+0x40: anchor: anchor 2 (.rodata) is not what the loader fills in.",
        ".text+0x3d (f+0x2d): relocation: the manifest does not have this relocation (.rodata+0), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (.gm.anchors-4), or not here.",
    ]),
    ("empty-region",
     lambda f, i: (i.entry("regions", 1, size=0, file_size=0),
      i.entry("anchors", 1, size=0),
      i.header(".data.private", size=0)),
     [".data.private+0x0: region: not whole pages: 0 bytes in the manifest, 0 in the section, aligned to 4096."]),
    ("region-of-another-size", lambda f, i: (i.entry("regions", 1, size=8192), i.entry("anchors", 1, size=8192)), [
        ".data.private+0x0: region: not whole pages: 8192 bytes in the manifest, 4096 in the section, aligned to 4096.",
        ".gm.anchors+0x38: anchor: anchor 1 (.data.private) is not what the loader fills in.",
    ]),
    ("region-of-odd-size",
     lambda f, i: (i.entry("regions", 1, size=4104, file_size=4104),
      i.entry("anchors", 1, size=4104),
      i.header(".data.private", size=4104)),
     [".data.private+0x0: region: not whole pages: 4104 bytes in the manifest, 4104 in the section, aligned to 4096."]),
    ("region-by-a-shared-anchor", lambda f, i: i.entry("anchors", 1, kind=2), [
        ".data.private+0x0: region: its anchor does not match.",
        ".gm.anchors+0x38: anchor: anchor 1 (.data.private) is not what the loader fills in.",
        ".text+0x21 (f+0x11): relocation: the manifest does not have this relocation (.data.private-4), or not here.",
    ]),
    ("region-by-a-small-anchor", lambda f, i: i.entry("anchors", 1, size=8), [
        ".data.private+0x0: region: its anchor does not match.",
        ".gm.anchors+0x38: anchor: anchor 1 (.data.private) is not what the loader fills in.",
    ]),
    ("region-with-less-in-the-file", lambda f, i: i.entry("regions", 1, file_size=8),
     [".data.private+0x0: region: its content is elsewhere in the file."]),
    ("stacks-in-the-file", lambda f, i: i.entry("regions", 5, file_offset=8),
     [".gm.stacks+0x0: region: its content is elsewhere in the file."]),
    ("devices-of-another-name", lambda f, i: i.entry("regions", 1, kind=7), [
        ".data.private+0x0: region: content, where there may be none.",
        ".data.private+0x0: region: region kind 7 is not what this section is for.",
        ".gm.manifest+0x0: region: 1 regions for devices with 1 pages, and mmio is not requested.",
    ]),
    ("region-that-is-freed", lambda f, i: (i.rename(".rodata", ".init.a"), f.rename(".rodata", ".init.a")),
     [".init.a+0x0: region: the module loader frees it after init."]),
    ("region-per-cpu",
     lambda f, i: (i.rename(".data.private", ".data..percpu"),
      f.rename(".data.private", ".data..percpu")),
     [".data..percpu+0x0: region: the module loader copies it per CPU."]),
    ("region-that-is-missing", lambda f, i: f.rename(".rodata", ".rodatb"), [
        ".gm.manifest+0x0: region: region 2 is section .rodatb, which does not exist.",
        ".gm.anchors+0x40: anchor: anchor 2 (.rodatb) is not what the loader fills in.",
        ".text+0x3d (f+0x2d): relocation: the manifest does not have this relocation (.rodata+0), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (.gm.anchors-4), or not here.",
    ]),
    ("gates-as-constants", lambda f, i: i.entry("regions", 3, kind=3), [
        ".gm.gates+0x0 (gm_ret+0x0): region: section flags 0x6 do not fit region kind 3.",
        ".gm.manifest+0x0: region: no gates, or no text.",
        ".gnu.linkonce.this_module+0x138: address: the module structure points to gm_init+0, neither the init stub nor the exit gate.",
        ".gnu.linkonce.this_module+0x500: address: the module structure points to gm_gate_cleanup_module+0, neither the init stub nor the exit gate.",
        ".gnu.linkonce.this_module+0x0: address: the module structure does not point to the init stub.",
        ".gm.gates+0x10 (gm_resume+0x0): gate: gate 0 (gm_resume) is in the wrong kind of region.",
        ".gm.gates+0x23 (gm_trampoline+0x3): gate: gate 1 (gm_trampoline) is in the wrong kind of region.",
        ".gm.gates+0x104 (gm_gate_init_module+0x4): gate: gate 2 (init_module) is in the wrong kind of region.",
        ".gm.gates+0x114 (gm_gate_cleanup_module+0x4): gate: gate 3 (cleanup_module) is in the wrong kind of region.",
        ".gm.gates+0x124 (gm_gate_f+0x4): gate: gate 4 (f) is in the wrong kind of region.",
        ".gm.gates+0x134 (gm_gate_g+0x4): gate: gate 5 (g) is in the wrong kind of region.",
        ".gm.gates+0x20 (gm_trampoline+0x0): gate: the trampoline is not `call *%r11' right before the in-return gate.",
        ".gm.gates+0x0 (gm_ret+0x0): gate: the return is no `ret' among the gates.",
    ]),
    ("no-text", lambda f, i: (i.entry("regions", 0, kind=3), i.entry("regions", 4, kind=3)), [
        ".text+0x0 (init_module+0x0): region: section flags 0x6 do not fit region kind 3.",
        ".gm.stubs+0x0 (gm_return+0x0): region: section flags 0x6 do not fit region kind 3.",
        ".gm.manifest+0x0: region: no gates, or no text.",
        ".text+0x21 (f+0x11): private: holds the address of private data, .data.private-4.",
        ".gm.gates+0x104 (gm_gate_init_module+0x4): gate: the in-call does not lead to an instruction of text.",
        ".gm.gates+0x114 (gm_gate_cleanup_module+0x4): gate: the in-call does not lead to an instruction of text.",
        ".gm.gates+0x124 (gm_gate_f+0x4): gate: the in-call does not lead to an instruction of text.",
        ".gm.gates+0x134 (gm_gate_g+0x4): gate: the in-call does not lead to an instruction of text.",
        ".gm.stubs+0x0 (gm_return+0x0): gate: gate 6 (gm_return) is in the wrong kind of region.",
        ".gm.stubs+0x10 (gm_stub_ext+0x0): gate: gate 7 (ext) is in the wrong kind of region.",
        ".gm.stubs+0x28 (gm_stub_rax+0x8): gate: gate 8 (rax) is in the wrong kind of region.",
        ".gm.stubs+0x30 (gm_stub_entry+0x0): gate: gate 9 (entry) is in the wrong kind of region.",
        ".gm.manifest+0x580: frame: row 0 of the frames is out of order, or in no text.",
    ]),
    ("too-many-pages",
     lambda f, i: (i.header(".gm.stacks", size=BLANK),
      i.entry("regions", 5, size=BLANK),
      i.entry("anchors", 5, size=BLANK),
      i.manifest("nr_stacks", 256),
      i.manifest("stack_pages", 16)),
     [".gm.manifest+0x0: region: 4101 sealed pages, more than 4096."]),
    ("no-stacks", lambda f, i: (i.manifest("nr_stacks", 0), i.entry("regions", 5, kind=4)),
     [".gm.manifest+0x70: region: 0 stacks of 3 pages, but 0 pages of stack."]),
    ("stacks-without-a-guard-page", lambda f, i: (i.manifest("nr_stacks", 96), i.manifest("stack_pages", 1)),
     [".gm.manifest+0x70: region: 96 stacks of 1 pages, but 96 pages of stack."]),
    ("stacks-too-large", lambda f, i: (i.manifest("nr_stacks", 3), i.manifest("stack_pages", 32)),
     [".gm.manifest+0x70: region: 3 stacks of 32 pages, but 96 pages of stack."]),
    ("no-anchors", lambda f, i: i.rename(".gm.anchors", ".gm.anchorz"), [
        "anchor: no section .gm.anchors that the guest loads.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (.gm.anchorz-4), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): address: code among the gates refers to .gm.anchorz-4.",
        ".gm.anchorz+0x30: address: holds the address of text, .text+0, and not of a gate.",
        ".gm.anchorz+0x38: private: holds the address of private data, .data.private+0.",
        ".gm.anchorz+0x48: address: points among the gates, but to none, .gm.gates+0.",
        ".gm.anchorz+0x50: address: holds the address of text, .gm.stubs+0, and not of a gate.",
        ".gm.anchorz+0x58: private: holds the address of private data, .gm.stacks+0.",
    ]),
    ("anchors-without-content", lambda f, i: i.header(".gm.anchors", type=8), [
        ".gm.anchors+0x30: loader: relocation outside of the section.",
        ".gm.anchors+0x38: loader: relocation outside of the section.",
        ".gm.anchors+0x40: loader: relocation outside of the section.",
        ".gm.anchors+0x48: loader: relocation outside of the section.",
        ".gm.anchors+0x50: loader: relocation outside of the section.",
        ".gm.anchors+0x58: loader: relocation outside of the section.",
        ".gm.anchors+0x60: loader: relocation outside of the section.",
        ".gm.anchors+0x68: loader: relocation outside of the section.",
        ".gm.anchors+0x70: loader: relocation outside of the section.",
        ".gm.anchors+0x0: anchor: no section .gm.anchors that the guest loads.",
    ]),
    ("anchors-not-loaded", lambda f, i: i.header(".gm.anchors", flags=0), [
        ".gm.gates+0x5a (gm_init+0x2a): loader: relocation against .gm.anchors, which is not loaded.",
        ".gm.anchors+0x0: anchor: no section .gm.anchors that the guest loads.",
    ]),
    ("anchors-executable", lambda f, i: i.header(".gm.anchors", flags=6), [
        ".gm.anchors+0x0: region: executable, but not sealed.",
        ".gm.anchors+0x0: anchor: no section .gm.anchors that the guest loads.",
    ]),
    ("anchors-sealed", lambda f, i: i.entry("regions", 1, anchor=7), [
        ".gm.anchors+0x0: region: section flags 0x2 do not fit region kind 4.",
        ".gm.anchors+0x0: region: not whole pages: 4096 bytes in the manifest, 120 in the section, aligned to 8.",
        ".gm.anchors+0x0: region: its anchor does not match.",
        ".gm.anchors+0x0: region: its content is elsewhere in the file.",
        ".gm.anchors+0x0: anchor: no section .gm.anchors that the guest loads.",
        ".text+0x21 (f+0x11): relocation: the manifest does not have this relocation (.data.private-4), or not here.",
        ".gm.anchors+0x30: relocation: the manifest does not have this relocation (.text+0), or not here.",
        ".rodata+0x0: relocation: the manifest does not have this relocation (gm_gate_g+0), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (.gm.anchors-4), or not here.",
        ".gm.stubs+0x43 (gm_dispatch+0x3): relocation: the manifest does not have this relocation (gm_gate_init_module+0), or not here.",
    ]),
    ("anchors-of-another-size", lambda f, i: i.header(".gm.anchors", size=i.sec(".gm.anchors")["size"] + 8),
     [".gm.anchors+0x0: anchor: 9 relocations and 128 bytes for 9 anchors."]),
    ("an-anchor-too-few", lambda f, i: i.header(".rela.gm.anchors", size=i.sec(".rela.gm.anchors")["size"] - 24),
     [".gm.anchors+0x0: anchor: 8 relocations and 120 bytes for 9 anchors."]),
    ("anchors-magic", lambda f, i: i.put(".gm.anchors", 0, 0),
     [".gm.anchors+0x0: anchor: its header does not fit the manifest."]),
    ("anchors-count", lambda f, i: i.put(".gm.anchors", 40, 3),
     [".gm.anchors+0x0: anchor: its header does not fit the manifest."]),
    ("anchors-reserved", lambda f, i: i.put(".gm.anchors", 44, 3),
     [".gm.anchors+0x0: anchor: its header does not fit the manifest."]),
    ("anchor-by-an-import-of-a-section", lambda f, i: i.rela(".gm.anchors", 8, sym="section:.data"),
     [".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in."]),
    ("anchor-of-another-import", lambda f, i: i.rela(".gm.anchors", 8, sym="__x86_return_thunk"),
     [".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in."]),
    ("anchor-of-an-import-with-a-size", lambda f, i: i.entry("anchors", 8, size=8),
     [".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in."]),
    ("anchor-of-a-section-by-an-import", lambda f, i: i.rela(".gm.anchors", 6, sym="ext"),
     [".gm.anchors+0x60: anchor: anchor 6 (.data) is not what the loader fills in."]),
    ("anchor-of-a-shared-section", lambda f, i: i.entry("anchors", 6, kind=1), [
        ".gm.anchors+0x60: anchor: anchor 6 (.data) is not what the loader fills in.",
        ".text+0x28 (f+0x18): relocation: the manifest does not have this relocation (.data+0), or not here.",
    ]),
    ("anchor-of-another-size", lambda f, i: i.entry("anchors", 6, size=16),
     [".gm.anchors+0x60: anchor: anchor 6 (.data) is not what the loader fills in."]),
    ("anchor-by-a-symbol",
     lambda f, i: (i.symbol("aligned", shndx=2, value=8, info=3, size=0),
      i.rela(".gm.anchors", 6, sym="aligned")), [
        ".gm.anchors+0x60: anchor: anchor 6 (.data) is not what the loader fills in.",
        ".text+0x96: frame: no way to this call tells how large the frame is.",
        ".text+0xa0: frame: no way to this call tells how large the frame is.",
    ]),
    ("relocation-too-few", lambda f, i: f.table(136, None, len(i.tables("relocs")) - 1),
     [".gm.stubs+0xa7 (gm_dispatch+0x67): relocation: the manifest does not have this relocation (g-4), or not here."]),
    ("relocation-of-the-next-region", lambda f, i: i.entry("relocs", 9, region=3),
     [".rodata+0x0: relocation: the manifest does not have this relocation (gm_gate_g+0), or not here."]),
    ("relocation-at-another-place", lambda f, i: i.entry("relocs", 2, offset=0x29),
     [".text+0x28 (f+0x18): relocation: the manifest does not have this relocation (.data+0), or not here."]),
    ("relocation-of-a-missing-region",
     lambda f, i: (f.rename(".gm.stacks", ".gm.stackz"),
      i.rela(".gm.stubs", 9, kind=0),
      i.entry("relocs", 20, region=5, offset=0)), [
        ".gm.manifest+0x0: region: region 5 is section .gm.stackz, which does not exist.",
        ".gm.anchors+0x58: anchor: anchor 5 (.gm.stackz) is not what the loader fills in.",
        ".gm.manifest+0x0: relocation: relocations out of order from entry 20 on.",
    ]),
    ("import-that-is-defined", lambda f, i: i.symbol("ext", shndx=i.index[".data"]),
     [".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in."]),
    ("anchor-of-another-shared-section",
     lambda f, i: (i.entry("anchors", 6, size=120),
      i.rela(".gm.anchors", 6, sym="section:.gm.anchors")),
     [".gm.anchors+0x60: anchor: anchor 6 (.data) is not what the loader fills in."]),
    ("anchor-of-another-type", lambda f, i: i.rela(".gm.anchors", 8, kind=24),
     [".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in."]),
    ("anchor-among-the-header",
     lambda f, i: (f.manifest(16, "<32s", b""),
      i.put(".gm.anchors", 8, *[0] * 32),
      i.rela(".gm.anchors", 0, off=16)),
     [".gm.anchors+0x10: anchor: anchor 0 (.text) is not what the loader fills in."]),
    ("anchors-in-another-order", lambda f, i: f.swap(".gm.anchors"), []),
]

# f's relocations are 0 to 4 of .text; 5 may be anywhere in g, at 0x50.
TEXT = [
    ("address-between-functions",
     lambda f, i: (i.rela(".text", 2, sym="section:.text", addend=8),
      i.entry("relocs", 2, anchor=0, addend=8)),
     [".text+0x28 (f+0x18): address: uses the address of text, .text+8, and not of a gate."]),
    ("relocation-beyond-the-field",
     lambda f, i: (i.put(".text", 0x50, 0x48, 0xc7, 0xc0, *[0] * 13),
      i.rela(".text", 5, off=0x53, kind=1),
      i.entry("relocs", 5, offset=0x53, type=1)),
     [".text+0x53 (g+0x3): relocation: no field of the instruction, mov rax, 0."]),
    ("relocation-of-an-opcode",
     lambda f, i: (i.put(".text", 0x50, 0, 0, 0, 0, 0, 0, 0, 0),
      i.rela(".text", 5, off=0x50),
      i.entry("relocs", 5, offset=0x50)),
     [".text+0x50 (g+0x0): relocation: no field of the instruction, add byte ptr [rax], al."]),
    ("branch-by-an-absolute-address", lambda f, i: (i.rela(".text", 0, kind=11), i.entry("relocs", 0, type=3)), [
        ".text+0x1a (f+0xa): branch: branch by relocation type 11.",
        ".text+0x1a (f+0xa): branch: leads to .gm.stubs+0xc, which is no instruction.",
    ]),
]

# An AVX instruction that the disassembler does not know, with a displacement.
AVX = (0xc4, 0x62, 0x7d, 0x5a, 0x3d, 0, 0, 0, 0, 0x0f, 0x1f, 0x80, 0, 0, 0, 0)

CODE = [
    ("avx-by-no-relocation", lambda f, i: i.put(".text", 0x50, *AVX),
     [".text+0x50 (g+0x0): relocation: reference to text, in an AVX instruction."]),
    ("avx-on-text",
     lambda f, i: (i.put(".text", 0x50, *AVX),
      i.rela(".text", 5, off=0x55, sym="section:.text", kind=2, addend=-4),
      i.entry("relocs", 5, offset=0x55, type=4, anchor=0, addend=-4)), [
        ".text+0x55 (g+0x5): relocation: not to data, or no field of an AVX instruction.",
        ".text+0x55 (g+0x5): address: uses the address of text, .text-4, and not of a gate.",
    ]),
    ("avx-with-another-field",
     lambda f, i: (i.put(".text", 0x50, 0xc4, 0xe2, 0x7d, 0x5a, 0x97, *[0] * 11),
      i.rela(".text", 5, off=0x56),
      i.entry("relocs", 5, offset=0x56)),
     [".text+0x56 (g+0x6): relocation: not to data, or no field of an AVX instruction."]),
    ("avx-of-another-map", lambda f, i: i.put(".text", 0xf00, 0xc4, 0xe4, 0x7d, 0x58, 0xc0),
     [".text+0xf00: decode: byte 0xc4 is part of no instruction."]),
    ("avx-without-operands", lambda f, i: i.put(".text", 0xf00, 0xc5, 0xfd, 0x77),
     [".text+0xf00: decode: byte 0xc5 is part of no instruction."]),
    ("avx-beyond-the-end", lambda f, i: i.put(".text", 0xffb, 0xc4, 0xe2, 0x7d, 0x5a, 0x97),
     [".text+0xffb: decode: byte 0xc4 is part of no instruction."]),
    ("relocation-of-padding", lambda f, i: (i.rela(".text", 5, off=0x61), i.entry("relocs", 5, offset=0x61)), [
        ".text+0x61 (g+0x11): loader: nonzero bytes under a relocation; the module loader refuses that.",
        ".text+0x61 (g+0x11): relocation: no field of the instruction, int3.",
    ]),
    ("load-from-the-same-function", lambda f, i: i.put(".text", 0x50, 0x48, 0x8b, 0x05, 0xfb, 0xff, 0xff, 0xff, 0x90),
     [".text+0x50 (g+0x0): address: refers to text without a relocation, mov rax, qword ptr [rip - 5]."]),
    ("load-of-a-label",
     lambda f, i: (i.rela(".text", 1, sym="section:.text", addend=0x4d),
      i.entry("relocs", 1, anchor=0, addend=0x4d)),
     [".text+0x21 (f+0x11): address: uses the address of text, .text+77, and not of a gate."]),
    ("vmfunc-in-the-init-stub", lambda f, i: i.put(".gm.gates", 0x73, 0x0f, 0x01, 0xd4), [
        ".gm.gates+0x73 (gm_init+0x43): gate: the init stub does something else.",
        ".gm.gates+0x73 (gm_init+0x43): gate: code among the gates that belongs to none (0x0f).",
        ".gm.gates+0x73 (gm_init+0x43): hypercall: the bytes of a vmfunc, and no gate.",
    ]),
    ("vmcall-before-the-init-stub", lambda f, i: i.put(".gm.gates", 0x28, 0x0f, 0x01, 0xc1), [
        ".gm.gates+0x28 (gm_trampoline+0x8): gate: code among the gates that belongs to none (0x0f).",
        ".gm.gates+0x28 (gm_trampoline+0x8): hypercall: the bytes of a vmcall, and no gate.",
    ]),
    ("ends-in-half-a-hypercall", lambda f, i: i.put(".text", 0xffb, 0xb8, 0, 0, 0x0f, 0x01), [
        ".text+0xffb: decode: control runs off the end of the region.",
        ".text+0xfff: hypercall: ends like a hypercall begins; what lies behind it in memory could complete it.",
    ]),
    ("init-for-exit", lambda f, i: i.rela(".gnu.linkonce.this_module", 1, sym="gm_init"),
     [".gnu.linkonce.this_module+0x500: address: the module structure points to gm_init+0, neither the init stub nor the exit gate."]),
    ("init-before-the-gates", lambda f, i: i.rela(".gnu.linkonce.this_module", 0, sym="gm_ret", addend=-8), [
        ".gnu.linkonce.this_module+0x138: address: the module structure points to gm_ret-8, neither the init stub nor the exit gate.",
        ".gnu.linkonce.this_module+0x0: address: the module structure does not point to the init stub.",
        ".gm.gates+0x30 (gm_init+0x0): gate: code among the gates that belongs to none (0xf3).",
        ".gm.gates+0x73 (gm_init+0x43): hypercall: the bytes of a vmcall, and no gate.",
        ".gm.gates+0x78 (gm_init+0x48): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("init-behind-the-gates", lambda f, i: i.rela(".gnu.linkonce.this_module", 0, sym="gm_ret", addend=4096), [
        ".gnu.linkonce.this_module+0x138: address: the module structure points to gm_ret+4096, neither the init stub nor the exit gate.",
        ".gnu.linkonce.this_module+0x0: address: the module structure does not point to the init stub.",
        ".gm.gates+0x30 (gm_init+0x0): gate: code among the gates that belongs to none (0xf3).",
        ".gm.gates+0x73 (gm_init+0x43): hypercall: the bytes of a vmcall, and no gate.",
        ".gm.gates+0x78 (gm_init+0x48): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("gates-refer-to-an-import", lambda f, i: (i.rela(".gm.gates", 0, sym="ext"), i.entry("relocs", 10, anchor=8)),
     [".gm.gates+0x5a (gm_init+0x2a): address: code among the gates refers to ext-4."]),
    ("gates-refer-to-a-shared-import",
     lambda f, i: (i.rela(".gm.gates", 0, sym="ext"),
      i.entry("relocs", 10, anchor=8),
      i.entry("anchors", 8, kind=2)), [
        ".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (ext-4), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): address: code among the gates refers to ext-4.",
    ]),
    ("gates-refer-to-an-absolute-symbol",
     lambda f, i: (i.rela(".gm.gates", 0, sym="ext"),
      i.entry("relocs", 10, anchor=8),
      i.symbol("ext", shndx=0xfff1)), [
        ".gm.anchors+0x70: anchor: anchor 8 (ext) is not what the loader fills in.",
        ".gm.gates+0x5a (gm_init+0x2a): relocation: the manifest does not have this relocation (ext-4), or not here.",
        ".gm.gates+0x5a (gm_init+0x2a): address: code among the gates refers to ext-4.",
    ]),
    ("gates-refer-absolutely", lambda f, i: (i.rela(".gm.gates", 0, kind=11), i.entry("relocs", 10, type=3)),
     [".gm.gates+0x5a (gm_init+0x2a): address: code among the gates refers to .gm.anchors-4."]),
    ("pointer-to-the-resume-gate", lambda f, i: i.rela(".data", 0, sym="gm_resume", addend=-4),
     [".data+0x0: address: points among the gates, but to none, gm_resume-4."]),
    ("pointer-to-a-stack", lambda f, i: i.rela(".data", 0, sym="section:.gm.stacks"),
     [".data+0x0: private: holds the address of private data, .gm.stacks+0."]),
    ("address-of-a-stack-in-text",
     lambda f, i: (i.rela(".text", 2, sym="section:.gm.stacks"),
      i.entry("relocs", 2, anchor=5)),
     [".text+0x28 (f+0x18): private: takes the address of private data, .gm.stacks+0."]),
    ("load-from-a-gate",
     lambda f, i: (i.rela(".text", 1, sym="gm_gate_g"),
      i.entry("relocs", 1, anchor=3, addend=0x12c)),
     [".text+0x21 (f+0x11): address: points among the gates, but to none, gm_gate_g-4."]),
    ("address-among-the-gates-in-text",
     lambda f, i: (i.rela(".text", 2, sym="gm_ret"),
      i.entry("relocs", 2, anchor=3)),
     [".text+0x28 (f+0x18): address: points among the gates, but to none, gm_ret+0."]),
]

GATES = [
    ("gate-to-shared-data", lambda f, i: i.entry("gates", 5, target=6, addend=0),
     [".gm.gates+0x134 (gm_gate_g+0x4): gate: the in-call does not lead to an instruction of text."]),
    ("gate-to-before-the-text", lambda f, i: i.entry("gates", 5, addend=-1),
     [".gm.gates+0x134 (gm_gate_g+0x4): gate: the in-call does not lead to an instruction of text."]),
    ("gate-to-a-gate", lambda f, i: i.entry("gates", 5, target=4, addend=0),
     [".gm.gates+0x134 (gm_gate_g+0x4): gate: the in-call leads to another gate."]),
    ("gate-near-the-start",
     lambda f, i: (i.put(".gm.gates", 2, 0x0f, 0x01, 0xd9, 0x0f, 0x0b),
      i.entry("gates", 0, kind=1, offset=2)), [
        ".gm.gates+0x2 (gm_ret+0x2): gate: no endbr64 before the in-call.",
        ".gm.manifest+0x0: gate: 0 resume gates, not one.",
        ".gm.gates+0x10 (gm_resume+0x0): gate: code among the gates that belongs to none (0x0f).",
        ".gm.gates+0x10 (gm_resume+0x0): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("out-call-behind-an-import", lambda f, i: i.entry("gates", 7, addend=8),
     [".gm.stubs+0x10 (gm_stub_ext+0x0): gate: the out-call does not lead to an import."]),
    ("text-runs-into-an-indirect-stub", lambda f, i: i.put(".gm.stubs", 0x23, 0xeb, 0x1b, 0x4d, 0x8b, 0xc3),
     [".gm.stubs+0x28 (gm_stub_rax+0x8): gate: text runs into the out-call from above."]),
    ("init-stub-jumps-through-a-register", lambda f, i: i.put(".gm.gates", 0x92, 0xff, 0xe0), [
        ".gm.gates+0x92 (gm_init+0x62): gate: the init stub jumps elsewhere.",
        ".gm.gates+0x78 (gm_init+0x48): gate: code among the gates that belongs to none (0x0f).",
    ]),
    ("init-stub-jumps-too-often", lambda f, i: i.put(".gm.gates", 0x5e, *[0x74, 0] * 70), [
        ".gm.gates+0xda: gate: the init stub jumps elsewhere.",
        ".gm.gates+0xdc: gate: code among the gates that belongs to none (0x74).",
    ]),
    ("init-stub-without-a-hypercall",
     lambda f, i: (i.put(".gm.gates", 0x73, 0x0f, 0x1f, 0),
      i.put(".gm.gates", 0x78, 0x0f, 0x1f, 0)),
     [".gm.gates+0x30 (gm_init+0x0): gate: the init stub makes no hypercall."]),
    ("in-call-with-other-flags", lambda f, i: i.entry("gates", 4, flags=4),
     [".gm.gates+0x124 (gm_gate_f+0x4): gate: gate 4 (f) has bad flags or results, or crosses a page."]),
    ("in-call-with-results", lambda f, i: i.entry("gates", 4, reserved=1),
     [".gm.gates+0x124 (gm_gate_f+0x4): gate: gate 4 (f) has bad flags or results, or crosses a page."]),
    ("out-call-with-other-flags", lambda f, i: i.entry("gates", 7, flags=32),
     [".gm.stubs+0x10 (gm_stub_ext+0x0): gate: gate 7 (ext) has bad flags or results, or crosses a page."]),
    ("out-call-with-other-results", lambda f, i: i.entry("gates", 7, reserved=1),
     [".gm.stubs+0x10 (gm_stub_ext+0x0): gate: gate 7 (ext) has bad flags or results, or crosses a page."]),
    ("resume-gate-in-text", lambda f, i: i.entry("gates", 6, kind=3), [
        ".gm.stubs+0x0 (gm_return+0x0): gate: gate 6 (gm_return) is in the wrong kind of region.",
        ".gm.manifest+0x0: gate: 2 resume gates, not one.",
        ".gm.manifest+0x0: gate: 0 out-return gates, not one.",
    ]),
    ("gates-out-of-order", lambda f, i: f.swap_gates(4, 5), [
        ".rodata+0x0: address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0x50 (gm_dispatch+0x10): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0xa1 (gm_dispatch+0x61): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.gates+0x124 (gm_gate_f+0x4): gate: gate 5 (f) is out of order.",
        ".gm.gates+0x134 (gm_gate_g+0x4): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("gates-of-regions-out-of-order", lambda f, i: f.swap_gates(5, 6), [
        ".rodata+0x0: address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0x50 (gm_dispatch+0x10): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0xa1 (gm_dispatch+0x61): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.gates+0x134 (gm_gate_g+0x4): gate: gate 6 (g) is out of order.",
        ".gm.gates+0x134 (gm_gate_g+0x4): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("gates-too-close", lambda f, i: i.entry("gates", 5, offset=0x126), [
        ".rodata+0x0: address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0x50 (gm_dispatch+0x10): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.stubs+0xa1 (gm_dispatch+0x61): address: points among the gates, but to none, gm_gate_g+0.",
        ".gm.gates+0x126 (gm_gate_f+0x6): gate: gate 5 (g) is out of order.",
        ".gm.gates+0x126 (gm_gate_f+0x6): gate: no hypercall at gate 5 (g).",
        ".gm.gates+0x130 (gm_gate_g+0x0): gate: code among the gates that belongs to none (0xf3).",
        ".gm.gates+0x134 (gm_gate_g+0x4): hypercall: the bytes of a vmmcall, and no gate.",
    ]),
    ("gate-reserved", lambda f, i: i.entry("gates", 4, reserved=1 << 16),
     [".gm.gates+0x124 (gm_gate_f+0x4): gate: gate 4 (f) has bad flags or results, or crosses a page."]),
    ("no-resume-gate", lambda f, i: i.entry("gates", 0, kind=2), [
        ".gm.manifest+0x0: gate: 2 in-return gates, not one.",
        ".gm.manifest+0x0: gate: 0 resume gates, not one.",
    ]),
    ("trampoline-in-text",
     lambda f, i: (i.put(".text", 0x50, 0x41, 0xff, 0xd3, 0x0f, 0x01, 0xd9, 0x0f, 0x0b),
      i.entry("gates", 0, region=0, offset=0x53, kind=2),
      i.entry("gates", 1, region=3, offset=16, kind=3),
      i.manifest("trampoline_region", 0),
      i.manifest("trampoline_offset", 0x50)), [
        ".text+0x50 (g+0x0): indirect: bare indirect branch, call r11.",
        ".text+0x53 (g+0x3): gate: gate 0 (gm_resume) is in the wrong kind of region.",
        ".text+0x50 (g+0x0): gate: the trampoline is not `call *%r11' right before the in-return gate.",
        ".gm.gates+0x20 (gm_trampoline+0x0): gate: code among the gates that belongs to none (0x41).",
        ".gm.gates+0x23 (gm_trampoline+0x3): hypercall: the bytes of a vmmcall, and no gate.",
        ".text+0x53 (g+0x3): stack: the stack pointer is not known.",
    ]),
    ("trampoline-by-another-register", lambda f, i: i.put(".gm.gates", 0x20, 0x41, 0xff, 0xd2), [
        ".gm.gates+0x20 (gm_trampoline+0x0): gate: the trampoline is not `call *%r11' right before the in-return gate.",
        ".gm.gates+0x20 (gm_trampoline+0x0): gate: code among the gates that belongs to none (0x41).",
    ]),
    ("trampoline-before-the-resume-gate",
     lambda f, i: (i.put(".gm.gates", 0x0d, 0x41, 0xff, 0xd3),
      i.manifest("trampoline_offset", 0x0d)), [
        ".gm.gates+0xd (gm_ret+0xd): gate: the trampoline is not `call *%r11' right before the in-return gate.",
        ".gm.gates+0xd (gm_ret+0xd): gate: code among the gates that belongs to none (0x41).",
    ]),
    ("trampoline-before-no-gate",
     lambda f, i: (i.put(".gm.gates", 0x28, 0x41, 0xff, 0xd3),
      i.manifest("trampoline_offset", 0x28)), [
        ".gm.gates+0x28 (gm_trampoline+0x8): gate: the trampoline is not `call *%r11' right before the in-return gate.",
        ".gm.gates+0x20 (gm_trampoline+0x0): gate: code among the gates that belongs to none (0x41).",
    ]),
    ("return-in-text", lambda f, i: (i.manifest("ret_region", 0), i.manifest("ret_offset", 2)), [
        ".text+0x2 (init_module+0x2): gate: the return is no `ret' among the gates.",
        ".gm.gates+0x0 (gm_ret+0x0): gate: code among the gates that belongs to none (0xc3).",
    ]),
]

FRAMES = [
    ("window-over-half-a-saved-register", lambda f, i: i.entry("frames", 0, window=36, window_len=4),
     [".text+0x1a (f+0xa): frame: the shared window (4 bytes at +36) holds a saved register at +32."]),
    ("frame-behind-the-last-call", lambda f, i: i.entry("frames", 4, offset=0x200), [
        ".text+0xa0 (aligned+0x20): frame: a call without a frame.",
        ".text+0x200: frame: a frame behind no call.",
    ]),
    ("frame-in-data", lambda f, i: i.entry("frames", 4, region=2), [
        ".text+0xa0 (aligned+0x20): frame: a call without a frame.",
        ".gm.stubs+0x0 (gm_return+0x0): frame: row 4 of the frames is out of order, or in no text.",
    ]),
    ("frame-in-the-last-region", lambda f, i: i.entry("frames", 4, region=5), [
        ".text+0xa0 (aligned+0x20): frame: a call without a frame.",
        ".gm.manifest+0x580: frame: row 4 of the frames is out of order, or in no text.",
    ]),
    ("choice-by-another-condition", lambda f, i: i.put(".text", 0x91, 0x82), [
        ".text+0x96 (aligned+0x16): frame: the frame has 48 bytes below the return address, the manifest says 40.",
        ".text+0xa0 (aligned+0x20): frame: the frame has 40 bytes below the return address, the manifest says 48.",
    ]),
]

# g, for what it does to the stack pointer; it returns 16 bytes on.
STACK = [(name, lambda f, i, code=code: i.put(".text", 0x50, *bytes.fromhex(code).ljust(16, b"\x90")), finding)
         for name, code, finding in (
    ("pop-twice", "58 58", [".text+0x52 (g+0x2): stack: the stack pointer is not known."]),
    ("word-below-the-stack-pointer", "48 89 e0  50  59  48 8b 64 24 f8",
     [".text+0x5a (g+0xa): stack: the stack pointer is not known."]),
    ("word-written-in-part", "48 89 e0  50  c7 04 24 00 00 00 00  5c",
     [".text+0x5c (g+0xc): stack: the stack pointer is not known."]),
    ("word-changed", "48 89 e0  50  48 f7 14 24  5c", [".text+0x59 (g+0x9): stack: the stack pointer is not known."]),
    ("word-of-one-way", "48 89 e0  50  85 ff  74 04  c6 04 24 00  5c",
     [".text+0x5d (g+0xd): stack: the stack pointer is not known."]),
    ("half-of-the-stack-pointer", "83 c4 00", [".text+0x53 (g+0x3): stack: the stack pointer is not known."]),
    ("aligned-to-24", "48 83 e4 e8", [".text+0x54 (g+0x4): stack: the stack pointer is not known."]),
    ("push-of-two-bytes", "66 50", [".text+0x52 (g+0x2): stack: the stack pointer is not known."]),
    ("tail-call-too-deep", "50  eb 1d", [
        ".text+0x70 (cleanup_module+0x0): stack: the stack pointer is not known.",
        ".gm.stubs+0x10 (gm_stub_ext+0x0): stack: the stack pointer is not known.",
    ]),
)]

# Of the image that asks.
ASKING = [
    ("too-many-privileges", lambda f, i: f.table(184, 0xf8, 65), [table("privileges", 0xf8, 65)]),
    ("swapgs-by-a-request-for-mwait",
     lambda f, i: (i.entry("privileges", 1, kind=4, first=0, last=0),
      i.put(".text", 0x50, 0x0f, 0x01, 0xf8, 0x0f, 0x1f, 0x44, 0, 0)),
     [".text+0x50 (g+0x0): privilege: swapgs: system instruction of group 7."]),
    ("scratch-register-over-a-call",
     lambda f, i: (i.put(".text", 0xd0, 0x48, 0x89, 0xe1, 0x0f, 0x1f, 0x40, 0),
      i.put(".text", 0xdc, 0x48, 0x89, 0xcc, 0x0f, 0x1f, 0x40, 0),
      i.entry("frames", 5, size=0)),
     [".text+0xdf (deep+0xf): stack: the stack pointer is not known."]),
    ("window-over-a-register-saved-again", lambda f, i: i.entry("frames", 6, window=16, window_len=8),
     [".text+0x107 (again+0x7): frame: the shared window (8 bytes at +16) holds a saved register at +16."]),
    ("window-over-a-register-saved-by-one-way", lambda f, i: i.entry("frames", 7, window=16, window_len=8),
     [".text+0x12c (either+0xc): frame: the shared window (8 bytes at +16) holds a saved register at +16."]),
    ("window-over-the-stack-pointer", lambda f, i: i.entry("frames", 8, window=16, window_len=8),
     [".text+0x152 (reload+0x12): stack: the stack pointer is not known."]),
    ("per-cpu-data-in-an-avx-instruction",
     lambda f, i: (i.put(".text", 0x50, *AVX),
      i.rela(".text", 5, off=0x55, sym="own", kind=2, addend=-4),
      i.entry("relocs", 5, offset=0x55, type=4, anchor=f.anchor(".data..percpu"), addend=4)),
     [".text+0x55 (g+0x5): relocation: not to data, or no field of an AVX instruction."]),
    ("per-cpu-data-as-an-import", lambda f, i: i.entry("anchors", f.anchor(".data..percpu"), kind=3),
     [".text+0xf3 (percpu+0x3): relocation: .data..percpu is used as per-CPU data, but the manifest says otherwise."]),
    ("per-cpu-data-as-shared", lambda f, i: i.entry("anchors", f.anchor(".data..percpu"), kind=2), [
        ".gm.anchors+0x70: anchor: anchor 8 (.data..percpu) is not what the loader fills in.",
        ".text+0xf3 (percpu+0x3): relocation: the manifest does not have this relocation (.data..percpu+4), or not here.",
    ]),
    ("per-cpu-data-with-a-size", lambda f, i: i.entry("anchors", f.anchor(".data..percpu"), size=16),
     [".gm.anchors+0x70: anchor: anchor 8 (.data..percpu) is not what the loader fills in."]),
    ("per-cpu-data-of-another-name", lambda f, i: f.rename(".data..percpu", ".data..percpv"), [
        ".gm.anchors+0x70: anchor: anchor 8 (.data..percpv) is not what the loader fills in.",
        ".text+0xf3 (percpu+0x3): relocation: the manifest does not have this relocation (.data..percpu+4), or not here.",
    ]),
    ("per-cpu-data-by-a-symbol", lambda f, i: i.rela(".gm.anchors", f.anchor(".data..percpu"), sym="own"),
     [".gm.anchors+0x70: anchor: anchor 8 (.data..percpu) is not what the loader fills in."]),
]

IMAGES = [(*each, False) for each in OBJECT + MANIFEST + REGIONS + TEXT + CODE + GATES + FRAMES + STACK] + [(*each, True) for each in ASKING]


def images():
    """As wrong() of mkwrong takes them."""
    for name, change, expected, asking in IMAGES:
        yield name, lambda image, change=change: change(Fields(image), image), expected, asking
