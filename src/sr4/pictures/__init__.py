"""Picture files of any mode and depth, with all that they carry: read, and written back."""

from sr4.pictures.fitting import losses
from sr4.pictures.metadata import NO_METADATA, Metadata, Provenance
from sr4.pictures.raster import Raster
from sr4.pictures.reading import (
    READ_SUFFIXES,
    Picture,
    decoded_bytes,
    natural_suffix,
    picture_of,
    read_frames,
    read_picture,
    read_provenance,
    read_size,
)
from sr4.pictures.writing import SUFFIXES as WRITE_SUFFIXES
from sr4.pictures.writing import (
    check_output,
    check_quality,
    check_sides,
    encode_picture,
    has_quality,
    holds_provenance,
    write_image,
    write_picture,
)

__all__ = [
    "NO_METADATA",
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "Metadata",
    "Picture",
    "Provenance",
    "Raster",
    "check_output",
    "check_quality",
    "check_sides",
    "decoded_bytes",
    "encode_picture",
    "has_quality",
    "holds_provenance",
    "losses",
    "natural_suffix",
    "picture_of",
    "read_frames",
    "read_picture",
    "read_provenance",
    "read_size",
    "write_image",
    "write_picture",
]
