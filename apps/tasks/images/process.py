"""Re-encode one image in a process with limits that it sets itself. reencoding.py starts it.

`python3 -I process.py JPEG < original > result`. It imports nothing of the project and gets no
environment, so that a decoder that is taken over finds no secret. The exit codes are those below;
a process that exceeds a limit is ended by the system.

1. The format is the one that the file's signature showed: no other decoder is tried.
2. The pixels of all frames are counted before one of them is decoded.
3. The orientation in the metadata is applied, colours are converted to sRGB.
4. The pixels, and of the metadata only transparency and the times of an animation, are written.
"""

import io
import resource
import sys
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageCms, ImageFile, ImageSequence, JpegImagePlugin

UNREADABLE = 3
TOO_LARGE = 4

# Of all frames together: 50 megapixels are the largest of a usual telephone's camera.
MAX_PIXELS = 50_000_000
MAX_FRAMES = 500

CPU_SECONDS = 10
MEMORY_BYTES = 1024 * 1024 * 1024
MAX_RESULT_BYTES = 20 * 1024 * 1024

# The tag in EXIF (TIFF 6.0, section 8), and the change that each value other than 1 asks for.
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes in which a colour profile can be applied, and what they become.
WITH_COLOURS = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}


class TooLarge(Exception):
    """Raised for more pixels or frames, or for a larger result, than the limits allow."""


def main() -> int:
    """Return the exit code."""
    (name,) = sys.argv[1:]
    _limit()
    try:
        result = _reencoded(sys.stdin.buffer.read(), name)
    except (TooLarge, Image.DecompressionBombError, MemoryError):
        return TOO_LARGE
    except Exception:  # decoders raise errors of many kinds for broken files
        return UNREADABLE
    if len(result) > MAX_RESULT_BYTES:
        return TOO_LARGE
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    return 0


def _limit() -> None:
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: MAX_RESULT_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))


def _reencoded(content: bytes, name: str) -> bytes:
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with Image.open(io.BytesIO(content), formats=[name]) as image:
        # A JPEG of several pictures has the previews and depths of one picture after it.
        count = 1 if name == "JPEG" else getattr(image, "n_frames", 1)
        width, height = image.size
        if count > MAX_FRAMES or width * height * count > MAX_PIXELS:
            raise TooLarge
        options = _options(image, content, name)
        frames, times = _frames(image, count)
    if count > 1:
        options |= {"save_all": True, "append_images": frames[1:], "duration": times}
        if "loop" in image.info:
            options["loop"] = image.info["loop"]
    result = io.BytesIO()
    try:
        frames[0].save(result, format=name, **options)
    except Exception as error:  # encoders that find no memory raise errors of many kinds
        raise TooLarge from error
    return result.getvalue()


def _frames(image: Image.Image, count: int) -> tuple[list[Image.Image], list[int]]:
    """Return the frames without metadata, and for how many milliseconds each is shown."""
    turn = TURNS.get(_orientation(image))
    frames, times = [], []
    for frame in _first(image, count):
        frame.load()
        times.append(int(frame.info.get("duration", 0) or 0))
        frames.append(_clean(frame, turn))
    return frames, times


def _first(image: Image.Image, count: int) -> Iterator[Image.Image]:
    if count == 1:
        yield image
        return
    yield from ImageSequence.Iterator(image)


def _clean(frame: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    clean = _in_srgb(frame)
    clean = clean.copy() if turn is None else clean.transpose(turn)
    clean.info = {}
    if "transparency" in frame.info and clean.mode == frame.mode:
        clean.info["transparency"] = frame.info["transparency"]
    return clean


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # it is metadata of anyone's making
        return 1


def _in_srgb(frame: Image.Image) -> Image.Image:
    """Return the frame with its colours in sRGB: its profile is metadata, too, and not kept."""
    profile = frame.info.get("icc_profile")
    if not profile or frame.mode not in WITH_COLOURS:
        return frame
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(
            frame, source, srgb, outputMode=WITH_COLOURS[frame.mode]
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return frame
    return frame if converted is None else converted


def _options(image: Image.Image, content: bytes, name: str) -> dict[str, Any]:
    """Return the options that keep the quality of the original where its format tells it."""
    if name == "JPEG" and isinstance(image, JpegImagePlugin.JpegImageFile):
        # With the tables of its own compression nothing is lost but by rounding.
        if image.mode in ("RGB", "L") and image.quantization:
            sampling = max(JpegImagePlugin.get_sampling(image), 0)
            return {"qtables": image.quantization, "subsampling": sampling}
        return {"quality": 92}
    if name == "WEBP":
        # The first chunk of pixels is near the beginning of the file.
        return {"lossless": b"VP8L" in content[:4096], "quality": 90}
    if name == "AVIF":
        return {"quality": 85, "speed": 9, "max_threads": 1}
    return {}


if __name__ == "__main__":
    sys.exit(main())
