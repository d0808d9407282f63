"""How many paid POSTs one "create" of a client sends when its reply is lost. `scripts/double-payments.sh` runs this.

    table.py install [CLIENT...]    from the registries into target/double-payments
    table.py measure [CLIENT...]    prints the table; for a network that is loopback only, with the names of `hosts`

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

# A client waits so many seconds for a reply, if it has a setting for that. All its other settings are the defaults.
TIMEOUT = 3
# A client that has not come to its end after so many seconds is stopped.
STOP = 150
# The exit code of `timeout` after that.
STOPPED = 124
# Most of them wait most of the time.
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
    """The number of POSTs, with "+" if the client had not come to its end, and "key" if each had an idempotency key."""
    log = FOLDER / "logs" / f"{client.name}, {fault}.txt".replace("/", "+")
    log.parent.mkdir(parents=True, exist_ok=True)
    server = Server(fault)
    with tempfile.TemporaryDirectory() as home, open(log, "w") as output:
        # `timeout` also stops what the client has started.
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
    """The environment of a client, which trusts the certificate of `tests/tls`."""
    authority = str(TLS / "authority.pem")
    return {
        "HOME": home,
        "VEO": str(BUILT / "veo"),
        "SSL_CERT_FILE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
        # It would read its prices from the Internet.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


main()
