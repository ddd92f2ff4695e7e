"""A corpus for benchmarks: JSONL made from the Python standard library's own text, of any size.

Lines differ in length as real documents do; the order is seeded, so that zstd meets repeats only far
outside its window.
"""

from __future__ import annotations

import argparse
import json
import random
import sysconfig
from pathlib import Path


def passages(mean_bytes: int) -> list[str]:
    """Stretches of the standard library's sources, about `mean_bytes` long, cut at line ends."""
    rng = random.Random(7)
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("**/*.py")):
        if "site-packages" in path.parts:
            continue
        lines = path.read_text("utf-8", "replace").splitlines(keepends=True)
        take, size, goal = [], 0, rng.expovariate(1 / mean_bytes) + 40
        for line in lines:
            take.append(line)
            size += len(line)
            if size >= goal:
                found.append("".join(take))
                take, size, goal = [], 0, rng.expovariate(1 / mean_bytes) + 40
    return found


def write_jsonl(folder: Path, total_bytes: int, files: int, mean_bytes: int, seed: int = 11) -> list[Path]:
    """`files` JSONL files of together `total_bytes`, with the keys id, body, url and lang."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = [json.dumps(p, ensure_ascii=False) for p in passages(mean_bytes)]
    rng = random.Random(seed)
    written: list[Path] = []
    number = 0
    for index in range(files):
        path = folder / f"part-{index:04d}.jsonl"
        size = 0
        with path.open("w", encoding="utf-8") as file:
            while size < total_bytes // files:
                rng.shuffle(encoded)
                for body in encoded:
                    line = f'{{"id":"doc-{number:09d}","body":{body},"url":"https://example.org/{number}","lang":"en"}}\n'
                    file.write(line)
                    number += 1
                    size += len(line.encode())
                    if size >= total_bytes // files:
                        break
        written.append(path)
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--mean", type=int, default=2000)
    arguments = parser.parse_args()
    print(write_jsonl(arguments.folder, arguments.bytes, arguments.files, arguments.mean))
