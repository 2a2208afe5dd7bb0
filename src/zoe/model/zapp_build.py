"""Validated documents as the values of :mod:`zoe.model.zapp`."""

from zoe.model.resources import Resources
from zoe.model.zapp import (
    CommandCheck,
    Condition,
    HttpCheck,
    Port,
    ReadyCheck,
    RestartPolicy,
    Service,
    ShrinkHook,
    Speedup,
    TcpCheck,
    VolumeMount,
)
from zoe.model.zapp_document import (
    LimitsDocument,
    PortDocument,
    ReadyDocument,
    ServiceDocument,
    SpeedupDocument,
)


def service(name: str, document: ServiceDocument) -> Service:
    """Return the service called ``name`` that ``document`` describes."""
    return Service(
        name=name,
        image=document.image or "",
        command=tuple(document.command or ()),
        process_command=tuple(document.process.command) if document.process else (),
        resources=Resources(
            document.resources.cores, document.resources.memory, document.resources.gpus
        ),
        limits=_limits(document.limits) if document.limits else None,
        essential=document.count.essential,
        elastic=document.count.elastic,
        ports=tuple(_port(port) for port in document.ports),
        ready=_ready(document.ready) if document.ready else None,
        depends_on={other: Condition(state) for other, state in document.depends_on.items()},
        monitor=document.monitor,
        environment=document.environment,
        work_dir=document.work_dir or "",
        volumes=tuple(
            VolumeMount(volume.name, volume.path, volume.read_only) for volume in document.volumes
        ),
        labels=tuple(document.labels),
        spread=document.spread,
        shm_bytes=document.shm or 0,
        restart=RestartPolicy(
            document.restart.policy, document.restart.attempts, document.restart.backoff
        ),
        shrink=ShrinkHook(tuple(document.shrink.command or ()), document.shrink.grace),
        speedup=_speedup(document.speedup) if document.speedup else None,
    )


def _speedup(document: SpeedupDocument) -> Speedup:
    if document.parallel_fraction is not None:
        return Speedup(document.parallel_fraction)
    return Speedup(points=tuple((each.instances, each.speed) for each in document.points or ()))


def _limits(document: LimitsDocument) -> Resources:
    return Resources(document.cores or 0, document.memory or 0)


def _port(document: PortDocument) -> Port:
    name = document.name or f"{document.protocol} {document.port}"
    return Port(name, document.port, document.protocol)


def _ready(document: ReadyDocument) -> ReadyCheck:
    check: HttpCheck | TcpCheck | CommandCheck
    if document.http is not None:
        check = HttpCheck(document.http.port, document.http.path)
    elif document.tcp is not None:
        check = TcpCheck(document.tcp.port)
    else:
        check = CommandCheck(tuple(document.command or ()))
    return ReadyCheck(check, document.timeout, document.interval)
