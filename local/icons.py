"""Draw the icons of the installed portal: `python3 -m local.icons` writes them.

They are the mark (apps/ui/static/ui/mark.svg) on a full square, of which phones cut what they like.
"""

import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "apps" / "portal" / "static" / "portal"
GROUND, LINE = bytes.fromhex("1f5fbf"), bytes.fromhex("ffffff")
# In the mark's units, of which its side has 24: from, to, height; a line is 2 high with round ends.
LINES = ((6.0, 18.0, 8.5), (6.0, 14.0, 12.0), (6.0, 18.0, 15.5))
# The mark is drawn smaller than the square: the middle 80 % is what is always shown.
SCALE = 0.8
SAMPLES = 4


def png(size: int) -> bytes:
    """Return the icon as a PNG (RFC 2083) of `size` pixels a side."""
    rows = b"".join(b"\0" + b"".join(_pixel(x, y, size) for x in range(size)) for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _pixel(x: int, y: int, size: int) -> bytes:
    """Return a pixel's colour: the share of its samples that a line covers."""
    side = 24 / size / SCALE
    if not _is_line(_unit(x + 0.5, size), _unit(y + 0.5, size), within=1 + side):
        return GROUND
    covered = 0
    for step in range(SAMPLES * SAMPLES):
        dx, dy = (step % SAMPLES + 0.5) / SAMPLES, (step // SAMPLES + 0.5) / SAMPLES
        covered += _is_line(_unit(x + dx, size), _unit(y + dy, size))
    share = covered / SAMPLES**2
    return bytes(round(a + (b - a) * share) for a, b in zip(GROUND, LINE, strict=True))


def _unit(pixel: float, size: int) -> float:
    return 12 + (pixel / size * 24 - 12) / SCALE


def _is_line(x: float, y: float, *, within: float = 1) -> bool:
    """Return whether a point is on a line, or `within` that distance of its axis."""
    for begins, ends, height in LINES:
        nearest = min(max(x, begins), ends)
        if (x - nearest) ** 2 + (y - height) ** 2 <= within**2:
            return True
    return False


def main() -> None:
    """Write the icons."""
    for size in (192, 512):
        (FOLDER / f"icon-{size}.png").write_bytes(png(size))


if __name__ == "__main__":
    main()
