"""``make emulators``: the four emulators until Ctrl-C, and the variables that point Google's clients to them."""

import signal
import threading

from tests.emulators.running import running

if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with running() as emulators:
        for name, value in emulators.environment().items():
            print(f"export {name}={value}", flush=True)
        print("# ready; Ctrl-C stops them", flush=True)
        stop.wait()
