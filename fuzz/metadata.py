"""What camera files say, before and after an upscale, by two readers of others.

    python fuzz/metadata.py MODEL [FILE...]

Needs exiftool (a program) and exifread (a package), neither of which sr4 has anything of. Files are
generated, with each orientation, in each format; others may be given beside them.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import exifread
import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

import sr4

_KEPT = (
    "Make", "Model", "DateTime", "DateTimeOriginal", "ExposureTime", "FNumber", "ISOSpeedRatings",
    "FocalLength", "LensModel", "Artist", "Copyright", "GPSLatitude", "GPSLongitude",
    "InteroperabilityIndex",
)  # fmt: skip
_BY_EXIFTOOL = {
    "DateTime": "ModifyDate",
    "ISOSpeedRatings": "ISO",
    "InteroperabilityIndex": "InteropIndex",
}
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


def generated(folder: Path) -> Iterator[Path]:
    """Forty files: eight orientations in each of five formats, with profiles and resolutions."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind, (suffix, form) in enumerate(_FORMATS.items()):
        for orientation in range(1, 9):
            number = 8 * kind + orientation
            random = np.random.default_rng(number)
            coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
            picture = coarse.resize((30, 22), Image.Resampling.BICUBIC)
            options: dict[str, Any] = {"exif": _exif(orientation, number)}
            if number % 3:
                options["icc_profile"] = profile
            if number % 4:
                options["dpi"] = ((72, 240, 300)[number % 3],) * 2
            path = folder / f"{number:02}-{orientation}{suffix}"
            picture.save(path, form, **options)
            yield path


def _exif(orientation: int, number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "Maker", f"Model {number}"
    exif[0x0132], exif[0x013B], exif[0x8298] = "2026:01:02 03:04:05", "Somebody", "Theirs"
    exif.get_ifd(0x8769).update(
        {
            0x9003: "2025:12:31 23:59:58",
            0x829A: IFDRational(1, 100 + number),
            0x829D: IFDRational(28, 10),
            0x8827: 100 * number,
            0x920A: IFDRational(35, 1),
            0xA434: "Lens 35 mm",
        }
    )
    exif.get_ifd(0x8825).update(
        {1: "N", 2: (47.0, float(number), 12.5), 3: "E", 4: (8.0, 30.0, float(number))}
    )
    return exif


def by_exiftool(path: Path) -> dict[str, Any]:
    """What exiftool says of a file."""
    words = ["exiftool", "-j", "-n", "-a", "-G0", str(path)]
    said = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)[0]
    plain = {key.partition(":")[2]: value for key, value in said.items() if ":" in key}
    # What a format says by itself goes before what its EXIF says, as programs that print have it.
    own = {
        key.partition(":")[2]: value for key, value in said.items() if key[:4] in ("JFIF", "PNG:")
    }
    unit = own.get("ResolutionUnit", plain.get("ResolutionUnit", 2))
    dots = own.get("XResolution", plain.get("XResolution"))
    if "PixelsPerUnitX" in own:
        dots = own["PixelsPerUnitX"] * 0.0254
    elif dots is not None and unit == (2 if "ResolutionUnit" in own else 3):  # centimetres
        dots *= 2.54
    words = ["exiftool", "-icc_profile", "-b", str(path)]
    return {
        "orientation": plain.get("Orientation", 1),
        "profile": subprocess.run(words, capture_output=True, check=True).stdout,
        "dots": None if dots is None or unit == 0 else float(dots),
        "size": tuple(map(int, said["Composite:ImageSize"].split())),
        **{name: plain.get(_BY_EXIFTOOL.get(name, name)) for name in _KEPT},
    }


def by_exifread(path: Path) -> dict[str, Any]:
    """What exifread says of a file; it knows nothing of profiles."""
    tags = exifread.process_file(io.BytesIO(path.read_bytes()), details=False)
    plain = {key.partition(" ")[2]: value for key, value in tags.items() if key[:5] != "Thumb"}
    dots = plain.get("XResolution")
    return {
        "orientation": plain["Orientation"].values[0] if "Orientation" in plain else 1,
        "dots": None if dots is None else float(Fraction(str(dots))),
        **{name: str(plain[name]) if name in plain else None for name in _KEPT},
    }


def wrong(before: Mapping[str, Any], after: Mapping[str, Any], scale: int) -> list[str]:
    """What a result should say and does not."""
    expected = dict(before) | {"orientation": 1}
    if before["dots"] is not None:
        expected["dots"] = scale * before["dots"]
    if "size" in before:
        size = before["size"][:: -1 if before["orientation"] > 4 else 1]
        expected["size"] = tuple(scale * side for side in size)
    found = []
    for name, value in expected.items():
        same = after[name] == value
        if name == "dots" and value is not None and after[name] is not None:
            same = abs(after[name] - value) < 0.02 * value  # JFIF and PNG hold whole numbers
        if not same and not (name == "dots" and value is None):
            found.append(f"{name}: {str(value)[:60]!r} became {str(after[name])[:60]!r}")
    return found


def main() -> int:
    """Exit code 1 if any file says other things than before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or folder")
    parser.add_argument("files", type=Path, nargs="*")
    options = parser.parse_args()
    problems = count = values = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = sr4.load(options.model)
        for path in (*generated(folder), *options.files):
            made = folder / f"made-{path.name}"
            words = ["upscale", path, "-o", made, "--model", options.model, "--json"]
            command = [sys.executable, "-m", "sr4", *map(str, words)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            count += 1
            for reader in (by_exiftool, by_exifread):
                before = reader(path)
                values += sum(value is not None and value != b"" for value in before.values())
                for line in wrong(before, reader(made), model.scale):
                    problems += 1
                    print(f"{path.name}, {reader.__name__}: {line}")
    print(f"{count} files, {values} values, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
