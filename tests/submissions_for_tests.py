"""Applications, submissions and changes that the tests of the store use."""

from zoe.model.change import Change, SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    ExecutionEnd,
    ExecutionStatus,
    InstanceStatus,
    Outcome,
    ServiceInstance,
)
from zoe.model.resources import CORE, Resources
from zoe.model.zapp import (
    CommandCheck,
    Condition,
    Framework,
    HttpCheck,
    Kind,
    Port,
    ReadyCheck,
    RestartPolicy,
    Service,
    ShrinkHook,
    Speedup,
    TcpCheck,
    VolumeMount,
    ZApp,
)
from zoe.store.base import NewExecution, Store

Q, S, R, STOPPING, T, F = (
    ExecutionStatus.QUEUED,
    ExecutionStatus.STARTING,
    ExecutionStatus.RUNNING,
    ExecutionStatus.STOPPING,
    ExecutionStatus.TERMINATED,
    ExecutionStatus.FAILED,
)

FULL = ZApp(
    name="full",
    kind=Kind.INTERACTIVE,
    frameworks=(
        Framework(
            "spark",
            (
                Service(
                    "master",
                    image="apache/spark:3.5.6",
                    command=("spark", "${dns.spark.master.0}"),
                    process_command=("true",),
                    resources=Resources(CORE, 2**31, 1),
                    limits=Resources(2 * CORE, 2**32, 1),
                    ports=(Port("Spark UI", 8080, "http"),),
                    ready=ReadyCheck(HttpCheck(8080, "/x?y=%s&z='"), 12.5, 0.25),
                    environment={"Z": "1", "A": "ü\n\t\\u0000 {} %s", "LONG": "x" * 10_000},
                    monitor=True,
                ),
                Service(
                    "worker",
                    essential=1,
                    elastic=4,
                    depends_on={"master": Condition.READY},
                    ready=ReadyCheck(TcpCheck(1)),
                    restart=RestartPolicy("on-failure", 2, 1e-3),
                    shrink=ShrinkHook(("drain",), 60.0),
                    speedup=Speedup(points=((2, 1.9), (8, 5.0))),
                    volumes=(VolumeMount("datasets", "/data", True),),
                    labels=("ssd",),
                ),
            ),
        ),
        Framework(
            "driver",
            (Service("submit", ready=ReadyCheck(CommandCheck(("true",)))),),
            {"spark": Condition.COMPLETED},
        ),
    ),
    time_limit_seconds=7200.0,
    parameters={"workers": 4, "rate": 0.1, "name": "é", "fast": True, "big": 10**18},
)

SMALL = ZApp("small", Kind.BATCH, (Framework("f", (Service("s", elastic=2),)),))


def new(
    name: str = "job", owner: str = "ann", key: str = "", zapp: ZApp = SMALL, source: str = "zoe: 4"
) -> NewExecution:
    return NewExecution(name, owner, zapp, source, key)


def status(execution_id: int, status: ExecutionStatus, at: float = 5.0) -> SetStatus:
    end = ExecutionEnd(Outcome.COMPLETED, "done", 0) if status in ENDED else None
    return SetStatus(execution_id, status, at, f"it is {status}", end)


def way_to(execution_id: int, goal: ExecutionStatus) -> list[Change]:
    """Return the changes that bring a submitted execution to ``goal``."""
    ways = {
        ExecutionStatus.SUBMITTED: [],
        Q: [Q],
        S: [Q, S],
        R: [Q, S, R],
        STOPPING: [Q, S, R, STOPPING],
        T: [Q, S, R, STOPPING, T],
        F: [Q, F],
    }
    return [status(execution_id, each, at=float(n)) for n, each in enumerate(ways[goal], 1)]


def instance(
    execution_id: int,
    ordinal: int = 0,
    status: InstanceStatus = InstanceStatus.WAITING,
    service: str = "f.s",
    attempt: int = 1,
    at: float = 5.0,
) -> SetInstance:
    made = ServiceInstance(
        execution_id, service, ordinal, ordinal == 0, status, "node-1", attempt, placed_at=0.1,
        gpus=("GPU-1", "0"),
    )  # fmt: skip
    return SetInstance(made, at, f"it is {status}")


NODES = (
    Node("b", Resources(4000, 2**34, 2), labels=frozenset({"ssd", "gpu"}), gpus=("3", "GPU-1")),
    Node("a", Resources(8000, 2**35), foreign=Resources(1, 1), message="tired"),
)


async def lead(store: Store) -> int:
    epoch = await store.lead("test", 60)
    assert epoch is not None
    return epoch
