"""Packed images unpacked as they arrive: never more than a piece in memory, however strongly they are packed."""

import bz2
import ctypes
import functools
import lzma
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

PIECE_BYTES = 2**20  # the most that comes at once
XZ_MEMORY_BYTES = 512 * 2**20  # xz -9 wants 65 MiB; an image that wants more than this isn't meant for machines


class Unpacker(Protocol):
    """The shape of bz2's and lzma's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Gzip:
    """zlib's decompressor in that shape."""

    def __init__(self, wbits: int = 31) -> None:
        self._inner = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        made = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(made) < max_length
        return made


class Zstd:
    """libzstd, which Python has from 3.14 on, in that shape. Debian's dpkg needs it, so it is wherever Debian is."""

    def __init__(self) -> None:
        self._library = _libzstd()
        self._stream = ctypes.c_void_p(self._library.ZSTD_createDStream())
        weakref.finalize(self, self._library.ZSTD_freeDStream, self._stream)
        self._room = ctypes.create_string_buffer(PIECE_BYTES)
        self.eof, self.needs_input, self.unused_data = False, True, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self.unused_data + data
        source = _Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)
        target = _Buffer(ctypes.cast(self._room, ctypes.c_void_p), min(max_length, PIECE_BYTES), 0)
        code = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(target), ctypes.byref(source))
        if self._library.ZSTD_isError(code):
            raise ValueError(self._library.ZSTD_getErrorName(code).decode())
        self.eof = code == 0
        self.unused_data = data[source.position :]
        self.needs_input = not self.unused_data and target.position < target.size
        return ctypes.string_at(self._room, target.position)


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer: both are a place, its size, and how far one has come in it."""

    _fields_ = (("place", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


@functools.cache
def _libzstd() -> ctypes.CDLL:
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library


BY_SUFFIX: dict[str, Callable[[], Unpacker]] = {
    ".gz": Gzip,
    ".bz2": bz2.BZ2Decompressor,
    ".bzip2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES),
    ".zs": Zstd,
    ".zst": Zstd,
}


class Broken(Exception):
    """What arrives isn't packed as its name says, or not whole."""


def unpacked(chunks: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """Pieces of what the chunks hold packed as the suffix says; the chunks themselves without one.

    Several packed streams behind one another are one file, as gzip, pigz and pzstd have it. Raises Broken.
    """
    if not suffix:
        yield from chunks
        return
    make = BY_SUFFIX[suffix]
    stream, ended = None, False
    for chunk in chunks:
        data = chunk
        while data := data if stream else data.lstrip(b"\0"):  # padding between streams, or behind the last one
            stream, ended = stream or make(), False
            yield from _pieces(stream, data)
            data = stream.unused_data if stream.eof else b""
            if stream.eof:
                stream, ended = None, True
    if not ended:
        raise Broken("it ends too early")


def _pieces(stream: Unpacker, data: bytes) -> Iterator[bytes]:
    """All that these bytes give."""
    while True:
        try:
            piece = stream.decompress(data, PIECE_BYTES)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as fault:  # bz2's own is an OSError
            raise Broken(str(fault)) from fault
        if piece:
            yield piece
        if stream.eof or stream.needs_input:
            return
        data = b""
