"""Store names of files without what a file system, a header or a person may take for another."""

import re
import unicodedata

MAX_LENGTH = 200
UNNAMED = "file"

# What the file systems of usual machines refuse in a name, or take for a folder.
RESERVED = re.compile(r'[/\\:*?"<>|]')

# Control characters, format characters (such as marks of direction), surrogates, private and
# unassigned characters, separators of lines.
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

# The endings that a machine opens as the type; the first is added where a name has none of them.
ENDINGS = {
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/png": ("png",),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "image/avif": ("avif",),
    "application/pdf": ("pdf",),
    "audio/mpeg": ("mp3", "mpga"),
    "audio/mp4": ("m4a", "mp4", "m4b"),
    "audio/aac": ("aac",),
    "audio/wav": ("wav",),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/flac": ("flac",),
    "audio/amr": ("amr",),
    "video/mp4": ("mp4", "m4v"),
    "video/quicktime": ("mov", "qt"),
    "video/webm": ("webm",),
    "video/ogg": ("ogv", "ogg"),
    "video/3gpp": ("3gp", "3gpp"),
    "text/plain": ("txt", "text", "log", "md", "csv", "json"),
}


def stored_filename(name: str) -> str:
    """Return a name that is safe to show; `file` for one of which nothing is left."""
    composed = unicodedata.normalize("NFC", name[-5 * MAX_LENGTH :])
    visible = "".join(one for one in composed if unicodedata.category(one) not in HIDDEN)
    # A leading dot hides a file, a trailing dot or space is dropped by some systems.
    return RESERVED.sub("_", visible).strip(". ")[-MAX_LENGTH:].lstrip(". ") or UNNAMED


def download_filename(name: str, content_type: str) -> str:
    """Return a name with an ending of the type: `page.html` of a text is `page.html.txt`.

    A machine chooses the program that opens a saved file by its ending.
    """
    name = name or UNNAMED
    endings = ENDINGS.get(content_type, ("bin",))
    stem, _, ending = name.rpartition(".")
    return name if stem and ending.lower() in endings else f"{name}.{endings[0]}"
