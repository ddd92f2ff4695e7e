"""Links that are reached in different ways carry one haul; a link that dies loses nothing that arrived."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import yaml
from tests.hauling.rig import data_digests, skyhaul, write_job

from faults.hostile_http import HostileServer
from faults.tunnel_proxy import TunnelProxy
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.verification import verify_dataset
from skyhaul_schemas.job.file import load_job

CANARY = "c4n4ry-of-the-proxy"
SIZE, COUNT = 400_000, 10


def write_objects(folder: Path) -> Path:
    folder.mkdir()
    for number in range(COUNT):
        line = f"{number} " + "the quick brown fox jumps over the lazy dog " * 5
        (folder / f"{number}.txt").write_text((line + "\n") * (SIZE // len(line)))
    return folder


def job(folder: Path, url: str, links: dict[str, object], name: str = "out") -> Path:
    content = {
        "version": 1,
        "name": "routes",
        "dataset": str(folder / name),
        "spool": str(folder / f"spool-{name}"),
        "sources": {"texts": {"url": f"{url}*.txt", "format": "text", "via": list(links)}},
        "links": links,
        "shards": {"target_size": "1MB"},
        "patience": "20s",
    }
    return write_job(folder / f"{name}.yaml", content)


def run(path: Path) -> HaulOutcome:
    loaded = load_job(path, {})
    return haul_on_beam(loaded, open_store(loaded.job.dataset, writable=True), HaulOptions())


def by_link(outcome: HaulOutcome) -> dict[str, int]:
    return {link: counts.payload_bytes for link, counts in outcome.run.transfer.items()}


def test_two_links_of_one_region_carry_a_haul_and_keep_their_secrets(tmp_path: Path) -> None:
    region = write_objects(tmp_path / "region")
    env = {"PROXY_USER": "me", "PROXY_PASSWORD": CANARY}
    with (
        HostileServer(region, rate=1_000_000) as west,
        HostileServer(region, rate=1_000_000) as east,
        TunnelProxy("socks5", credentials=("me", CANARY)) as proxy,
    ):
        through = f"socks5://${{PROXY_USER}}:${{PROXY_PASSWORD}}@127.0.0.1:{proxy.port}"
        links: dict[str, object] = {
            "leo": {"bind": "127.0.0.5"},
            "geo": {"proxy": through, "base_url": {"texts": east.url}},
        }
        path = job(tmp_path, west.url, links)
        done = skyhaul("run", "--json", path, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
        assert west.ranges() != []
        assert east.ranges() != []
        assert proxy.carried > 100_000
        plain = job(tmp_path, west.url, {}, "plain")
        assert skyhaul("run", "--quiet", plain, cwd=tmp_path).returncode == 0
    assert data_digests(tmp_path / "out") == data_digests(tmp_path / "plain")
    assert skyhaul("verify", path, cwd=tmp_path, env=env).returncode == 0
    for file in [p for p in tmp_path.rglob("*") if p.is_file()]:
        assert CANARY.encode() not in file.read_bytes(), file


def test_a_link_that_dies_loses_nothing_and_is_taken_back(tmp_path: Path) -> None:
    region = write_objects(tmp_path / "region")
    east = HostileServer(region, rate=30_000)
    west = HostileServer(region, rate=60_000)
    port = west.port
    reborn: list[HostileServer] = []

    def die_and_return() -> None:
        while sum(served.sent for served in west.ranges()) < 0.3 * SIZE * COUNT:
            time.sleep(0.02)
        west.close()
        time.sleep(1.5)
        reborn.append(HostileServer(region, port=port, rate=60_000))

    fate = threading.Thread(target=die_and_return, daemon=True)
    fate.start()
    try:
        outcome = run(job(tmp_path, east.url, {"leo": {"base_url": west.url}, "geo": {}}))
    finally:
        fate.join(20)
        for server in (east, west, *reborn):
            server.close()
    assert outcome.exit_code == 0, outcome.messages
    assert by_link(outcome)["leo"] > 0.3 * SIZE * COUNT * 0.9
    assert reborn, "the link came back before the end"
    assert reborn[0].ranges() != [], "and was taken back"
    total = sum(path.stat().st_size for path in region.iterdir())
    assert sum(by_link(outcome).values()) == total
    # What was out on the sixteen connections of the link when it died: a range each, at most.
    again = sum(counts.resent_bytes for counts in outcome.run.transfer.values())
    print(f"re-sent {again} of {total} bytes")
    assert again <= 16 * 256 * 1024
    assert verify_dataset(open_store(str(tmp_path / "out"), writable=False), deep=True).exit_code() == 0


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"proxy": "http://me:secret@10.0.0.1:8080"}, "a password in a URL"),
        ({"proxy": "ftp://10.0.0.1"}, "http://… or socks5://…"),
        ({"bind": "no address"}, "an IP address of this machine, or the name of a network interface"),
        ({"base_url": {"other": "http://h/"}}, "a source: texts"),
        ({"base_url": "file:///etc"}, "http://… or https://…"),
        ({"proxy": "http://10.0.0.1:8080/path"}, "such as socks5://10.0.0.1:1080"),
    ],
)
def test_a_route_that_is_none_is_said_in_one_line(tmp_path: Path, link: dict[str, object], said: str) -> None:
    done = skyhaul("run", job(tmp_path, "http://127.0.0.1:9/", {"leo": link}), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_proxy_that_does_not_let_us_through_takes_out_its_link_alone(tmp_path: Path) -> None:
    region = write_objects(tmp_path / "region")
    with HostileServer(region) as server, TunnelProxy("http", credentials=("me", "right")) as proxy:
        links: dict[str, object] = {"leo": {}, "geo": {"proxy": proxy.url}}
        outcome = run(job(tmp_path, server.url, links))
        assert outcome.exit_code == 0
        assert by_link(outcome).keys() == {"leo"}
        alone = skyhaul("run", "--quiet", job(tmp_path, server.url, {"geo": links["geo"]}, "b"), cwd=tmp_path)
    assert alone.returncode == 3
    (line,) = alone.stderr.strip().splitlines()
    assert f"the proxy {proxy.url} does not let us through" in line
    assert "it asks for other credentials" in line


def test_a_route_to_local_files_is_refused(tmp_path: Path) -> None:
    region = write_objects(tmp_path / "region")
    path = job(tmp_path, f"{region}/", {"leo": {"bind": "127.0.0.1"}})
    done = skyhaul("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "link leo: bind, proxy and base_url hold for sources over HTTP, and texts is none" in done.stderr


def test_a_route_is_no_part_of_the_plan(tmp_path: Path) -> None:
    region = write_objects(tmp_path / "region")
    with HostileServer(region) as server:
        path = job(tmp_path, server.url, {"leo": {}})
        assert run(path).exit_code == 0
        content = yaml.safe_load(path.read_text())
        content["links"]["leo"] = {"bind": "127.0.0.8", "base_url": server.url}
        write_job(path, content)
        assert run(path).exit_code == 0
