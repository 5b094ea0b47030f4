"""`homeroom token` and the refusals of `homeroom serve`, as an officer types them."""

from __future__ import annotations

import json
import socket
import stat

import pytest
from typer import BadParameter

from api.serving import require_private
from engine.office import Office

GIVEN = ("--holder", "R. Searcher", "--approved-by", "A. Officer")


@pytest.fixture
def desk(homeroom, folder):
    """A district with a grant, and the command about its tokens."""
    terms = ("--kind", "researcher", "--organisation", "U", "--purpose", "p", "--table", "student_year")
    more = ("--cohorts", "2028-2033", "--allowance", "5", "--expires", "2099-06-30", "--approved-by", "A. Officer")
    assert homeroom("grant", "add", folder, "study", *terms, *more).returncode == 0
    return lambda verb, *arguments: homeroom("token", verb, folder, *arguments)


def holder(folder, text):
    with Office.open(folder) as office:
        return office.keyring.holder_of(text)


def test_a_token_is_shown_once(desk, folder):
    """Alone on standard output, so that a script can take it; the list has no secret."""
    done = desk("add", "--grant", "study", *GIVEN)
    token = done.stdout.decode().strip()
    assert holder(folder, token).holder == "R. Searcher"
    assert b"shown this once" in done.stderr
    listed = json.loads(desk("list", "--format", "json").stdout)["tokens"]
    assert [(each["token"], each["role"], each["state"]) for each in listed] == [
        (token.split("_")[1], "researcher", "in force")
    ]
    assert token.split("_")[2] not in desk("list").stdout.decode()


def test_a_token_goes_into_a_file_of_its_holder(desk, folder, tmp_path):
    """Readable by its owner alone; a file that is there is not touched and no token is given."""
    path = tmp_path / "study.token"
    done = desk("add", "--grant", "study", *GIVEN, "--to", path)
    assert done.returncode == 0
    assert holder(folder, path.read_text(encoding="ascii").strip()).grant == "study"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="ascii").strip() not in done.stdout.decode() + done.stderr.decode()
    before = path.read_bytes()
    for target in (path, tmp_path / "nowhere" / "t", tmp_path):
        assert desk("add", "--grant", "study", *GIVEN, "--to", target).returncode == 2
    assert path.read_bytes() == before
    assert len(json.loads(desk("list", "--format", "json").stdout)["tokens"]) == 1


def test_a_file_of_a_refused_token_is_not_left(desk, tmp_path):
    """Nothing is made where nothing was given."""
    done = desk("add", "--grant", "nobody's", *GIVEN, "--to", tmp_path / "t")
    assert done.returncode == 5
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--role", "researcher"), 2, "officer"),
        ((), 5, "a grant; or the role"),
        (("--grant", "study", "--role", "officer"), 5, "a grant; or the role"),
        (("--grant", "district"), 5, "whoever holds the folder"),
        (("--grant", "study", "--scope", "decide"), 5, "ask, preview, read"),
        (("--grant", "study", "--expires", "soon"), 2, "2027-06-30"),
        (("--grant", "study", "--expires", "2001-01-01"), 5, "last day"),
        (("--grant", "study", "--holder", " "), 5, "holder"),
    ],
)
def test_what_no_token_is_given_for(desk, options, code, said):
    """Each refusal says what would be accepted."""
    done = desk("add", *GIVEN, *options)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()


def test_tokens_are_renewed_and_ended(desk, folder):
    """From the next request on."""
    first = desk("add", "--role", "officer", *GIVEN, "--scope", "read").stdout.decode().strip()
    name = first.split("_")[1]
    second = desk("rotate", name, "--by", "A. Officer").stdout.decode().strip()
    assert holder(folder, second).scopes == {"read"}
    assert desk("revoke", name, "--by", "A. Officer", "--reason", "left").returncode == 0
    assert "revoked" in desk("list").stdout.decode()
    for again in (
        ("revoke", name, "--by", "A", "--reason", "b"),
        ("rotate", name, "--by", "A"),
        ("rotate", "x", "--by", "A"),
    ):
        assert desk(*again).returncode == 5
    assert desk("rotate", name, "--by", "A", "--overlap-hours", "nan").returncode in (2, 5)


def test_a_secret_that_is_typed_is_not_shown(desk):
    """Whoever ends a token by pasting the whole of it."""
    token = desk("add", "--role", "auditor", *GIVEN).stdout.decode().strip()
    done = desk("revoke", token, "--by", "A. Officer", "--reason", "left")
    assert (done.returncode, token.split("_")[2].encode() in done.stdout + done.stderr) == (0, False)


def test_a_token_ends_with_its_grant(desk, homeroom, folder):
    """The list says so, and no other is given for it."""
    desk("add", "--grant", "study", *GIVEN)
    homeroom("grant", "revoke", folder, "study", "--by", "A. Officer", "--reason", "over")
    listed = json.loads(desk("list", "--format", "json").stdout)["tokens"]
    assert [each["state"] for each in listed] == ["its grant has ended"]
    done = desk("add", "--grant", "study", *GIVEN)
    assert (done.returncode, b"was revoked" in done.stderr) == (5, True)


def test_no_token_crosses_a_network_in_the_clear():
    """This machine alone, or encrypted."""
    for host in ("0.0.0.0", "::", "10.0.0.1", "district.example", ""):  # noqa: S104 - it is refused
        with pytest.raises(BadParameter):
            require_private(host, private=False)
        require_private(host, private=True)
    require_private("127.0.0.1", private=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "--behind-proxy"),  # noqa: S104 - it is refused
        (("--host", "no.such.host.invalid"), "--behind-proxy"),
        (("--host", "no.such.host.invalid", "--behind-proxy"), "cannot be listened on"),
        (("--tls-cert", "x.pem"), "come together"),
        (("--tls-cert", "x.pem", "--tls-key", "x.pem"), "x.pem is no file"),
        (("--tls-cert", "pyproject.toml", "--tls-key", "pyproject.toml"), "PEM chain"),
        (("--deadlines", "100,50"), "50,100,250"),
        (("--deadlines", "nan"), "50,100,250"),
        (("--deadlines", "0"), "50,100,250"),
        (("--deadlines", "1e9"), "50,100,250"),
        (("--port", "65536"), "65535"),
        (("--workers", "0"), "1"),
        (("--requests-per-minute", "0"), "1"),
    ],
)
def test_a_server_that_cannot_be_is_refused(homeroom, folder, options, said):
    """Before anything is opened, with what would be accepted."""
    done = homeroom("serve", folder, "--port", "0", *options)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_a_taken_port_and_a_folder_that_is_none_are_told(homeroom, folder, tmp_path):
    """In words, with their exit codes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = homeroom("serve", folder, "--port", taken.getsockname()[1])
        assert (done.returncode, b"address already in use" in done.stderr) == (2, True)
    done = homeroom("serve", tmp_path / "nothing", "--port", "0")
    assert (done.returncode, done.stdout) == (6, b"")
