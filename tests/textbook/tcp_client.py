"""The TCP client of the textbook, and its rules. Arguments: port."""
import socket
import sys

server = ("127.0.0.1", int(sys.argv[1]))

# socket, connect, a message loop, close
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
    client.settimeout(20)
    client.connect(server)
    assert client.getpeername() == server
    assert client.getsockname()[0] == "127.0.0.1" and client.getsockname()[1] != 0
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    for text in ["hello", "Mixed Case", "x", "straße"]:
        message = text.encode()
        client.send(message)
        assert client.recv(1024) == message.upper(), text
    # An empty send on a stream sends nothing: the next answer is that of the next message.
    assert client.send(b"") == 0
    client.send(b"after nothing")
    assert client.recv(1024) == b"AFTER NOTHING"
    # recv of 0 bytes is the end, and comes after what was sent before.
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    rest = b""
    while data := client.recv(4):
        rest += data
    assert rest == b"LAST WORDS", rest
    assert client.recv(1024) == b""
print("ok")
