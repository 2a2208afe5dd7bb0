"""What is wrong in an application, with its place and in which words."""

import pytest
from reading import problems

from zoe.model.errors import ZAppInvalid
from zoe.model.zapp_yaml import read_outline

SERVICE = "zoe: 4\nname: a\nframeworks:\n  f:\n    services:\n      s:\n        monitor: true\n"
"""An application whose service begins at line 6; the next key of it is in line 8, column 9."""


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
            " (zoe convert describes it in this format)",
        ),
        (
            '{"version": 2}',
            "a.yaml:1:1: zoe: this is format 2; this reads format 4"
            " (zoe convert describes it in this format)",
        ),
        (
            "zoe: 5",
            "a.yaml:1:6: zoe: this is format 5; this reads format 4"
            " (a newer version of Zoe may read it)",
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
        ("image: 3", "8:16: S.image: must be a text (put it in quotes)"),
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
        ("speedup: {}", "8:9: S.speedup: must have exactly one of parallel_fraction and points"),
        ("speedup: {points: []}", "8:27: S.speedup.points: must not be empty"),
        ("speedup: {points: [{instances: 1, speed: 1}]}", "8:40: S.speedup.points.0.instances: must"
         " be at least 2"),
        ("speedup: {points: [{instances: 2, speed: 0.9}]}", "8:50: S.speedup.points.0.speed: must"
         " be at least 1"),
        ("speedup: {points: [{instances: 2, speed: 2}, {instances: 2, speed: 3}]}",
         "8:66: S.speedup.points.1.instances: is not more than the 2 of the point before"),
        ("speedup: {points: [{instances: 2, speed: 2}, {instances: 4, speed: 1.9}]}",
         "8:76: S.speedup.points.1.speed: is less than the 2 of 2 instances (what more instances"
         " make slower they need not do: end the curve before)"),
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
    assert problems(f"{SERVICE}        {line}\n{complete}") == [
        "a.yaml:" + expected.replace("S.", "frameworks.f.services.s.", 1)
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_document() -> None:
    text = """\
zoe: 4
name: A
kind: batsh
tile: x
time_limit: forever
parameters:
  n: {type: integer, default: 9, max: 5}
  m: {type: choice}
  o: {type: string, min: 3}
  p: {type: integer, min: 3, max: 2}
  Q: {type: integer}
  r: 3
  s: {type: choice, choices: [a, null]}
frameworks:
  one:
    depends_on: {two: ready, tow: ready}
    services:
      a: {command: [x], depends_on: {b: ready}}
      b: {command: [x], depends_on: {a: started, c: completed}}
  two:
    depends_on: {one: completed}
    services: {m: {command: [x], monitor: true}, n: {command: [x], monitor: true}}
  three: {}
  four: {services: {x: {command: [x]}}, with: {a: 1}, use: dask}
"""
    assert problems(text, parameters={"nn": 1}) == [
        "a.yaml:2:7: name: 'A' is not a name: 1 to 63 of a-z, 0-9 and -, with no - at either end",
        "a.yaml:3:7: kind: must be 'batch', 'interactive' or 'service' (did you mean batch?)",
        "a.yaml:4:1: tile: unknown key (did you mean title?)",
        "a.yaml:5:13: time_limit: 'forever' is not a length of time, such as 90s, 2h30m or 1d",
        "a.yaml:6:1: parameters.nn: there is no such parameter (did you mean n?)",
        "a.yaml:7:3: parameters.n: default: 9 is more than the maximum, 5",
        "a.yaml:8:3: parameters.m: choices are for a choice, and a choice has them",
        "a.yaml:9:3: parameters.o: a string has no min and max",
        "a.yaml:10:3: parameters.p: min, 3, is more than max, 2",
        "a.yaml:11:3: parameters.Q: 'Q' is not a parameter's name: 1 to 63 of a-z, 0-9, _ and -,"
        " a letter first",
        "a.yaml:11:3: parameters.Q: needs a value: it has no default",
        "a.yaml:12:6: parameters.r: must be a mapping",
        "a.yaml:13:34: parameters.s.choices.1: has no value (give it one or remove the key)",
        "a.yaml:16:23: frameworks.one.depends_on.two: these frameworks wait for each other:"
        " one > two > one",
        "a.yaml:16:35: frameworks.one.depends_on.tow: there is no framework 'tow' here"
        " (did you mean two?)",
        "a.yaml:18:41: frameworks.one.services.a.depends_on.b: these services wait for each other:"
        " a > b > a",
        "a.yaml:19:53: frameworks.one.services.b.depends_on.c: there is no service 'c' here"
        " (the services are a)",
        "a.yaml:22:77: frameworks.two.services.n.monitor: an application has only one monitor",
        "a.yaml:23:3: frameworks.three: needs services, or use: with the name of a catalogue"
        " framework",
        "a.yaml:24:10: frameworks.four.services: a framework has services or uses one of the"
        " catalogue, not both",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "zoe: 4\nname: a\nframeworks: {f: {services: {s: {command: [x]}}}}",
            "a.yaml:3:1: frameworks: a batch application needs a monitor: the service whose end"
            " ends the execution (set monitor: true on it, or choose kind: interactive or service)",
        ),
        (
            "zoe: 4\nname: a\nkind: service\n"
            "frameworks: {f: {services: {s: {command: [x], count: 0}}}}",
            "a.yaml:4:1: frameworks: at least one essential instance is needed",
        ),
        (
            "zoe: 4\nname: a\nframeworks: {f: {services: {s: {command: [x], monitor: true},"
            " t: {command: [x], depends_on: {s: completed}}}}}",
            "a.yaml:3:97: frameworks.f.services.t.depends_on.s: would never start: the end of the"
            " monitor ends the execution",
        ),
        (
            "zoe: 4\nname: a\nframeworks: {f: {services: {s: {command: [x], monitor: true}}},"
            " g: {depends_on: {f: completed}, services: {t: {command: [x]}}}}",
            "a.yaml:3:85: frameworks.g.depends_on.f: would never start: the end of the"
            " monitor ends the execution",
        ),
        (
            "zoe: 4\nname: a\nframeworks: {f: {services: {s: {command: [x], monitor: true}},"
            " with: {a: 1}}}",
            "a.yaml:3:64: frameworks.f.with: is only for use:",
        ),
        (
            "zoe: 4\nname: a\nkind: service\nframeworks:\n  a-b: {services: {c: {command: [x]}}}\n"
            "  a: {services: {b-c: {command: [x]}}}",
            "a.yaml:6:18: frameworks.a.services.b-c: another service has the same variable"
            " ZOE_HOSTS_A_B_C (give one of them another name)",
        ),
        (
            "zoe: 4\nname: a\nkind: service\nframeworks:\n"
            + "".join(
                f"  f{i}: {{services: {{s: {{command: [x], count: 1000}}}}}}\n" for i in range(11)
            ),
            "a.yaml:4:1: frameworks: 11000 instances are more than 10000",
        ),
        (
            "zoe: 4\nname: a\nkind: service\nframeworks:\n"
            + "".join(
                f"  f{i}: {{services: {{s: &s {{command: [x]}}, t: *s, u: *s}}}}\n"
                for i in range(22)
            ),
            "a.yaml:4:1: frameworks: the frameworks have 66 services; at most 64 are read",
        ),
        (
            "zoe: 4\nname: a\nframeworks:\n"
            + "".join(f"  f{i}: {{services: {{s: {{command: [x]}}}}}}\n" for i in range(33)),
            "a.yaml:3:1: frameworks: has 33 entries; at most 32 are read",
        ),
    ],
)
def test_what_must_hold_between_the_parts(text: str, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ("integer, min: 2", "1", "1 is less than the minimum, 2"),
        ("integer", "1.5", "'1.5' is not a whole number"),
        ("integer", True, "True is not a whole number"),
        ("integer", "1_0", "'1_0' is not a whole number"),
        ("number", "nan", "'nan' is not a number"),
        ("number", float("inf"), "inf is not a number"),
        ("number", "x", "'x' is not a number"),
        ("boolean", "yes", "'yes' is not true or false"),
        ("choice, choices: [a, b]", "c", "'c' is not one of a, b"),
        ("string", None, "must be a text"),
        ("string", "x" * 1025, "is longer than 1024 characters"),
        ("string", "a\x1b[2J", "has control characters"),
    ],
)
def test_a_value_that_a_parameter_cannot_have(declared: str, given: object, message: str) -> None:
    text = f"{SERVICE}        command: [x]\nparameters:\n  p: {{type: {declared}}}\n"
    assert problems(text, parameters={"p": given}) == [f"a.yaml:10:3: parameters.p: {message}"]


def test_json_in_a_json_file_only() -> None:
    assert problems('{"zoe": 4,}', file="a.json") == [
        "a.json:1:11: this is not valid JSON: Expecting property name enclosed in double quotes"
    ]
    text = '{\n\t"zoe": 4, "name": "a\\/b",\n\t"frameworks": {"f": {"use": "x"}}}'
    assert problems(text, file="a.json") == [
        "a.json:2:20: name: 'a/b' is not a name: 1 to 63 of a-z, 0-9 and -, with no - at either"
        " end",
        "a.json:3:30: frameworks.f.use: there is no framework 'x' in the catalogue"
        " (there are no frameworks there)",
    ]


def test_more_problems_than_anybody_reads_are_counted() -> None:
    keys = "".join(f"k{number}: 1\n" for number in range(150))
    found = problems("zoe: 4\n" + keys)
    assert len(found) == 101
    assert found[-1] == "a.yaml: and 52 more problems"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zoe: 4\nframeworks: {}", "a.yaml:1:1: name: is required"),
        ("zoe: 4\nframework: X\nservices: {}", "a.yaml:2:12: framework: 'X' is not a name: 1 to 63"
         " of a-z, 0-9 and -, with no - at either end"),
        ("", "a.yaml:1:1: the document is empty: it begins with zoe: 4"),
    ],
)  # fmt: skip
def test_an_outline_that_is_wrong(text: str, expected: str) -> None:
    with pytest.raises(ZAppInvalid) as raised:
        read_outline(text, file="a.yaml")
    assert str(raised.value) == expected


def test_other_ways_to_be_wrong() -> None:
    assert problems(
        "zoe: 4\nname: a\nkind: service\nparameters: {n: {type: number, min: x, default: [1]}}\n"
        "frameworks: {f: {use: dask, with: {a: [1]}}}"
    ) == [
        "a.yaml:4:37: parameters.n.min: must be a number",
        "a.yaml:4:49: parameters.n.default: must be a text, a number or a boolean",
        "a.yaml:5:39: frameworks.f.with.a: must be a text, a number or a boolean",
    ]
