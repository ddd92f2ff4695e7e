"""What the hostile server serves: a mapping or a folder, with validators and index pages."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

_EPOCH = 1_700_000_000


class Objects:
    """Path -> bytes. Validators depend on content alone (or on a file's size and time)."""

    def __init__(self, objects: Mapping[str, bytes] | Path) -> None:
        self._root = objects if isinstance(objects, Path) else None
        self._held = {} if isinstance(objects, Path) else dict(objects)
        self._generation: dict[str, int] = {}
        self._etags: dict[str, str] = {}

    def paths(self) -> list[str]:
        if self._root is None:
            return sorted(self._held)
        return sorted(p.relative_to(self._root).as_posix() for p in self._root.rglob("*") if p.is_file())

    def size(self, path: str) -> int | None:
        if self._root is None:
            return len(self._held[path]) if path in self._held else None
        file = self._root / path
        return file.stat().st_size if file.is_file() else None

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        if self._root is None:
            data = self._held[path]
            return data[offset : offset + length] if length >= 0 else data[offset:]
        with (self._root / path).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def etag(self, path: str) -> str:
        if self._root is not None:
            stat = (self._root / path).stat()
            return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        if path not in self._etags:
            self._etags[path] = '"' + hashlib.sha256(self._held[path]).hexdigest()[:16] + '"'
        return self._etags[path]

    def last_modified(self, path: str) -> str:
        if self._root is not None:
            return formatdate((self._root / path).stat().st_mtime, usegmt=True)
        return formatdate(_EPOCH + self._generation.get(path, 0), usegmt=True)

    def replace(self, path: str, data: bytes) -> None:
        if self._root is not None:
            (self._root / path).write_bytes(data)
        else:
            self._held[path] = data
            self._etags.pop(path, None)
            self._generation[path] = self._generation.get(path, 0) + 1

    def delete(self, path: str) -> None:
        if self._root is not None:
            (self._root / path).unlink(missing_ok=True)
        else:
            self._held.pop(path, None)


def index_page(objects: Objects, folder: str, style: str) -> bytes | None:
    """The listing of `folder` as nginx (HTML or JSON) or Apache writes it; None where there is none."""
    if style == "none" or (folder and not folder.endswith("/")):
        return None
    below = [p.removeprefix(folder) for p in objects.paths() if p.startswith(folder)]
    names = sorted({p.split("/")[0] + ("/" if "/" in p else "") for p in below})
    if folder and not names:
        return None
    if style == "json":
        entries: list[dict[str, object]] = []
        for name in names:
            entry: dict[str, object] = {"name": name.rstrip("/"), "mtime": "Tue, 14 Nov 2023 22:13:20 GMT"}
            if name.endswith("/"):
                entries.append({**entry, "type": "directory"})
            else:
                entries.append({**entry, "type": "file", "size": objects.size(folder + name)})
        return json.dumps(entries, indent=1).encode()
    title = html.escape(f"Index of /{folder}")
    if style == "nginx":
        rows = "".join(
            f'<a href="{quote(n)}">{html.escape(n[:50])}</a>      14-Nov-2023 22:13     -\r\n' for n in names
        )
        page = f'<h1>{title}</h1><hr><pre><a href="../">../</a>\r\n{rows}</pre><hr>'
        head = f"<head><title>{title}</title></head>"
        return f"<html>\r\n{head}\r\n<body>\r\n{page}</body>\r\n</html>\r\n".encode()
    sorts = "".join(f'<th><a href="?C={c};O=A">{c}</a></th>' for c in "NMSD")
    rows = "".join(
        f'<tr><td valign="top"><img src="/icons/text.gif" alt="[   ]"></td>'
        f'<td><a href="{quote(n)}">{html.escape(n)}</a></td><td align="right">2023-11-14 22:13  </td></tr>\n'
        for n in names
    )
    parent = '<tr><td><a href="/">Parent Directory</a></td></tr>\n'
    page = f"<h1>{title}</h1><table><tr>{sorts}</tr>{parent}{rows}</table>"
    return f"<!DOCTYPE HTML><html><head><title>{title}</title></head><body>{page}</body></html>\n".encode()
