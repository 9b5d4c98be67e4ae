"""A page in headless Chromium: open it, ask it, end it.

It is driven through a pipe by the DevTools protocol: messages in JSON, each ended by a zero byte.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]


class browser_failed(Exception):
    pass


class page:
    def __init__(self, to_browser, from_browser, seconds):
        self._to, self._from = to_browser, from_browser
        self._end = time.monotonic() + seconds
        self._received, self._last, self._session = b"", 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]

    def _message(self):
        while b"\0" not in self._received:
            left = self._end - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise browser_failed("chromium does not answer")
            got = os.read(self._from, 65536)
            if not got:
                raise browser_failed("chromium has ended")
            self._received += got
        text, _, self._received = self._received.partition(b"\0")
        return json.loads(text)

    def _call(self, method, **parameters):
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._last:
                break
        if "error" in answer:
            raise browser_failed(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url):
        self._call("Page.navigate", url=url)
        self.until("document.readyState == 'complete'")

    def value(self, expression):
        """Of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise browser_failed(f"{expression}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    def until(self, expression):
        """Wait until it is true."""
        while not self.value(expression):
            if time.monotonic() >= self._end:
                raise browser_failed(f"{expression} has not become true")
            time.sleep(0.01)


def program():
    """Its path; None where it is not installed."""
    return shutil.which("chromium")


@contextlib.contextmanager
def opened(seconds):
    """An empty page. `seconds`: how long all that is asked of it may take."""
    read_by_it, to_browser = os.pipe()
    from_browser, written_by_it = os.pipe()

    def as_3_and_4():
        # First out of the way: a pipe of ours may have one of these numbers.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (read_by_it, written_by_it)]
        for number, fd in enumerate(high, 3):
            os.dup2(fd, number)
            os.close(fd)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program(), *FLAGS, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=False,
            preexec_fn=as_3_and_4,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        try:
            yield page(to_browser, from_browser, seconds)
        finally:
            # Nothing of its group can be another's: its leader is not reaped yet.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(to_browser)
            os.close(from_browser)
