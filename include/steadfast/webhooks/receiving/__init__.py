"""The receiver: from a socket to the commit. `receiver.py` is the application, `serve.py` the server."""
