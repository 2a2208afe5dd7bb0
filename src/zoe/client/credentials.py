"""Where the api is and the token for it, as ``zoe up`` and ``zoe login`` keep them."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from zoe.model.errors import ZoeError
from zoe.settings import Settings

FILE_NAME = "credentials.json"


class CredentialsBroken(ZoeError):
    """The file with the address and the token cannot be used."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address of an api, and a token that it knows."""

    url: str
    token: str = ""


def keep(folder: Path, credentials: Credentials) -> Path:
    """Write them into ``folder`` for later commands; only the present user can read them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    part = folder / f".{FILE_NAME}.{os.getpid()}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(credentials), file)
    part.replace(path)
    return path


def kept(folder: Path) -> Credentials | None:
    """Return what was kept in ``folder``, if anything was. Raises CredentialsBroken."""
    path = folder / FILE_NAME
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CredentialsBroken(f"{path} cannot be read: {error}", hint=_ANEW) from error
    if not isinstance(found, Mapping) or not isinstance(found.get("url"), str):
        raise CredentialsBroken(f"{path} has no address in it", hint=_ANEW)
    return Credentials(found["url"], str(found.get("token", "")))


_ANEW = "`zoe login` writes it anew; --url and --token do without it."


def credentials(settings: Settings) -> Credentials:
    """Return the api and the token to use: the settings first, then what was kept.

    A kept token is sent only to the address it was kept for.
    """
    found = None if settings.api_url and settings.token else kept(settings.data_dir)
    url = settings.api_url or (found.url if found else f"http://{address(settings)}")
    if settings.token:
        return Credentials(url, settings.token)
    return Credentials(url, found.token if found and found.url == url else "")


def address(settings: Settings) -> str:
    """Return ``host:port`` under which clients on this machine reach the api."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(
        settings.api_host, settings.api_host
    )
    return f"[{host}]:{settings.api_port}" if ":" in host else f"{host}:{settings.api_port}"
