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
    ("symbol-of-no-section", lambda f, i: i.symbol("g", shndx=256),
     [".symtab+0x2e8: loader: symbol g lies outside of its section."]),
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
    ("too-many-privileges", lambda f, i: f.table(184, 0xf8, 65), [table("privileges", 0xf8, 65)]),
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
    ("frame-in-no-region", lambda f, i: i.entry("frames", 4, region=9), [bad("a frame has a bad place")]),
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

# Of the image that asks.
ASKING = [
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

IMAGES = [(*each, False) for each in OBJECT + MANIFEST + REGIONS + TEXT] + [(*each, True) for each in ASKING]


def images():
    """As wrong() of mkwrong takes them."""
    for name, change, expected, asking in IMAGES:
        yield name, lambda image, change=change: change(Fields(image), image), expected, asking
