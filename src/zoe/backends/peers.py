"""Which instances an execution may have, for the names that they know each other by."""

from collections.abc import Mapping

from zoe.model.execution import Execution, ServiceInstance


def counts_by_service(execution: Execution, starting: ServiceInstance) -> Mapping[str, int]:
    """Return how many ordinals each ``framework.service`` needs names for, also for growth."""
    counts = {
        name: service.essential + max(service.elastic, execution.elastic_count(name))
        for name, service in execution.zapp.services()
    }
    for placed in (*execution.instances, starting):
        counts[placed.service] = max(counts[placed.service], placed.ordinal + 1)
    return counts
