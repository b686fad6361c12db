"""MaxMind databases for tests: a writer of the published format (MaxMind DB file format, version 2.0).

    write(path, {"192.0.2.0/24": {"country": {"iso_code": "DE"}}})

Keys are networks, values what is found there. Integers become uint32, or what else they need; Uint16, Uint128 and
Float make the rarer types. A value that was written before is pointed at.
"""
import ipaddress
import struct
import sys

MARKER = b"\xab\xcd\xefMaxMind.com"


class Uint16(int):
    pass


class Uint128(int):
    pass


class Float(float):
    pass


def _control(kind, size):
    head, rest = bytearray(), b""
    if size >= 65821:
        size, rest = 31, (size - 65821).to_bytes(3, "big")
    elif size >= 285:
        size, rest = 30, (size - 285).to_bytes(2, "big")
    elif size >= 29:
        size, rest = 29, bytes([size - 29])
    if kind >= 8:
        head += bytes([size, kind - 7])
    else:
        head.append(kind << 5 | size)
    return bytes(head) + rest


def _pointer(offset):
    if offset < 2048:
        return struct.pack(">H", 1 << 13 | offset)
    if offset < 526336:
        offset -= 2048
        return bytes([1 << 5 | 1 << 3 | offset >> 16]) + struct.pack(">H", offset & 0xFFFF)
    if offset < 134744064:
        offset -= 526336
        return bytes([1 << 5 | 2 << 3 | offset >> 24]) + (offset & 0xFFFFFF).to_bytes(3, "big")
    return bytes([1 << 5 | 3 << 3]) + struct.pack(">I", offset)


def _shortest(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class _Data:
    def __init__(self):
        self.bytes = bytearray()
        self.seen = {}

    def add(self, value):
        """Appends a value, or a pointer to one that was written before. Returns where it begins."""
        key = repr((type(value).__name__, value))
        start = len(self.bytes)
        if key in self.seen and not isinstance(value, (bool, int, float)):
            self.bytes += _pointer(self.seen[key])
            return start
        self.seen[key] = start
        self._append(value)
        return start

    def _append(self, value):
        if isinstance(value, dict):
            self.bytes += _control(7, len(value))
            for name, member in value.items():
                self.add(name)
                self.add(member)
        elif isinstance(value, list):
            self.bytes += _control(11, len(value))
            for item in value:
                self.add(item)
        elif isinstance(value, str):
            text = value.encode()
            self.bytes += _control(2, len(text)) + text
        elif isinstance(value, bytes):
            self.bytes += _control(4, len(value)) + value
        elif isinstance(value, bool):
            self.bytes += _control(14, int(value))
        elif isinstance(value, Float):
            self.bytes += _control(15, 4) + struct.pack(">f", value)
        elif isinstance(value, float):
            self.bytes += _control(3, 8) + struct.pack(">d", value)
        elif value < 0:
            self.bytes += _control(8, 4) + struct.pack(">i", value)
        else:
            kind = 5 if isinstance(value, Uint16) else 10 if isinstance(value, Uint128) else 6
            if kind == 6 and value >= 1 << 32:
                kind = 9
            number = _shortest(value)
            self.bytes += _control(kind, len(number)) + number


def _bits(network, ip_version):
    network = ipaddress.ip_network(network)
    length, value = network.prefixlen, int(network.network_address)
    total = network.max_prefixlen
    if ip_version == 6 and total == 32:
        length, total = length + 96, 128
    return [value >> (total - 1 - i) & 1 for i in range(length)]


def _tree(entries, ip_version):
    """Nodes as pairs of: None, a node's number, or ("data", offset)."""
    nodes = [[None, None]]
    for network, offset in entries:
        at, bits = 0, _bits(network, ip_version)
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][bits[-1]] = ("data", offset)
    return nodes


def _record(record, node_count):
    if record is None:
        return node_count
    return record[1] + node_count + 16 if isinstance(record, tuple) else record


def _node(left, right, size):
    if size == 28:
        middle = (left >> 24) << 4 | right >> 24
        return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")
    return left.to_bytes(size // 8, "big") + right.to_bytes(size // 8, "big")


def make(networks, ip_version=6, record_size=24):
    data, entries, offsets = _Data(), [], {}
    for network, value in networks.items():
        key = repr(value)
        if key not in offsets:
            offsets[key] = data.add(value)
        entries.append((network, offsets[key]))
    nodes = _tree(entries, ip_version)
    tree = b"".join(_node(_record(left, len(nodes)), _record(right, len(nodes)), record_size) for left, right in nodes)
    metadata = _Data()
    metadata.add({
        "binary_format_major_version": Uint16(2),
        "binary_format_minor_version": Uint16(0),
        "build_epoch": 1 << 33,
        "database_type": "Test",
        "description": {"en": "for tests"},
        "ip_version": Uint16(ip_version),
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": Uint16(record_size),
    })
    return tree + bytes(16) + bytes(data.bytes) + MARKER + bytes(metadata.bytes)


def write(path, networks, **how):
    with open(path, "wb") as file:
        file.write(make(networks, **how))


SAMPLE = {
    "192.0.2.0/24": {
        "city": {"names": {"de": "Köln", "en": "Cologne"}},
        "country": {"iso_code": "DE", "names": {"de": "Deutschland", "en": "Germany"}},
        "location": {"accuracy_radius": Uint16(100), "latitude": 50.9333, "longitude": 6.95},
        "registered_country": {"iso_code": "DE", "names": {"de": "Deutschland", "en": "Germany"}},
        "traits": {"is_anonymous": False},
    },
    "198.51.100.7/32": {
        "array": ["a", "b", [], {}],
        "bytes": b"\x00\xff",
        "double": -1.5,
        "false": False,
        "float": Float(0.25),
        "int32": -2147483648,
        "text": "quote\" slash\\ tab\t nul\0 é",
        "true": True,
        "uint16": Uint16(65535),
        "uint32": 4294967295,
        "uint64": 18446744073709551615,
        "uint128": Uint128(340282366920938463463374607431768211455),
        "zero": 0,
    },
    "2001:db8::/32": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"},
}


if __name__ == "__main__":  # tests/harness/mmdb.py FILE: writes the sample
    write(sys.argv[1], SAMPLE)
