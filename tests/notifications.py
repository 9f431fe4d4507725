"""Messages as Alertmanager 0.25 sends them, with what a test wants to be different."""

from typing import Any


def alert(**changes: object) -> dict[str, Any]:
    """A critical signal of the run sft-7, firing."""
    return {
        "status": "firing",
        "labels": {
            "alertname": "TrainingRunCriticalSignal",
            "run_id": "sft-7",
            "type": "non_finite",
            "severity": "critical",
        },
        "annotations": {"summary": "the loss is NaN"},
        "startsAt": "2026-01-01T00:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=vector%281%29",
        "fingerprint": "9c2d1f6a0f5b7e31",
        **changes,
    }


def message(*alerts: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A notification of `alerts`."""
    return {
        "receiver": "pager",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "TrainingRunCriticalSignal"},
        "commonLabels": {"severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "version": "4",
        "groupKey": '{}/{severity="critical"}:{alertname="TrainingRunCriticalSignal"}',
        "truncatedAlerts": 0,
        **changes,
    }
