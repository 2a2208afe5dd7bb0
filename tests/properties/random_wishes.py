"""What users of the world ask for and may have, and what its nodes offer: drawn by chance."""

import random
from dataclasses import replace

from zoe.model.cluster import Node
from zoe.model.quota import Quota
from zoe.model.resources import Resources
from zoe.model.zapp import Condition, Framework, Kind, RestartPolicy, Service, ZApp

GIB = 1024**3


def random_zapp(chance: random.Random) -> ZApp:
    """A chain of one to three services with a monitor at its end, or without one."""
    services = []
    for number in range(chance.randint(1, 3)):
        needs = {}
        if services and chance.random() < 0.7:
            needs[chance.choice(services).name] = chance.choice(list(Condition)[:2])
        services.append(
            Service(
                f"s{number}",
                resources=Resources(chance.choice((500, 1000, 2000)), chance.choice((0, 1)) * GIB),
                essential=chance.choice((1, 1, 1, 2, 3)),
                elastic=chance.choice((0, 0, 1, 2, 4)),
                depends_on=needs,
                labels=("ssd",) if chance.random() < 0.1 else (),
                spread=chance.random() < 0.1,
                restart=RestartPolicy(chance.choice(("never", "on-failure")), 2, 3.0),
            )
        )
    if chance.random() < 0.8:
        services[-1] = replace(services[-1], monitor=True)
    limit = chance.choice((None, None, 30.0))
    return ZApp("app", Kind.BATCH, (Framework("f", tuple(services)),), limit)


def random_quota(chance: random.Random) -> Quota:
    """Mostly tight, so that it holds something back."""
    return Quota(
        cores_milli=chance.choice((None, 1000, 2000, 3500, 6000)),
        memory_bytes=chance.choice((None, None, GIB, 2 * GIB)),
        executions=chance.choice((None, None, 1, 2)),
        sessions=chance.choice((None, None, 0, 1)),
        run_seconds=chance.choice((None, None, 20.0, 40.0)),
    )


def random_fittings(lot: random.Random, node: Node, *, gpus: bool, images: bool) -> Node:
    """The node with other GPUs and images, as far as its world has any.

    Some GPUs are named, some only counted; some nodes tell their images, some get them.
    """
    if images:
        some = frozenset(lot.sample("xyz", lot.randint(0, 3)))
        node = replace(node, images=some if lot.random() < 0.6 else None)
        node = replace(node, pulls=node.images is not None and lot.random() < 0.3)
    if not gpus:
        return node
    count = lot.randint(0, 4)
    named = tuple(lot.sample("abcde", count)) if lot.random() < 0.7 else ()
    return replace(node, capacity=replace(node.capacity, gpus=count), gpus=named)


def random_needs(lot: random.Random, zapp: ZApp, *, gpus: bool, images: bool) -> ZApp:
    """The application with wishes for GPUs and images, as far as its world has any."""
    if not (gpus or images):
        return zapp
    (framework,) = zapp.frameworks
    services = tuple(
        replace(
            each,
            resources=replace(each.resources, gpus=lot.choice((0, 1, 1, 2)) if gpus else 0),
            image=lot.choice(("", "x", "y")) if images else "",
        )
        for each in framework.services
    )
    return replace(zapp, frameworks=(replace(framework, services=services),))
