"""What all tests share: the rule of skipping, databases, and a log as the programs write it."""

from hypothesis import settings

from zoe.log import configure

pytest_plugins = ["components", "database", "docker_engine", "swarm_engines"]

configure("info", "text")  # unconfigured, structlog draws every local variable of a traceback
# A check says the same each time; `make fuzz` looks further, from other seeds.
settings.register_profile("check", max_examples=40, derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", max_examples=300, database=None, deadline=None)
settings.load_profile("check")
