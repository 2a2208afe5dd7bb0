"""Whether an attempt may be started beside those that are there: each GPU is for one of them."""

from collections.abc import Iterable

from zoe.backends.base import Refused, Retryable
from zoe.model.cluster import ObservedInstance
from zoe.model.execution import InstanceStatus, ServiceInstance


def check_claims(
    instance: ServiceInstance,
    there: Iterable[ObservedInstance],
    starting: Iterable[ServiceInstance],
    gpus: Iterable[str],
) -> None:
    """Raise Refused for an attempt that came too late, Retryable while others have what it needs.

    ``there`` are the attempts that are known, ``starting`` those that are about to be; ``gpus`` are
    those of its node.
    """
    alive = []
    for seen in there:
        lives = seen.status is not InstanceStatus.STOPPED
        if lives:
            alive.append((seen.instance_id, seen.node, seen.gpus))
        if seen.instance_id == instance.id:
            if seen.attempt > instance.attempt:
                raise Refused(f"attempt {seen.attempt} of {instance.id} came after it")
            if lives:
                raise Retryable(f"attempt {seen.attempt} of {instance.id} still runs")
    if missing := sorted(set(instance.gpus).difference(gpus)):
        raise Retryable(f"{instance.node} has no GPU {missing[0]} (any more)")
    alive += [(each.id, each.node, each.gpus) for each in starting]
    for holder, node, held in alive:
        if node == instance.node and (shared := set(held).intersection(instance.gpus)):
            raise Retryable(f"{holder} still has the GPU {min(shared)}")
