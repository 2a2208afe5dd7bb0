"""The dependency tree of an application: what each service waits for, and an order to start in.

The essential instances of a service are what its dependants wait for; a framework stands for all
its services. Names are full ones, ``framework.service``.
"""

from collections.abc import Iterable, Mapping

from zoe.model.zapp import Condition, ZApp


def requirements(zapp: ZApp) -> Mapping[str, tuple[tuple[str, Condition], ...]]:
    """Return, for every service, the services it waits for and the state they must have reached.

    A framework that depends on a framework makes each of its services wait for every service of
    the other one. Only direct requirements: those of a requirement are its own.
    """
    services_of = {
        framework.name: tuple(f"{framework.name}.{service.name}" for service in framework.services)
        for framework in zapp.frameworks
    }
    return {
        f"{framework.name}.{service.name}": (
            *(
                (needed, condition)
                for other, condition in framework.depends_on.items()
                for needed in services_of[other]
            ),
            *((f"{framework.name}.{name}", state) for name, state in service.depends_on.items()),
        )
        for framework in zapp.frameworks
        for service in framework.services
    }


def start_order(zapp: ZApp) -> tuple[str, ...]:
    """Return all services such that each comes after what it waits for, else as in the document."""
    needs = {
        name: [needed for needed, _ in required] for name, required in requirements(zapp).items()
    }
    order: list[str] = []
    while len(order) < len(needs):
        placed = set(order)
        order.append(
            next(name for name in needs if name not in placed and placed.issuperset(needs[name]))
        )
    return tuple(order)


def cycles(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return circles of names that wait for each other, each once: ``("a", "b")`` is a > b > a.

    Names that are not keys of ``needs`` are taken to need nothing. The search is a depth-first
    walk that reports a circle where it meets its own path, so at least one circle of every knot
    is found; a name that needs itself is the circle ``("a",)``.
    """
    found: list[tuple[str, ...]] = []
    finished: set[str] = set()
    for root in needs:
        path: list[str] = []
        pending: list[tuple[str, bool]] = [(root, True)]
        while pending:
            name, entering = pending.pop()
            if not entering:
                finished.add(path.pop())
            elif name in path:
                found.append(tuple(path[path.index(name) :]))
            elif name not in finished:
                path.append(name)
                pending.append((name, False))
                pending.extend((needed, True) for needed in reversed(list(needs.get(name, ()))))
    return tuple(found)
