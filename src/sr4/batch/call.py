"""`sr4.upscale`: a file or a picture in, its result out, by the choices of the command line."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from sr4.batch.in_work import InWork, read
from sr4.batch.options import AUTO, UpscaleOptions, count_draws, read_stages
from sr4.batch.plan import PlannedPicture
from sr4.errors import PictureError, SR4Error, UsageError, nearest_option
from sr4.evidence.kinds import Evidence
from sr4.pictures import natural_suffix
from sr4.upscaling.auto import shipped_model_for
from sr4.upscaling.calls import sample_seeds
from sr4.upscaling.cascade import CascadeOptions, CascadePipeline
from sr4.upscaling.given import Picture, size_of, without_stream
from sr4.upscaling.load import load, model_names
from sr4.upscaling.pipeline import Options, Pipeline
from sr4.upscaling.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Unpack

    Given = os.PathLike[str] | Picture


@overload
def upscale(  # type: ignore[overload-overlap]  # a str is one picture, never a sequence of them
    picture: Given,
    *,
    model: str | Path = ...,
    backend: str = ...,
    device: str = ...,
    **options: Unpack[Options],
) -> Result: ...


@overload
def upscale(
    picture: Sequence[Given],
    *,
    model: str | Path = ...,
    backend: str = ...,
    device: str = ...,
    **options: Unpack[Options],
) -> list[Result]: ...


def upscale(
    picture: Given | Sequence[Given],
    *,
    model: str | Path = AUTO,
    backend: str = "auto",
    device: str = "auto",
    **options: Unpack[Options],
) -> Result | list[Result]:
    """The result of a picture file, or of a picture, as `sr4 upscale` makes it: the model by the
    picture, upright, in its own mode and depth, held to what its file says, all frames of an
    animation.

    Each call loads the models that its pictures need, once; for many calls, `sr4.load` one and call
    its `upscale`.

    Args:
        picture: what `Pipeline.upscale` takes, or a list or tuple of such.
        model: a name or a folder, or several joined by "+"; "auto" takes a shipped one, `sr4-fast`
            for faces of 16x16 to 32x32 pixels and `photo-x4` for all other pictures.
        backend, device: as in `sr4.load`.
        options: those of `Pipeline.upscale`, such as `seed`, `samples`, `scale` or `evidence`.

    Returns:
        A Result, or a list of them in the order given.

    Warns:
        UserWarning: something of the file was left out, such as further pages.

    Raises:
        PictureError: the picture cannot be read, or is one that the model cannot take.
        UsageError: an impossible option.
        ModelError: there is no such model, or it is damaged, or fails.
        TypeError: there is no such option; names the nearest one.

    Examples:
        >>> sr4.upscale("holiday.jpg").save("large.png")
    """
    several = picture if isinstance(picture, (list, tuple)) else [picture]
    samples = len(sample_seeds(0, options.get("samples", 1)))
    asked = [_asked(without_stream(one), model, options) for one in several]
    opened = _opened(asked, samples, backend, device)
    results = []
    for one in asked:
        results.append(_result(one, opened[one.model], options))
    return results if isinstance(picture, (list, tuple)) else results[0]


class _Asked(NamedTuple):
    """A picture of a call.

    Attributes:
        picture: as it was given; model: what it goes through.
        size: its width and height; None where they cannot be read.
        planned: of a file or its bytes, and its options; None of what is no file.
    """

    picture: Any
    model: str
    size: tuple[int, int] | None
    planned: tuple[PlannedPicture, UpscaleOptions] | None = None


def _asked(picture: Any, model: object, given: Mapping[str, Any]) -> _Asked:
    is_file = isinstance(picture, (str, os.PathLike, bytes))
    _check_names(given, {*(Options if is_file else CascadeOptions).__annotations__})
    name = AUTO if model == AUTO else _name(model)
    if not is_file:
        taken = shipped_model_for(picture) if name == AUTO else name
        return _Asked(picture, taken, size_of(picture))
    if isinstance(given.get("evidence"), (Evidence, list, tuple)):
        raise UsageError(
            "got an Evidence, or several kinds, for a file; expected a kind, such as 'jpeg': open "
            "the picture and use Pipeline.upscale for what is made by hand"
        )
    options = UpscaleOptions(
        model=name, **{key: value for key, value in given.items() if key != "on_step"}
    )
    planned = _planned(picture)
    return _Asked(picture, options.model_for(planned), planned.size, (planned, options))


def _check_names(given: Iterable[str], known: set[str]) -> None:
    """Refuse options that there are none of, as Python does."""
    for name in given:
        if name not in known:
            nearest = nearest_option(name, known | {"model", "backend", "device"})
            raise TypeError(f"sr4.upscale() got an unexpected keyword argument {name!r}: {nearest}")


def _opened(
    asked: Sequence[_Asked], samples: int, backend: str, device: str
) -> dict[str, Pipeline | CascadePipeline]:
    """The pipelines of all pictures by the names of their models, each loaded once."""
    opened = {}
    for name in dict.fromkeys(one.model for one in asked):
        sizes = [one.size for one in asked if one.model == name]
        draws = samples * count_draws(sizes, read_stages(name), len(sizes))
        opened[name] = load(name, backend=backend, device=device, draws=draws)
    return opened


def _result(
    asked: _Asked, pipeline: Pipeline | CascadePipeline, given: Mapping[str, Any]
) -> Result:
    if asked.planned is None:
        result: Result = pipeline.upscale(asked.picture, **given)
        return result
    planned, options = asked.planned
    pipeline.check_options(options.steps, options.sampler, options.tile, options.detail)
    one = _read(planned, options, pipeline)
    assert one.picture is not None
    results = pipeline.upscale(
        one.picture.frames,
        **options.for_pipeline(),
        evidence=one.evidences,
        on_step=given.get("on_step"),
    )
    said = one.provenance[planned.output]
    first, *later = [replace(result, provenance=said) for result in results]
    return replace(first, given=one.picture, later_frames=tuple(later))


def _name(model: object) -> str:
    """A model's name, as options hold it.

    Raises:
        UsageError: it is none.
    """
    model_names(model)  # type: ignore[arg-type]  # which refuses what is no name
    return os.fspath(model)  # type: ignore[call-overload,no-any-return]


def _planned(given: str | os.PathLike[str] | bytes) -> PlannedPicture:
    """The picture, with a name for its result that no file gets."""
    if isinstance(given, bytes):
        name = Path("picture")
        return PlannedPicture(name, name.with_suffix(natural_suffix(given)), data=given)
    if not os.fspath(given):
        raise PictureError("got an empty name; expected a picture file")
    source = Path(given)
    return PlannedPicture(source, Path("result").with_suffix(natural_suffix(source)))


def _read(
    planned: PlannedPicture, options: UpscaleOptions, pipeline: Pipeline | CascadePipeline
) -> InWork:
    one = read(planned, options, pipeline)
    if isinstance(one.error, SR4Error):
        raise one.error
    if one.error is not None:
        raise PictureError(f"{planned.source}: {one.reason}") from one.error
    assert one.picture is not None
    for note in one.picture.notes:
        warnings.warn(f"{planned.source}: {note}", stacklevel=4)
    return one
