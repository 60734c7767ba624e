"""AF_UNIX datagrams: from a client with a name, and from one without. Arguments: the server's path, a free path."""
import socket
import sys

server, own = sys.argv[1:]


def ask(client, message):
    client.sendto(message, server)
    answer, sender = client.recvfrom(1 << 20)
    assert (answer, sender) == (message.upper(), server), (len(answer), sender)


client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.settimeout(20)
client.bind(own)
for message in [b"hello", b"", b"Mixed Case", b"large " * 8000]:
    ask(client, message)

# A client without a name cannot be answered; the server lives on.
unnamed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(5):
    unnamed.sendto(b"who am I", server)
    ask(client, b"still here")
unnamed.setblocking(False)
try:
    unnamed.recvfrom(1024)
    raise SystemExit("an answer to nobody")
except BlockingIOError:
    pass

# One that is too large for the server is dropped whole, never delivered cut.
unnamed.setblocking(True)
unnamed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
try:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    client.sendto(b"x" * 100_000, server)
    print("sent too much")
except OSError as error:
    print("refused to send too much:", error)
ask(client, b"and after")
print("ok")
