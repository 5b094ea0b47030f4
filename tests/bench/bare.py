"""The least a private answer over HTTP can cost: `bare.py VAULT THREADS WORKERS`, on a free port of this machine.

A FastAPI application that runs the DuckDB query it is sent on the district's own records, adds OpenDP's noise to the
cells and sends them as JSON; in as many processes as the server beside it, with uvicorn set up in the same way. It
proves nothing, charges nothing, keeps nothing and knows nobody.
"""

from __future__ import annotations

import os
import socket
import sys
from itertools import zip_longest
from pathlib import Path

import duckdb
import numpy as np
import opendp.prelude as dp
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response
from uvicorn.supervisors import Multiprocess

dp.enable_features("contrib")


class Asked(BaseModel):
    """A query whose last column is a count, how many groups there can be, and the noise that each is given."""

    sql: str
    cells: int
    scale: float


def worker() -> FastAPI:
    """The application of one process."""
    config = {"threads": os.environ["BARE_THREADS"]}
    vault = duckdb.connect(os.environ["BARE_VAULT"], read_only=True, config=config)
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    app = FastAPI(openapi_url=None)

    @app.post("/ask")
    def ask(asked: Asked) -> Response:
        *keys, counts = vault.cursor().execute(asked.sql).fetchnumpy().values()
        exact = np.zeros(asked.cells, dtype=np.int64)
        exact[: len(counts)] = counts
        columns = [*(key.tolist() for key in keys), dp.m.make_gaussian(*space, scale=asked.scale)(exact)]
        return Response(to_json({"rows": list(zip_longest(*columns))}), media_type="application/json")

    return app


def main() -> None:
    """Serve until a signal comes."""
    os.environ["BARE_VAULT"], os.environ["BARE_THREADS"] = str(Path(sys.argv[1]).resolve()), sys.argv[2]
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            "bare:worker",
            factory=True,
            workers=int(sys.argv[3]),
            loop="asyncio",
            http="h11",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            ws="none",
        )
        if config.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
