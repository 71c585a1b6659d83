"""How results show themselves in a notebook: before, after, and how well they fit their input."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from sr4.pictures.raster import Raster
from sr4.upscaling.thresholds import WORTH_SAYING

if TYPE_CHECKING:
    from sr4.upscaling.result import Result

_SHOWN = 512  # pixels along the longer side of a picture on the page
_HELD_TO = {
    "exact": "its input",
    "jpeg": "within what its JPEG file says",
    "noise": "its input, to the noise of that",
    "sharpened": "its input, to what sharpening can have changed in that",
}


def consistency_in_words(result: Result) -> str:
    """How well a result fits its input, in levels of 255 (root mean square)."""
    levels = math.sqrt(result.consistency * 1e-5) * 255
    off = "less than 0.1 of 255 levels" if levels < 0.1 else f"{levels:.1f} of 255 levels"
    kind = "sharpened" if result.evidence.is_sharpened else result.evidence.kind
    held_to = _HELD_TO.get(kind)
    if held_to is None:
        return f"Not held to its input: downscaled, it is off by {off}."
    said = f"Downscaled, it is {held_to}: off by {off}."
    given_up = float(result.given_up.mean())
    if given_up >= WORTH_SAYING:
        said += f" {given_up:.1%} of the input's pixels could not be met to a level."
    return said


def html(result: Result) -> str:
    """A page's part with the picture given, the result, and what is to be said of them."""
    before, after = result.given.frames[0], result.raster
    place = min(1.0, _SHOWN / max(after.size))
    width = max(1, round(after.size[0] * place))
    pictures = "".join(
        f'<figure style="margin:0"><img src="{source}" width="{width}" alt="{escape(title)}" '
        f'style="max-width:100%;height:auto;image-rendering:{rendering}">'
        f"<figcaption>{escape(title)}</figcaption></figure>"
        for raster, title, rendering in (
            (before, f"before, {before.size[0]}x{before.size[1]}", "pixelated"),
            (after, f"after, {after.size[0]}x{after.size[1]}", "auto"),
        )
        if (source := _data_uri(raster))
    )
    says = f"{repr(result)[len('Result(') : -1]}. {consistency_in_words(result)}"
    return (
        f'<div><div style="display:flex;flex-wrap:wrap;gap:1em">{pictures}</div>'
        f"<p>{escape(says)}</p></div>"
    )


def _data_uri(raster: Raster) -> str | None:
    """A PNG of 8 bits, no larger than it is shown on a fine screen; None of bands, which are no
    colours.
    """
    if raster.colour == "bands":
        return None
    image = raster.with_bits(8).to_pil()
    if image.mode == "CMYK":
        image = image.convert("RGB")
    image.thumbnail((2 * _SHOWN, 2 * _SHOWN), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
