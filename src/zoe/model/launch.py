"""What exactly to run for one instance, every late variable resolved, for any back-end."""

from collections.abc import Mapping
from dataclasses import dataclass

from zoe.model.execution import Execution, ServiceInstance


@dataclass(frozen=True, slots=True)
class Place:
    """What a back-end knows about where an instance will run.

    ``hosts`` maps ``framework.service.ordinal`` to the name or address that peers use, for every
    instance the execution may have; ``workspace`` is the user's folder as the instance sees it.
    """

    deployment: str
    hosts: Mapping[str, str]
    workspace: str
    api_url: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """A resolved command with its environment; empty ``command`` means the image's own."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    work_dir: str


def launch(
    execution: Execution, instance: ServiceInstance, place: Place, *, on_process: bool = False
) -> Launch:
    """Resolve the command, environment and folder of ``instance``.

    ``on_process`` prefers the service's ``process`` command. Adds the ``ZOE_...`` variables; what
    the application sets itself wins over none of them.
    """
    raise AssertionError("written with the application format")
