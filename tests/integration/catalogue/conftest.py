"""One engine and a swarm: the catalogue has the same files for both."""

import pytest

from catalogue_world import Place


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.component("docker")),
        pytest.param("swarm", marks=pytest.mark.component("swarm")),
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    whole = {"docker": "engine", "swarm": "swarm"}[request.param]
    return Place(request.param, request.getfixturevalue(whole))
