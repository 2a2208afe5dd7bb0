"""Counts for Prometheus: requests, executions, streams, nodes, how forecasts came true."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zoe.model.execution import ExecutionStatus
from zoe.model.resources import CORE
from zoe.model.rest_cluster import NodeView
from zoe.store.base import PastForecast


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
        self.forecasts = Gauge(
            "zoe_forecasts_judged",
            "The last forecasts of which the execution has started.",
            registry=self.registry,
        )
        self.forecast_error = Gauge(
            "zoe_forecast_error_seconds",
            "Median distance of the true start from the predicted one (p50), of those.",
            registry=self.registry,
        )
        self.forecast_coverage = Gauge(
            "zoe_forecast_started_by_ratio",
            "Share of those that started by the predicted quantile: 0.5 and 0.9 are perfect.",
            ["quantile"],
            registry=self.registry,
        )

        self.node_memory = Gauge(
            "zoe_node_memory_used_bytes",
            "Memory of a node that is used, by whom ever.",
            ["node"],
            registry=self.registry,
        )
        self.node_cores = Gauge(
            "zoe_node_cores_used",
            "Cores of a node that work, for whom ever.",
            ["node"],
            registry=self.registry,
        )
        self.node_stall = Gauge(
            "zoe_node_stall_ratio",
            "Share of the last ten seconds in which something waited for a resource of a node.",
            ["node", "resource"],
            registry=self.registry,
        )
        self.node_pressure = Gauge(
            "zoe_node_under_pressure",
            "Whether a node is short of something, so that nothing elastic is placed on it.",
            ["node"],
            registry=self.registry,
        )

    def render(
        self,
        counts: Mapping[ExecutionStatus, int],
        streams: int,
        forecasts: Sequence[PastForecast] = (),
        nodes: Sequence[NodeView] = (),
    ) -> bytes:
        """Return the text that Prometheus reads."""
        self._measure(nodes)
        self._judge(forecasts)
        self.streams.set(streams)
        for status in ExecutionStatus:
            self.executions.labels(status).set(counts.get(status, 0))
        return generate_latest(self.registry)

    def _measure(self, nodes: Sequence[NodeView]) -> None:
        for gauge in (self.node_memory, self.node_cores, self.node_stall, self.node_pressure):
            gauge.clear()  # nodes go, too
        for node in nodes:
            self.node_pressure.labels(node.name).set(bool(node.pressure))
            if (use := node.use) is None:
                continue
            self.node_memory.labels(node.name).set(use.memory_bytes)
            self.node_cores.labels(node.name).set(use.cores_milli / CORE)
            for resource, stall in (("memory", use.memory_stall), ("cpu", use.cpu_stall)):
                if stall is not None:
                    self.node_stall.labels(node.name, resource).set(stall / 100)

    def _judge(self, forecasts: Sequence[PastForecast]) -> None:
        judged = [
            (each.started_at, each.forecast.p50, each.forecast.p90)
            for each in forecasts
            if each.forecast.p50 is not None and each.forecast.p90 is not None
        ]
        self.forecasts.set(len(judged))
        if judged:
            self.forecast_error.set(median(abs(start - p50) for start, p50, _ in judged))
            for quantile, place in (("0.5", 1), ("0.9", 2)):
                share = fmean(each[0] <= each[place] for each in judged)
                self.forecast_coverage.labels(quantile).set(share)
