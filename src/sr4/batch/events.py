"""What a worker tells, one event at a time, in the order in which it happens.

A call begins with `Failed` for what cannot be planned, `LeftOut`, `Skipped` and `Planned`,
and a `ModelReady` for each model. Then come `Started`, `GoesOn`, `NotKept`, `Advanced` and
`Estimated` of pictures that are being drawn, between them `Done` or `Failed` of each picture, or
`Skipped` where another call was faster, in the order of the plan. A cancelled call ends with
`Cancelled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.batch.record import ResultRecord


@dataclass(frozen=True)
class Planned:
    """The pictures that will be upscaled."""

    pictures: tuple[PlannedPicture, ...]


@dataclass(frozen=True)
class Skipped:
    """Pictures that another call has done in the same way; nothing is left to do.

    Attributes:
        models: the names or folders of those that they went through.
    """

    pictures: tuple[PlannedPicture, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """Files of folders that are left out.

    Attributes:
        counts: how many, by suffix, since nothing reads them.
        results: how many, since they are results of earlier calls.
    """

    counts: Mapping[str, int]
    results: int = 0


@dataclass(frozen=True)
class ModelReady:
    """A model is loaded.

    Attributes:
        model: its name or folder.
        backend: the runtime that it runs on.
        pictures: those that will go through it, but for what cannot be read.
    """

    model: str
    backend: str
    pictures: tuple[PlannedPicture, ...]


@dataclass(frozen=True)
class Started:
    """Pictures begin to be drawn.

    Attributes:
        pictures: one, or small ones that go through the network together.
    """

    pictures: tuple[PlannedPicture, ...]


@dataclass(frozen=True)
class GoesOn:
    """A large picture goes on where a call that was stopped has left it.

    Attributes:
        share: of its pixels that need not be drawn again, from 0 to 1.
    """

    picture: PlannedPicture
    share: float


@dataclass(frozen=True)
class NotKept:
    """What is drawn of a large picture cannot be kept for the case that the call is stopped.

    Attributes:
        why: in one line.
    """

    picture: PlannedPicture
    why: str


@dataclass(frozen=True)
class Advanced:
    """A sampling step, or a band of a large result, was drawn.

    Attributes:
        pictures: those of `Started`.
        share: of the pixels of these pictures, from 0 to 1.
        share_of_all: of the pixels of the whole call, from 0 to 1.
        seconds_left: of the whole call; None where that is not known yet.
        preview: a WebP file of what there is of a picture that is drawn alone, of at most 64 kB and
            768 pixels along its longer side, transparent where there is nothing yet; None where
            nobody wants one, or none is due.
    """

    pictures: tuple[PlannedPicture, ...]
    share: float
    share_of_all: float
    seconds_left: float | None
    preview: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Estimated:
    """How long a picture that is drawn alone will take; told once, as soon as that is known.

    Attributes:
        size: its width and height; result_size: those of its result.
        seconds: of drawing, from its start to its end.
    """

    picture: PlannedPicture
    size: tuple[int, int]
    result_size: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Done:
    """A picture is upscaled, and all its files are written.

    Attributes:
        record: what is to be said of the result.
        files: of a picture in memory, the bytes of each file by the name that was planned.
    """

    picture: PlannedPicture
    record: ResultRecord
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Failed:
    """A picture could not be done; the others are.

    Attributes:
        name: the picture, or the input that names none.
        error: why, in one line.
        cause: what was raised.
        picture: the one that was planned, where it got that far.
    """

    name: str
    error: str
    cause: BaseException | None = None
    picture: PlannedPicture | None = None


@dataclass(frozen=True)
class Cancelled:
    """The call was cancelled.

    Attributes:
        pictures: those of which nothing was written.
    """

    pictures: tuple[PlannedPicture, ...]


Event = (
    Planned
    | LeftOut
    | Skipped
    | ModelReady
    | Started
    | GoesOn
    | NotKept
    | Advanced
    | Estimated
    | Done
    | Failed
    | Cancelled
)
