"""The fields of KubeRay's RayJob (``ray.io/v1``), as far as a manifest of ours may use them.

The names are those of the types ``RayJobSpec``, ``RayClusterSpec``, ``HeadGroupSpec``,
``WorkerGroupSpec`` and ``AutoscalerOptions`` in KubeRay's API, and of ``PodSpec`` and
``Container`` in the Kubernetes core API. Nothing else is allowed, so that a misspelt field is
found.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def record(required: dict[str, Schema], optional: dict[str, Schema]) -> Schema:
    """Allow these fields and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def listed(item: Schema) -> Schema:
    """Allow one or more of `item`."""
    return {"type": "array", "items": item, "minItems": 1}


RESOURCES = record({}, {"requests": TEXTS, "limits": TEXTS})
SECRET = record({"name": TEXT}, {"optional": FLAG})
CONTAINER = record(
    {"name": TEXT, "image": TEXT, "resources": RESOURCES},
    {
        "envFrom": listed(
            record({}, {"secretRef": SECRET, "configMapRef": SECRET, "prefix": TEXT})
        ),
        "env": listed(record({"name": TEXT}, {"value": TEXT, "valueFrom": ANY})),
        "imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
        "command": listed(TEXT),
        "args": listed(TEXT),
        "workingDir": TEXT,
        "ports": listed(record({"containerPort": COUNT}, {"name": TEXT})),
        "volumeMounts": listed(record({"name": TEXT, "mountPath": TEXT}, {"readOnly": FLAG})),
        "securityContext": ANY,
        "lifecycle": ANY,
    },
)
POD = record(
    {"containers": listed(CONTAINER)},
    {
        "serviceAccountName": TEXT,
        "nodeSelector": TEXTS,
        "tolerations": listed(ANY),
        "affinity": ANY,
        "imagePullSecrets": listed(record({"name": TEXT}, {})),
        "priorityClassName": TEXT,
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never"]},
        "terminationGracePeriodSeconds": COUNT,
        "volumes": listed(ANY),
    },
)
TEMPLATE = record({"spec": POD}, {"metadata": ANY})
HEAD = record(
    {"rayStartParams": TEXTS, "template": TEMPLATE},
    {"serviceType": TEXT, "headService": ANY, "enableIngress": FLAG},
)
WORKERS = record(
    {
        "groupName": TEXT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "rayStartParams": TEXTS,
        "template": TEMPLATE,
    },
    {"replicas": COUNT, "numOfHosts": COUNT, "scaleStrategy": ANY},
)
AUTOSCALER = record(
    {},
    {
        "idleTimeoutSeconds": COUNT,
        "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
        "resources": RESOURCES,
        "image": TEXT,
        "imagePullPolicy": TEXT,
        "env": listed(ANY),
        "envFrom": listed(ANY),
        "volumeMounts": listed(ANY),
        "securityContext": ANY,
    },
)
RAY_CLUSTER = record(
    {"headGroupSpec": HEAD, "rayVersion": TEXT},
    {
        "workerGroupSpecs": listed(WORKERS),
        "enableInTreeAutoscaling": FLAG,
        "autoscalerOptions": AUTOSCALER,
        "headServiceAnnotations": TEXTS,
        "suspend": FLAG,
    },
)
RAY_JOB_SPEC = record(
    {"entrypoint": TEXT, "rayClusterSpec": RAY_CLUSTER},
    {
        "runtimeEnvYAML": TEXT,
        "jobId": TEXT,
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        "submitterPodTemplate": TEMPLATE,
        "submitterConfig": record({}, {"backoffLimit": COUNT}),
        "shutdownAfterJobFinishes": FLAG,
        "ttlSecondsAfterFinished": COUNT,
        "activeDeadlineSeconds": COUNT,
        "backoffLimit": COUNT,
        "metadata": TEXTS,
        "clusterSelector": TEXTS,
        "entrypointNumCpus": {"type": "number"},
        "entrypointNumGpus": {"type": "number"},
        "entrypointResources": TEXT,
        "suspend": FLAG,
        "managedBy": TEXT,
    },
)
RAY_JOB = record(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": record({"name": TEXT}, {"namespace": TEXT, "labels": TEXTS}),
        "spec": RAY_JOB_SPEC,
    },
    {},
)
