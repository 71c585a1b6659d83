"""A labelled picture that shows pictures side by side, drawn with Pillow alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from sr4.errors import UsageError

_PAPER, _INK, _PALE, _EDGE = (255, 255, 255), (24, 24, 27), (113, 113, 122), (222, 222, 226)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def comparison_picture(
    rows: Sequence[Mapping[str, Image.Image]],
    *,
    captions: Sequence[Mapping[str, str]] = (),
    height: int = 256,
) -> Image.Image:
    """One picture with a row for each mapping and a labelled column for each of its keys.

    Pictures of a row are enlarged to a common height by repeating pixels, so that a low-res one
    shows the pixels it has. That height is the tallest one's, times the whole number that brings it
    nearest to `height`.

    Args:
        rows: from column label to picture; all with the labels of the first row, which gives the
            order.
        captions: for each row, from column label to a line of text below that picture. Labels and
            whole rows may be missing.
        height: of a row in pixels, about.

    Returns:
        RGB, ready for `sr4.pictures.write_image`.
    """
    labels = _labels(rows)
    cells = [[_enlarge(row[label], _row_height(row, height)) for label in labels] for row in rows]
    widths = [max(row[column].width for row in cells) for column in range(len(labels))]

    text = max(12, round(height / 14))
    large, small = _font(text), _font(round(text * 0.8))
    margin, gap, line = round(text * 1.4), round(text * 0.7), round(text * 1.5)
    below = line if any(captions) else 0
    size = (
        sum(widths) + gap * (len(widths) - 1) + 2 * margin,
        2 * margin + line + sum(row[0].height + below + gap for row in cells) - gap,
    )
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)

    lefts = [margin + sum(widths[:column]) + gap * column for column in range(len(widths))]
    for label, left, width in zip(labels, lefts, widths, strict=True):
        _write(draw, (left + width // 2, margin), label, width, large, _INK)
    top = margin + line
    for index, row in enumerate(cells):
        notes = captions[index] if index < len(captions) else {}
        bottom = top + row[0].height
        for label, left, width, cell in zip(labels, lefts, widths, row, strict=True):
            start = left + (width - cell.width) // 2
            draw.rectangle((start - 1, top - 1, start + cell.width, bottom), outline=_EDGE)
            canvas.paste(cell, (start, top))
            middle = (left + width // 2, bottom + round(text * 0.3))
            _write(draw, middle, notes.get(label, ""), width, small, _PALE)
        top = bottom + below + gap
    return canvas


def _labels(rows: Sequence[Mapping[str, Image.Image]]) -> list[str]:
    if not rows or not rows[0]:
        raise UsageError("got no pictures to compare; expected at least one row with one picture")
    labels = list(rows[0])
    for row in rows:
        if set(row) != set(labels):
            raise UsageError(
                f"got a row with the columns {', '.join(row)}; expected those of the first row: "
                f"{', '.join(labels)}"
            )
    return labels


def _row_height(row: Mapping[str, Image.Image], height: int) -> int:
    tallest = max(picture.height for picture in row.values())
    return tallest * max(1, round(height / tallest))


def _enlarge(picture: Image.Image, height: int) -> Image.Image:
    width = max(1, round(picture.width * height / picture.height))
    return picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)


def _font(size: int) -> Font:
    return ImageFont.load_default(size)  # comes with Pillow


def _write(
    draw: ImageDraw.ImageDraw,
    top_middle: tuple[int, int],
    text: str,
    width: int,
    font: Font,
    colour: tuple[int, int, int],
) -> None:
    """One centred line, shortened at its end until it fits the width."""
    shown = " ".join(text.replace("×", "x").split())  # a sign that Pillow's font lacks
    while shown and draw.textlength(shown, font) > width:
        shown = shown.rstrip("…")[:-1].rstrip() + "…" if len(shown) > 1 else ""
    draw.text(top_middle, shown, colour, font, anchor="ma")
