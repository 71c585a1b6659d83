"""What `sr4 upscale` prints of the events of its work."""

from __future__ import annotations

import math
import os
import traceback
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sr4.batch.events import (
    Advanced,
    Cancelled,
    Done,
    Estimated,
    Event,
    Failed,
    GoesOn,
    LeftOut,
    ModelReady,
    NotKept,
    Planned,
    Skipped,
    Started,
)
from sr4.batch.options import AUTO
from sr4.cli import console
from sr4.cli.pipes import STDOUT
from sr4.errors import SR4Error

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture

_WHY = {
    "sr4-fast": "taken for a face",
    "photo-x4": "taken for a photograph",
}
_FEW = 1000  # pictures whose sizes are looked at
_LONG = 2**24  # pixels of a result that takes so long that people want to know how long


class Report:
    """Prints events, and keeps what --json says of them.

    Args:
        model: the one asked for.
        quiet: whether results are not printed line by line.
        to_stdout: whether the result itself goes to stdout, and what is said of it to stderr.
        does_rest: whether the same command, called again, does what is left.
    """

    def __init__(
        self, model: str, *, quiet: bool, to_stdout: bool = False, does_rest: bool = True
    ) -> None:
        self._model, self.quiet, self._to_stdout = model, quiet, to_stdout
        self._does_rest = does_rest and not to_stdout
        self._share = 0.0  # of all pixels
        self._before = self._failed = 0  # pictures: done before, and planned in vain
        self._left: int | None = None  # pictures that were not done, once it is cancelled
        self._left_out: dict[str, int] = {}
        self._results_left_out = 0
        self._used: dict[str, None] = {}  # models, in the order of their use
        self._backends: set[str] = set()
        self._results: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self._resumed: list[dict[str, Any]] = []
        self._skipped: tuple[PlannedPicture, ...] = ()
        self._places: dict[int, int] = {}  # of pictures among those planned, by id
        self._bar = ExitStack()
        self._show: console.Show | None = None
        self._name = ""

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.end_bar()

    def end_bar(self) -> None:
        """Take the bar from the terminal."""
        self._bar.close()

    def tell(self, event: Event) -> None:
        """Print what is to be said of an event."""
        match event:
            case Failed():
                self._fail(event)
            case LeftOut(counts, results):
                self._left_out, self._results_left_out = dict(counts), results
                console.note_left_out(counts)
                if results:
                    several = "1 result" if results == 1 else f"{results:,} results"
                    console.note(
                        f"sr4: left out {several} of earlier calls; named as a file, each is "
                        "enlarged again"
                    )
            case Skipped():
                self._skip(event)
            case Planned(pictures):
                self._places = {id(one): place for place, one in enumerate(pictures, start=1)}
            case ModelReady():
                self._open(event)
            case Started(pictures):
                self._name = self._named(pictures)
                if self._show is None:
                    self._show = self._bar.enter_context(console.shares("upscaling"))
                self._show(self._share, self._name, None)  # the first step of a large one is long
            case GoesOn(picture, share):
                self._resumed.append({"input": str(picture.source), "share": share})
                console.note(f"sr4: {picture.source}: goes on at {100 * share:.0f} %")
            case NotKept(picture, why):
                console.note(f"sr4: {picture.source}: {why}")
            case Advanced() if self._show is not None:
                self._share = event.share_of_all
                self._show(self._share, self._name, event.seconds_left)
            case Estimated():
                self._announce(event)
            case Done():
                self._finish(event)
            case Cancelled(pictures):
                self._left = len(pictures)

    def interrupted(self) -> str:
        """What is said of a call that was cancelled; nothing of one that had not begun."""
        total = self._before + len(self._places)
        if self._left is None or not total:
            return ""
        several = f"{total - self._left - self._failed:,} of {total:,} pictures are done"
        if total == 1:
            several = "the picture is not done"
        return f"{several}; the same command does the rest" if self._does_rest else several

    def summary(self) -> dict[str, Any]:
        """What --json prints; without a picture that could be tried there was no backend."""
        return {
            "model": " and ".join(self._used) or self._model,
            "backend": " and ".join(sorted(self._backends)) or None,
            "results": self._results,
            "done_before": [
                {"input": str(one.source), "output": str(one.output)} for one in self._skipped
            ],
            "failures": self.failures,
            **({"went_on": self._resumed} if self._resumed else {}),
            **({"left_out": self._left_out} if self._left_out else {}),
            **({"results_left_out": self._results_left_out} if self._results_left_out else {}),
        }

    def _fail(self, event: Failed) -> None:
        self.failures.append({"input": event.name, "error": event.error})
        self._failed += event.picture is not None
        console.fail(event.error if event.name in event.error else f"{event.name}: {event.error}")
        if os.environ.get("SR4_DEBUG") and not isinstance(event.cause, SR4Error | None):
            traceback.print_exception(event.cause)

    def _skip(self, event: Skipped) -> None:
        pictures = event.pictures
        self._skipped += pictures
        self._before += 0 if self._places else len(pictures)
        self._used |= dict.fromkeys(event.models)
        if not self.quiet:
            several = "1 picture was" if len(pictures) == 1 else f"{len(pictures):,} pictures were"
            if self._places and len(pictures) == 1:  # by another call, since this one began
                several = f"{pictures[0].source} was"
            console.note(f"sr4: {several} done before, in the same way")

    def _open(self, event: ModelReady) -> None:
        self._used[event.model] = None
        self._backends.add(event.backend)
        if self._model == AUTO and event.pictures:
            count = len(event.pictures)
            several = f"{count:,} pictures" if count > 1 else str(event.pictures[0].source)
            why = f"{_WHY[event.model]}; --model names another"
            if _might_be_faces(event):
                them = "them for faces" if count > 1 else "it for a face"
                why = (
                    f"{_WHY[event.model]}, as no clean face was recognised; --model sr4-fast takes "
                    f"{them}"
                )
            console.note(f"sr4: {event.model} for {several}: {why}")

    def _named(self, pictures: tuple[PlannedPicture, ...]) -> str:
        """What the bar calls pictures that are drawn together."""
        places, count = [self._places[id(one)] for one in pictures], len(self._places)
        if len(pictures) > 1:
            return f"pictures {min(places):,} to {max(places):,} of {count:,}"
        place = f", picture {places[0]:,} of {count:,}" if count > 1 else ""
        return f"{pictures[0].source}{place}"

    def _announce(self, event: Estimated) -> None:
        """How long a large picture will take."""
        (width, height), pixels = event.result_size, math.prod(event.result_size)
        if pixels >= _LONG and not self.quiet:
            console.note(
                f"sr4: {event.picture.source}: {event.size[0]}x{event.size[1]} -> "
                f"{width}x{height}, {pixels / 1e6:,.0f} megapixels, {console.about(event.seconds)}"
            )

    def _finish(self, event: Done) -> None:
        from sr4.pictures.formats import format_of  # not at the top: help needs no codecs

        record = event.record
        if self.quiet:  # else nobody asks for the summary, and results may be very many
            self._results.append(record.json())
        for text in record.notes:
            console.note(f"sr4: {record.input}: {text}")
        if not self.quiet:
            seconds = f"{record.seconds:.2f} s"
            if record.together > 1:
                seconds += f" each for {record.together} together"
            frames = f", {record.frames:,} frames" if record.frames > 1 else ""
            say, output = console.say, record.output
            if self._to_stdout:
                say, output = console.note, STDOUT
            picture = event.picture
            is_lossy = format_of(picture.output).is_lossy or picture.quality is not None
            loss = f" before the loss of {picture.output.suffix}" if is_lossy else ""
            say(
                f"{record.input} -> {output}  {record.size[0]}x{record.size[1]}{frames}, evidence "
                f"{record.evidence}, consistency {record.consistency:.3f}{loss}, {seconds} on "
                f"{record.backend}"
            )
            if record.legend is not None:
                say(f"{record.uncertainty} shows {record.legend.shows}")


def _might_be_faces(event: ModelReady) -> bool:
    """Whether all pictures that were taken for photographs have the size of faces."""
    from sr4.upscaling.choose import FACE_SIDES, model_for

    if event.model != model_for(is_face=False) or len(event.pictures) > _FEW:
        return False
    return all({*one.size} <= FACE_SIDES for one in event.pictures if one.size is not None)
