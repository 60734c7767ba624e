"""The servers of the textbook, for our own client. Arguments: tcp, udp, unix and a path, or unix-dgram and a path.

Prints the port once it is bound, and serves until it is killed.
"""
import socket
import sys

kind = sys.argv[1]
stream = kind in ("tcp", "unix")
inet = kind in ("tcp", "udp")
server = socket.socket(
    socket.AF_INET if inet else socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
)
server.bind(("127.0.0.1", 0) if inet else sys.argv[2])
if stream:
    server.listen(3)
print(server.getsockname()[1] if inet else "ready", flush=True)
if not stream:
    while True:
        data, client = server.recvfrom(65536)
        server.sendto(data.upper(), client)
while True:  # connection loop
    connection, client = server.accept()
    try:
        while True:  # message loop
            data = connection.recv(1024)
            if not data:
                break
            connection.send(data.upper())
    except ConnectionResetError:
        pass
    connection.close()
