"""What is wrong in an application, with its place and in which words."""

import pytest

from zoe.model.errors import ZAppInvalid
from zoe.model.zapp_yaml import read_outline, read_zapp

SERVICE = "zoe: 4\nname: a\nframeworks:\n  f:\n    services:\n      s:\n        monitor: true\n"
"""An application whose service begins at line 6; the next key of it is in line 8, column 9."""


def problems(text: str, file: str = "a.yaml", **options: object) -> list[str]:
    with pytest.raises(ZAppInvalid) as raised:
        read_zapp(text, file=file, **options)  # type: ignore[arg-type] # a test's shorthand
    assert str(raised.value).splitlines() == [str(p) for p in raised.value.problems]
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.yaml:1:1: the document is empty: it begins with zoe: 4"),
        ("\n\n# nothing\n", "a.yaml:1:1: the document is empty: it begins with zoe: 4"),
        ("[]", "a.yaml:1:1: a document is a mapping that begins with zoe: 4"),
        ("zoe: 4\n\tname: x", "a.yaml:2:1: a tab is not allowed here (indent with spaces)"),
        (
            "zoe: 4\nname: a: b",
            "a.yaml:2:8: this is not valid YAML: a second ': ' in one value"
            " (put the value in quotes, or check the indentation)",
        ),
        (
            "zoe: 4\nname: [a, ${x}]",
            "a.yaml:2:12: this is not valid YAML: expected ',' or ']', but got '{'"
            " (put a value with ${...} in quotes)",
        ),
        ("zoe: 4\n---\nzoe: 4", "a.yaml:2:1: a second document begins here; a file holds one"),
        ("zoe: 4\nname: a\x00b", "a.yaml:2:8: the control character U+0000 is not allowed"),
        ('zoe: 4\nname: "a\\e"', "a.yaml:2:7: the control character U+001B is not allowed"),
        ('zoe: 4\nname: "\\ud83d"', "a.yaml:2:7: the control character U+D83D is not allowed"),
        (
            "zoe: 4\nname: !!python/name:os.system x",
            "a.yaml:2:7: the tag tag:yaml.org,2002:python/name:os.system is not supported",
        ),
        ("zoe: 4\nname: *x", "a.yaml:2:7: the anchor &x does not exist"),
        (
            "zoe: 4\nname: &b [*b]",
            "a.yaml:2:11: the alias *b stands for something that contains it",
        ),
        ("? [a]\n: b", "a.yaml:1:3: a key must be a plain text"),
        ("zoe: 4\nname: " + "9" * 31, "a.yaml:2:7: a number may have at most 30 digits"),
        (
            "zoe: 3",
            "a.yaml:1:6: zoe: this is format 3; this reads format 4"
            " (zoe convert makes format 4 of the older ones)",
        ),
        (
            '{"version": 2}',
            "a.yaml:1:1: zoe: this is format 2; this reads format 4"
            " (zoe convert makes format 4 of the older ones)",
        ),
        (
            "zoe: 5",
            "a.yaml:1:6: zoe: the format is a number, and this reads format 4 (write zoe: 4)",
        ),
        (
            "zoe: true",
            "a.yaml:1:6: zoe: the format is a number, and this reads format 4 (write zoe: 4)",
        ),
        ("name: a", "a.yaml:1:1: zoe: is required: a document begins with zoe: 4"),
        (
            "zoe: 4\nframework: a",
            "a.yaml:2:1: framework: this is a framework of the catalogue, not an application"
            " (an application takes it in with use:)",
        ),
        (
            "zoe: 4\nname: a\nframeworks: {}\nkind: service",
            "a.yaml:3:1: frameworks: must not be empty",
        ),
        ("zoe: 4\nname: a\nframeworks: 3", "a.yaml:3:1: frameworks: must be a mapping of names"),
    ],
)
def test_a_document_that_cannot_be_read(text: str, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("comand: [x]", "8:9: S.comand: unknown key (did you mean command?)"),
        ("command: date", "8:18: S.command: must be a list (as in [sleep, 60]; for a shell,"
         " [sh, -c, ...])"),
        ("command: []", "8:18: S.command: must not be empty"),
        ("command: [[a]]", "8:19: S.command.0: must be a text"),
        ("image:", "8:9: S.image: has no value (give it one or remove the key)"),
        ("image: a b", "8:16: S.image: 'a b' is not the name of an image, such as python:3.12"),
        ("monitor: true", "8:9: S.monitor: monitor is there twice; the first is in line 7"),
        ("count: -1", "8:16: S.count: must be at least 0"),
        ("count: two", "8:16: S.count: must be a whole number, or a mapping of essential and"
         " elastic"),
        ("count: 2", "8:16: S.count: a monitor has exactly one essential instance"),
        ("count: {essential: 1.5}", "8:28: S.count.essential: must be a whole number"),
        ("count: {elastic: 1001}", "8:26: S.count.elastic: must be at most 1000"),
        ("resources: {memory: 16}", "8:29: S.resources.memory: 16 is less than 1MiB: is a unit"
         " missing, as in 16GiB?"),
        ("resources: {cores: .nan}", "8:28: S.resources.cores: nan is not a number of cores, such"
         " as 2, 0.5 or 500m"),
        ("resources: {gpus: -1}", "8:27: S.resources.gpus: must be at least 0"),
        ("resources: 3", "8:20: S.resources: must be a mapping"),
        ("limits: {cores: 500m}", "8:25: S.limits.cores: is less than the reserved"
         " resources.cores"),
        ("limits: {memory: 1MiB}", "8:26: S.limits.memory: is less than the reserved"
         " resources.memory"),
        ("limits: {gpus: 1}", "8:18: S.limits.gpus: unknown key (the keys here are cores,"
         " memory)"),
        ("shm: 2GiB", "8:14: S.shm: is more than the reserved resources.memory"),
        ("ports: [{port: 0}]", "8:24: S.ports.0.port: must be at least 1"),
        ("ports: [{port: 80}, {port: 80}]", "8:36: S.ports.1.port: 80 is there twice"),
        ("ports: [{port: 80, name: a}, {port: 81, name: a}]",
         "8:55: S.ports.1.name: a is there twice"),
        ("ports: [{port: 80, protocol: htp}]", "8:38: S.ports.0.protocol: must be 'http',"
         " 'https', 'tcp' or 'udp' (did you mean http?)"),
        ("ports: [{name: x}]", "8:17: S.ports.0.port: is required"),
        ("ready: {timeout: 5s}", "8:9: S.ready: must have exactly one of http, tcp and command"),
        ("ready: {http: {port: 1}, tcp: {port: 1}}", "8:9: S.ready: must have exactly one of"
         " http, tcp and command"),
        ("ready: {http: {port: 1, path: x y}}", "8:39: S.ready.http.path: 'x y' is not the path of"
         " a URL: it begins with / and has no spaces"),
        ("ready: {tcp: {port: 1}, timeout: 0}", "8:42: S.ready.timeout: must be longer than"
         " nothing"),
        ("depends_on: [f]", "8:21: S.depends_on: must be a mapping"),
        ("depends_on: {s: ready}", "8:25: S.depends_on.s: a service cannot depend on itself"),
        ("depends_on: {x: redy}", "8:25: S.depends_on.x: must be 'started', 'ready' or"
         " 'completed' (did you mean ready?)"),
        ("environment: {a-b: c}", "8:23: S.environment.a-b: 'a-b' is not the name of an"
         " environment variable: A-Z, a-z, 0-9 and _, not beginning with a digit or with ZOE_,"
         " which are Zoe's own"),
        ("environment: {ZOE_USER: me}", "8:23: S.environment.ZOE_USER: 'ZOE_USER' is not the name"
         " of an environment variable: A-Z, a-z, 0-9 and _, not beginning with a digit or with"
         " ZOE_, which are Zoe's own"),
        ("work_dir: a/b", "8:19: S.work_dir: 'a/b' is not an absolute path without .., or one"
         " that begins with ${workspace}"),
        ("volumes: [{name: d, path: /a/../b}]", "8:35: S.volumes.0.path: '/a/../b' is not an"
         " absolute path without .."),
        ("volumes: [{name: d, path: /..}]", "8:35: S.volumes.0.path: '/..' is not an absolute"
         " path without .."),
        ("volumes: [{name: d, path: /a}, {name: e, path: /a}]",
         "8:56: S.volumes.1.path: /a is there twice"),
        ("labels: [ssd, ssd]", "8:23: S.labels.1: ssd is there twice"),
        ("labels: ['']", "8:18: S.labels.0: '' is not a label: 1 to 63 of letters, digits and"
         " . _ = / -, a letter or digit first"),
        ("spread: yes", "8:17: S.spread: must be true or false"),
        ("restart: {policy: always}", "8:27: S.restart.policy: must be 'never' or 'on-failure'"),
        ("restart: {attempts: 0}", "8:29: S.restart.attempts: must be at least 1"),
        ("speedup: {parallel_fraction: 2}", "8:38: S.speedup.parallel_fraction: must be at most"
         " 1"),
        ("speedup: {}", "8:9: S.speedup.parallel_fraction: is required"),
        ("process: {command: x}", "8:28: S.process.command: must be a list (as in [sleep, 60]; for"
         " a shell, [sh, -c, ...])"),
        ("<<: 3", "8:9: S.<<: only mappings can be merged"),
        ("labels: ['${user}']", "8:18: S.labels.0: ${user} is known only when an instance starts"
         " (use it in command, process.command, environment, work_dir, ready.command,"
         " ready.http.path, shrink.command)"),
        ("shrink: {command: ['${usr}']}", "8:28: S.shrink.command.0: ${usr} is not a variable (did"
         " you mean user?; write $${ for a plain ${)"),
        ("shrink: {command: ['${HOME}']}", "8:28: S.shrink.command.0: ${HOME} is not a variable"
         " (write $${ for a plain ${)"),
        ("shrink: {command: ['${user']}", "8:28: S.shrink.command.0: a variable that begins with"
         " ${ has no } (write $${ for a plain ${)"),
        ("shrink: {command: ['${parameters.x}']}", "8:28: S.shrink.command.0: ${parameters.x}:"
         " there is no parameter 'x' (there are no parameters)"),
        ("shrink: {command: ['${dns.f.s}']}", "8:28: S.shrink.command.0: ${dns.f.s}: it is"
         " ${dns.<framework>.<service>.<n>}"),
        ("shrink: {command: ['${dns.g.s.0}']}", "8:28: S.shrink.command.0: ${dns.g.s.0}: there is"
         " no framework 'g' (the frameworks are f)"),
        ("shrink: {command: ['${dns.f.t.0}']}", "8:28: S.shrink.command.0: ${dns.f.t.0}: the"
         " framework f has no service 't' (the services are s)"),
        ("shrink: {command: ['${dns.f.s.1}']}", "8:28: S.shrink.command.0: ${dns.f.s.1}: f.s has 1"
         " instances, counted from 0"),
    ],
)  # fmt: skip
def test_a_key_of_a_service(line: str, expected: str) -> None:
    # An image makes it complete; a second one would be another problem.
    complete = "" if line.startswith("image") else "        image: x\n"
    assert problems(f"{SERVICE}        {line}\n{complete}") == ["a.yaml:" + expected.replace("S.", "frameworks.f.services.s.", 1)]
