"""The certificates by which a Docker Engine and Zoe know each other: TLS, checked on both sides."""

import ssl
from pathlib import Path

from zoe.model.errors import ZoeError

TLS_HINT = (
    "the certificates are in the folder that tls= names; "
    "docs/howto/several-docker-engines.md makes some"
)


class CertificatesUnusable(ZoeError):
    """The certificates of an engine cannot be used."""


def tls_context(folder: Path) -> ssl.SSLContext:
    """Return what trusts only the ca.pem of a folder, and proves who we are by its cert.pem.

    Raises CertificatesUnusable.
    """
    try:
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:  # of files, or of what is in them
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise CertificatesUnusable(
            f"the ca.pem, cert.pem and key.pem of {folder} cannot be used: {why}", hint=TLS_HINT
        ) from error
    return context


def tls_problem(error: BaseException | None) -> str:
    """Return what TLS had against a connection, in words; empty when it was something else."""
    while error is not None:
        wrapped = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        if isinstance(error, ssl.SSLError) and wrapped is None:
            if isinstance(error, ssl.SSLCertVerificationError):
                return f"its certificate is not trusted: {error.verify_message}"
            if "ALERT" in (error.reason or ""):
                return "it refuses our certificate"
            return f"it does not speak TLS: {error.reason or error}"
        error = wrapped or error.__cause__ or error.__context__
    return ""
