"""64 MiB there and back through a reader that begins only when nothing more can be sent.

Arguments: "tcp" and a port, or "unix" and a path.
"""
import socket
import sys
import threading

TOTAL = 64 << 20
PIECE = bytes(range(ord("a"), ord("z") + 1)) * 2521  # 65,546 bytes: no power of two

family, place = sys.argv[1:]
if family == "tcp":
    client = socket.create_connection(("127.0.0.1", int(place)), timeout=20)
else:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(place)

pieces = TOTAL // len(PIECE)
# Until the first send that would block, nobody reads.
client.setblocking(False)
sent = 0
view = memoryview(PIECE * 64)
try:
    while True:
        from_ = sent % len(PIECE)
        sent += client.send(view[from_ : from_ + len(PIECE)])
except BlockingIOError:
    pass
assert 0 < sent < pieces * len(PIECE), sent
client.settimeout(20)


def send_the_rest():
    # `sendall` loops where `send` takes only a part.
    client.sendall(PIECE[sent % len(PIECE) :])
    for _ in range(pieces - sent // len(PIECE) - 1):
        client.sendall(PIECE)
    client.shutdown(socket.SHUT_WR)


sender = threading.Thread(target=send_the_rest)
sender.start()
expected = PIECE.upper()
got = 0
buffer = b""
while data := client.recv(4096 if got < 1 << 20 else 1 << 18):
    got += len(data)
    buffer += data
    while len(buffer) >= len(expected):
        assert buffer.startswith(expected), f"other bytes before {got}"
        buffer = buffer[len(expected) :]
sender.join()
assert buffer == b"" and got == pieces * len(PIECE), (len(buffer), got, pieces * len(PIECE))
print("ok")
