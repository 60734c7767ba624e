"""Clients that vanish, reset, say nothing, or never read, and a polite one beside them. Arguments: port."""
import socket
import struct
import sys

server = ("127.0.0.1", int(sys.argv[1]))


def connect():
    return socket.create_connection(server, timeout=20)


polite = connect()


def still_fine():
    polite.sendall(b"still fine")
    assert polite.recv(1024) == b"STILL FINE"
    with connect() as fresh:
        fresh.sendall(b"come in")
        assert fresh.recv(1024) == b"COME IN"


silent = [connect() for _ in range(5)]
still_fine()

for _ in range(10):
    connect().close()  # says nothing and goes
    vanishes = connect()
    vanishes.sendall(b"never mind the answer")
    vanishes.close()  # with the answer unread: the system resets
    resets = connect()
    resets.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    resets.sendall(b"half a mess")
    resets.close()  # SO_LINGER with 0: reset
    silent_reset = connect()
    silent_reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    silent_reset.close()
    still_fine()

deaf = connect()
deaf.setblocking(False)
try:
    while True:
        deaf.send(b"x" * 65536)  # never reads: at some point the server takes no more
except BlockingIOError:
    pass
still_fine()
deaf.close()
for client in silent:
    client.sendall(b"at last")
    client.settimeout(20)
    assert client.recv(1024) == b"AT LAST"
    client.close()
still_fine()
polite.close()
print("ok")
