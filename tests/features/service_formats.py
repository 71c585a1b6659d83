"""What schemathesis sends as a picture: half of the time one, since no schema says what is one."""

from __future__ import annotations

import base64
import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def _encoded(kind: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(file, kind)
    return file.getvalue()


_PICTURES = [_encoded("PNG", 8, 8), _encoded("JPEG", 9, 7), _encoded("GIF", 16, 16)]
_FILES = st.sampled_from(_PICTURES) | st.binary(max_size=100)
schemathesis.openapi.format("binary", _FILES)
schemathesis.openapi.format("byte", _FILES.map(lambda data: base64.b64encode(data).decode()))
