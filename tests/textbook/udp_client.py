"""The UDP client of the textbook, and its rules. Arguments: port, a host where nobody listens."""
import socket
import sys

server = ("127.0.0.1", int(sys.argv[1]))


def udp():
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(20)
    return client


client = udp()
for message in [b"hello", b"", b"Mixed Case", b"", b"\x00\xff raw"]:
    client.sendto(message, server)
    answer, sender = client.recvfrom(1024)
    assert (answer, sender) == (message.upper(), server), (answer, sender)

# The largest datagram that UDP over IPv4 carries is answered whole; one byte more does not even leave.
largest = b"abcdefg" * 9358 + b"x"
assert len(largest) == 65507
client.sendto(largest, server)
answer, sender = client.recvfrom(65536)
assert answer == largest.upper() and sender == server
try:
    client.sendto(largest + b"x", server)
    raise SystemExit("65,508 bytes were sent")
except OSError as error:
    assert error.errno == 90 or "long" in str(error), error

# What a small buffer cuts is cut here, at the reader; the server answered it whole.
client.sendto(b"cut here", server)
assert client.recvfrom(3)[0] in (b"CUT",)
client.sendto(b"next", server)
assert client.recvfrom(1024)[0] == b"NEXT"

# Two clients at once get their own answers.
other = udp()
for number in range(50):
    client.sendto(b"a%d" % number, server)
    other.sendto(b"b%d" % number, server)
    assert other.recvfrom(1024)[0] == b"B%d" % number
    assert client.recvfrom(1024)[0] == b"A%d" % number

# No server is needed to send.
nobody = udp()
nobody.bind((sys.argv[2], 0))
free = nobody.getsockname()
nobody.close()
assert client.sendto(b"anybody?", free) == 8
client.sendto(b"still here", server)
assert client.recvfrom(1024)[0] == b"STILL HERE"

# A connected UDP socket learns of it, and loses nothing.
connected = udp()
connected.connect(free)
connected.send(b"anybody?")
try:
    connected.recv(1024)
    raise SystemExit("an answer from nobody")
except ConnectionRefusedError:
    pass
connected.connect(server)
connected.send(b"somebody")
assert connected.recv(1024) == b"SOMEBODY" and connected.getpeername() == server
print("ok")
