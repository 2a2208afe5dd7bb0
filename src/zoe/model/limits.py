"""The limits of an application description: everything a document can ask for has one."""

MAX_DOCUMENT_BYTES = 64 * 1024
"""Of a document, and of each catalogue framework that it uses."""
MAX_NODES = 4000
"""Keys and values in a document, each use of an anchor counted with all that it stands for."""
MAX_ALIASES = 100
MAX_EXPANDED_CHARACTERS = 256 * 1024
"""Characters of a document, each use of an anchor counted."""
MAX_SUBSTITUTED_CHARACTERS = 1024 * 1024
"""Characters that the substitution of parameters makes, in all."""
MAX_DEPTH = 16
MAX_PROBLEMS = 100
"""More than this are not listed."""
MAX_NUMBER_DIGITS = 30
MAX_FRAMEWORKS = 32
MAX_SERVICES = 64
"""In all frameworks of an application together."""
MAX_PARAMETERS = 64
MAX_PARAMETER_LENGTH = 1024
"""Characters in the value of a parameter."""
MAX_INSTANCES = 1000
"""Essential and elastic instances of one service; of a whole application, ten times this."""
MAX_APPLICATION_INSTANCES = 10 * MAX_INSTANCES
MAX_TEXT_LENGTH = 32 * 1024
"""Characters in a value, after substitution."""
MAX_PATH_LENGTH = 1024
MAX_TITLE_LENGTH = 200
MAX_ITEMS = 256
"""Items in a list, variables in an environment."""
MAX_CORES_MILLI = 10_000 * 1000
MIN_MEMORY_BYTES = 1024**2
"""Less is a forgotten unit."""
MAX_MEMORY_BYTES = 1024**5
MAX_GPUS = 1024
MAX_DURATION_SECONDS = 366 * 24 * 3600
MAX_ATTEMPTS = 1000
