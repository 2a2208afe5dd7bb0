"""Write the description of the REST interface into the docs, as every server sends it."""

import json
from pathlib import Path

from zoe.api.app import routes

TARGET = Path(__file__).parents[1] / "docs/reference/openapi.json"

if __name__ == "__main__":
    TARGET.write_text(json.dumps(routes().openapi(), indent=2) + "\n")
