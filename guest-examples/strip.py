"""strip.py IN.wasm OUT.wasm: drop every custom section except "name".

Debug information, producer strings and compiler paths go, so that a build is
small and the same in every folder; the names of functions stay, because a
backtrace or a list of frames is of little use without them. Other names (of
the module, of locals, of data segments) are dropped from that section, too.
The Python standard library is enough for this, which saves one pinned tool.
"""
import sys


def leb(data, at):
    """Decode one unsigned LEB128 number: (value, offset after it)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def enc(value):
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def pieces(data, at, end):
    """Yield (id, payload) of each section or subsection in data[at:end]."""
    while at < end:
        kind = data[at]
        size, start = leb(data, at + 1)
        at = start + size
        if at > end:
            raise ValueError("a section runs past its end")
        yield kind, data[start:at]


def strip(data):
    if data[:8] != b"\0asm\x01\0\0\0":
        raise ValueError("not a core wasm module")
    out = bytearray(data[:8])
    for kind, payload in pieces(data, 8, len(data)):
        if kind == 0:
            size, at = leb(payload, 0)
            if payload[at : at + size] != b"name":
                continue
            body = b"".join(
                bytes([sub]) + enc(len(p)) + p
                for sub, p in pieces(payload, at + size, len(payload))
                if sub == 1  # function names
            )
            payload = payload[: at + size] + body
        out += bytes([kind]) + enc(len(payload)) + payload
    return bytes(out)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as f:
        stripped = strip(f.read())
    with open(sys.argv[2], "wb") as f:
        f.write(stripped)
