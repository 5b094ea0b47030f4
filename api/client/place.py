"""Where the server is, and the token that is sent there: what is checked before anything goes out."""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Generator

TOKEN = re.compile(r"hr_[0-9a-f]{12}_[0-9a-f]{64}")
OTHERS = 0o077
"""The rights of everybody but the owner of a file."""


class Bearer(httpx2.Auth):
    """Puts the token on each request; it shows in no representation."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """One request, one answer."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def bearer(token: str | None, token_file: str | os.PathLike[str] | None) -> Bearer:
    """The token, given or read from its file.

    Raises:
        ValueError: there is none, there are two, or it is not of the shape of a token.
        OSError: the file cannot be read.
    """
    if (token is None) == (token_file is None):
        raise ValueError("Give the token or the file it stands in, one of them.")
    text = _read(Path(token_file).expanduser()) if token_file is not None else str(token).strip()
    if not TOKEN.fullmatch(text):
        where = "This token" if token_file is None else f"What stands in {os.fspath(token_file)}"
        raise ValueError(f"{where} is no token. Accepted: hr_, 12 hex digits, _ and 64 hex digits.")
    return Bearer(text)


def _read(path: Path) -> str:
    """The first line of a token's file; one that others may read is warned of."""
    if os.name == "posix" and path.stat().st_mode & OTHERS:
        warnings.warn(f"Others may read {path}: chmod 600 keeps the token yours.", UserWarning, stacklevel=4)
    with path.open(encoding="ascii", errors="replace") as file:
        return file.readline(1000).strip()


def address(url: str, *, insecure: bool) -> httpx2.URL:
    """The address of a server, ready for its routes.

    Raises:
        ValueError: it is none, or the token would travel in clear text.
    """
    try:
        given = httpx2.URL(url.strip().rstrip("/") + "/")
    except httpx2.InvalidURL:
        given = httpx2.URL("")
    if given.scheme not in ("http", "https") or not given.host or given.userinfo or given.query or given.fragment:
        raise ValueError("This is no address of a server. Accepted: https://host, or https://host/path.")
    if given.path.endswith("/v1/"):
        raise ValueError("This address ends in /v1, which the client adds itself. Accepted: the address without it.")
    if given.scheme == "http" and not insecure and not is_loopback(given):
        raise ValueError(
            f"http:// would send the token to {given.host} in clear text; nothing was sent. Accepted: https://, "
            "http:// on this machine (127.0.0.1), or insecure=True where the network itself is trusted."
        )
    return given


def is_loopback(url: httpx2.URL) -> bool:
    """Whether what is sent there stays on this machine."""
    if url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False
