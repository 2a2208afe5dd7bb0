"""Stops every service of one deployment, as a program of its own."""

import sys

from zoe.backends.docker.shutdown import main
from zoe.backends.swarm.backend import SwarmBackend

if __name__ == "__main__":
    sys.exit(main(SwarmBackend))
