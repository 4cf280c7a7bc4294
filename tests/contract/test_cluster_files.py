"""What starts clusters is what Ray, AWS and KubeRay understand, field by field."""

import copy
import json
import re
import shlex
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import botocore.session
import jsonschema
import pytest
import ray.autoscaler
import yaml
from botocore.validate import ParamValidator
from kuberay_schema import RAY_JOB
from ray.autoscaler._private.util import prepare_config, validate_config

from csn import cli

REPOSITORY = Path(__file__).parents[2]
IMAGE = f"rayproject/ray:{version('ray')}-py311-gpu"
PLACEHOLDER = re.compile(r"<[a-z][a-z-]*\d?>|<us-east-1>")


def text_of(name: str) -> str:
    """A file without its comments."""
    lines = (REPOSITORY / name).read_text().splitlines()
    return "\n".join(line.partition(" #")[0] for line in lines if not line.startswith("#"))


@pytest.fixture
def cluster():
    return yaml.safe_load((REPOSITORY / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def ray_job():
    return yaml.safe_load((REPOSITORY / ".kuberay" / "rayjob.yaml").read_text())


def without(config, path):
    """Leave out the field that `path` leads to."""
    left = copy.deepcopy(config)
    *parents, name = path.split("/")
    part = left
    for parent in parents:
        part = part[int(parent) if isinstance(part, list) else parent]
    del part[name]
    return left


# cluster.yaml ----------------------------------------------------------------------------------


def check_cluster(config):
    """Check a cluster as ``ray up`` does, and before that what it fills in where it is missing."""
    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))


def test_ray_up_accepts_the_cluster(cluster):
    check_cluster(cluster)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("cluster_name", "'cluster_name' is a required property"),
        ("provider/type", "'type' is a required property"),
        ("head_node_type", "`head_node_type` must be one of `available_node_types`"),
        ("available_node_types/gpu/node_config", "'node_config' is a required property"),
        ("available_node_types/cpu/resources", "'resources' is a required property"),
        ("available_node_types/head", "`head_node_type` must be one of `available_node_types`"),
        ("docker/image", "Must provide a container & image name"),
        ("docker/container_name", "Must provide a container & image name"),
    ],
)
def test_missing_field_of_the_cluster_is_refused_by_its_name(cluster, path, said):
    refusals = (ValueError, AssertionError, jsonschema.ValidationError)
    with pytest.raises(refusals, match=re.escape(said)):
        check_cluster(without(cluster, path))


@pytest.mark.parametrize("name", ["head", "cpu", "gpu"])
def test_aws_understands_what_nodes_are_launched_with(cluster, name):
    shape = botocore.session.get_session().get_service_model("ec2")
    launched = {**cluster["available_node_types"][name]["node_config"], "MinCount": 1}
    report = ParamValidator().validate(
        launched | {"MaxCount": 1}, shape.operation_model("RunInstances").input_shape
    )
    assert not report.has_errors(), report.generate_report()
    assert {"InstanceType", "ImageId", "IamInstanceProfile"} <= set(launched)


def test_cluster_starts_from_none_and_keeps_no_key(cluster):
    nodes = cluster["available_node_types"]
    assert nodes["head"]["resources"] == {"CPU": 0}
    assert {nodes[name]["min_workers"] for name in ("cpu", "gpu")} == {0}
    most = sum(nodes[name]["max_workers"] for name in ("cpu", "gpu"))
    assert most == cluster["max_workers"]
    spot = {name for name in nodes if "InstanceMarketOptions" in nodes[name]["node_config"]}
    assert spot == {"cpu"}
    assert "KEY" not in text_of("cluster.yaml").upper()


def test_images_have_the_ray_that_this_project_runs_on(cluster, ray_job):
    assert cluster["docker"]["image"] == IMAGE
    assert f"FROM {IMAGE}\n" in (REPOSITORY / ".kuberay" / "Dockerfile").read_text()
    assert ray_job["spec"]["rayClusterSpec"]["rayVersion"] == version("ray")


def test_setup_commands_are_shell_that_uv_understands(cluster):
    docker = (REPOSITORY / ".kuberay" / "Dockerfile").read_text()
    runs = [line.removeprefix("RUN ") for line in docker.splitlines() if line.startswith("RUN ")]
    uv = shutil.which("uv")
    asked = 0
    for command in [*cluster["setup_commands"], *runs]:
        subprocess.run(["bash", "-n", "-c", command], check=True)
        for part in command.split("&&"):
            words = shlex.split(part)
            if words[0] == "uv" and uv:
                # Options come before the help that they ask for: an unknown one is refused.
                done = subprocess.run(
                    [uv, *words[1:], "--help"], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr
                asked += 1
    assert asked == (2 if uv else 0)
    (mounted,) = cluster["file_mounts"].items()
    assert mounted[0].endswith(mounted[1])
    assert (REPOSITORY / mounted[1]).is_file()


# KubeRay ---------------------------------------------------------------------------------------


def test_kuberay_knows_every_field_of_the_manifest(ray_job):
    jsonschema.validate(ray_job, RAY_JOB)


@pytest.mark.parametrize(
    "path",
    [
        "spec/rayClusterSpec",
        "spec/entrypoint",
        "spec/rayClusterSpec/headGroupSpec",
        "spec/rayClusterSpec/headGroupSpec/rayStartParams",
        "spec/rayClusterSpec/workerGroupSpecs/0/groupName",
        "spec/rayClusterSpec/workerGroupSpecs/1/template",
        "spec/rayClusterSpec/headGroupSpec/template/spec/containers",
    ],
)
def test_missing_field_of_the_manifest_is_refused_by_its_name(ray_job, path):
    with pytest.raises(jsonschema.ValidationError, match=f"'{path.rpartition('/')[2]}' is a req"):
        jsonschema.validate(without(ray_job, path), RAY_JOB)


def test_misspelt_field_of_the_manifest_is_refused(ray_job):
    wrong = copy.deepcopy(ray_job)
    wrong["spec"]["rayClusterSpec"]["enableInTreeAutoscalling"] = True
    with pytest.raises(jsonschema.ValidationError, match="enableInTreeAutoscalling"):
        jsonschema.validate(wrong, RAY_JOB)


def test_manifest_runs_a_job_that_exists_with_options_that_are_understood(ray_job):
    python, script, *words = shlex.split(ray_job["spec"]["entrypoint"])
    assert python == "python"
    assert (REPOSITORY / Path(script).relative_to("/home/ray/csn")).is_file()
    config = cli.experiment(words)
    groups = ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    gpus = [
        group["maxReplicas"]
        for group in groups
        if "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]
    ]
    assert config.workers.num_train_workers <= sum(gpus)
    assert config.workers.wait_for_nodes_s


# Both ------------------------------------------------------------------------------------------


def test_every_placeholder_is_explained():
    readme = (REPOSITORY / "README.md").read_text().partition("\n## On a cluster\n")[2]
    for name in ("cluster.yaml", ".kuberay/rayjob.yaml"):
        found = set(PLACEHOLDER.findall(text_of(name)))
        assert found, name
        assert not [one for one in found if one not in readme], name
