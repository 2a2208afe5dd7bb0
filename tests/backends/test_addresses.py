from ipaddress import ip_address, ip_network

from zoe.backends.process.addresses import CHUNK, Addresses


def test_every_instance_has_an_address_of_its_own_in_the_loopback_network() -> None:
    addresses = Addresses("test")
    given = [
        address
        for execution in range(200)
        for service in ("a.x", "a.y")
        for address in addresses.of_service(execution, service, 33)
    ]
    assert len(set(given)) == len(given) == 200 * 2 * 33
    assert all(ip_address(address) in ip_network("127.64.0.0/10") for address in given)


def test_growth_and_a_restart_change_no_address() -> None:
    addresses = Addresses("test")
    few = addresses.of_service(7, "a.x", 3)
    kept = Addresses("test", addresses.chunks)
    many = kept.of_service(7, "a.x", 3 * CHUNK)
    assert many[:3] == few
    assert kept.of_service(7, "a.x", 3) == few


def test_what_is_released_is_given_again() -> None:
    addresses = Addresses("test")
    before = addresses.of_service(7, "a.x", 1)
    addresses.of_service(70, "a.x", 1)
    addresses.release(7)
    assert addresses.executions() == {70}
    assert addresses.of_service(7, "a.x", 1) == before


def test_nothing_is_allocated_for_no_instances() -> None:
    addresses = Addresses("test")
    assert addresses.of_service(7, "a.x", 0) == []
    assert addresses.chunks == {}
