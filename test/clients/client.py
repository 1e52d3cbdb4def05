"""Talks to test/my_ws_handler.erl by the package websockets. Prints the extensions.

usage: client.py URL
"""
import asyncio
import sys

import websockets

TEXTS = ["me", "Zo\u00eb \u2603 " * 20000, ""]


async def main(url):
    async with websockets.connect(url) as socket:
        for text in TEXTS:
            await socket.send(text)
        # The handler says it after a second, whatever it receives.
        expected = {"Hello!"} | {"That's what she said! " + text for text in TEXTS}
        while expected:
            text = await socket.recv()
            if text in expected:
                expected.remove(text)
            elif text != "How' you doin'?":
                sys.exit("unexpected: %r" % text[:100])
        await socket.ping(b"ping")
        await socket.close(3000, "bye")
        if socket.close_code != 3000:
            sys.exit("closed by %s" % socket.close_code)
        # Version 14 has moved them.
        print(" ".join(extension.name for extension in getattr(socket, "protocol", socket).extensions))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 60))
