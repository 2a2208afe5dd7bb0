"""The names of the environment variables that Zoe gives to every instance."""


def hosts_variable(framework: str, service: str) -> str:
    """Return the variable that lists the hosts of a service: ``ZOE_HOSTS_SPARK_WORKER``."""
    return f"ZOE_HOSTS_{framework}_{service}".upper().replace("-", "_")


def proxy_path_variable(port: int) -> str:
    """Return the variable that has the proxied path of a port: ``ZOE_PROXY_PATH_8888``."""
    return f"ZOE_PROXY_PATH_{port}"
