"""A whole haul over linklab's emulated satellite links, side by side with aria2, curl, rclone and lftp.

    python benchmarks/links [--case NAME]... [--runs N] [--peers] [--out FOLDER]

Every case runs as users would run it: `skyhaul plan`, `skyhaul run`, `skyhaul verify`, with one job setting
for all (max_connections: 256), against a plain nginx at the far end of the link. Needs root, /dev/net/tun,
iproute2, gcc, nginx and openssl; peers that are not installed are left out, and said.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from cases import CASES, Case, named
from contenders import Measured, RunFailed, measure, room
from lab import Link, build, missing, serving
from plot import svg
from table import HEADER, row

_PROGRAMS = {"aria2": "aria2c", "curl": "curl", "rclone": "rclone", "lftp": "lftp"}


def fill(site: Path, case: Case) -> Path:
    """Incompressible files."""
    room(site)
    count, size = case.files
    for index in range(count):
        with (site / f"{index:05d}.bin").open("wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - start)))
    return site


def run_once(who: str, case: Case, lab: Path, folder: Path, site: Path, seed: int) -> Measured:
    link = Link(lab, room(folder / "link"), case.link, case.sender, seed, f"{os.getpid()}a")
    try:
        with ExitStack() as servers:
            servers.enter_context(serving(link, site))
            if case.second is not None:
                beside = room(folder / "second")
                link.second = Link(lab, beside, case.second, case.sender, seed, f"{os.getpid()}b", link)
                servers.enter_context(serving(link.second, site))
            work = room(folder / "work")
            os.chdir(work)
            return measure(who, case, link, site, work)
    finally:
        os.chdir(folder)
        if link.second is not None:
            link.second.close()
        link.close()


@click.command(help=__doc__)
@click.option("--case", "names", multiple=True, type=click.Choice([case.name for case in CASES]))
@click.option("--runs", default=5, show_default=True, help="Rounds; the contenders take turns in each.")
@click.option("--peers/--no-peers", default=False, help="Run the peers as well.")
@click.option("--seed", default=1, show_default=True, help="Of the first round's losses.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for table.md, plots and runs.json.")
def main(names: tuple[str, ...], runs: int, peers: bool, seed: int, out: Path | None) -> None:
    lacks = missing()
    if lacks:
        click.echo(f"skipped: {'; '.join(lacks)}")
        return
    cases = [named(name) for name in names] or list(CASES)
    if out is not None:
        out = out.absolute()
        out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, object]] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="skyhaul-links-") as name:
        folder = Path(name)
        lab = build(folder)
        for case in cases:
            site = fill(folder / "site", case)
            found: dict[str, list[Measured]] = {}
            for turn in range(runs):
                for who in ("skyhaul", *(case.peers if peers else ())):
                    if who != "skyhaul" and shutil.which(_PROGRAMS[who]) is None:
                        if turn == 0:
                            click.echo(f"left out: {who} is not installed", err=True)
                        continue
                    try:
                        run = run_once(who, case, lab, folder, site, seed + turn)
                    except RunFailed as error:
                        click.echo(f"{case.name}: {error}", err=True)
                        if who == "skyhaul":
                            sys.exit(1)
                        continue
                    found.setdefault(who, []).append(run)
                    results.append({"case": case.name, **asdict(run)})
                    click.echo(
                        f"{case.name} {who} {turn}: {run.rate / 1e6:.1f} Mbit/s, {run.seconds:.2f} s,"
                        f" {run.share:.3f} of the limit, wire {run.wire:.3f}, CPU {run.cpu:.1f} s",
                        err=True,
                    )
            lines += [row(case, who, measured) for who, measured in found.items()]
            if out is not None and found:
                (out / f"{case.name}.svg").write_text(svg(case, [m[0] for m in found.values()]))
    table = "\n".join([HEADER, *lines])
    click.echo(table)
    if out is not None:
        (out / "table.md").write_text(table + "\n")
        (out / "runs.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
