"""`homeroom serve` as a process: started, asked, stopped, killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx2
import psutil
import pytest
from served import BY_GRADE, WHOLE, give

pytestmark = pytest.mark.slow

START_S = 30
COMMAND = (sys.executable, "-c", "from api.cli import main; main()")


@contextmanager
def started(folder, *options):
    """A server of a folder: its process and its address."""
    arguments = (*COMMAND, "serve", str(folder), "--port", "0", *options)
    scratch = folder.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            address = re.search(r"served at (\S+)", process.stdout.readline())[1]
            verify = "--tls-cert" not in options
            _until(lambda: _healthy(address, verify=verify))
            yield process, address
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=START_S)


def _healthy(address, *, verify):
    try:
        return httpx2.get(f"{address}/v1/health", verify=verify, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def _until(happens):
    deadline = time.monotonic() + START_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asked(address, token, sql=WHOLE, **more):
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{address}/v1/ask", json={"sql": sql} | more, headers=headers, timeout=60)


def test_a_server_answers_and_stops_when_its_answers_have_left(folder):
    """SIGTERM: no new connection, what was begun is answered, the exit code is 0, and nothing is left behind."""
    token = give(folder)["researcher"]
    with started(folder, "--deadlines", "1500") as (process, address):
        replies = []
        waiting = threading.Thread(target=lambda: replies.append(asked(address, token)))
        waiting.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        waiting.join()
        assert process.wait(START_S) == 0
        with pytest.raises(httpx2.TransportError):
            asked(address, token)
    assert replies[0].json()["rows"][0][0] != 0
    assert not [*folder.with_name("scratch").iterdir(), *(folder / "locks").iterdir()]


def test_several_workers_serve_one_district(folder):
    """One budget, one set of request ids, and limits that are counted together."""
    token = give(folder)["researcher"]
    with started(folder, "--workers", "2", "--deadlines", "none", "--requests-per-minute", "40") as (
        process,
        address,
    ):
        assert (
            len([each for each in psutil.Process(process.pid).children() if "spawn_main" in str(each.cmdline())]) == 2
        )
        replies = [asked(address, token, BY_GRADE, request_id="one") for _ in range(20)]
        assert {reply.status_code for reply in replies} == {200}
        assert len({str(reply.json()["rows"]) for reply in replies}) == 1
        assert [reply.json()["replayed"] for reply in replies] == [False] + [True] * 19
        assert asked(address, token).status_code == 429


def test_workers_do_not_outlive_a_supervisor_that_was_killed(folder):
    """Else the port would be held by nobody's processes."""
    with started(folder, "--workers", "2") as (process, _):
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=START_S)
        assert not alive


def test_a_killed_worker_comes_back(folder):
    """And the questions go on meanwhile."""
    token = give(folder)["researcher"]
    with started(folder, "--workers", "2", "--deadlines", "none") as (process, address):
        before = asked(address, token, request_id="one").json()
        for worker in psutil.Process(process.pid).children():
            worker.kill()
        _until(lambda: _healthy(address, verify=True))
        assert asked(address, token, request_id="one").json() == before | {"replayed": True}


def test_the_server_speaks_tls(folder, tmp_path):
    """With the certificate it is given, and then says so to browsers."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate)
    subprocess.run([*made, "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
    with started(folder, "--tls-cert", str(certificate), "--tls-key", str(key)) as (_, address):
        assert address.startswith("https://")
        reply = httpx2.get(f"{address}/v1/health", verify=False)
        assert reply.headers["strict-transport-security"]


def test_no_text_of_a_question_is_written_down(folder):
    """Neither in the log nor beside it, whether it is answered, refused or cut off."""
    token = give(folder)["researcher"]
    with started(folder, "--deadlines", "none") as (process, address):
        asked(address, token, f"{WHOLE} AND grade_level LIKE '%Zaphod4711%'")
        asked(address, token, "SELECT Zaphod4711")
        httpx2.get(f"{address}/Zaphod4711")
        with pytest.raises(httpx2.TransportError):
            httpx2.post(f"{address}/v1/ask", content=_cut(), headers={"Content-Type": "application/json"}, timeout=5)
        process.terminate()
        told = "".join(process.communicate(timeout=START_S))
    assert '"/v1/ask", "status": 200' in told
    assert "Zaphod4711" not in told
    assert token.split("_")[2] not in told
    assert os.environ.get("HOMEROOM_SERVE") is None


def _cut():
    yield b'{"sql": "Zaphod4711'
    raise httpx2.WriteError("the connection was cut")


def _silent(address, size):
    host, port = re.search(r"//([^:]+):(\d+)", address).groups()
    return [socket.create_connection((host, int(port))) for _ in range(size)]


def test_silent_connections_are_closed_and_others_are_served(folder):
    """Whoever only opens connections, or sends a head byte by byte, holds none for long; the log stays short."""
    with started(folder) as (process, address):
        silent = _silent(address, 900)
        assert _healthy(address, verify=True)
        slow = _silent(address, 1)[0]
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for letter in b"GET /v1/health HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
                slow.send(bytes([letter]))
                time.sleep(0.2)
        assert time.monotonic() - began < 15
        slow.close()
        for each in silent:
            each.settimeout(5)
            with each, contextlib.suppress(ConnectionError):
                assert each.recv(1) == b""
        assert _healthy(address, verify=True)
        process.terminate()
        assert len("".join(process.communicate(timeout=START_S))) < 5_000


def test_a_body_that_ends_in_two_ways_is_refused(folder):
    """A proxy in front might read it otherwise."""
    with started(folder) as (_, address):
        connection = _silent(address, 1)[0]
        connection.send(
            b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        connection.settimeout(10)
        told = b""
        with connection:
            while part := connection.recv(65536):
                told += part
        assert told.startswith(b"HTTP/1.1 400")
        assert told.count(b"HTTP/1.1") == 1
