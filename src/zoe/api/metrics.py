"""Counts for Prometheus: requests, how long they took, executions by status, open streams."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zoe.model.execution import ExecutionStatus


class Metrics:
    """The counters of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "zoe_api_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "zoe_api_request_seconds",
            "Time until the answer began, by route.",
            ["route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self.executions = Gauge(
            "zoe_executions", "Executions in the store.", ["status"], registry=self.registry
        )
        self.streams = Gauge("zoe_api_streams", "Streams that are open.", registry=self.registry)

    def render(self, counts: Mapping[ExecutionStatus, int], streams: int) -> bytes:
        """Return the text that Prometheus reads."""
        self.streams.set(streams)
        for status in ExecutionStatus:
            self.executions.labels(status).set(counts.get(status, 0))
        return generate_latest(self.registry)
