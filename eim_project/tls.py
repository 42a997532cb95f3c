"""The stack's own certificate authority, the server certificate that machines verify, and the https port."""

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = datetime.timedelta(days=3650)
SERVER_LIFETIME = datetime.timedelta(days=397)  # what clients accept at most
RENEW_BEFORE = datetime.timedelta(days=30)
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
    """Leave in `folder` ca.crt, and server.crt, server.key and the same with -rsa: made once, and the server's again

    when a name is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority(folder)
    wanted = {_name(name) for name in names}
    for kind in KEYS:
        certificate = folder / f"{kind}.crt"
        if not certificate.exists() or not _still_good(certificate, wanted):
            _issue(folder, kind, wanted, authority)
    (folder / "dh.pem").write_text(DH_PARAMETERS)


def names_of(host: str) -> list[str]:
    """Of a server that machines know as `host`, and by which it may be reached in trials."""
    return ["localhost", "127.0.0.1", "::1", "10.0.2.2", socket.gethostname(), host]


def _authority(folder: Path) -> Authority:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if not certificate.exists():
        private: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Edge Infrastructure Manager CA")])
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        signed = (
            _builder(subject, subject, private, CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(private, hashes.SHA256())
        )
        _write_key(key, private)
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        for kind in KEYS:
            (folder / f"{kind}.crt").unlink(missing_ok=True)  # signed by an authority that is no more
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    assert isinstance(private, Key)
    return Authority(x509.load_pem_x509_certificate(certificate.read_bytes()), private)


def _issue(folder: Path, kind: str, names: set[x509.GeneralName], authority: Authority) -> None:
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
    (folder / f"{kind}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def _still_good(path: Path, names: set[x509.GeneralName]) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    expires = certificate.not_valid_after_utc
    return names <= set(has) and expires - datetime.datetime.now(datetime.UTC) > RENEW_BEFORE


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
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


# The https port ------------------------------------------------------------------------------------------------------


def chains(certificate: Path, key: Path) -> list[tuple[Path, Path]]:
    """This one, and if we made it ourselves the one beside it, for firmware."""
    rsa_too = certificate.with_name("server-rsa.crt"), key.with_name("server-rsa.key")
    return [(certificate, key), *([rsa_too] if rsa_too[0].exists() else [])]


async def serve(host: str, port: int, pairs: list[tuple[Path, Path]], upstream: tuple[str, int]) -> asyncio.Server:
    """Take TLS off what comes to `port` and pass the bytes on to `upstream` and back.

    Before them goes a line of the PROXY protocol, version 1, that says who the client is.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for certificate, key in pairs:
        context.load_cert_chain(certificate, key)
    if (group := pairs[0][0].with_name("dh.pem")).exists():
        context.load_dh_params(group)
    context.set_alpn_protocols(["http/1.1"])

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
