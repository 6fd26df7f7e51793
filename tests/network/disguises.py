"""List ways to write an address that a naive check does not recognise."""

import ipaddress
from collections.abc import Iterator

FULLWIDTH = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - intended
BOLD = {ord("0") + digit: chr(0x1D7CE + digit) for digit in range(10)}
DOTS = "\u3002\uff0e\uff61"


EMBEDDINGS = {
    "IPv4-mapped": "::ffff:",
    "IPv4-mapped in full": "0:0:0:0:0:ffff:",
    "IPv4-translated": "::ffff:0:",
    "IPv4-compatible": "::",
    "NAT64": "64:ff9b::",
    "local NAT64": "64:ff9b:1::",
    "link-local ISATAP": "fe80::5efe:",
}


def of_v4(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each form, and the authority of a URL in that form."""
    address = ipaddress.IPv4Address(text)
    yield from _by_numbers(address)
    yield from _by_characters(text)
    yield from _within_v6(address)


def _by_numbers(address: ipaddress.IPv4Address) -> Iterator[tuple[str, str]]:
    a, b, c, d = address.packed
    number = int(address)
    yield "decimal", str(number)
    yield "hexadecimal", hex(number)
    yield "octal", f"0{number:o}"
    yield "upper-case hexadecimal", f"0X{number:X}"
    yield "three parts", f"{a}.{b}.{c << 8 | d}"
    yield "two parts", f"{a}.{number & 0xFFFFFF}"
    yield "octal parts", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield "padded octal parts", f"{a:04o}.{b:04o}.{c:04o}.{d:04o}"
    yield "hexadecimal parts", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield "mixed parts", f"{a:#x}.0{b:o}.{c << 8 | d}"


def _by_characters(text: str) -> Iterator[tuple[str, str]]:
    yield "trailing dot", f"{text}."
    yield "two trailing dots", f"{text}.."
    yield "full-width digits", text.translate(FULLWIDTH)
    yield "bold digits", text.translate(BOLD)
    yield from ((f"dot {ord(dot):x}", text.replace(".", dot)) for dot in DOTS)
    yield "percent-encoded digits", "".join(f"%{ord(char):x}" for char in text)
    yield "percent-encoded dots", text.replace(".", "%2e")
    yield "a NUL after it", f"{text}%00.example.com"
    yield "in brackets", f"[{text}]"
    yield "after a user", f"hooks.example.com@{text}"
    yield "after a user and a password", f"hooks.example.com:443@{text}"
    yield "after an empty user", f"@{text}"
    yield "after a backslash", f"hooks.example.com\\@{text}"
    yield "after a space", f" {text}"
    yield "after a tab", f"\t{text}"
    yield "after a soft hyphen", f"\u00ad{text}"


def _within_v6(address: ipaddress.IPv4Address) -> Iterator[tuple[str, str]]:
    a, b, c, d = address.packed
    halves = f"{a << 8 | b:x}:{c << 8 | d:x}"
    for name, prefix in EMBEDDINGS.items():
        yield f"{name}, dotted", f"[{prefix}{address}]"
        yield f"{name}, hexadecimal", f"[{prefix}{halves}]"
        yield f"{name}, upper case", f"[{prefix}{halves}]".upper()
    yield "6to4", f"[2002:{halves}::1]"
    yield "Teredo", f"[2001:0:{halves}::1]"


OTHERS = {
    "upper-case name": "LOCALHOST",
    "name with a dot": "localhost.",
    "name below": "anything.localhost",
    "name in circled letters": "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "name percent-encoded": "%6c%6f%63%61%6c%68%6f%73%74",
    "IPv6 loopback in full": "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "IPv6 loopback in part": "[0:0::0:1]",
    "IPv6 loopback with a zone": "[::1%25lo]",
    "link-local with a zone": "[fe80::1%25eth0]",
    "unspecified": "[::]",
    "unspecified in full": "[0:0:0:0:0:0:0:0]",
    "zero": "0",
    "hexadecimal zero": "0x0",
    "unique local": "[fd00:ec2::254]",
    "site-local": "[fec0::1]",
    "multicast": "[ff02::1]",
    "documentation": "[2001:db8::1]",
    "discard": "[100::1]",
    "segment routing": "[5f00::1]",
    "benchmarking": "[2001:2::1]",
    "ORCHID": "[2001:20::1]",
    "AS112": "[2620:4f:8000::1]",
    "unclosed bracket": "[::1",
    "future address": "[v1.127]",
}
