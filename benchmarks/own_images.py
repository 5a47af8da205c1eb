"""Training on a folder of own images: memory and time beside the same images as arrays.

    python benchmarks/own_images.py [--count 100000] [--side 28] [--channels 3] [--repeats 3]

The images are drawn into a temporary folder first. Then processes take turns: one reads the folder
and trains for an epoch, the other is given arrays of the same images and does the same. Each first
trains on a few images, so that imports and what torch sets up are there before the measurement
begins. Memory is the peak of the resident size over its size before the images, in units of the
images' bytes. Last, one process holds both sets and trains an epoch on each in turn, of which the
first is left out: so a slow minute of the machine hits both. Processor time is told beside.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from qvit_qiskit import TrainConfig, ViTConfig, fit, load
from qvit_qiskit.data import MedImages, Split

PROCESSOR = "{}, processor time"
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def draw(count: int, side: int, channels: int, word: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; class 1 is brighter in its upper half."""
    rng = np.random.default_rng([count, side, list(SHARES).index(word)])
    n = round(SHARES[word] * count)
    labels = np.arange(n) * 2 // n  # a folder lists class by class
    images = rng.integers(0, 180, (n, side, side, channels), dtype=np.uint8)
    images[labels == 1, : side // 2] += 60
    return (images[..., 0] if channels == 1 else images), labels


def arrays(count: int, side: int, channels: int) -> MedImages:
    """The images as arrays."""
    parts = {word: Split(*draw(count, side, channels, word)) for word in SHARES}
    return MedImages(
        "arrays", **parts, task="binary-class", class_names=("a", "b"), channels=channels,
        md5="", synthetic=True,
    )  # fmt: skip


def write(folder: Path, count: int, side: int, channels: int) -> None:
    """The images as PNG files."""
    for word in SHARES:
        images, labels = draw(count, side, channels, word)
        for name in ("a", "b"):
            (folder / word / name).mkdir(parents=True)
        for place, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / word / "ab"[label] / f"{place:06}.png"
            Image.fromarray(image).save(path, compress_level=1)


def resident() -> float:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> float:
    """The most bytes this process ever had in memory."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)


def turns(options: argparse.Namespace) -> None:
    """Epochs on the folder's images and on arrays, in turn."""
    config, train = settings(options)
    shape = (options.count, options.side, options.channels)
    sides = {"folder": load(str(options.folder)), "arrays": arrays(*shape)}
    taken: dict[str, list[float]] = {name: [] for name in (*sides, *map(PROCESSOR.format, sides))}
    for _ in range(options.epochs + 1):
        for name, data in sides.items():
            began = time.process_time()
            taken[name].append(fit(config, train, data).history[0].seconds)
            taken[PROCESSOR.format(name)].append(time.process_time() - began)
    print(json.dumps({name: seconds[1:] for name, seconds in taken.items()}))


def settings(options: argparse.Namespace) -> tuple[ViTConfig, TrainConfig]:
    """A small classical ViT, and one epoch."""
    config = ViTConfig(
        channels=options.channels, image_size=options.side, projection="linear", width=8
    )
    return config, TrainConfig(epochs=1, batch_size=256, threads=1)


def work(options: argparse.Namespace) -> None:
    """One side, in a process of its own."""
    shape = (options.side, options.channels)
    config, train = settings(options)
    fit(config, train, arrays(1000, *shape))
    before, began = resident(), time.perf_counter()
    if options.worker == "folder":
        data = load(str(options.folder))
    else:
        data = arrays(options.count, *shape)
    read = time.perf_counter() - began
    top = peak()  # drawing arrays takes more than holding them: only the folder's peak counts
    fit(config, train, data)
    bytes_ = sum(data.split(word).images.nbytes for word in SHARES)
    print(
        json.dumps(
            {
                "side": options.worker, "bytes": bytes_, "before": before, "read peak": top,
                "peak": peak(), "ratio": (peak() - before) / bytes_, "read": read,
            }
        )
    )  # fmt: skip


def main() -> None:
    """Draw the images and let the sides take turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", choices=("folder", "arrays", "turns"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        (turns if options.worker == "turns" else work)(options)
        return
    told = ["--count", "--side", "--channels", "--epochs"]
    same = [word for name in told for word in (name, str(getattr(options, name[2:])))]
    records = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        write(folder, options.count, options.side, options.channels)
        for side in [*("folder", "arrays") * options.repeats, "turns"]:
            command = [sys.executable, __file__, "--worker", side, "--folder", str(folder)]
            done = subprocess.run([*command, *same], capture_output=True, text=True, check=True)
            records.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(records[-1]), flush=True)
    taken, ratios = records[-1], [r["ratio"] for r in records[:-1] if r["side"] == "folder"]
    pairs, busy = (
        [
            a / b
            for a, b in zip(taken[form.format("folder")], taken[form.format("arrays")], strict=True)
        ]
        for form in ("{}", PROCESSOR)
    )
    print(
        f"{options.count:,} images of {options.side} x {options.side} x {options.channels}: peak "
        f"{max(ratios):.2f} times their bytes beyond the imports; later epochs "
        f"{median(taken['folder']):.2f} s from the folder, {median(taken['arrays']):.2f} s from "
        f"arrays (median of their ratios {median(pairs):.3f}; of processor time, which others on "
        f"the machine hardly touch, {median(busy):.3f})"
    )
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
