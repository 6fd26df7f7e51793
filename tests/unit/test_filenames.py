"""Names of files deceive neither a file system, nor a header, nor a person."""

import pytest

from apps.tasks.filenames import ENDINGS, download_filename, stored_filename
from apps.tasks.services.media import ACCEPTED, NOT_CLEANED


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("call-log.pdf", "call-log.pdf"),
        ("Café Nr. 5.png", "Café Nr. 5.png"),
        ("Cafe\u0301.png", "Café.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\temp\\a.txt", "C__temp_a.txt"),
        ("a\r\nSet-Cookie: b.png", "aSet-Cookie_ b.png"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("a\x00b", "ab"),
        (".htaccess", "htaccess"),
        ("a.txt. . ", "a.txt"),
        ('a"b;c', "a_b;c"),
        ("", "file"),
        ("...", "file"),
        ("\u2028\u200b", "file"),
        ("x" * 5000 + ".png", "x" * 196 + ".png"),
    ],
)
def test_stored_filename(name: str, expected: str) -> None:
    assert stored_filename(name) == expected


@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("door.jpg", "image/jpeg", "door.jpg"),
        ("DOOR.JPEG", "image/jpeg", "DOOR.JPEG"),
        ("page.html", "text/plain", "page.html.txt"),
        ("photo.png", "image/jpeg", "photo.png.jpg"),
        ("setup.exe", "application/pdf", "setup.exe.pdf"),
        ("png", "image/png", "png.png"),
        ("", "application/pdf", "file.pdf"),
        ("old.heic", "image/heic", "old.heic.bin"),
    ],
)
def test_download_filename__ends_as_its_type(name: str, content_type: str, expected: str) -> None:
    assert download_filename(name, content_type) == expected


def test_every_type__has_an_ending() -> None:
    assert ENDINGS.keys() == {*ACCEPTED} - NOT_CLEANED
