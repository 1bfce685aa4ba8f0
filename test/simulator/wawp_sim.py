#!/usr/bin/env python3
"""A simulator of the Wawp WhatsApp HTTP API, for the tests of the wawp extension.

Prints `listening http=PORT [tls=PORT]` when it is ready, and ends on SIGTERM, SIGINT or after `--idle-exit`
seconds without request or connection.  README.md describes the control path and the world.
"""

import argparse
import asyncio
import os
import signal
import ssl

from ledger import Ledger
from simulator import Simulator
from wire import listen

IDLE_CHECK = 0.25       # seconds between looks at the idle clock


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="HTTP port; 0 takes a free one")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate; also opens a TLS port")
    parser.add_argument("--tls-key", metavar="FILE", help="its key")
    parser.add_argument("--tls-port", type=int, default=0, help="TLS port; 0 takes a free one")
    parser.add_argument("--port-file", metavar="FILE", help="write the port numbers there, a line each")
    parser.add_argument("--idle-exit", type=float, metavar="SECONDS", help="end after that long without clients")
    parser.add_argument("--latency", type=float, default=0, metavar="SECONDS",
                        help="every answer of the API takes that long; its effects come at once (%(default)s)")
    parser.add_argument("--ledger-file", metavar="FILE", help="append every request there as a line of JSON")
    parser.add_argument("--ledger-keep", type=int, default=100_000, metavar="N",
                        help="requests the ledger remembers (%(default)s)")
    return parser.parse_args()


def tls_context(options):
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


def write_atomically(path, text):
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(temporary, path)


async def open_ports(simulator, options):
    """Start listening; the open servers and their ports by scheme."""
    http, http_port = await listen(simulator.client_connected, options.host, options.port)
    tls = tls_context(options)
    if tls is None:
        return [http], {"http": http_port}
    https, tls_port = await listen(simulator.client_connected, options.host, options.tls_port, tls)
    return [http, https], {"http": http_port, "tls": tls_port}


def announce(ports, port_file):
    if port_file:
        write_atomically(port_file, "".join(f"{port}\n" for port in ports.values()))
    print("listening", *(f"{scheme}={port}" for scheme, port in ports.items()), flush=True)


async def idle_for(simulator, seconds):
    while simulator.idle_seconds() < seconds:
        await asyncio.sleep(IDLE_CHECK)


async def serve(options):
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = Simulator(Ledger(options.ledger_keep, options.ledger_file), options.latency)
    servers, ports = await open_ports(simulator, options)
    announce(ports, options.port_file)
    waits = [asyncio.create_task(stop.wait())]
    if options.idle_exit:
        waits.append(asyncio.create_task(idle_for(simulator, options.idle_exit)))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
