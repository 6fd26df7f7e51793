"""Images are stored without metadata, and hostile ones cost a bounded process only."""

import io
import os
import struct
import threading
import time
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from apps.tasks.images import process, reencoding
from apps.tasks.images.reencoding import FORMATS, PROCESSES, WAITING, reencode
from biolayer.errors import InvalidInput, Unavailable

# GPSInfo of EXIF: degrees of latitude and longitude (CIPA DC-008, 4.6.6).
GPS = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
SECRET = "Mara's telephone"
FORMAT_TYPES = {name: media_type for media_type, name in FORMATS.items()}


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x010F] = SECRET
    made[0x0112] = orientation
    made[0x8825] = GPS
    return made


def picture(size: tuple[int, int] = (40, 20), mode: str = "RGB") -> Image.Image:
    """Return a picture whose left half is red and whose right half is blue."""
    whole = Image.new("RGB", size, (255, 0, 0))
    whole.paste((0, 0, 255), (size[0] // 2, 0, *size))
    return whole.convert(mode)


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, name, **options)
    return content.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def refused(content: bytes, name: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        reencode(content, FORMAT_TYPES[name])
    (fault,) = caught.value.faults
    assert fault.pointer == "/file"
    return fault.code


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_reencode__removes_place_and_device(name: str) -> None:
    xmp = f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode()
    original = encoded(picture(), name, exif=exif(), **({} if name == "PNG" else {"xmp": xmp}))
    assert dict(opened(original).getexif().get_ifd(0x8825))
    assert SECRET.encode() in original
    stored = reencode(original, FORMAT_TYPES[name])
    image = opened(stored)
    assert (image.format, image.size) == (name, (40, 20))
    assert dict(image.getexif()) == {}
    assert not {"exif", "xmp", "icc_profile", "comment"} & image.info.keys()
    assert SECRET.encode() not in stored
    red, blue = image.convert("RGB").getpixel((5, 10)), image.convert("RGB").getpixel((35, 10))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > red[2] + 150
    assert blue[2] > blue[0] + 150


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "place"),
    [
        (1, (40, 20), (2, 10)),
        (3, (40, 20), (38, 10)),
        (6, (20, 40), (10, 2)),
        (8, (20, 40), (10, 38)),
    ],
)
def test_reencode__applies_the_orientation(
    name: str, orientation: int, size: tuple[int, int], place: tuple[int, int]
) -> None:
    original = encoded(picture(), name, exif=exif(orientation))
    image = opened(reencode(original, FORMAT_TYPES[name]))
    assert image.size == size
    pixel = image.convert("RGB").getpixel(place)
    assert isinstance(pixel, tuple)
    assert pixel[0] > 200


def test_reencode__converts_colours_and_drops_their_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, options in [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})]:
        original = encoded(picture(), name, icc_profile=profile, **options)
        assert opened(original).info["icc_profile"]
        image = opened(reencode(original, FORMAT_TYPES[name]))
        assert "icc_profile" not in image.info
        pixel = image.convert("RGB").getpixel((5, 10))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 245


@pytest.mark.parametrize("profile", [b"", b"x", b"\0" * 4000])
def test_reencode__ignores_a_broken_profile(profile: bytes) -> None:
    image = opened(reencode(encoded(picture(), "JPEG", icc_profile=profile), "image/jpeg"))
    assert image.size == (40, 20)


def test_reencode__removes_texts_of_a_png() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", SECRET)
    texts.add_itxt("XML:com.adobe.xmp", SECRET)
    texts.add_text("Comment", SECRET, zip=True)
    stored = reencode(encoded(picture(), "PNG", pnginfo=texts), "image/png")
    image = opened(stored)
    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert image.text == {}
    kinds = {stored[at + 4 : at + 8] for at in chunk_places(stored)}
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


def chunk_places(content: bytes) -> list[int]:
    """Return where the chunks of a PNG begin (ISO/IEC 15948, 5.3)."""
    places, at = [], 8
    while at < len(content):
        places.append(at)
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return places


@pytest.mark.parametrize(
    ("name", "appended"),
    [
        ("JPEG", b"<html><script>alert(1)</script>"),
        ("PNG", b"PK\x03\x04 a zip"),
        ("GIF", b"/*<script src=x></script>*/"),
        ("WEBP", b"%PDF-1.7"),
    ],
)
def test_reencode__drops_what_is_appended(name: str, appended: bytes) -> None:
    original = encoded(picture(), name) + appended
    assert appended not in reencode(original, FORMAT_TYPES[name])


def test_reencode__drops_comments() -> None:
    for name in ("JPEG", "GIF"):
        original = encoded(picture(), name, comment=SECRET.encode())
        assert SECRET.encode() in original
        assert SECRET.encode() not in reencode(original, FORMAT_TYPES[name])


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_reencode__keeps_an_animation(name: str) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": 0}
    original = encoded(frames[0], name, duration=[100, 200, 300], **options)
    image = opened(reencode(original, FORMAT_TYPES[name]))
    assert getattr(image, "n_frames", 1) == 3
    strongest = []
    for number in range(3):
        image.seek(number)
        pixel = image.convert("RGB").getpixel((15, 15))
        assert isinstance(pixel, tuple)
        strongest.append(max(range(3), key=pixel.__getitem__))
    assert strongest == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "mode"),
    [("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"),
     ("JPEG", "L"), ("JPEG", "CMYK"), ("GIF", "P"), ("WEBP", "RGBA")],
)  # fmt: skip
def test_reencode__keeps_every_mode(name: str, mode: str) -> None:
    original = Image.new(mode, (9, 7))
    image = opened(reencode(encoded(original, name), FORMAT_TYPES[name]))
    assert image.size == (9, 7)


def test_reencode__keeps_transparency() -> None:
    original = picture(mode="RGBA")
    original.putalpha(0)
    for name in ("PNG", "GIF", "WEBP"):
        image = opened(reencode(encoded(original, name), FORMAT_TYPES[name])).convert("RGBA")
        pixel = image.getpixel((5, 10))
        assert isinstance(pixel, tuple)
        assert pixel[3] == 0, name


def test_reencode__a_jpeg_loses_nothing_visible() -> None:
    original = encoded(
        Image.effect_mandelbrot((200, 200), (-2, -1.5, 1, 1.5), 60), "JPEG", quality=70
    )
    stored = reencode(original, "image/jpeg")
    assert abs(len(stored) - len(original)) < len(original) // 10
    before, after = opened(original).tobytes(), opened(stored).tobytes()
    differences = [abs(one - other) for one, other in zip(before, after, strict=True)]
    assert sum(differences) / len(differences) < 0.5


def test_reencode__only_the_first_of_several_pictures_in_a_jpeg() -> None:
    pictures = io.BytesIO()
    picture().save(pictures, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 20))])
    image = opened(reencode(pictures.getvalue(), "image/jpeg"))
    assert image.format == "JPEG"


# --- hostile files --------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack("!I", len(content))
        + kind
        + content
        + struct.pack("!I", zlib.crc32(kind + content))
    )


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG of many pixels."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack("!IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_reencode__refuses_a_bomb_before_it_decodes_it() -> None:
    content = bomb(30_000, 30_000)
    assert len(content) < 200_000
    began = time.monotonic()
    assert refused(content, "PNG") == "too_complex"
    assert time.monotonic() - began < 5


def test_reencode__decodes_up_to_the_limit() -> None:
    assert 7071 * 7071 <= process.MAX_PIXELS < 7072 * 7072
    assert opened(reencode(bomb(7071, 7071), "image/png")).size == (7071, 7071)
    assert refused(bomb(7072, 7072), "PNG") == "too_complex"


def test_reencode__counts_the_pixels_of_all_frames() -> None:
    frames = [Image.new("P", (1000, 1000), number) for number in range(60)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert refused(content, "GIF") == "too_complex"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_reencode__refuses_a_part_of_a_file(name: str) -> None:
    content = encoded(Image.effect_noise((200, 200), 80).convert("RGB"), name)
    for part in (content[: len(content) // 2], content[:20]):
        assert refused(part, name) == "unreadable"


def test_reencode__tries_no_other_format() -> None:
    """A file with the signature of one format is not decoded as another."""
    assert refused(encoded(picture(), "TIFF"), "JPEG") == "unreadable"
    assert refused(encoded(picture(), "PNG"), "JPEG") == "unreadable"
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n", "PNG") == "unreadable"


def test_reencode__gives_the_process_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder's process has neither our environment nor our files open."""
    script = (
        "import os, sys\n"
        "names = [os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]\n"
        "sys.stdout.write(repr((sorted(os.environ), len(os.listdir('/proc/self/fd')))))\n"
    )
    place = os.environ["BIOLAYER_HOME"] + "/probe.py"
    with open(place, "w") as probe:
        probe.write(script)
    monkeypatch.setattr("apps.tasks.images.reencoding.PROCESS", place)
    monkeypatch.setenv("SECRET_KEY", "s" * 50)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    environment, descriptors = eval(reencode(b"", "image/png"))  # noqa: S307 - of our own script
    assert set(environment) <= {"LC_CTYPE"}
    assert descriptors <= 4  # the three of every process, and that of the listing


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("import os; os.kill(os.getpid(), 9)", "too_complex"),
        ("import time; time.sleep(60)", "too_complex"),
        ("import sys; sys.exit(7)", "too_complex"),
    ],
    ids=["killed", "hangs", "unknown"],
)
def test_reencode__refuses_what_a_limit_ended(
    script: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = os.environ["BIOLAYER_HOME"] + "/probe.py"
    with open(place, "w") as probe:
        probe.write(script)
    monkeypatch.setattr("apps.tasks.images.reencoding.PROCESS", place)
    monkeypatch.setattr("apps.tasks.images.reencoding.WALL_SECONDS", 1.0)
    assert refused(b"", "PNG") == code


@pytest.mark.parametrize(
    "work",
    [
        "bytearray(2 * 1024**3)",
        "[None for _ in iter(int, 1)]",
        "open(1, 'wb').write(bytes(30 * 2**20))",
    ],
    ids=["memory", "time", "output"],
)
def test_limits__end_the_process(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are the system's: they hold for code that has taken the process over."""
    folder = os.path.dirname(process.__file__)
    place = os.environ["BIOLAYER_HOME"] + "/probe.py"
    with open(place, "w") as probe:
        probe.write(
            f"import sys; sys.path.insert(0, {folder!r})\n"
            "import process\nprocess.CPU_SECONDS = 1\nprocess._limit()\n"
            f"while True:\n    {work}\n"
        )
    monkeypatch.setattr("apps.tasks.images.reencoding.PROCESS", place)
    began = time.monotonic()
    assert refused(b"", "PNG") in ("too_complex", "unreadable")
    assert time.monotonic() - began < 15


def test_reencode__refuses_at_once_what_would_take_every_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = os.environ["BIOLAYER_HOME"] + "/probe.py"
    with open(place, "w") as probe:
        probe.write("import time; time.sleep(60)")
    monkeypatch.setattr("apps.tasks.images.reencoding.PROCESS", place)
    monkeypatch.setattr("apps.tasks.images.reencoding.WALL_SECONDS", 2.0)
    monkeypatch.setattr("apps.tasks.images.reencoding.FREE_SECONDS", 0.5)
    ends: list[tuple[str, float]] = []

    def send() -> None:
        began = time.monotonic()
        try:
            reencode(b"", "image/png")
        except (InvalidInput, Unavailable) as error:
            ends.append((error.code, time.monotonic() - began))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = sorted(seconds for code, seconds in ends if code == "unavailable")
    assert len(busy) == 8 - PROCESSES
    assert busy[: 8 - PROCESSES - WAITING][-1] < 0.3
    assert len([code for code, _ in ends if code == "invalid_input"]) == PROCESSES


@pytest.mark.parametrize("name", ["MAX_PIXELS", "TOO_LARGE", "UNREADABLE"])
def test_constants__are_those_of_the_process(name: str) -> None:
    assert getattr(reencoding, name) == getattr(process, name)
