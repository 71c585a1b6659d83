"""From the fields of a request to options, and from these and a picture to a ticket.

What a field may say is decided where `sr4 upscale` decides it, in the same words without dashes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import plan_in_memory
from sr4.batch.words import count_samples, read_blur, read_steps, read_suffix, read_tile
from sr4.errors import PictureError, UsageError, nearest, shorten
from sr4.pictures import decoded_bytes, read_frames, read_size
from sr4.serve.problems import Problem
from sr4.serve.tickets import Ticket

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.serve.limits import Limits
    from sr4.serve.models import Models
    from sr4.serve.painter import Painter

FIELDS = (
    "model",
    "steps",
    "sampler",
    "seed",
    "samples",
    "mean",
    "uncertainty",
    "detail",
    "consistency",
    "evidence",
    "noise",
    "blur",
    "scale",
    "width",
    "height",
    "tile",
    "format",
    "quality",
)
"""What a request may say besides its picture: the options of `sr4 upscale`."""

_LONGEST = 200  # characters of a field
_SAMPLE = 8  # bytes of a number at most
_LITTLE = 2**20  # pixels that any picture may take to be decoded, as those of a tile
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Wish:
    """What a request asks for.

    Attributes:
        options: of the call.
        samples: how many are given besides the result; uncertainty: whether the map is.
        suffix: of the result; None for one that loses nothing.
        quality: of the result, where its format has one.
    """

    options: UpscaleOptions
    samples: int
    uncertainty: bool
    suffix: str | None
    quality: int | None


def as_text(name: str, value: object) -> str:
    """A value of a JSON request as a form would have it.

    Raises:
        UsageError: it is an object, or a list of other things than numbers.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # JSON knows no difference
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, list) and name == "steps":
        return ",".join(as_text("", one) for one in value)
    raise UsageError(
        f"got {name} {shorten(repr(value))}; expected a text or a number, as in a form"
    )


def read_wish(fields: Mapping[str, str], models: Models, limits: Limits) -> Wish:
    """What fields ask for.

    Raises:
        UsageError: an unknown field, or one that cannot be.
    """
    for name, text in fields.items():
        if name not in FIELDS:
            raise UsageError(f"unknown field {shorten(name)!r}: {nearest(name, FIELDS)}")
        if len(text) > _LONGEST:
            raise UsageError(f"got {name} of {len(text):,} characters; expected at most {_LONGEST}")
    given = {name: text for name, text in fields.items() if text != ""}
    mean, uncertainty = _switch(given, "mean"), _switch(given, "uncertainty")
    samples = _whole(given.get("samples"))
    if samples is not None and not isinstance(samples, int):
        raise UsageError(f"got {samples!r} samples; expected a whole number of at least 1")
    suffix = read_suffix(given.get("format"))
    if suffix == "same":
        raise UsageError(
            "got format same for a request, whose picture has no name; expected a format, such as "
            "jpg"
        )
    options = UpscaleOptions(
        model=models.find(given.get("model")),
        steps=read_steps(given.get("steps"), mark=""),
        sampler=given.get("sampler"),
        seed=_whole(given.get("seed", "0")),
        samples=count_samples(samples, mean=bool(mean), uncertainty=bool(uncertainty), mark=""),
        use_mean=bool(mean),
        detail=_float(given.get("detail")),
        consistency=_switch(given, "consistency"),
        evidence=given.get("evidence", "auto"),
        noise=_float(given.get("noise")),
        blur=read_blur(given.get("blur"), mark=""),
        scale=_float(given.get("scale")),
        width=_whole(given.get("width")),
        height=_whole(given.get("height")),
        tile=read_tile(given.get("tile"), mark=""),
    )
    _check_counts(options, limits)
    quality = _whole(given.get("quality"))
    return Wish(options, samples or 0, bool(uncertainty), suffix, quality)


def _check_counts(options: UpscaleOptions, limits: Limits) -> None:
    steps = options.steps if isinstance(options.steps, tuple) else (options.steps or 1,)
    for what, count, most in (
        ("steps", max(map(int, steps)), limits.steps),
        ("samples", options.samples, limits.samples),
    ):
        if count > most:
            raise UsageError(f"got {count} {what}; expected at most {most} from this service")


def _whole(text: str | None) -> Any:
    """The whole number of a text; what is none stays, for whoever knows what to expect."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


def _float(text: str | None) -> Any:
    """The number of a text, likewise."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _switch(fields: Mapping[str, str], name: str) -> bool | None:
    text = fields.get(name)
    if text is not None and text.lower() not in _SWITCH:
        raise UsageError(f"got {name} {text!r}; expected true or false")
    return None if text is None else _SWITCH[text.lower()]


def admit(data: bytes, wish: Wish, models: Models, painter: Painter, limits: Limits) -> Ticket:
    """The ticket of a picture; of one too large, nothing is decoded.

    Raises:
        Problem: it is no picture, or too large.
        PictureError: it cannot be enlarged as asked.
        UsageError: an option that is impossible with its model, or such a format or quality.
    """
    options = wish.options
    planned = plan_in_memory(
        data,
        suffix=wish.suffix,
        quality=wish.quality,
        samples=wish.samples,
        uncertainty=wish.uncertainty,
        has_scale=False,  # pages lay it over the result
    ).pictures[0]
    size, frames = _measured(planned, limits)
    _check_bytes(planned, size, models)
    model = options.model_for(planned)
    painter.check(model, options)
    result_size = options.result_size(size, models.scale(model))  # refuses a smaller one
    drawn = frames * options.pixels_drawn(model, size)
    if drawn > limits.result_pixels:
        raise Problem(
            413,
            f"got a {size[0]}x{size[1]} picture, for which {drawn:,} pixels are to be drawn in "
            f"all; expected at most {limits.result_pixels:,} from this service: crop or shrink it, "
            "or draw fewer samples",
        )
    return Ticket(
        planned=planned,
        options=options,
        model=model,
        size=size,
        result_size=result_size,
        frames=frames,
        pixels=drawn,
        is_small=drawn <= limits.small_pixels,
    )


def _measured(planned: PlannedPicture, limits: Limits) -> tuple[tuple[int, int], int]:
    """Width and height, and the number of frames, by the header."""
    try:
        size = planned.size or read_size(planned.content)  # which says why there is none
        frames = read_frames(planned.content) if math.prod(size) <= limits.picture_pixels else 1
    except PictureError as error:
        raise Problem(415, str(error)) from error
    if frames > limits.frames or frames * math.prod(size) > limits.picture_pixels:
        raise Problem(
            413,
            f"got a picture of {size[0]}x{size[1]} pixels and {frames:,} frames; expected at most "
            f"{limits.picture_pixels:,} pixels and {limits.frames:,} frames from this service: "
            "crop or shrink it",
        )
    return size, frames


def _check_bytes(planned: PlannedPicture, size: tuple[int, int], models: Models) -> None:
    """Refuse what takes much more to be decoded than its pixels tell, which are what counts."""
    samples = max(4, models.channels)  # with alpha
    taken, most = decoded_bytes(planned.content), _SAMPLE * samples * max(math.prod(size), _LITTLE)
    if taken > most:
        raise Problem(
            413,
            f"got a {size[0]}x{size[1]} picture that takes {taken:,} bytes once it is decoded; "
            f"expected at most {most:,}: leave bands out, or make its tiles smaller",
        )
