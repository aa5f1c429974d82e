# SPDX-License-Identifier: GPL-2.0
"""The costs of border crossings as a picture (SVG): a bar for each kind, its parts
by component, under the bar of a CPUID exit of the unpatched KVM."""

from .profile import KINDS, ORDER

WIDTH, LEFT, BAR, GAP = 720, 110, 26, 12
COLOURS = ("#8c959f", "#0969da", "#54aeff", "#1a7f37", "#4ac26b", "#bf8700", "#cf222e",
           "#8250df", "#afb8c1")


def text(x, y, words, extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}"{extra}>{words}</text>'


def draw(result, stock):
    """SVG, of breakdown()'s result and the instructions of a CPUID exit."""
    scale = (WIDTH - LEFT - 60) / stock
    parts, y = [], 48
    rows = [("CPUID exit", None)] + [(kind, result[kind]) for kind in KINDS.values()]
    for label, count in rows:
        parts.append(text(LEFT - 8, y + 18, label, ' text-anchor="end"'))
        x = LEFT
        pieces = zip(ORDER, COLOURS) if count else ((None, "#d0d7de"),)
        for component, colour in pieces:
            width = (count[component] if count else stock) * scale
            title = f"{component}: {count[component]}" if count else f"stock KVM: {stock}"
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" '
                         f'fill="{colour}"><title>{title}</title></rect>')
            x += width
        total = sum(count.values()) if count else stock
        parts.append(text(x + 6, y + 18, total))
        y += BAR + GAP
    y += 14
    for index, (component, colour) in enumerate(zip(ORDER, COLOURS)):
        x = LEFT + index % 5 * 120
        row = y + index // 5 * 22
        parts.append(f'<rect x="{x}" y="{row - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(text(x + 18, row, component))
    height = y + 44
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}">\n'
            "<title>Instructions of a border crossing, from exit to re-entry</title>\n"
            "<style>text{font:12px sans-serif;fill:#1f2328}</style>\n"
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            + text(LEFT, 28, "instructions, from exit to re-entry", ' font-weight="bold"') + "\n"
            + "\n".join(parts) + "\n</svg>\n")


def bars(title, groups):
    """SVG, of {group: {series: value}}: a bar for each, in groups."""
    series = list(next(iter(groups.values())))
    left, width = 200, 800
    scale = (width - left - 90) / max(max(row.values()) for row in groups.values())
    parts, y = [], 48
    for index, name in enumerate(series):
        x = left + index * 160
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" '
                     f'fill="{COLOURS[index]}"/>')
        parts.append(text(x + 18, y, name))
    y += 18
    for group, row in groups.items():
        parts.append(text(left - 8, y + 8 + 8 * len(series), group, ' text-anchor="end"'))
        for colour, (name, value) in zip(COLOURS, row.items()):
            parts.append(f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="14" '
                         f'fill="{colour}"><title>{group}, {name}: {value:.0f}</title></rect>')
            parts.append(text(left + value * scale + 6, y + 12, f"{value:.0f}"))
            y += 16
        y += GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
            f'viewBox="0 0 {width} {y}">\n<title>{title}</title>\n'
            "<style>text{font:12px sans-serif;fill:#1f2328}</style>\n"
            f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n'
            + text(left, 24, title, ' font-weight="bold"') + "\n"
            + "\n".join(parts) + "\n</svg>\n")
