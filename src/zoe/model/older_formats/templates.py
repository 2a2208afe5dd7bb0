"""Texts with ``{...}`` in them, which the original Zoe filled in, as texts with ``${...}``.

Formats 0 and 1 wrote the whole name of a container where later ones had ``{dns_name#...}``: the
name of the service, the number of the instance (format 2), and what told executions apart.
"""

import re
from collections.abc import Mapping

from zoe.model.older_formats.findings import Findings, Path

FRAMEWORK = "main"
"""What the one framework of a converted application is called."""
WORKSPACE = "/mnt/workspace"
"""Where the workspace was in every container."""
BINARY = "application_binary"
"""The parameter that takes the place of the file that users uploaded (formats 0 and 1)."""

_OWN_NAME = r"\{execution_name\}-\{user_name\}-\{deployment_name\}-zoe"
_TOKEN = re.compile(
    rf"(?P<host>[A-Za-z0-9][A-Za-z0-9_-]*?)(?P<own>-\{{index\}})?-"
    rf"(?:{_OWN_NAME}(?:\.\{{user_name\}}-\{{deployment_name\}}-zoe)?"
    r"|\{execution_id\}(?:\.zoe-usernet-\{user_id\})?)"
    r"|\{dns_name#(?P<dns>[^{}]*)\}"
    r"|\{cluster\[(?P<cluster>[^{}\[\]]*)\]\[[^{}]*\]\}"
    rf"|(?P<workspace>{WORKSPACE})(?![\w.-])"
    r"|\{(?P<name>[a-z_]+)\}"
)
_VALUES = {
    "user_name": "${user}",
    "execution_id": "${execution.id}",
    "execution_name": "${execution.name}",
    "deployment_name": "${deployment}",
    "index": "${instance.ordinal}",
    "application_binary": f"${{parameters.{BINARY}}}",
    "application_binary_url": f"${{parameters.{BINARY}}}",
}


class Templates:
    """Fills in the texts of one application."""

    def __init__(self, findings: Findings, services: Mapping[str, tuple[str, int]]) -> None:
        self._findings = findings
        self._services = services
        """By old name: the new name, and how many instances it has."""
        self.asks_for_binary = False

    def text(self, old: str, path: Path) -> str:
        """Return the text as format 4 has it."""
        parts = []
        end = 0
        for token in _TOKEN.finditer(old):
            parts += [_literal(old[end : token.start()]), self._value(token, path)]
            end = token.end()
        return "".join([*parts, _literal(old[end:])])

    def _value(self, token: re.Match[str], path: Path) -> str:
        if token["workspace"]:
            return "${workspace}"
        if token["own"]:
            return "${instance.host}"
        host = token["host"] or token["dns"] or token["cluster"]
        if host == "self":
            return "${instance.host}"
        if host:
            return self._host(host, token[0], path)
        value = _VALUES.get(token["name"])
        if value is None:
            self._findings.warn(path, f"nothing takes the place of {token[0]}: it is left as it is")
            return _literal(token[0])
        self.asks_for_binary |= BINARY in value
        return value

    def _host(self, host: str, written: str, path: Path) -> str:
        name, number = self._instance(host)
        if name not in self._services:
            self._findings.refuse(path, f"{written} names {host}, and there is no such service")
            return ""
        new, instances = self._services[name]
        if number >= instances:
            said = f"{written} names instance {number} of {name}, which has {instances}"
            self._findings.refuse(path, said)
        return f"${{dns.{FRAMEWORK}.{new}.{number}}}"

    def _instance(self, host: str) -> tuple[str, int]:
        """Return the service and the instance that a host names: ``worker1``, ``worker-1``."""
        end = len(host)
        while host not in self._services and host[end - 1 : end].isdecimal():
            end -= 1
            for name in (host[:end], host[:end].removesuffix("-")):
                if name in self._services:
                    return name, int(host[end:])
        return host, 0


def _literal(text: str) -> str:
    return text.replace("${", "$${")
