"""What is wrong in a framework of the catalogue is said of both: the framework and who uses it."""

from reading import problems

DASK = """\
zoe: 4
framework: dask
parameters:
  size: {type: integer, max: 5}
services:
  a:
    comand: [x]
    command: ["${dns.dask.a.1}", "${dns.x.a.0}"]
    environment: {SIZE: "${parameters.size}"}
"""


def test_problems_of_a_catalogue_framework_say_where_it_is_used() -> None:
    text = """\
zoe: 4
name: a
kind: service
frameworks:
  d: {use: dask, with: {size: "9", siez: 3}}
  e: {use: das}
  f: {use: dask}
  g: {use: old}
  h: {use: broken}
  i: {use: other}
"""
    catalogue = {
        "dask": ("dask.yaml", DASK),
        "old": ("old.yaml", "version: 3"),
        "broken": ("broken.yaml", "["),
        "other": ("other.yaml", "zoe: 4\nframework: x\nservices: {s: {command: [x]}}"),
    }
    assert problems(text, catalogue=catalogue) == [
        "a.yaml:5:31: frameworks.d.with.size: 9 is more than the maximum, 5",
        "a.yaml:5:42: frameworks.d.with.siez: there is no such parameter (did you mean size?)",
        "a.yaml:6:12: frameworks.e.use: there is no framework 'das' in the catalogue"
        " (did you mean dask?)",
        "a.yaml:7:12: frameworks.f.with.size: needs a value: it has no default",
        "old.yaml:1:1: zoe: this is format 3; this reads format 4 (zoe convert describes it in"
        " this format; used by a.yaml:8:12: frameworks.g)",
        "broken.yaml:1:2: this is not valid YAML: expected the node content, but found"
        " '<stream end>' (used by a.yaml:9:12: frameworks.h)",
        "other.yaml:2:12: framework: the catalogue has 'x' under the name 'other'"
        " (used by a.yaml:10:12: frameworks.i)",
        "dask.yaml:7:5: services.a.comand: unknown key (did you mean command?; used by a.yaml:5:12:"
        " frameworks.d)",
        "dask.yaml:7:5: services.a.comand: unknown key (did you mean command?; used by a.yaml:7:12:"
        " frameworks.f)",
        "dask.yaml:8:34: services.a.command.1: ${dns.x.a.0}: a catalogue framework knows only its"
        " own services (its name here is dask; used by a.yaml:5:12: frameworks.d)",
        "dask.yaml:8:34: services.a.command.1: ${dns.x.a.0}: a catalogue framework knows only its"
        " own services (its name here is dask; used by a.yaml:7:12: frameworks.f)",
    ]


def test_a_framework_that_could_not_be_read_is_not_said_to_lack_services() -> None:
    text = """zoe: 4
name: a
kind: service
parameters: {size: {type: integer, default: x}}
frameworks:
  d: {use: small, with: {size: "${parameters.size}"}}
  e: {services: {s: {command: ["${dns.d.a.0}"]}}}
"""
    small = """zoe: 4
framework: small
parameters: {size: {type: integer}}
services: {a: {command: [x], count: "${parameters.size}"}}
"""
    assert problems(text, catalogue={"small": ("small.yaml", small)}) == [
        "a.yaml:4:14: parameters.size: default: 'x' is not a whole number"
    ]


def test_a_count_of_a_catalogue_framework_is_checked_under_the_name_it_has_here() -> None:
    catalogue = {
        "dask": ("dask.yaml", DASK.replace("    comand: [x]\n", "").replace("dns.x.", "user"))
    }
    text = "zoe: 4\nname: a\nkind: service\nframeworks: {d: {use: dask, with: {size: 1}}}"
    catalogue["dask"] = ("dask.yaml", catalogue["dask"][1].replace("${usera.0}", "x"))
    assert problems(text, catalogue=catalogue) == [
        "dask.yaml:7:15: services.a.command.0: ${dns.d.a.1}: d.a has 1 instances, counted from 0"
        " (used by a.yaml:4:23: frameworks.d)"
    ]
