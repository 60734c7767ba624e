"""AF_UNIX streams, by path and by abstract name. Arguments: a path, or "@" and a name."""
import socket
import sys

address = "\0" + sys.argv[1][1:] if sys.argv[1].startswith("@") else sys.argv[1]
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
    client.settimeout(20)
    client.connect(address)
    peer = client.getpeername()
    assert peer == (address.encode() if address.startswith("\0") else address), peer
    assert client.getsockname() in ("", b""), client.getsockname()
    for message in [b"hello", b"Mixed Case"]:
        client.send(message)
        assert client.recv(1024) == message.upper()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1024) == b""
print("ok")
