"""Train what tells pictures of faces from all others (see `sr4.upscaling.recogniser`).

    python scripts/train_recogniser.py --faces faces.tar heads.tar \\
        --others photos.tar 'rendered/*.tar' --val-faces heads-val.tar --val-others photo-val.tar

Faces are made 16 to 32 pixels wide, turned, moved and enlarged as a photographer may leave them;
others are crops of any size of photographs, text and drawings. Both may be noisy and compressed.
Prints the errors on pictures that were held apart.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from sr4.data.sources import Source, open_sources
from sr4.pictures.rgb import read_image
from sr4.upscaling.recogniser import LAYERS, WEIGHTS, Recogniser, as_seen


def draw(source: Source, random: np.random.Generator, *, face: bool) -> np.ndarray:
    """A picture as the recogniser sees it, (3, 16, 16)."""
    index = int(random.integers(len(source)))
    picture = read_image(source.read_bytes(index))
    width, height = picture.size
    if face:
        picture = picture.rotate(random.uniform(-20, 20), Image.Resampling.BICUBIC)
        edge = min(width, height) / random.uniform(1, 1.6)
        left = (width - edge) / 2 + random.uniform(-0.1, 0.1) * edge
        top = (height - edge) / 2 + random.uniform(-0.1, 0.1) * edge
    else:
        edge = np.exp(random.uniform(np.log(16), np.log(min(width, height))))
        left, top = random.uniform(0, width - edge), random.uniform(0, height - edge)
    left, top = np.clip([left, top], 0, [width - edge, height - edge])
    side = int(random.integers(16, 33))
    small = picture.resize(
        (side, side), Image.Resampling.BICUBIC, (left, top, left + edge, top + edge)
    )
    if random.random() < 0.5:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.3:
        noisy = np.asarray(small) + random.normal(0, random.uniform(1, 10), (side, side, 3))
        small = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    if random.random() < 0.2:
        small = small.convert("L").convert("RGB")
    if random.random() < 0.3:
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=int(random.integers(40, 96)))
        small = Image.open(stream).convert("RGB")
    return as_seen(np.asarray(small))


def pool(source: Source, count: int, seed: int, *, face: bool) -> np.ndarray:
    random = np.random.default_rng([seed, face])
    return np.stack([draw(source, random, face=face) for _ in range(count)])


class Network(nn.Module):
    """The recogniser in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(one, other, 3, stride, 1) for one, other, stride in LAYERS
        )
        self.out = nn.LazyLinear(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return self.out(x.flatten(1))[:, 0]

    def tensors(self) -> dict[str, np.ndarray]:
        found = {name: tensor.detach().numpy() for name, tensor in self.state_dict().items()}
        return {name: array.astype(np.float16) for name, array in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("faces", "others", "val-faces", "val-others"):
        parser.add_argument(f"--{name}", nargs="+", required=True, metavar="SRC")
    parser.add_argument("--pictures", type=int, default=60_000, help="drawn of each kind")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    faces = pool(open_sources(arguments.faces), arguments.pictures, 1, face=True)
    others = pool(open_sources(arguments.others), arguments.pictures, 1, face=False)
    x = torch.from_numpy(np.concatenate([faces, others]))
    y = torch.cat([torch.ones(len(faces)), torch.zeros(len(others))])
    network = Network()
    network(x[:1])
    steps = arguments.epochs * (len(x) // 256)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        at = torch.randint(len(x), (256,))
        loss = F.binary_cross_entropy_with_logits(network(x[at]), y[at])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"{step} of {steps}: loss {loss.item():.4f}", flush=True)
    np.savez(arguments.out, **network.tensors())
    recogniser = Recogniser.open(arguments.out)
    for kind, specs, face in (
        ("faces", arguments.val_faces, True),
        ("others", arguments.val_others, False),
    ):
        held = pool(open_sources(specs), 2000, 2, face=face)
        missed = np.mean([recogniser.is_sure(one) for one in held] != np.bool_(face))
        print(f"{kind}: {missed:.2%} of {len(held)} taken for the other kind")


if __name__ == "__main__":
    main()
