"""Many TCP clients at once. Arguments: port."""
import socket
import sys
import threading

server = ("127.0.0.1", int(sys.argv[1]))
done = []


def talk(number):
    with socket.create_connection(server, timeout=20) as client:
        for message in range(20):
            text = f"client {number} message {message}".encode()
            client.sendall(text)
            answer = b""
            while len(answer) < len(text):
                answer += client.recv(1024)
            assert answer == text.upper(), answer
    done.append(number)


threads = [threading.Thread(target=talk, args=(number,)) for number in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(done) == list(range(40)), done
print("ok")
