"""Where people reach the ports of instances, by what the back-end told."""

from dataclasses import replace

from zoe.api.views import endpoints
from zoe.model.execution import Execution, InstanceStatus, ServiceInstance
from zoe.model.zapp import Framework, Kind, Port, Service, ZApp

SERVICE = Service("s", image="x", ports=(Port("page", 8000, "http"), Port("data", 9000)))
ZAPP = ZApp("app", Kind.SERVICE, (Framework("f", (SERVICE,)),))
INSTANCE = ServiceInstance(
    1, "f.s", 0, True, status=InstanceStatus.RUNNING, address="10.0.0.5", ready=True
)


def urls(instance: ServiceInstance) -> list[str]:
    execution = Execution(1, "run", "ada", ZAPP, 1.0, instances=(instance,))
    return [endpoint.url for endpoint in endpoints(execution)]


def test_a_port_is_at_the_address_of_its_instance() -> None:
    assert urls(INSTANCE) == ["http://10.0.0.5:8000", "tcp://10.0.0.5:9000"]


def test_a_published_port_is_at_its_other_number() -> None:
    published = replace(INSTANCE, published=((8000, 49153),))
    assert urls(published) == ["http://10.0.0.5:49153", "tcp://10.0.0.5:9000"]
