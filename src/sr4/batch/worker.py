"""The worker: planned pictures and options in, events out. It prints nothing.

While the network works on some pictures, one thread reads the next ones and another writes the
ones before; the events come in the thread of whoever iterates over them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

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
from sr4.batch.in_work import InWork, forget_frames, groups, read, write
from sr4.batch.options import UpscaleOptions, count_draws, read_stages
from sr4.batch.outputs import made_by_now
from sr4.batch.pace import Meter, Portion
from sr4.batch.pipelines import Pipelines
from sr4.batch.preview import Previews
from sr4.batch.provenance import made_before, unfinished_key
from sr4.batch.record import record_of
from sr4.files.unfinished import UnfinishedFile, discard, unfinished_path
from sr4.upscaling.thresholds import LARGE

if TYPE_CHECKING:
    from sr4.batch.plan import Plan, PlannedPicture
    from sr4.diffusion.samplers import Step
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.pipeline import Pipeline

_T = TypeVar("_T")

CHUNK = 16  # samples drawn before the next pictures are written
_CHUNK_BYTES = 2**26  # that the results of pictures drawn before that take
_HUGE_BYTES = 2**30  # of one that is drawn only once the one before has left the memory


def upscale_pictures(
    plan: Plan,
    options: UpscaleOptions,
    pipelines: Pipelines,
    *,
    overwrite: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
    wants_preview: Callable[[PlannedPicture], bool] = lambda _: False,
) -> Iterator[Event]:
    """Upscale planned pictures; see `sr4.batch.events` for what is told and when.

    Whatever goes wrong with a picture costs that picture. At any time at most two chunks of results
    are in memory: small pictures up to a number of bytes, or a single large one.

    Args:
        plan: of files (`plan_pictures`), or of a picture in memory (`plan_in_memory`).
        options: of all pictures.
        pipelines: the models.
        overwrite: whether existing outputs are replaced.
        is_cancelled: asked in any thread, between pictures, sampling steps and bands, and before
            each evaluation of a network. Once it is true nothing more is drawn; what is drawn is
            still written.
        wants_preview: asked after each step or band, in another thread, whether somebody looks on
            at a picture; at most once a second its `Advanced` comes with a preview then.

    Raises:
        UsageError: an option that is impossible with a model.
        ModelError: a model cannot be loaded.
    """
    yield from found_by_planning(plan)
    skipped = tuple(picture for picture in plan.pictures if picture.is_done)
    if skipped:
        models = dict.fromkeys(options.model_for(picture) for picture in skipped)
        for picture in skipped:  # killed after the result was written
            discard(unfinished_path(picture.output))
        yield Skipped(skipped, tuple(models))
    pictures = tuple(picture for picture in plan.pictures if not picture.is_done)
    if not pictures:
        return
    yield Planned(pictures)
    opened: dict[str, Pipeline | CascadePipeline] = {}
    by_model: dict[str, list[PlannedPicture]] = {}
    for picture in pictures:
        by_model.setdefault(options.model_for(picture), []).append(picture)
    for model, own in by_model.items():
        sizes = [picture.size for picture in own]
        draws = options.samples * count_draws(sizes, read_stages(model), CHUNK)
        opened[model] = pipelines.get(model, draws)
        opened[model].check_options(options.steps, options.sampler, options.tile, options.detail)
        there = tuple(one for one, size in zip(own, sizes, strict=True) if size is not None)
        yield ModelReady(model, opened[model].backend, there)
    previews = Previews(wants_preview)
    yield from _Work(options, opened, overwrite, is_cancelled, previews).on(pictures)


def found_by_planning(plan: Plan) -> Iterator[Event]:
    """What is told of a plan before anything is computed."""
    yield from (Failed(failure.input, failure.error) for failure in plan.failures)
    if plan.left_out or plan.results:
        yield LeftOut(plan.left_out, plan.results)


class _Stopped(Exception):
    """Drawing ends because the call is cancelled."""


class _Work:
    """One call's way through the threads."""

    def __init__(
        self,
        options: UpscaleOptions,
        opened: dict[str, Pipeline | CascadePipeline],
        overwrite: bool,
        is_cancelled: Callable[[], bool],
        previews: Previews,
    ) -> None:
        from sr4.batch.stopping import asking

        self._options, self._overwrite, self._is_cancelled = options, overwrite, is_cancelled
        self._previews = previews
        self._opened = {model: asking(one, self._check) for model, one in opened.items()}
        self._is_left = threading.Event()  # by whoever iterated over the events
        self._told: SimpleQueue[Event | None] = SimpleQueue()
        self._settled: set[int] = set()  # pictures that are done or have failed, by id

    def on(self, pictures: Sequence[PlannedPicture]) -> Iterator[Event]:
        """Upscale pictures, in their order."""
        self._meter = Meter(sum(map(self._weight, pictures)))
        with (
            ThreadPoolExecutor(1, "sr4-read") as reader,
            ThreadPoolExecutor(1, "sr4-draw") as drawer,
            ThreadPoolExecutor(1, "sr4-write") as writer,
        ):
            try:
                yield from self._pass_through(pictures, reader, drawer, writer)
            finally:
                self._is_left.set()
        left = tuple(one for one in pictures if id(one) not in self._settled)
        if left:
            yield Cancelled(left)

    def _pass_through(
        self,
        pictures: Sequence[PlannedPicture],
        reader: ThreadPoolExecutor,
        drawer: ThreadPoolExecutor,
        writer: ThreadPoolExecutor,
    ) -> Iterator[Event]:
        chunks = self._chunks(pictures)
        written: Future[None] | None = None
        error: BaseException | None = None
        ahead = reader.submit(next, chunks, None)
        while (chunk := (yield from self._events_until(ahead)).result()) is not None:
            ahead = reader.submit(next, chunks, None)
            if written is not None and max(one.result_bytes for one in chunk) > _HUGE_BYTES:
                yield from self._events_until(written)
            drawn = yield from self._events_until(drawer.submit(self._draw_chunk, chunk))
            if written is not None:
                (yield from self._events_until(written)).result()
            error = drawn.exception()
            if error is None or isinstance(error, _Stopped):
                written = writer.submit(self._write_chunk, chunk)
            if error is not None:
                break
        if written is not None:
            (yield from self._events_until(written)).result()
        if error is not None and not isinstance(error, _Stopped):
            raise error

    def _events_until(self, future: Future[_T]) -> Generator[Event, None, Future[_T]]:
        """What the threads tell until one has done something."""
        future.add_done_callback(lambda _: self._told.put(None))
        while (event := self._told.get()) is not None:
            yield event
        return future

    def _must_stop(self) -> bool:
        return self._is_left.is_set() or self._is_cancelled()

    def _weight(self, picture: PlannedPicture) -> int:
        return self._options.pixels_drawn(self._options.model_for(picture), picture.size)

    def _pixels(self, one: InWork) -> int:
        """Those of its result, or that are drawn last for it, if they are more."""
        assert one.picture is not None
        drawn = self._options.pixels_drawn_last(one.model, one.picture.frames[0].size)
        return max(drawn, math.prod(one.result_size))

    # The reader's thread

    def _chunks(self, pictures: Sequence[PlannedPicture]) -> Iterator[list[InWork]]:
        """What is read, drawn and written at a time: some small pictures, or a large one."""
        most = max(1, CHUNK // self._options.samples)
        chunk: list[InWork] = []
        held = 0
        for picture in pictures:
            if self._must_stop():
                return
            one = self._read(picture)
            is_large = one.picture is not None and self._pixels(one) > LARGE
            if chunk and (is_large or held + one.result_bytes > _CHUNK_BYTES):
                yield chunk
                chunk, held = [], 0
            chunk.append(one)
            held += one.result_bytes
            if is_large or len(chunk) == most:
                yield chunk
                chunk, held = [], 0
        if chunk:
            yield chunk

    def _read(self, picture: PlannedPicture) -> InWork:
        """A picture as it is read, unless other calls have made its files meanwhile."""
        one = InWork(picture, self._options.model_for(picture), made=picture.made)
        try:
            if picture.to_files and not self._overwrite:
                one.made = made_by_now(picture, partial(made_before, options=self._options))
        except Exception as error:  # noqa: BLE001 - as what reading raises
            one.fail("read", error)
            return one
        if one.is_made:
            return one
        return replace(read(picture, self._options, self._opened[one.model]), made=one.made)

    # The drawer's thread

    def _draw_chunk(self, chunk: Sequence[InWork]) -> None:
        for one in chunk:
            if one.picture is None:  # it cannot be read, or need not be
                self._meter.finish(self._weight(one.planned))
        for group in groups(chunk):
            pictures = tuple(one.planned for one in group)
            portion = self._portion(group)
            self._check()
            self._told.put(Started(pictures))
            self._keep(group, portion)
            self._draw(group, partial(self._after_step, portion, group))
            share, of_all, left, _ = self._meter.finish(portion.weight)
            self._told.put(Advanced(pictures, share, of_all, left))

    def _check(self) -> None:
        if self._must_stop():
            raise _Stopped

    def _portion(self, group: Sequence[InWork]) -> Portion:
        """The work of pictures that go through a network together."""
        channels = self._opened[group[0].model].first_config.channels
        pixels, draws = 0, 1
        for one in group:
            assert one.picture is not None
            for frame in one.picture.frames:
                draws = -(-frame.pixels.shape[2] // channels)
                pixels += draws * self._options.pixels_drawn(one.model, frame.size)
        return Portion(
            weight=sum(self._weight(one.planned) for one in group),
            pixels=max(1, pixels),
            factors=_factors(group, self._options),
            draws=draws * self._options.samples,
        )

    def _keep(self, group: Sequence[InWork], portion: Portion) -> None:
        """Have what is drawn of a large picture kept, for the case that the call is stopped."""
        one = group[0]
        pixels, pictures = math.prod(one.result_size), (one.planned,)
        if not one.planned.to_files or len(one.evidences) > 1 or self._pixels(one) <= LARGE:
            return

        def goes_on(share: float) -> None:
            drawn = pixels * portion.factors[one.result_size[0]] * portion.draws
            found = self._meter.skip(portion, share * drawn)
            self._told.put(GoesOn(one.planned, found.share))
            self._told.put(Advanced(pictures, found.share, found.share_of_all, None))

        said, backend = one.provenance[one.planned.output], self._opened[one.model].backend
        one.unfinished = UnfinishedFile(
            one.planned.output,
            unfinished_key(said, self._options.samples, backend),
            goes_on=goes_on,
            tell=lambda why: self._told.put(NotKept(one.planned, why)),
        )

    def _after_step(self, portion: Portion, group: Sequence[InWork], step: Step) -> None:
        self._check()
        share, of_all, left, seconds = self._meter.step(portion, step)
        preview = self._previews.of(group, step) if share < 1 else None
        self._told.put(Advanced(tuple(one.planned for one in group), share, of_all, left, preview))
        sizes = [frame.size for one in group if one.picture for frame in one.picture.frames]
        if seconds is not None and len(sizes) == 1:
            self._told.put(Estimated(group[0].planned, sizes[0], group[0].result_size, seconds))

    def _draw(self, group: Sequence[InWork], on_step: Callable[[Step], None]) -> None:
        """Draw pictures together; where that fails one by one, to find the culprit."""
        frames = [frame for one in group if one.picture for frame in one.picture.frames]
        evidences = [evidence for one in group for evidence in one.evidences]
        options = {**self._options.for_pipeline(), "evidence": evidences, "on_step": on_step}
        if len(group) == 1:
            options["unfinished"] = group[0].unfinished
        began = time.perf_counter()
        try:
            results = iter(self._opened[group[0].model].upscale(frames, **options))
        except _Stopped:
            for one in group:
                one.stop()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs one picture
            if len(group) == 1:
                group[0].fail("upscaled", error)
            else:
                forget_frames(error)
                for one in group:
                    self._draw([one], on_step)
            return
        seconds = (time.perf_counter() - began) / len(group)
        for one in group:
            one.results = [next(results) for _ in one.evidences]
            one.seconds, one.together = seconds, len(group)

    # The writer's thread

    def _write_chunk(self, chunk: Sequence[InWork]) -> None:
        """Write what was drawn and tell what came of each picture; results leave the memory."""
        for one in chunk:
            if not one.results and one.error is None and not one.is_made:
                continue  # cancelled before it was drawn
            event = self._written(one)
            one.let_go()
            self._settled.add(id(one.planned))
            self._told.put(event)

    def _written(self, one: InWork) -> Done | Failed | Skipped:
        if one.error is None and not one.is_made:
            try:
                files, losses = write(one, overwrite=self._overwrite)
                record = record_of(
                    one.planned,
                    one.results,
                    model=one.model,
                    backend=self._opened[one.model].backend,
                    seconds=one.seconds,
                    together=one.together,
                    losses=losses,
                    provenance=one.provenance,
                )
                if not one.is_made:
                    return Done(one.planned, record, files)
            except Exception as error:  # noqa: BLE001 - whatever an encoder raises, likewise
                one.fail("written", error)
        if one.is_made:
            discard(unfinished_path(one.planned.output))
            return Skipped((one.planned,), (one.model,))
        return Failed(str(one.planned.source), one.reason, one.error, one.planned)


def _factors(group: Sequence[InWork], options: UpscaleOptions) -> dict[int, float]:
    """Pixels that are drawn last for each of the results, by the width of these, on average: bands
    are those of results, which may have another size than what is drawn for them.
    """
    drawn, own = Counter[int](), Counter[int]()
    for one in group:
        assert one.picture is not None
        width = one.result_size[0]
        drawn[width] += options.pixels_drawn_last(one.model, one.picture.frames[0].size)
        own[width] += math.prod(one.result_size)
    return {width: drawn[width] / own[width] for width in own}
