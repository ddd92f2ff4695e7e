"""A whole haul over linklab's emulated satellite links, side by side with aria2, curl, rclone and lftp.

    python benchmarks/links [--case NAME]... [--runs N] [--peers] [--out FOLDER]

A peer that was not through in time, or has used up --peer-seconds in a case, gets no further round of it; the
table says how many each had. With --out runs are kept as they come, so that a table may be made in several
calls, and one that is stopped goes on with the cases that it lacks.

Every case runs as users would run it: `skyhaul plan`, `skyhaul run`, `skyhaul verify`, with one job setting
for all (max_connections: 256), against a plain nginx at the far end of the link. Needs root, /dev/net/tun,
iproute2, gcc, nginx and openssl, for the S3 cases Go; peers that are not installed are left out, and said.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from cases import CASES, Case, named
from contenders import PEER_PATIENCE, Measured, NotThrough, RunFailed, measure, room
from lab import Link, build, missing, serving, serving_s3
from plot import svg
from table import table

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


def run_once(
    who: str, case: Case, lab: Path, folder: Path, site: Path, seed: int, patience: float
) -> Measured:
    link = Link(lab, room(folder / "link"), case.link, case.sender, seed, f"{os.getpid()}a")
    try:
        with ExitStack() as servers:
            servers.enter_context((serving_s3 if case.mode == "s3" else serving)(link, site))
            if case.second is not None:
                beside = room(folder / "second")
                link.second = Link(lab, beside, case.second, case.sender, seed, f"{os.getpid()}b", link)
                servers.enter_context(serving(link.second, site))
            work = room(folder / "work")
            os.chdir(work)
            return measure(who, case, link, site, work, patience)
    finally:
        os.chdir(folder)
        if link.second is not None:
            link.second.close()
        link.close()


def earlier(kept: Path | None) -> dict[str, dict[str, list[Measured]]]:
    """The runs that a folder holds, by case and contender."""
    found: dict[str, dict[str, list[Measured]]] = {}
    if kept is not None and kept.exists():
        for line in kept.read_text().splitlines():
            entry = json.loads(line)
            runs = found.setdefault(entry.pop("case"), {})
            runs.setdefault(entry["who"], []).append(Measured(**entry))
    return found


def said(case: Case, run: Measured, turn: int) -> str:
    return (
        f"{case.name} {run.who} {turn}: {run.rate / 1e6:.1f} Mbit/s, {run.seconds:.2f} s,"
        f" {run.share:.3f} of the limit, wire {run.wire:.3f}, CPU {run.cpu:.1f} s"
    )


@click.command(help=__doc__)
@click.option("--case", "names", multiple=True, type=click.Choice([case.name for case in CASES]))
@click.option("--runs", default=5, show_default=True, help="Rounds; the contenders take turns in each.")
@click.option("--peers/--no-peers", default=False, help="Run the peers as well.")
@click.option("--peer-seconds", default=60.0, show_default=True, help="What a peer may use of each case.")
@click.option("--peer-patience", default=PEER_PATIENCE, show_default=True, help="Seconds of one run.")
@click.option("--seed", default=1, show_default=True, help="Of the first round's losses.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for table.md, plots and runs.jsonl.")
def main(
    names: tuple[str, ...],
    runs: int,
    peers: bool,
    peer_seconds: float,
    peer_patience: float,
    seed: int,
    out: Path | None,
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also in the background, where a shell has SIGINT ignored: namespaces and servers must not stay.
        signal.signal(number, signal.default_int_handler)
    lacks = missing()
    if lacks:
        click.echo(f"skipped: {'; '.join(lacks)}")
        return
    cases = [named(name) for name in names] or list(CASES)
    kept: Path | None = None
    if out is not None:
        out = out.absolute()
        out.mkdir(parents=True, exist_ok=True)
        kept = out / "runs.jsonl"
    found = earlier(kept)
    with tempfile.TemporaryDirectory(prefix="skyhaul-links-") as name:
        folder = Path(name)
        lab = build(folder)
        for case in cases:
            site = fill(folder / "site", case)
            measured = found.setdefault(case.name, {})
            used = dict.fromkeys(case.peers, 0.0)
            for turn in range(runs):
                for who in ("skyhaul", *(case.peers if peers else ())):
                    if who != "skyhaul" and shutil.which(_PROGRAMS[who]) is None:
                        if turn == 0:
                            click.echo(f"left out: {who} is not installed", err=True)
                        continue
                    if used.get(who, 0.0) > peer_seconds:
                        continue
                    begun = time.monotonic()
                    try:
                        run = run_once(who, case, lab, folder, site, seed + turn, peer_patience)
                    except NotThrough as error:
                        if who == "skyhaul":
                            sys.exit(f"{case.name}: {error}")
                        run = Measured.not_through(who, error.rate, peer_patience)
                    except RunFailed as error:
                        click.echo(f"{case.name}: {error}", err=True)
                        if who == "skyhaul":
                            sys.exit(1)
                        continue
                    finally:
                        if who != "skyhaul":
                            used[who] += time.monotonic() - begun
                    measured.setdefault(who, []).append(run)
                    click.echo(said(case, run, turn), err=True)
                    if kept is not None:
                        with kept.open("a") as file:
                            file.write(json.dumps({"case": case.name, **asdict(run)}) + "\n")
            plotted = [runs[0] for runs in measured.values() if runs[0].points]
            if out is not None and plotted:
                (out / f"{case.name}.svg").write_text(svg(case, plotted))
    whole = table([(case, found[case.name]) for case in CASES if found.get(case.name)])
    click.echo(whole)
    if out is not None:
        (out / "table.md").write_text(whole + "\n")


if __name__ == "__main__":
    main()
