"""`homeroom serve`: one district on one port, in one process or several."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from api.present import plain
from api.settings import GRID_S, LOGGER, Settings
from api.terminal import Folder, guarded
from engine.district import District
from engine.office import Office
from engine.pipeline import WAIT_S
from engine.vault import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import uvicorn

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
STOP_S = int(WAIT_S) + 10
"""A stop waits so long for answers that were begun."""

HUNG_S = 120
"""A worker that gives no sign for so long is replaced."""

GRID_TEXT = ",".join(f"{1000 * each:g}" for each in GRID_S)

app = typer.Typer()


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - one for each setting of a server
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate's chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    behind_proxy: Annotated[  # noqa: FBT002 - an option of the command
        bool, typer.Option("--behind-proxy", help="A proxy on this machine or network ends TLS before the server.")
    ] = False,
    deadlines: Annotated[
        str,
        typer.Option(metavar="MS,…", help="When answers may leave; none lets the noise show in time."),
    ] = GRID_TEXT,
    requests_per_minute: Annotated[int, typer.Option(min=1, max=10**6, help="Of one token.")] = 120,
    charges_per_minute: Annotated[
        int, typer.Option(min=1, max=10**6, help="Questions that charge one class, of all tokens.")
    ] = 30,
) -> None:
    """Answer researchers, agencies and auditors over HTTP; who may ask is said by `homeroom token`."""
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("a certificate and its key come together", param_hint="--tls-cert")
    require_private(host, private=tls_cert is not None or behind_proxy)
    grid_s, secure = _grid(deadlines), tls_cert is not None or behind_proxy
    if tls_cert is not None and tls_key is not None:
        _require_certificate(tls_cert, tls_key)

    def work() -> None:
        with Office.open(folder) as office:
            stands = office.as_of()
        District.open(folder).close()  # what is wrong is said here, once, and not by every worker
        with _room() as room, _bound(host, port) as listening:
            settings = Settings(
                folder.resolve(),
                room / "limits.sqlite",
                grid_s,
                requests_per_minute,
                charges_per_minute,
                threads=threads_for(workers),
                secure=secure,
                parent=os.getpid() if workers > 1 else None,
            )
            settings.tell()
            _announce(folder, listening, secure=tls_cert is not None, grid=bool(grid_s))
            if stands is not None:
                told = f"Its records are invented: its clock stands at {stands:%Y-%m-%d}, and nothing in it expires."
                Console().print(told, markup=False, highlight=False)
            _run(_config(workers, tls_cert, tls_key), listening)

    guarded(None, work)


def threads_for(workers: int) -> int:
    """Threads of each worker for the records of one question: together no more than the machine has.

    Where several questions are answered at once, dividing one among threads makes each of them dearer.
    """
    return max(1, min(THREADS, (os.cpu_count() or 1) // workers))


def require_private(host: str, *, private: bool) -> None:
    """Make sure that no token crosses a network in the clear.

    Raises:
        typer.BadParameter: other machines would reach the server, and nothing encrypts the way.
    """
    if host not in LOOPBACK and not private:
        message = "tokens and answers would cross the network unencrypted. Accepted: --tls-cert and --tls-key; or"
        raise typer.BadParameter(f"{message} --behind-proxy, where a proxy ends TLS", param_hint="--host")


def _require_certificate(cert: Path, key: Path) -> None:
    """Make sure that the certificate and its key can be used.

    Raises:
        typer.BadParameter: a file is missing, is none, or wants a password; or they do not belong together.
    """
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        missing = [each for each in (cert, key) if not each.is_file()]
        why = (
            f"{plain(str(missing[0]))} is no file"
            if missing
            else plain(str(getattr(error, "reason", "") or "unread"))
        )
        message = f"the certificate cannot be used ({why}). Accepted: a PEM chain and its own key without a password"
        raise typer.BadParameter(message, param_hint="--tls-cert") from None


def _grid(text: str) -> tuple[float, ...]:
    """Deadlines in seconds.

    >>> _grid("50, 100"), _grid("none")
    ((0.05, 0.1), ())
    """
    if text.strip().lower() == "none":
        return ()
    try:
        found = tuple(float(part) / 1000 for part in text.split(","))
    except ValueError:
        found = ()
    if not found or list(found) != sorted(set(found)) or not 0 < found[0] <= found[-1] <= 60:  # noqa: PLR2004 - a minute
        message = f"{plain(text)!r} is no list of deadlines. Accepted: rising ones, such as {GRID_TEXT}; or none"
        raise typer.BadParameter(message, param_hint="--deadlines")
    return found


@contextmanager
def _room() -> Iterator[Path]:
    """A folder for what the workers share, gone with the server."""
    room = Path(tempfile.mkdtemp(prefix="homeroom-"))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """The port, taken before anything is opened."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(family[4][:2], family=family[0], backlog=2048)
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number is not None and number > 0 else "no such host"
        message = f"{plain(host)} port {port} cannot be listened on: {why.lower()}"
        raise typer.BadParameter(f"{message}. Accepted: another --port or --host", param_hint="--port") from None
    with listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a reply's end waits for a late ACK
        yield listening


def _stop(*_: object) -> None:
    """Leave through every `finally`: uvicorn raises again the signal that stopped it."""
    raise SystemExit(0)


def _announce(folder: Path, listening: socket.socket, *, secure: bool, grid: bool) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    console = Console()
    console.print(
        f"{plain(str(folder))} is served at {'https' if secure else 'http'}://{shown}:{port} (stop: Ctrl-C).",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not grid:
        console.print("Answers leave at once: how long one takes tells a little of its noise.", style="yellow")
    console.file.flush()


def _config(workers: int, cert: Path | None, key: Path | None) -> uvicorn.Config:
    import uvicorn  # noqa: PLC0415 - no other command waits for it

    from api.connections import Connection  # noqa: PLC0415 - likewise

    return uvicorn.Config(
        "api.serving:worker",
        factory=True,
        workers=workers,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        loop="asyncio",
        http=Connection,
        timeout_graceful_shutdown=STOP_S,
        timeout_worker_healthcheck=HUNG_S,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )


def _run(config: uvicorn.Config, listening: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - no other command waits for it
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - likewise

    class Supervisor(Multiprocess):
        """It lets go of the workers' ends of its pipes: else it waits for one that died, and hears nothing else."""

        def keep_subprocess_alive(self) -> None:
            """Replace workers that died or hang."""
            for process in self.processes:
                process.child_conn.close()
            super().keep_subprocess_alive()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    server = uvicorn.Server(config)
    if config.workers > 1:
        Supervisor(config, sockets=[listening]).run()
    else:
        server.run(sockets=[listening])
        if not server.started:
            raise typer.Exit(70)


def worker() -> object:
    """The application of one process; its log goes to standard error, one line for a request."""
    from api.app import told  # noqa: PLC0415 - the supervisor of several workers needs no application
    from api.connections import Quiet, raise_files  # noqa: PLC0415 - likewise

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    raise_files()
    log = logging.getLogger(LOGGER)
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    for name in ("uvicorn.error", "asyncio"):
        other = logging.getLogger(name)
        other.handlers, other.propagate = [handler], False
        other.setLevel(logging.WARNING)
        other.addFilter(Quiet())
    return told()
