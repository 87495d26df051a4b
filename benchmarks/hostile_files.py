"""Read files that were made to do harm, and fail if any of them gets anything but an answer or one clear error.

    python benchmarks/hostile_files.py                       # 2,000 files: a minute
    python benchmarks/hostile_files.py --files 50000         # the full check

IDX files, plain and gzipped, the files of MNIST, arrays in .npz, checkpoints, runs, tables of metrics, settings and
pictures are cut short, their bits flipped, their numbers replaced by extreme ones, their parts repeated, exchanged and
packed anew with right checksums; among them are bombs, small files that say or swell to be large. Each is read as a
user would. What comes of it must be a value, or a ValueError, TypeError or OSError of the package's own in one line;
nothing may be written on standard error, no file may take more than some seconds, and all together no more memory than
is said.
"""

import argparse
import gzip
import io
import json
import os
import random
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from npdsconv import checkpoint, data
from npdsconv.data import fetch, idx, images
from npdsconv.runs import RunFolder, history, load_model
from npdsconv.runs.recipe import recipe

SECONDS, MEGABYTES = (
    20.0,
    1600.0,
)  # for the slowest file; for all, beyond what the program takes before the first
EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
NUMBERS = [-1, 0, 1 << 20, 10**30, 1e308, float("nan"), float("inf")]
LIES = [*NUMBERS, None, True, "", "x", "\0\n", "9" * 5000, [], {}, [[[[]]]]]
MANY = 1000  # files, from which on the bombs are among them: to make those takes seconds
Random = random.Random


# ---- good files, to begin with --------------------------------------------------------------------------------


def _idx_files() -> list[bytes]:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (5, 28, 28)).astype(np.uint8),
        rng.integers(0, 10, 60).astype(np.uint8),
        rng.standard_normal((3, 4)),
        rng.integers(-9, 9, (2, 1, 3)).astype(np.int16),
    ]
    return [idx.encode(array) for array in arrays]


def _pictures() -> list[bytes]:
    digit = data.load("mnist5k").test.images[7, 0]
    grey = Image.fromarray(255 - digit).resize((60, 50))
    made = []
    for kind in (
        "PNG",
        "JPEG",
        "GIF",
        "BMP",
        "TIFF",
        "WEBP",
        "PPM",
        "ICO",
        "PCX",
        "TGA",
        "SGI",
        "JPEG2000",
        "DDS",
    ):
        for mode in ("L", "RGB", "RGBA", "P", "1", "I;16"):
            file = io.BytesIO()
            try:
                grey.convert("I" if mode == "I;16" else mode).convert(mode).save(file, kind)
            except (OSError, ValueError, KeyError):
                continue  # this kind has no such mode
            made.append(file.getvalue())
    return made


def _arrays(save: Callable[..., None]) -> bytes:
    rng, file = np.random.default_rng(1), io.BytesIO()
    images = rng.integers(0, 256, (12, 9, 8, 3)).astype(np.uint8)
    save(file, images=images, labels=np.arange(12) % 3, names=np.array(["a", "b", "c"]))
    return file.getvalue()


def _checkpoint() -> bytes:
    chosen = recipe(width=0.125, epochs=3)
    model = chosen.build_model((1, 28, 28), 10)
    rows = [[str(k), str(9 * k), "0.5", "0.75", "0.01", "1.5", "", ""] for k in (1, 2)]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "c.npz")
        where = {"epoch": 2, "rows": rows, "recipe": chosen.as_dict(), "shape": (1, 28, 28), "classes": 10}
        checkpoint.save(path, model=model, optimizer=chosen.build_optimizer(model), **where)
        return path.read_bytes()


# ---- harm -----------------------------------------------------------------------------------------------------


def harm(raw: bytes, rng: Random) -> bytes:
    """One of the things that happen to bytes, or two."""
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2))):
        size, at = len(changed), rng.randrange(len(changed) + 1)
        head = rng.randrange(min(size, 64) + 1)  # most of what a reader believes stands in front
        match rng.randrange(9):
            case 0:
                del changed[at:]
            case 1:
                for _ in range(rng.choice((1, 1, 8, 64))):
                    if size:
                        changed[rng.choice((at, head)) % size] ^= 1 << rng.randrange(8)
            case 2 | 3:
                number = rng.choice(EXTREMES).to_bytes(8, "big")[-rng.choice((1, 2, 4, 8)) :]
                where = rng.choice((at, head))
                changed[where : where + len(number)] = rng.choice((number, number[::-1]))
            case 4:
                changed[at : at + rng.randrange(1, 99)] = rng.randbytes(rng.randrange(99))
            case 5:
                changed[at:at] = changed[head : head + rng.randrange(1, 2000)]
            case 6:
                del changed[head : head + rng.randrange(1, 99)]
            case 7:
                changed += rng.choice((b"\0", b"\xff", b"\n", raw[:99])) * rng.randrange(1, 99)
            case 8:
                changed[at : at + 64] = rng.choice((b"\0", b"\xff", b"<html>", b"9")) * 64
    return bytes(changed)


def harm_json(value: Any, rng: Random) -> Any:
    """The same value with one thing in it replaced, at some depth, or taken away."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        rest = {k: v for k, v in value.items() if k != name}
        return rest if rng.random() < 0.1 else rest | {name: harm_json(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        k = rng.randrange(len(value))
        return [*value[:k], harm_json(value[k], rng), *value[k + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.4:
        return value * rng.choice((-1, 2, 1000, 10**6, 10**9, 1e-9))
    return rng.choice(LIES)


def harm_archive(raw: bytes, rng: Random) -> bytes:
    """A checkpoint whose entries are harmed and packed anew, so that all checksums are right."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = "meta.npy" if "meta.npy" in entries and rng.random() < 0.6 else rng.choice(list(entries))
    entries[name] = _harm_entry(name, entries[name], rng)
    if rng.random() < 0.1:
        del entries[rng.choice(list(entries))]
    file, packing = io.BytesIO(), zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return file.getvalue()


def _harm_entry(name: str, entry: bytes, rng: Random) -> bytes:
    if name == "meta.npy" and rng.random() < 0.8:
        meta = harm_json(json.loads(str(np.load(io.BytesIO(entry)))), rng)
        return _npy(np.array(json.dumps(meta)))
    if rng.random() < 0.5:
        array = np.load(io.BytesIO(entry))
        kinds = (complex, str, object, np.float64, np.int8, bool, "M8[s]", [("a", "f4")])
        with np.errstate(all="ignore"):
            changes: list[Callable[[], Any]] = [
                lambda: array * np.nan,
                lambda: array - 9,
                lambda: array[None],
                lambda: np.empty((0, 1 << 40)),
                lambda: array.astype(rng.choice(kinds)),
                lambda: np.broadcast_to(array, (2, *array.shape)),
            ]
            try:
                return _npy(rng.choice(changes)())
            except (TypeError, ValueError):
                pass
    shape = rng.choice(("(1099511627776,)", "(-1,)", "(2, 4611686018427387904)", "()", "(" * 200, "(1e9,)"))
    lie = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)[:117].encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(lie)) + lie + entry[128:]


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def harm_png(raw: bytes, rng: Random) -> bytes:
    """A PNG one of whose chunks is harmed, with the right checksum."""
    if not raw.startswith(b"\x89PNG"):
        return harm(raw, rng)
    chunks, at = [], 8
    while at < len(raw):
        (size,) = struct.unpack(">I", raw[at : at + 4])
        chunks.append((raw[at + 4 : at + 8], raw[at + 8 : at + 8 + size]))
        at += 12 + size
    k = rng.randrange(len(chunks))
    kind, body = chunks[k]
    if kind == b"IDAT" and rng.random() < 0.5:
        body = zlib.compress(harm(zlib.decompress(body), rng))
    else:
        body = harm(body, rng)
    chunks[k] = kind, body
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _png_of(width: int, height: int, rows: int) -> bytes:
    """A black PNG of one bit a pixel that says so many rows, and has so many."""
    packer = zlib.compressobj(9)
    lines = (packer.compress(bytes(1 + (width + 7) // 8)) for _ in range(rows))
    body = b"".join(lines) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    )


def _bombs() -> dict[str, list[bytes]]:
    """Small files that say, or swell, to be large."""
    zeros = gzip.compress(bytes(300 << 20), 9)
    header = struct.pack(">HBB3I", 0, 8, 3, 1 << 20, 1 << 10, 1 << 10)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("model/w.npy", bytes(200 << 20))
        packed.writestr("meta.npy", _npy(np.array('{"npdsconv": 1, "arrays": 1, "position": {}}')))
    program = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%stderr) (w) file (ran) writestring\nshowpage\n"
    )
    return {
        "gzip": [
            zeros,
            gzip.compress(zeros),
            gzip.compress(header + bytes(1 << 20)),
            gzip.compress(header) * 500,
        ],
        "mnist": [zeros, gzip.compress(header)],
        "npz": [archive.getvalue()],
        "checkpoint": [archive.getvalue()],
        "run": [archive.getvalue()],
        "picture": [
            _png_of(60_000, 60_000, 64),
            _png_of(0x7FFFFFFF, 1, 0),
            _png_of(12_800, 12_800, 12_800),
            b"P5 99999 99999 255\n",
            b"P6 9999999999 9999999999 65535\n",
            b"P3 3 3 255\n" + b"9" * 10_000,
            b"BM"
            + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 0x7FFFFFFF, -0x7FFFFFFF, 1, 24, 0, 0, 0, 0, 0, 0),
            program,
            b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65535) + b"\1" * 200,
        ],
    }


# ---- readers --------------------------------------------------------------------------------------------------


class Readers:
    """What is done with a file of each kind, and what good files of that kind look like."""

    def __init__(self, place: Path) -> None:
        self.place = place
        plain, saved = _idx_files(), _checkpoint()
        table = history.as_csv([[str(k), "9", "0.5", "0.75", "0.01", "1.5", "", ""] for k in range(1, 3)])
        settings = json.dumps(recipe().as_dict(), indent=2)
        self.good: dict[str, list[bytes]] = {
            "idx": plain,
            "gzip": [gzip.compress(raw, mtime=0) for raw in plain],
            "mnist": [
                plain[1],
                gzip.compress(plain[0], mtime=0),
                b"<!DOCTYPE html><p>404",
                b"PK\3\4",
                b"version https",
            ],
            "npz": [_arrays(np.savez), _arrays(np.savez_compressed)],
            "checkpoint": [saved],
            "run": [saved],
            "metrics": [table.encode()],
            "config": [settings.encode()],
            "picture": _pictures(),
        }
        self.folder = place / "run"
        self.folder.mkdir()
        with (
            zipfile.ZipFile(io.BytesIO(saved)) as archive,
            zipfile.ZipFile(self.folder / "checkpoint.npz", "w") as old,
        ):
            for name in archive.namelist():  # as it was written when a checkpoint kept no history
                entry = archive.read(name)
                if name == "meta.npy":
                    meta = json.loads(str(np.load(io.BytesIO(entry))))
                    del meta["position"]["rows"]
                    entry = _npy(np.array(json.dumps(meta)))
                old.writestr(name, entry)

    def read(self, kind: str, raw: bytes) -> Any:
        names = {"picture": "p.png", "mnist": "t10k-labels-idx1-ubyte", "npz": "a.npz"}
        path = self.place / names.get(kind, "file")
        if kind in ("metrics", "config"):
            path = self.folder / {"metrics": "metrics.csv", "config": "config.json"}[kind]
        path.write_bytes(raw)
        match kind:
            case "idx" | "gzip":
                return data.read_idx(path)
            case "mnist":
                return fetch.read_folder(self.place, {path.name: "0" * 64})
            case "npz":
                return data.from_path(path)
            case "checkpoint":
                return checkpoint.load(path)
            case "run":
                return load_model(path)
            case "picture":
                images.picture(path, (3, 20, 16))
                return images.prepare(path)
        run = RunFolder(self.folder)
        saved = run.resume()[1]
        run.mend(saved)
        if [row["epoch"] for row in run.rows()] != ["1", "2"][: len(run.rows())]:
            raise AssertionError("the table that was mended is not whole")
        return None

    def made(self, kind: str, rng: Random) -> bytes:
        raw = rng.choice(self.good[kind])
        if kind in ("checkpoint", "run", "npz") and rng.random() < 0.7:
            return harm_archive(raw, rng)
        if kind == "gzip" and rng.random() < 0.5:
            return gzip.compress(harm(gzip.decompress(raw), rng), mtime=0)
        if kind == "picture" and rng.random() < 0.5:
            return harm_png(raw, rng)
        return harm(raw, rng)


def verdict(read: Callable[[], Any]) -> tuple[str, str]:
    """How reading ended: "read", "refused" or "WRONG", and what was said."""
    try:
        read()
    except (ValueError, TypeError, OSError) as error:
        said = str(error)
        own = type(error).__module__ == "builtins" and said and "\n" not in said and len(said) < 2000
        frame = error.__traceback__
        while frame and frame.tb_next:
            frame = frame.tb_next
        ours = frame is not None and f"{os.sep}npdsconv{os.sep}" in frame.tb_frame.f_code.co_filename
        return ("refused" if own and ours else "WRONG"), f"{type(error).__name__}: {said}"
    except Exception as error:
        return "WRONG", f"{type(error).__name__}: {error}"
    return "read", ""


@contextmanager
def _standard_error(file: Any) -> Iterator[None]:
    """What is written on standard error, by C libraries too, goes to a file."""
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _megabytes() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def run(files: int, seed: int, place: Path, keep: Path | None = None) -> list[str]:
    """Read so many files; prints a table, and returns what went wrong."""
    readers, rng, wrong = Readers(place), Random(seed), []
    counts, slowest, before = Counter[tuple[str, str]](), Counter[str](), _megabytes()
    bombs = [(kind, raw) for kind, raws in _bombs().items() for raw in raws] if files >= MANY else []
    before = _megabytes()
    kinds = list(readers.good)
    with tempfile.TemporaryFile() as said, _standard_error(said):
        for k in range(files):
            kind, raw = bombs[k] if k < len(bombs) else (kinds[k % len(kinds)], b"")
            raw = raw or readers.made(kind, rng)
            began = time.perf_counter()
            outcome, why = verdict(lambda: readers.read(kind, raw))  # noqa: B023  called at once
            seconds = time.perf_counter() - began
            slowest[kind] = max(slowest[kind], seconds)
            if seconds > SECONDS:
                outcome, why = "WRONG", f"{seconds:.1f} seconds"
            counts[kind, outcome] += 1
            if outcome == "WRONG":
                wrong.append(f"file {k}, {kind}: {why[:300]}")
                if keep:
                    (keep / f"{k}-{kind}").write_bytes(raw)
        said.seek(0)
        if noise := said.read(1000):
            wrong.append(f"on standard error: {noise!r}")
    taken = _megabytes() - before
    if taken > MEGABYTES:
        wrong.append(f"{taken:.0f} MB of memory")
    print(f"{'':10}  {'read':>6}  {'refused':>7}  {'wrong':>5}  {'slowest':>7}")
    for kind in kinds:
        read, refused, bad = (counts[kind, what] for what in ("read", "refused", "WRONG"))
        print(f"{kind:10}  {read:6}  {refused:7}  {bad:5}  {slowest[kind]:6.2f}s")
    print(f"{files} files, {len(wrong)} wrong; {taken:.0f} MB beyond what the program takes; seed {seed}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000, metavar="N", help="default 2000")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the files that went wrong there")
    args = parser.parse_args()
    if args.files < 1:
        parser.error(f"--files must be at least 1, got {args.files}")
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        wrong = run(args.files, args.seed, Path(place), args.keep)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
