"""A picture on its way through the service, and what has become of it so far."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sr4.serve.problems import Problem, problem_of

if TYPE_CHECKING:
    from sr4.batch.events import Done, Failed
    from sr4.batch.options import UpscaleOptions
    from sr4.batch.plan import PlannedPicture

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_numbers = itertools.count()


@dataclass(eq=False)
class Ticket:
    """A picture that was admitted.

    Attributes:
        planned: the picture, in memory until it is drawn; options: what is to be done with it.
        model: the one it goes through.
        size: its width and height by its header; result_size: those of its result.
        frames: how many it has.
        pixels: that are drawn for it.
        is_small: whether it is drawn with others, before larger ones.
        share, seconds_left: how far it is; the share goes from 0 to 1, and the seconds are None
            where they are not known.
        result: of the picture, or the Problem that it met; cancelled when nobody wants it.
        number: larger than those of earlier tickets.
        is_watched: whether somebody looks on while it is drawn.
        preview: what there is of it, as `sr4.batch.events.Advanced` has it, until it is settled;
            previews: how many there were.
    """

    planned: PlannedPicture
    options: UpscaleOptions
    model: str
    size: tuple[int, int]
    result_size: tuple[int, int]
    frames: int
    pixels: int
    is_small: bool
    share: float = 0.0
    seconds_left: float | None = None
    is_started: bool = False
    result: Future[Done] = field(default_factory=Future)
    number: int = field(default_factory=lambda: next(_numbers))
    is_watched: bool = False
    preview: bytes | None = field(default=None, repr=False)
    previews: int = 0

    @property
    def is_job(self) -> bool:
        """Whether an answer that is the result alone would not do: for a large picture, and where
        more samples are asked for, or a map, which only jobs can be asked for.
        """
        samples = () if self.options.use_mean else self.planned.samples[1:]
        return not self.is_small or bool(samples) or self.planned.uncertainty is not None

    @property
    def state(self) -> State:
        """What has become of it."""
        if self.result.cancelled():
            return "cancelled"
        if self.result.done():
            return "done" if self.result.exception() is None else "failed"
        return "running" if self.is_started else "waiting"

    @property
    def goes_with(self) -> object:
        """Equal for pictures that can be drawn in one call, and gain by it."""
        alone = None if self.is_small and self.frames == 1 else self.number
        return self.options, self.model, self.size, alone

    @property
    def problem(self) -> Problem | None:
        """Why there is no result, once that is known."""
        error = self.result.exception() if self.state == "failed" else None
        return error if isinstance(error, Problem) else None

    def cancel(self) -> bool:
        """Give the picture up; False where it is settled already."""
        return self.result.cancel()

    def advance(
        self, share: float, seconds_left: float | None, preview: bytes | None = None
    ) -> None:
        """Keep how far it is, and what there is of it where that is told."""
        self.is_started, self.share, self.seconds_left = True, share, seconds_left
        if preview is not None:
            self.preview, self.previews = preview, self.previews + 1

    def finish(self, event: Done) -> None:
        """Keep the result, unless the ticket is settled already."""
        self.share, self.seconds_left, self.preview = 1.0, 0.0, None
        with suppress(InvalidStateError):
            self.result.set_result(replace(event, picture=event.picture.without_data))

    def fail(self, error: BaseException | Failed) -> None:
        """Keep why there is none, likewise."""
        problem = (
            problem_of(error)
            if isinstance(error, BaseException)
            else problem_of(error.cause, error.error)
        )
        self.preview = None
        with suppress(InvalidStateError):
            self.result.set_exception(problem)

    def forget_picture(self) -> None:
        """Let its bytes go, once nobody draws it any more."""
        self.planned = self.planned.without_data
