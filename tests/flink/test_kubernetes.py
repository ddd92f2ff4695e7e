"""The manifest for Flink's Kubernetes operator, as far as it goes without a Kubernetes.

The FlinkDeployment is held against the operator's own schema; of the rest, what its halves have to agree on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fetch import FLINK, operator_schema
from jsonschema import Draft202012Validator
from processes import Unavailable

from skyhaul.beam.runners import check_runner
from skyhaul_schemas.job import outside
from skyhaul_schemas.job.file import parse_job

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "examples" / "flink" / "kubernetes.yaml"
PARTS = {part["kind"]: part for part in yaml.safe_load_all(MANIFEST.read_text())}
TASK_MANAGER = PARTS["FlinkDeployment"]["spec"]["taskManager"]["podTemplate"]["spec"]
CLIENT = PARTS["Job"]["spec"]["template"]["spec"]


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (c for c in (*pod["containers"], *pod.get("initContainers", [])) if c["name"] == name)
    assert isinstance(found, dict)
    return found


def mounts(pod: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Path in the container -> the volume that is mounted there."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container(pod, name)["volumeMounts"]}


def strict(schema: Any) -> Any:
    """A structural schema of Kubernetes as JSON Schema that takes no unknown key, where it would drop one."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" not in schema:
        return {key: strict(value) for key, value in schema.items()}
    properties = {name: strict(value) for name, value in schema["properties"].items()}
    more = {key: strict(value) for key, value in schema.items() if key != "properties"}
    if not schema.get("x-kubernetes-preserve-unknown-fields"):
        more.setdefault("additionalProperties", False)
    return {**more, "properties": properties}


@pytest.fixture(scope="module")
def deployment_faults(offline: None) -> Any:
    try:
        crd = yaml.load(operator_schema().read_text(), yaml.CSafeLoader)
    except Unavailable as reason:
        pytest.skip(str(reason))
    (version,) = crd["spec"]["versions"]
    assert f"{crd['spec']['group']}/{version['name']}" == PARTS["FlinkDeployment"]["apiVersion"]
    schema = strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    validator = Draft202012Validator(schema)
    return lambda spec: [f"{e.json_path}: {e.message}" for e in validator.iter_errors(spec)]


@pytest.mark.cluster
def test_the_operators_schema_takes_the_deployment(deployment_faults: Any) -> None:
    assert deployment_faults(PARTS["FlinkDeployment"]["spec"]) == []


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("flinkVersion: v1_19", "flinkVersion: v9_9"),
        ("podTemplate:", "podTemplates:"),
        ('numberOfTaskSlots: "1"', "numberOfTaskSlots: 1"),
        ("mountPath: /var/spool/skyhaul", "mountpath: /var/spool/skyhaul"),
        ("volumeClaimTemplate:", "volumeClaim:"),
        ("cpu: 0.5, memory: 1600m", "cpus: 0.5, memory: 1600m"),
    ],
)
def test_a_slip_in_the_deployment_is_seen(deployment_faults: Any, old: str, new: str) -> None:
    assert MANIFEST.read_text().count(old) == 1
    parts = yaml.safe_load_all(MANIFEST.read_text().replace(old, new))
    (spec,) = (part["spec"] for part in parts if part["kind"] == "FlinkDeployment")
    assert deployment_faults(spec) != []


def test_flink_is_the_version_that_was_run() -> None:
    spec = PARTS["FlinkDeployment"]["spec"]
    minor = FLINK.rpartition(".")[0]
    assert spec["flinkVersion"] == f"v{minor.replace('.', '_')}"
    assert spec["image"].startswith(f"flink:{minor}-")
    assert f"beam_flink{minor}_job_server" in container(CLIENT, "job-server")["image"]
    assert "job" not in spec, "a session cluster"


def test_the_client_asks_for_the_pool_that_listens_beside_each_task_manager() -> None:
    pool = container(TASK_MANAGER, "skyhaul-worker-pool")
    assert pool["command"][0] == "skyhaul-worker-pool"
    (port,) = (a.partition("=")[2] for a in pool["command"] if a.startswith("--service_port="))
    arguments = container(CLIENT, "skyhaul")["args"]
    assert f"--environment_config=127.0.0.1:{port}" in arguments
    assert "--environment_type=EXTERNAL" in arguments
    assert PARTS["FlinkDeployment"]["spec"]["flinkConfiguration"]["taskmanager.numberOfTaskSlots"] == "1"


def test_the_clients_command_is_one_that_skyhaul_takes() -> None:
    client = container(CLIENT, "skyhaul")
    program, command, job, option, runner, border = client["command"]
    assert (program, command, option, border) == ("skyhaul", "run", "--runner", "--")
    check_runner(runner, client["args"])
    assert mounts(CLIENT, "skyhaul")[str(Path(job).parent)]["configMap"]["name"] == "skyhaul-job"
    assert Path(job).name in PARTS["ConfigMap"]["data"]


def test_client_and_job_server_mean_the_same_cluster_and_port() -> None:
    service = f"{PARTS['FlinkDeployment']['metadata']['name']}-rest:8081"
    server = container(CLIENT, "job-server")
    assert f"--flink-master={service}" in server["args"]
    assert f"--flink_master={service}" in container(CLIENT, "skyhaul")["args"]
    assert {"--job-host=127.0.0.1", "--job-port=8099"} <= set(server["args"])
    assert "--job_endpoint=127.0.0.1:8099" in container(CLIENT, "skyhaul")["args"]
    assert server["restartPolicy"] == "Always", "a side-car, which ends with the client"


def test_the_jobs_spool_is_the_pools_volume_and_fits_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_content", lambda path: f"text of {path}")
    job = parse_job(PARTS["ConfigMap"]["data"]["job.yaml"], "job.yaml", {}).job
    volume = mounts(TASK_MANAGER, "skyhaul-worker-pool")[job.spool]
    claim = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert int(claim["resources"]["requests"]["storage"].removesuffix("Gi")) * 1024**3 > job.spool_limit


def test_files_of_secrets_are_mounted_for_client_and_workers_alike() -> None:
    named = re.findall(r"\$\{file:([^}]+)\}", PARTS["ConfigMap"]["data"]["job.yaml"])
    assert named
    secrets = {
        mounts(pod, name)[str(Path(path).parent)]["secret"]["secretName"]
        for path in named
        for pod, name in ((TASK_MANAGER, "skyhaul-worker-pool"), (CLIENT, "skyhaul"))
    }
    assert secrets == {"skyhaul-secrets"}


def test_the_job_is_tried_again_where_another_run_helps_and_not_elsewhere() -> None:
    (rule,) = PARTS["Job"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"containerName": "skyhaul", "operator": "In", "values": [1, 2, 3, 4]}
    assert CLIENT["restartPolicy"] == "Never", "which the policy wants"


def test_the_image_is_that_of_the_dockerfile() -> None:
    text = (ROOT / "examples" / "container" / "Dockerfile").read_text()
    for pod, name in ((TASK_MANAGER, "skyhaul-worker-pool"), (CLIENT, "skyhaul")):
        assert f"-t {container(pod, name)['image']} " in text
