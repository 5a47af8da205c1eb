"""One image file as bytes of grey or colour, by rules that no diagnosis depends on.

What a viewer would show is read as it is: 8-bit grey and colour, black and white, palettes, and
the orientation that a camera noted. Whatever would need a decision about the picture is refused:
16 bits (which window?), transparency (over what?), several pages (which one?), DICOM.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from qvit_qiskit.exceptions import DataError

FORMATS = ("PNG", "JPEG", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_SIDE = 4096
"""Pixels on a side that are read; models here see far fewer."""
_BITS_PER_SAMPLE = 258  # a tag of TIFF
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
"""What Pillow raises for damaged files, by format and place of the damage."""


def read_picture(raw: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode an image file.

    Args:
        raw: What the file holds.
        path: Where it lies, for messages.

    Returns:
        Shape (H, W) for grey, (H, W, 3) for colour.

    Raises:
        DataError: If it is damaged, no PNG, JPEG or TIFF, too large, or of a kind that cannot be
            read without a decision.
    """
    if raw[128:132] == b"DICM":
        raise DataError(
            f"{path} is a DICOM file, whose values need a window. Convert it to 8-bit PNG with the "
            "window that your modality asks for."
        )
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            _check_header(image, raw, path)
            image.load()
            # upright, as it is seen
            return np.asarray(plain_picture(ImageOps.exif_transpose(image), path))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "more") from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"Expected a PNG, JPEG or TIFF image in {path}, got something else. Convert it, or "
            "take it out of the folder."
        ) from error
    except _BROKEN as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DataError(f"{path} is damaged: {reason}. Restore it, or take it out.") from error


def _check_header(image: Image.Image, raw: bytes, path: Path) -> None:
    """Refuse what the header tells, before a pixel is decoded."""
    if max(image.size) > MAX_SIDE:
        raise _too_large(path, f"{image.height} x {image.width}")
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(
            f"{path} holds several images. Expected one image a file: split it into single images."
        )
    depth = 8
    if image.format == "PNG":
        depth = raw[24]  # Pillow reads 16-bit colour as its upper 8 bits, without a word
    elif image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, 1)  # type: ignore[attr-defined]
        depth = int(np.max(bits))
    if depth > 8:
        raise DataError(
            f"{path} has {depth} bits a channel. Expected 8: scale its values to 0…255 with "
            "the window that your modality asks for."
        )


def plain_picture(image: Image.Image, path: Path | str) -> Image.Image:
    """An image in mode L or RGB, where that needs no decision about it.

    Args:
        image: Of any mode.
        path: Where it lies, or what it is, for messages.

    Raises:
        DataError: If it is transparent somewhere, or of a mode that needs a window or a profile.
    """
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        if image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
            raise DataError(
                f"{path} is transparent in places. Expected an opaque image: lay it over the "
                "background that you mean, and save it without an alpha channel."
            )
        image = image.convert("L" if image.mode in ("L", "LA", "La") else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return image.convert("L" if (palette == palette[:, :1]).all() else "RGB")
    if image.mode not in ("L", "RGB"):
        raise DataError(
            f"{path} holds {image.mode} pixels. Expected 8-bit grey or RGB: convert it."
        )
    return image


def _too_large(path: Path, size: str) -> DataError:
    return DataError(
        f"{path} has {size} pixels. Expected at most {MAX_SIDE} on a side: scale the images to the "
        "size that the model sees, such as 64 x 64."
    )


def check_room(count: int, what: Path) -> None:
    """Refuse arrays that would not fit into this machine's memory.

    Args:
        count: Bytes.
        what: Where they would be read from.

    Raises:
        DataError: If they are more than four fifths of the memory.
    """
    if count > 0.8 * memory():
        raise DataError(
            f"The arrays of {what} would take {count / 2**30:,.1f} GiB, but this machine has "
            f"{memory() / 2**30:,.1f} GiB of memory. Use smaller or fewer images."
        )


def memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 2**34
