"""Fetch the web assets that the pages use, or check that the committed ones are unchanged.

``python scripts/vendor_web.py`` fetches each package with npm and writes the files and the
manifest; ``--check`` only compares the files with the manifest and needs no network.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src/zoe/api/web/static/vendor"
MANIFEST = FOLDER / "manifest.json"
PACKAGES = {
    "htmx.org@4.0.1": {
        "dist/htmx.min.js": "htmx.min.js",
        "dist/ext/hx-sse.min.js": "hx-sse.min.js",
        "LICENSE": "htmx.LICENSE",
    },
    "@tabler/core@1.6.1": {"dist/css/tabler.min.css": "tabler.min.css"},
}


def sha384(content: bytes) -> str:
    """Return the hash as web pages write it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def fetch() -> None:
    """Write the files and their manifest anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, dict[str, str]] = {}
    for package, files in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                for source, name in files.items():
                    member = tar.extractfile(f"package/{source}")
                    if member is None:
                        raise SystemExit(f"{package} has no {source}")
                    content = without_source_map(member.read())
                    (FOLDER / name).write_bytes(content)
                    manifest[name] = {"package": package, "sha384": sha384(content)}
    MANIFEST.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def without_source_map(content: bytes) -> bytes:
    """Drop the reference to a map that we do not ship: browsers would ask for it in vain."""
    lines = content.rstrip().splitlines()
    if lines and b"sourceMappingURL=" in lines[-1][:40]:
        lines.pop()
    return b"\n".join(lines) + b"\n"


def check() -> None:
    """Fail unless the folder holds exactly what the manifest says."""
    manifest = json.loads(MANIFEST.read_text())
    present = {path.name for path in FOLDER.iterdir()} - {MANIFEST.name}
    wrong = sorted(present ^ set(manifest)) + [
        name
        for name in sorted(present & set(manifest))
        if sha384((FOLDER / name).read_bytes()) != manifest[name]["sha384"]
    ]
    if wrong:
        raise SystemExit(f"{FOLDER} differs from its manifest: {', '.join(wrong)}")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else fetch()
