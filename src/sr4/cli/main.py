"""The `sr4` program: its commands, and what becomes of errors.

Nothing heavy is imported here or at the top of a command's module, so that help comes at once.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sr4._version import __version__
from sr4.cli import (
    ablate,
    bench,
    compare,
    console,
    data,
    distill,
    evaluate,
    export,
    import_,
    models,
    plot,
    serve,
    train,
    upscale,
)
from sr4.cli.options import examples
from sr4.errors import SR4Error, UsageError, nearest, nearest_option
from sr4.machine.memory import keep_freed_memory
from sr4.machine.processors import bound_libraries

INTERRUPTED = 130  # as shells report a program that Ctrl-C ended
# Commands that compute in PyTorch for long, with arrays of megabytes that come and go.
_COMPUTES = ("train", "distill", "evaluate", "ablate")

# What the parser raises. typer exports no more than this class of the family; which package the
# others live in depends on typer's version.
_ParserError: type[Exception] = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """A group of commands that shows its help when it is called without one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands:
            raise UsageError(f"unknown command {args[0]!r}: {nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def _group(**settings: Any) -> typer.Typer:
    # Rich's help would take longer to load than all the rest.
    return typer.Typer(cls=_Commands, rich_markup_mode=None, add_completion=False, **settings)


app = _group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "sr4 upscale face.png",
        "sr4 train sr4-fast --data photos/ --out runs/mine",
        "sr4 evaluate --model runs/mine --data test/",
    ),
)
app.command(epilog=upscale.EXAMPLES)(upscale.upscale)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=distill.EXAMPLES)(distill.distill)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=compare.EXAMPLES)(compare.compare)
app.command(epilog=ablate.EXAMPLES)(ablate.ablate)
app.command(epilog=bench.EXAMPLES)(bench.bench)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.command("import", epilog=import_.EXAMPLES)(import_.import_)
data_app = _group(help="Prepare training pictures; look at a source of them.")
data_app.command(epilog=data.PREPARE_EXAMPLES)(data.prepare)
data_app.command(epilog=data.INFO_EXAMPLES)(data.info)
app.add_typer(data_app, name="data", epilog=data.PREPARE_EXAMPLES)
plot_app = _group(help="Plot schedules, runs, samplings and ablations.")
plot_app.command(epilog=plot.SCHEDULES_EXAMPLES)(plot.schedules)
plot_app.command(epilog=plot.RUN_EXAMPLES)(plot.run)
plot_app.command(epilog=plot.PROCESS_EXAMPLES)(plot.process)
plot_app.command(epilog=plot.ABLATION_EXAMPLES)(plot.ablation)
app.add_typer(plot_app, name="plot", epilog=plot.SCHEDULES_EXAMPLES)
app.command(epilog=models.MODELS_EXAMPLES)(models.models)
app.command(epilog=models.INFO_EXAMPLES)(models.info)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"sr4 {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Super-resolution with conditional diffusion models.

    Every command, and each of those of data and plot, takes --json, which prints one JSON object on
    stdout. Exit codes: 0 all done, 1 something failed (each failure is named on stderr, the rest is
    done), 2 wrong usage, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the command line, that of this process by default.

    Returns:
        The exit code: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        bound_libraries()
        if words and words[0] in _COMPUTES:
            keep_freed_memory()
    try:
        return _run(words)
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:  # the reader of our output has left, say `head`
        console.abandon_stdout()
        return 1
    except KeyboardInterrupt as stop:
        console.note(f"sr4: interrupted{f': {stop}' if str(stop) else ''}")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, people get one line
        if os.environ.get("SR4_DEBUG"):
            traceback.print_exc()
        message, code = _explain(error)
        console.fail(message)
        if "--json" in words:
            with suppress(OSError):  # it may be stdout that failed
                console.say_json({"error": message})
        console.abandon_stdout()
        return code


def _run(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names and signs that it cannot encode
    with warnings.catch_warnings():
        shown: set[str] = set()

        def show(message: Warning | str, *_where: Any, **_more: Any) -> None:
            """Each message once: a schedule, say, is built for training and for validation."""
            if str(message) not in shown:
                shown.add(str(message))
                console.note(f"sr4: warning: {message}")

        warnings.showwarning = show
        with get_command(app).make_context("sr4", words) as context:
            return context.command.invoke(context) or 0


def _explain(error: Exception) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, SR4Error):
        return str(error), error.exit_code
    if isinstance(error, _ParserError):
        return _explain_parsing(error), UsageError.exit_code
    if isinstance(error, OSError):
        return f"the system refuses: {error}; expected readable inputs and a writable output", 1
    name = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"unexpected {name}; this is a bug in sr4: run the command again with SR4_DEBUG=1 in the "
        "environment and report the traceback that it shows"
    ), 1


def _explain_parsing(error: Any) -> str:
    context = error.ctx
    program = context.command_path if context is not None else "sr4"
    option = getattr(error, "option_name", None) or ""
    if type(error).__name__ == "NoSuchOption" and context is not None and option.startswith("--"):
        known = [
            name
            for parameter in context.command.get_params(context)
            for name in (*parameter.opts, *parameter.secondary_opts)
            if name.startswith("--")
        ]
        return f"unknown option {option!r} of `{program}`: {nearest_option(option, known)}"
    refused = getattr(error.__cause__, "errors", None)  # by pydantic, which typer asks
    got = "" if refused is None else repr(refused()[0]["input"])
    expected = _expected_number(getattr(error, "param", None))
    if got and expected:
        return f"got {error.param.opts[-1]} {got}; expected {expected}"
    message = " ".join(error.format_message().split()).rstrip(".")
    told = f" (got {got})" if got else ""
    return f"{message[0].lower()}{message[1:]}{told}: see `{program} --help`"


def _expected_number(parameter: Any) -> str:
    """What an option that takes a number expects; nothing of others."""
    described: Any = getattr(parameter, "type_descriptor", None)
    kind = getattr(described, "annotation", None)
    if kind not in (int, float):
        return ""
    what = "a whole number" if kind is int else "a number"
    least, most = described.parameter_info.min, described.parameter_info.max
    if least is not None and most is not None:
        return f"{what} from {least} to {most}"
    if least is not None:
        return f"{what} of at least {least}"
    return what if kind is int else f"{what} such as 1.5"
