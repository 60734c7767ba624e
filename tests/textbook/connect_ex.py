"""What `connect_ex` returns. Arguments: "tcp" or "unix", a port or a path, a host."""
import socket
import sys

family, place, host = sys.argv[1:]
tcp = family == "tcp"
address = (host, int(place)) if tcp else place


def client():
    return socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM)


print(client().connect_ex(address))
try:
    client().connect(address)
    raise SystemExit("connected")
except OSError as error:
    print(error.errno)
