"""Test how the type of evidence is detected from its first bytes."""

import pytest

from apps.tasks.services.media import ACCEPTED, media_type

WAVE = b"WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0"


def ftyp(major: bytes, *others: bytes) -> bytes:
    """Return a `ftyp` box (ISO/IEC 14496-12, 4.3) and the beginning of the next."""
    box = b"ftyp" + major + b"\0\0\2\0" + b"".join(others)
    return (len(box) + 4).to_bytes(4, "big") + box + b"\0\0\0\x08free"


def ogg(first_packet: bytes) -> bytes:
    """Return the first page of an Ogg stream (RFC 3533, 6)."""
    return b"OggS\0\2" + bytes(20) + b"\1" + bytes([len(first_packet)]) + first_packet


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xd8\xff\xe1\0\x10Exif", "image/jpeg"),
        (b"GIF89a\1\0\1\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8L", "image/webp"),
        (ftyp(b"heic", b"mif1", b"heic"), "image/heic"),
        (ftyp(b"mif1", b"mif1", b"heic", b"miaf"), "image/heic"),
        (ftyp(b"msf1", b"hevc"), "image/heic"),
        (ftyp(b"mif1", b"miaf"), "image/heif"),
        (ftyp(b"mif1", b"avif"), "image/avif"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"ID3\4\0\0\0\0\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\0\0", "audio/mpeg"),
        (b"\xff\xf3\x40\xc4\0\0", "audio/mpeg"),
        (b"\xff\xf1\x50\x80\2\x1f\xfc", "audio/aac"),
        (b"RIFF\x24\0\0\0" + WAVE, "audio/wav"),
        (b"RF64\xff\xff\xff\xff" + WAVE, "audio/wav"),
        (ogg(b"OpusHead\1\2"), "audio/ogg"),
        (ogg(b"\1vorbis\0\0\0\0"), "audio/ogg"),
        (ogg(b"\x7fFLAC\1\0"), "audio/ogg"),
        (ogg(b"\x80theora\3\2\1"), "video/ogg"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"#!AMR\n\x3c", "audio/amr"),
        (ftyp(b"M4A ", b"M4A ", b"mp42", b"isom"), "audio/mp4"),
        (ftyp(b"mp42", b"M4A ", b"isom"), "audio/mp4"),
        (ftyp(b"isom", b"iso5", b"cmfa"), "audio/mp4"),
        (ftyp(b"F4A "), "audio/mp4"),
        (b"\n\n%PDF-1.4\n", "application/pdf"),
        (b"ID3\3\0\0\0\0\0\4\0\0\0\0fLaC", "audio/flac"),
        (b"\xff\xfd\x90\x64\0\0", "audio/mpeg"),
        (b"ADIF\0\0", "audio/aac"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x01\0\0\0\0\0\0\x04webm", "video/webm"),
        (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
        (ftyp(b"iso5", b"iso6", b"dash"), "video/mp4"),
        (ftyp(b"iso6", b"cmfc"), "video/mp4"),
        (ftyp(b"mp42", b"mp41"), "video/mp4"),
        (ftyp(b"avc1"), "video/mp4"),
        (ftyp(b"dash"), "video/mp4"),
        (ftyp(b"MSNV"), "video/mp4"),
        (ftyp(b"3gp4", b"isom"), "video/3gpp"),
        (ftyp(b"qt  ", b"qt  "), "video/quicktime"),
        (b"\0\0\0\x14wide\0\0\0\0", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1\x42\x82\x84webm", "video/webm"),
    ],
)  # fmt: skip
def test_media_type(content: bytes, expected: str) -> None:
    assert media_type(content) == expected
    assert expected in ACCEPTED


# Unicode's general categories: all but Cc, Cs, and noncharacters.
@pytest.mark.parametrize(
    "text",
    [
        "Called at 3\u00a0pm, 12\u202f000 \u20ac",
        "\u2009\u2003thin\u200b and zero",
        "\U0001f469\u200d\U0001f52c \U0001f3f4\U000e0067\U000e007f \u2764\ufe0f",
        "\u200f\u05e9\u05dc\u05d5\u05dd\u200e \u202babc\u202c \u2066x\u2069",
        "\u0928\u094d\u200d\u0930 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "soft\u00adhyphen, line\u2028and paragraph\u2029 separators",
        "\ufeffname;age\r\nAda;36\r\n",
        "\tTab, \x0b vertical tab and \x0c form feed\n",
        "\ue000 private use",
        "",
        "The free lunch is at noon",
        "All wide open",
        "The moov atom",
        "ID3 tags were found in it",
        "RIFF and OggS are words, too",
    ],
)
def test_text(text: str) -> None:
    assert media_type(text.encode()) == "text/plain"


@pytest.mark.parametrize(
    "content",
    [b"a\0b", b"\x1b[31m", b"\x7f", "\u0085".encode(), "\u009b".encode(), "\ufffe".encode(),
     "\ufdd0".encode(), b"\xff\xfeh\0i\0", b"caf\xe9", b"\xed\xa0\x80"],
)  # fmt: skip
def test_no_text(content: bytes) -> None:
    assert media_type(content) is None


@pytest.mark.parametrize(
    "content",
    [b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0", b"\x7fELF\2\1\1\0", b"PK\3\4\x14\0\0\0",
     ftyp(b"jpx "),
     b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska\0", b"RIFF\x24\0\0\0AVI LIST\0\1",
     b"\xff\xff\xff\xff"],
)  # fmt: skip
def test_other_types(content: bytes) -> None:
    assert media_type(content) is None
