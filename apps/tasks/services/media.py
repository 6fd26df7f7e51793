"""Detect the media type of a file of evidence from its bytes.

The type that a client states is ignored. Types are detected by the signature of a container and,
where one container holds several types, by its content.
"""

import re
import unicodedata
from collections.abc import Callable

TEXT = "text/plain"
PROBE_BYTES = 4096

# Images that are not decoded here, so that their metadata cannot be removed.
NOT_CLEANED = frozenset({"image/heic", "image/heif"})

# What browsers take for HTML or XML, whatever its type is (WHATWG MIME Sniffing, 7.1), and SVG.
MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*<(?:!--|[!?]?(?:doctype html|xml|html|head|script|iframe|svg"
    rb"|h1|div|font|table|a|style|title|b|body|br|p|object|embed|math|link|meta|base|form|img"
    rb"|input|video|audio)(?![a-z0-9_-]))",
    re.IGNORECASE,
)

# Every type that `media_type` may return.
ACCEPTED = (
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif", "image/avif",
    "application/pdf",
    "audio/mpeg", "audio/mp4", "audio/aac", "audio/wav", "audio/ogg", "audio/flac", "audio/amr",
    "video/mp4", "video/quicktime", "video/webm", "video/ogg", "video/3gpp",
    TEXT,
)  # fmt: skip

# Of `ftyp` boxes: ISO/IEC 14496-12, 4.3; https://mp4ra.org/registered-types/brands
BRANDS = (
    (re.compile(rb"hei[cxms]|hev[cxms]"), "image/heic"),
    (re.compile(rb"avi[fs]"), "image/avif"),
    (re.compile(rb"M4[ABP] |F4[AB] |cmfa"), "audio/mp4"),
    (re.compile(rb"qt  "), "video/quicktime"),
    (re.compile(rb"3g[a-z][0-9a-z]"), "video/3gpp"),
    (
        re.compile(
            rb"iso[m2-9a-d]|mp4[12]|mp71|avc[1-4]|hvc1|hev1|av01|dash|cmf[c2s]|msdh|msix|M4V[ HP]"
            rb"|f4v "
            rb"|MSNV|NDS[CHMPS]|nd[a-z]{2}|kddi|XAVC|mmp4|piff|dby1"
        ),
        "video/mp4",
    ),
    # Of all images of this family: the codec's own brand has precedence.
    (re.compile(rb"mi[af]\w|msf1"), "image/heif"),
)
GENERIC = ("image/heif", "video/mp4")

# QuickTime files of before the `ftyp` box begin with one of these.
QUICKTIME_BOXES = frozenset([b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"])

# The beginning of a video stream's first page in Ogg (RFC 5334; Theora, Dirac, VP8).
VIDEO_CODECS = (b"\x80theora", b"BBCD\0", b"OVP80")

FORMATTING = frozenset("\t\n\r\f\v")


def media_type(content: bytes) -> str | None:
    """Return the media type of a file's bytes; None if it is unknown and no text.

    A text may begin like a container: "The free lunch" has `free` where QuickTime has a box.
    """
    detected = _by_signature(content)
    if detected is None and is_text(content):
        return TEXT
    return detected or next(filter(None, (detect(content) for detect in _DETECTORS)), None)


def is_markup(content: bytes) -> bool:
    """Return whether a file begins as HTML, SVG or XML does."""
    return MARKUP.match(content[:PROBE_BYTES]) is not None


def is_text(content: bytes) -> bool:
    """Return whether the bytes are UTF-8 without control characters.

    All other characters of Unicode are text: spaces of all widths, joiners, marks of direction,
    emoji. Surrogates and noncharacters are not.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() or all(
        character in FORMATTING or character.isprintable() or _is_text_character(character)
        for character in set(text)
    )


def _is_text_character(character: str) -> bool:
    # Cc: control characters. Cn differs between versions of Unicode, so only noncharacters count.
    category, code = unicodedata.category(character), ord(character)
    return category not in ("Cc", "Cs") and code & 0xFFFE != 0xFFFE and not 0xFDD0 <= code <= 0xFDEF


def _by_signature(content: bytes) -> str | None:
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return kind
    # White space and a byte order mark may precede it.
    beginning = content[:PROBE_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "application/pdf" if beginning.startswith(b"%PDF-") else None


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC\0", "audio/flac"),
    (b"#!AMR\n", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr"),
    (b"ADIF", "audio/aac"),
)


def _riff(content: bytes) -> str | None:
    if content[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(content[8:12])
    return None


def _ogg(content: bytes) -> str | None:
    """Return audio unless the first pages begin a video stream."""
    if not content.startswith(b"OggS\0"):
        return None
    return (
        "video/ogg"
        if any(codec in content[:PROBE_BYTES] for codec in VIDEO_CODECS)
        else "audio/ogg"
    )


def _iso_base_media(content: bytes) -> str | None:
    """Return the type that the brands of the `ftyp` box name, the major one first."""
    if content[4:8] in QUICKTIME_BOXES:
        size = int.from_bytes(content[:4], "big")
        return "video/quicktime" if size == 1 or 8 <= size <= 2**31 else None
    if content[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(content[:4], "big"), PROBE_BYTES)
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, length, 4))]
    kinds = [kind for kind in map(_type_of_brand, brands) if kind is not None]
    # The generic brands of a family accompany more specific ones.
    return next((kind for kind in kinds if kind not in GENERIC), kinds[0] if kinds else None)


def _type_of_brand(brand: bytes) -> str | None:
    return next((kind for known, kind in BRANDS if known.fullmatch(brand)), None)


def _matroska(content: bytes) -> str | None:
    """Return WebM for an EBML header with that DocType (RFC 8794, 11.2.4)."""
    if not content.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    head = content[:PROBE_BYTES]
    at = head.find(b"\x42\x82") + 2
    if at < 2 or at >= len(head) or head[at] == 0:
        return None
    # A size has 1 to 8 bytes: one more than the leading zero bits of its first byte (RFC 8794, 4).
    width = 9 - head[at].bit_length()
    return "video/webm" if head[at + width : at + width + 4] == b"webm" else None


def _tagged(content: bytes) -> str | None:
    """Return the type of a file that begins with an ID3v2 tag.

    Source: https://id3.org/id3v2.4.0-structure, 3.1.
    """
    is_tag = (
        content[:3] == b"ID3" and content[3:4] in (b"\2", b"\3", b"\4") and max(content[6:10]) < 128
    )
    if not is_tag:
        return None
    size = sum(byte << 7 * (3 - place) for place, byte in enumerate(content[6:10]))
    return "audio/flac" if content[10 + size : 14 + size] == b"fLaC" else "audio/mpeg"


def _mpeg_audio(content: bytes) -> str | None:
    """Return the type of a file that begins with an audio frame, without a tag before it.

    MP3: ISO/IEC 11172-3, 2.4.1.3. AAC in ADTS, which has layer 0: ISO/IEC 13818-7, 6.2.
    """
    if len(content) < 4 or content[0] != 0xFF or content[1] & 0xE0 != 0xE0:
        return None
    version, layer = content[1] >> 3 & 3, content[1] >> 1 & 3
    if layer == 0:
        return "audio/aac" if version >= 2 and content[2] >> 2 & 15 < 13 else None
    bit_rate, frequency = content[2] >> 4, content[2] >> 2 & 3
    is_frame = version != 1 and layer in (1, 2) and bit_rate not in (0, 15) and frequency != 3
    return "audio/mpeg" if is_frame else None


_DETECTORS: tuple[Callable[[bytes], str | None], ...] = (
    _tagged,
    _riff,
    _ogg,
    _iso_base_media,
    _matroska,
    _mpeg_audio,
)
