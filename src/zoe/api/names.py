"""Readable names for executions that were given none."""

import secrets

ADJECTIVES = """
    amber ancient autumn bold brave brisk bright calm clear clever cosy crisp curious daring
    deep early eager fair fine fresh gentle glad golden grand green happy honest humble jolly
    keen kind late light little lively lucky mellow merry mild modest neat nimble noble patient
    plain polite prompt proud quick quiet rapid rosy royal silent silver simple smooth snowy
    solid steady still sunny swift tidy vivid warm wise witty young
""".split()  # noqa: SIM905 - two hundred quotes are not easier to read
NOUNS = """
    acorn badger beacon birch bison brook cedar cloud comet coral crane creek cricket dawn delta
    dune eagle ember falcon fern field finch fjord forest fox garden glacier grove harbour hawk
    heron hill island lagoon lake lark maple marsh meadow mesa moon moss otter owl palm peak
    pine planet plum pond poplar quail rain raven reef ridge river robin sparrow spruce star
    stone summit swan thistle tide trout valley walnut wave willow wren
""".split()  # noqa: SIM905 - two hundred quotes are not easier to read


def random_name() -> str:
    """Return a name such as ``quiet-otter-417``; equal ones are rare and do no harm."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}-{secrets.randbelow(900) + 100}"
