"""A pipeline that takes a shipped model for each picture, as `sr4 upscale` does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL import Image

from sr4.evidence.origin import pillow_origin
from sr4.upscaling.choose import is_face, is_face_raster, is_spoilt, model_for
from sr4.upscaling.given import Picture, as_picture, evidence_of_each, without_stream
from sr4.upscaling.pipeline import Pipeline
from sr4.upscaling.result import Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from sr4.upscaling.pipeline import Options


_RGB = 3


def shipped_model_for(picture: Picture) -> str:
    """The name of the shipped model that a picture calls for.

    Raises:
        PictureError: it is no picture.
    """
    if isinstance(picture, (str, Path, bytes)):
        file = picture if isinstance(picture, bytes) else Path(picture)
        return model_for(is_face=is_face(file))
    seen = is_face_raster(as_picture(picture, _RGB).frames[0])
    origin = pillow_origin(picture) if isinstance(picture, Image.Image) else None
    return model_for(is_face=seen and not is_spoilt(origin))


class AutoPipeline:
    """Upscales each picture with the shipped model that `sr4 upscale` takes for it: faces of
    16x16 to 32x32 pixels go through the one for faces, all other pictures through that for
    photographs. Models are loaded when the first picture needs them.

    Args:
        open_model: gives the pipeline of a model by its name.

    Examples:
        >>> import sr4
        >>> sr4.load("auto").upscale(picture).save("large.png")
    """

    def __init__(self, open_model: Callable[[str], Pipeline]) -> None:
        self._open, self._lock = open_model, threading.Lock()
        self._opened: dict[str, Pipeline] = {}

    def __repr__(self) -> str:
        loaded = ", ".join(sorted(self._opened)) or "nothing yet"
        return f"AutoPipeline(a model for each picture, loaded: {loaded})"

    def __reduce__(self) -> tuple[type[AutoPipeline], tuple[Callable[[str], Pipeline]]]:
        return AutoPipeline, (self._open,)

    def pipeline_for(self, picture: Picture) -> Pipeline:
        """The pipeline that a picture goes through. Errors are those of `sr4.load`."""
        name = shipped_model_for(picture)
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            return self._opened[name]

    @overload
    def upscale(  # type: ignore[overload-overlap]  # a str is one picture, no sequence of them
        self, image: Picture, **options: Unpack[Options]
    ) -> Result: ...

    @overload
    def upscale(self, image: Sequence[Picture], **options: Unpack[Options]) -> list[Result]: ...

    def upscale(
        self, image: Picture | Sequence[Picture], **options: Unpack[Options]
    ) -> Result | list[Result]:
        """Upscale a picture, or each of a list, with its model.

        Args:
            image, options: as in `Pipeline.upscale`; pictures of several models go through them in
                turn.

        Returns:
            A Result, or a list of them in the order given.

        Raises:
            PictureError, UsageError, ModelError: as in `Pipeline.upscale`.
        """
        several = image if isinstance(image, (list, tuple)) else [image]
        pictures: list[Any] = [without_stream(one) for one in several]
        evidence = options.get("evidence", "auto")
        asked = evidence_of_each(evidence, len(pictures))
        by_pipeline: dict[Pipeline, list[int]] = {}
        for number, one in enumerate(pictures):
            by_pipeline.setdefault(self.pipeline_for(one), []).append(number)
        found: dict[int, Result] = {}
        for pipeline, numbers in by_pipeline.items():
            own = options
            if isinstance(evidence, (list, tuple)):  # else results say what was asked of all
                own = {**options, "evidence": [asked[number] for number in numbers]}
            results = pipeline.upscale([pictures[number] for number in numbers], **own)
            found.update(zip(numbers, results, strict=True))
        results = [found[number] for number in range(len(pictures))]
        return results if isinstance(image, (list, tuple)) else results[0]

    __call__ = upscale
