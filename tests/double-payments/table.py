"""Counts the paid POSTs that one "create" of a client sends when its reply is lost. See scripts/double-payments.sh.

    table.py install [CLIENT...]    installs from the registries into target/double-payments
    table.py measure [CLIENT...]    prints the table; needs a network of loopback alone, with the names of `hosts`

CLIENT is a part of a name in clients.py.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

from clients import BUILT, CLIENTS, FOLDER, Ours
from faults import FAULTS, TLS, Server

# The seconds that a client waits for a reply, if it has a setting for that. Other settings keep their defaults.
TIMEOUT = 3
# The seconds after which a client is stopped.
STOP = 150
# The exit code of `timeout` if it has stopped the client.
STOPPED = 124
# Clients wait most of the time, so several run at once.
AT_ONCE = 6


def main():
    task, *words = sys.argv[1:]
    clients = [client for client in CLIENTS if not words or any(word in client.name for word in words)]
    if task == "install":
        install(clients)
    else:
        measure(clients)


def install(clients):
    for client in clients:
        if isinstance(client, Ours) or client.installed.exists():
            continue
        print("installing", client.name, file=sys.stderr)
        if subprocess.run(client.installation(), stdout=sys.stderr).returncode != 0:
            shutil.rmtree(client.folder, ignore_errors=True)


def measure(clients):
    installed = [client for client in clients if client.installed.exists()]
    print("| client |", " | ".join(FAULTS), "|")
    print("| --- |", " | ".join("--:" for _ in FAULTS), "|")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        rows = [[pool.submit(count, client, fault) for fault in FAULTS] for client in installed]
        for client, row in zip(installed, rows):
            print(f"| {client.name} |", " | ".join(cell.result() for cell in row), "|", flush=True)
    for client in clients:
        if client not in installed:
            print(f"\n{client.name} could not be installed.")


def count(client, fault):
    """Returns the number of POSTs, with "+" if the client was stopped, and "key" if each had an idempotency key."""
    log = FOLDER / "logs" / f"{client.name}, {fault}.txt".replace("/", "+")
    log.parent.mkdir(parents=True, exist_ok=True)
    server = Server(fault)
    with tempfile.TemporaryDirectory() as home, open(log, "w") as output:
        # `timeout` also stops programs that the client has started.
        command = ["timeout", str(STOP), *client.command(), server.url, str(TIMEOUT)]
        environment = {**os.environ, **settings(home)}
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        ended = subprocess.run(command, cwd=home, env=environment, **streams)
    server.stop()
    marks = "+" if ended.returncode == STOPPED else ""
    if server.posts and server.keys:
        marks += " key"
    return f"{server.posts}{marks}"


def settings(home):
    """Returns the environment of a client, which trusts the certificate of `tests/tls`."""
    authority = str(TLS / "authority.pem")
    return {
        "HOME": home,
        "VEO": str(BUILT / "veo"),
        "SSL_CERT_FILE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
        # Without this LiteLLM reads its prices from the Internet.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


main()
