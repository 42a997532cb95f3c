"""The stack's own certificate authority, the server certificate that machines verify, and the https port.

How an authority is exchanged for another: eim_project/authority.py.
"""

import asyncio
import datetime
import fcntl
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = datetime.timedelta(days=3650)
SERVER_LIFETIME = datetime.timedelta(days=397)  # what clients accept at most
RENEW_BEFORE = datetime.timedelta(days=30)
LOOK_EVERY = 10.0  # seconds between two looks at whether certificates were replaced
CLOCK_SKEW = datetime.timedelta(days=1)  # a machine that boots for the first time may lag behind


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: Key


# UEFI firmware that boots over HTTPS often knows RSA only, OVMF for one. So the authority is of RSA, and the server has
# two certificates of it: each client takes the first that it can verify, and elliptic curves cost the server far less.
KEYS: dict[str, Callable[[], Key]] = {
    "server": lambda: ec.generate_private_key(ec.SECP256R1()),
    "server-rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
# Of RFC 7919, ffdhe2048: without elliptic curves a secret is agreed on in this group.
DH_PARAMETERS = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


def ensure(folder: Path, names: Iterable[str]) -> None:
    """Leave in `folder` ca.crt, and server.crt, server.key and the same with -rsa, good for a month at least.

    The server's are made again when a name is missing, when they are about to end, and when another authority signs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_name(name) for name in names}
    with alone_in(folder):
        if not (folder / "ca.crt").exists():
            make_authority(folder / "ca.key", folder / "ca.crt")
        authority = signing_authority(folder)
        for kind in KEYS:
            certificate = folder / f"{kind}.crt"
            if not certificate.exists() or not _still_good(certificate, wanted, authority):
                issue(folder, kind, wanted, authority)
        if not (folder / "dh.pem").exists():
            write(folder / "dh.pem", DH_PARAMETERS.encode())


def names_for(host: str) -> list[str]:
    """Of a server that machines know as `host`, and by which it may be reached in trials."""
    return ["localhost", "127.0.0.1", "::1", "10.0.2.2", socket.gethostname(), host]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Only one process at a time changes what is in there."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_authority(key: Path, certificate: Path) -> None:
    private: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = f"Edge Infrastructure Manager CA, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, made)])  # two of them are told apart by their names
    signed = (
        _builder(subject, subject, private, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(private, hashes.SHA256())
    )
    _write_key(key, private)
    write(certificate, signed.public_bytes(serialization.Encoding.PEM))


def signing_authority(folder: Path) -> Authority:
    """That of ca.key, among those in ca.crt, which may be two while one is exchanged for the other."""
    private = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(private, Key)
    for certificate in x509.load_pem_x509_certificates((folder / "ca.crt").read_bytes()):
        if certificate.public_key() == private.public_key():
            return Authority(certificate, private)
    raise ValueError(f"{folder / 'ca.key'} is the key of no authority in {folder / 'ca.crt'}: bring back what it was")


def issue(folder: Path, kind: str, names: set[x509.GeneralName], authority: Authority) -> None:
    private = KEYS[kind]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Edge Infrastructure Manager")])
    issuer = authority.certificate
    signed = (
        _builder(subject, issuer.subject, private, SERVER_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=str)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_encipherment=kind == "server-rsa"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write_key(folder / f"{kind}.key", private)
    write(folder / f"{kind}.crt", signed.public_bytes(serialization.Encoding.PEM))


def _still_good(path: Path, names: set[x509.GeneralName], authority: Authority) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    expires = certificate.not_valid_after_utc
    return (
        names <= names_of(certificate)
        and expires - datetime.datetime.now(datetime.UTC) > RENEW_BEFORE
        and is_signed_by(certificate, authority.certificate)
    )


def names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, lifetime: datetime.timedelta) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(**granted: bool) -> x509.KeyUsage:
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    every += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{usage: granted.get(usage, False) for usage in every})


def is_for(host: str, names: set[x509.GeneralName]) -> bool:
    """Whether a certificate with these names is good for this host. *.example.org is for one more label."""
    wild = x509.DNSName(f"*.{host.partition('.')[2]}")
    return _name(host) in names or wild in names


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_key(path: Path, key: Key) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write(path, pem, 0o600)


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Whole, or not at all, whoever reads it meanwhile."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


# The https port ------------------------------------------------------------------------------------------------------


def chains(certificate: Path, key: Path) -> list[tuple[Path, Path]]:
    """This one, and if we made it ourselves the one beside it, for firmware."""
    rsa_too = certificate.with_name("server-rsa.crt"), key.with_name("server-rsa.key")
    return [(certificate, key), *([rsa_too] if rsa_too[0].exists() else [])]


def context_of(pairs: list[tuple[Path, Path]]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for certificate, key in pairs:
        context.load_cert_chain(certificate, key)
    if (group := pairs[0][0].with_name("dh.pem")).exists():
        context.load_dh_params(group)
    context.set_alpn_protocols(["http/1.1"])
    return context


def reload(context: ssl.SSLContext, pairs: list[tuple[Path, Path]]) -> None:
    """New connections get what is in the files now; those that are open go on. Raises OSError, and nothing is changed

    then: a certificate whose key isn't there yet would leave the context with neither.
    """
    context_of(pairs)
    for certificate, key in pairs:
        context.load_cert_chain(certificate, key)


async def keep_fresh(
    context: ssl.SSLContext,
    pairs: list[tuple[Path, Path]],
    renew: Callable[[], None],
    say: Callable[[str], None],
    every: float = LOOK_EVERY,
) -> NoReturn:
    """Until cancelled: have certificates renewed in time, and serve with those that were replaced, by whomever."""

    def versions() -> list[int]:
        return [file.stat().st_mtime_ns for pair in pairs for file in pair]

    served, said = versions(), ""
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(renew)
            if (found := versions()) != served:
                reload(context, pairs)
                served = found
                say("serving with renewed certificates")
            said = ""
        except (OSError, ValueError) as why:  # half of a pair may be there yet; the next look sees the other half
            if said != str(why):
                say(f"ERROR certificates can't be renewed, those in use stay: {why}")
            said = str(why)


async def serve(host: str, port: int, context: ssl.SSLContext, upstream: tuple[str, int]) -> asyncio.Server:
    """Take TLS off what comes to `port` and pass the bytes on to `upstream` and back.

    Before them goes a line of the PROXY protocol, version 1, that says who the client is.
    """

    async def connected(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        try:
            web_in, web_out = await asyncio.open_connection(*upstream)
        except OSError:
            client_out.close()  # the web server is being restarted; the client will come again
            return
        if client_out.get_extra_info("peername") is None:  # gone already: whoever only looks whether we answer
            client_out.close()
            web_out.close()
            return
        web_out.write(_proxy_line(client_out))
        ways = [asyncio.create_task(_pass_on(client_in, web_out)), asyncio.create_task(_pass_on(web_in, client_out))]
        _, other = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in other:
            way.cancel()
        for writer in (web_out, client_out):
            writer.close()

    return await asyncio.start_server(connected, host, port, ssl=context, ssl_handshake_timeout=10)


def _proxy_line(client: asyncio.StreamWriter) -> bytes:
    (theirs, their_port), (ours, our_port) = (client.get_extra_info(name)[:2] for name in ("peername", "sockname"))
    family = "TCP6" if ":" in theirs else "TCP4"
    return f"PROXY {family} {theirs.partition('%')[0]} {ours.partition('%')[0]} {their_port} {our_port}\r\n".encode()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):  # either side may go at any moment
        while chunk := await source.read(2**16):
            sink.write(chunk)
            await sink.drain()


def answers(host: str, port: int, authority: Path, protocol: str) -> bool:
    """Whether a server with a certificate of this authority speaks `protocol` (an ALPN name) there."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols([protocol])
    try:
        plain = socket.create_connection((host, port), timeout=5)
        with plain, context.wrap_socket(plain, server_hostname=host) as secured:
            return secured.selected_alpn_protocol() == protocol
    except OSError:
        return False
