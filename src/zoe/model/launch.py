"""What exactly to run for one instance, every late variable resolved, for any back-end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from zoe.model.execution import Execution, ServiceInstance
from zoe.model.substitution import dns_reference, resolve
from zoe.model.variables import hosts_variable, proxy_path_variable
from zoe.model.zapp import CommandCheck, HttpCheck, ReadyCheck, ZApp


@dataclass(frozen=True, slots=True)
class Place:
    """What a back-end knows about where an instance will run.

    ``hosts`` maps ``framework.service.ordinal`` to the name or address that peers use, for every
    instance the execution may have; ``workspace`` is the user's folder as the instance sees it.
    Servers listen on ``listen``; empty: on the instance's own host, as it shares its machine.
    """

    deployment: str
    hosts: Mapping[str, str]
    workspace: str
    api_url: str = ""
    token: str = ""
    listen: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """A resolved command with its environment; empty ``command`` means the image's own.

    ``ready`` and ``shrink_command`` are those of the service, resolved too.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    work_dir: str
    ready: ReadyCheck | None = None
    shrink_command: tuple[str, ...] = ()


def launch(
    execution: Execution, instance: ServiceInstance, place: Place, *, on_process: bool = False
) -> Launch:
    """Resolve the command, environment, folder, ready check and shrink command of ``instance``.

    ``on_process`` prefers the service's ``process`` command. Adds the ``ZOE_...`` variables; what
    the application sets itself wins over none of them. ``ZOE_TOKEN`` is there when the place has a
    token, ``ZOE_API_URL`` when it has an address. ``work_dir`` is empty when the service sets
    none. KeyError when the application names an instance that ``place.hosts`` lacks.
    """
    service = execution.zapp.service(instance.service)
    value_of = _values(execution, instance, place)

    def resolved(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(resolve(text, value_of) for text in texts)

    command = service.command
    if on_process and service.process_command:
        command = service.process_command
    return Launch(
        command=resolved(command),
        environment={
            **{name: resolve(text, value_of) for name, text in service.environment.items()},
            **_variables(execution, instance, place),
        },
        work_dir=resolve(service.work_dir, value_of),
        ready=service.ready and _ready(service.ready, value_of),
        shrink_command=resolved(service.shrink.command),
    )


def proxy_path(execution_id: int, instance: ServiceInstance, port: int) -> str:
    """Return the path under which the api shows a port of an instance to its user."""
    return f"/proxy/{execution_id}/{instance.service}/{instance.ordinal}/{port}/"


def _values(execution: Execution, instance: ServiceInstance, place: Place) -> Callable[[str], str]:
    own = f"{instance.service}.{instance.ordinal}"

    def value_of(name: str) -> str:
        if dns := dns_reference(name):
            framework, service, ordinal = dns
            return place.hosts[f"{framework}.{service}.{ordinal}"]
        match name:
            case "execution.id":
                return str(execution.id)
            case "execution.name":
                return execution.name
            case "user":
                return execution.owner
            case "deployment":
                return place.deployment
            case "workspace":
                return place.workspace
            case "instance.ordinal":
                return str(instance.ordinal)
            case "instance.host":
                return place.hosts[own]
            case "instance.listen":
                return place.listen or place.hosts[own]
            case "$":
                return "$"
            case _:
                raise KeyError(name)  # The application was checked when it was read.

    return value_of


def _ready(ready: ReadyCheck, value_of: Callable[[str], str]) -> ReadyCheck:
    match ready.check:
        case CommandCheck(command=command):
            check = CommandCheck(tuple(resolve(text, value_of) for text in command))
            return replace(ready, check=check)
        case HttpCheck(port=port, path=path):
            return replace(ready, check=HttpCheck(port, resolve(path, value_of)))
        case _:
            return ready


def _variables(execution: Execution, instance: ServiceInstance, place: Place) -> dict[str, str]:
    framework, service = instance.service.split(".")
    variables = {
        "ZOE_EXECUTION_ID": str(execution.id),
        "ZOE_EXECUTION_NAME": execution.name,
        "ZOE_DEPLOYMENT": place.deployment,
        "ZOE_USER": execution.owner,
        "ZOE_FRAMEWORK": framework,
        "ZOE_SERVICE": service,
        "ZOE_INSTANCE": str(instance.ordinal),
        "ZOE_WORKSPACE": place.workspace,
        **_hosts(execution.zapp, place.hosts),
    }
    for port in execution.zapp.service(instance.service).ports:
        variables[proxy_path_variable(port.port)] = proxy_path(execution.id, instance, port.port)
    if place.api_url:
        variables["ZOE_API_URL"] = place.api_url
    if place.token:
        variables["ZOE_TOKEN"] = place.token
    return variables


def _hosts(zapp: ZApp, hosts: Mapping[str, str]) -> dict[str, str]:
    """Comma-separated hosts of each service, by ordinal, under its variable."""
    ordinals: dict[str, list[tuple[int, str]]] = {name: [] for name, _ in zapp.services()}
    for name, host in hosts.items():
        service, _, ordinal = name.rpartition(".")
        if service in ordinals:
            ordinals[service].append((int(ordinal), host))
    return {
        hosts_variable(*service.split(".")): ",".join(host for _, host in sorted(found))
        for service, found in ordinals.items()
    }
