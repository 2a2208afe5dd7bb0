"""Write the description of the REST interface into the docs, as every server sends it."""

import json
import tempfile
from pathlib import Path

from zoe.api.app import make_app
from zoe.rpc.client import Client
from zoe.rpc.keys import ClientKeys
from zoe.settings import Settings
from zoe.store.memory import MemoryStore

TARGET = Path(__file__).parents[1] / "docs/reference/openapi.json"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        nobody = Client(settings.master_endpoint, ClientKeys(b"", b"", b""))
        app = make_app(settings, MemoryStore(), nobody, dict)
    TARGET.write_text(json.dumps(app.openapi(), indent=2) + "\n")
