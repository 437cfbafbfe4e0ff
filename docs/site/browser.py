"""A headless Chromium that takes pictures: its DevTools protocol over a pair of pipes, JSON between zero bytes. No package is needed."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["BROWSER", "Page", "browser"]

#: The program, None where there is none.
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe")
#: The child takes commands from descriptor 3 and answers to 4.
_EXEC = "import os, sys; a, b = (os.dup(os.dup(os.dup(int(n)))) for n in sys.argv[1:3]); os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])"


class Page:
    """A tab of the browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._rest, self._number, self._session = commands, answers, b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            got = os.read(self._answers, 1 << 16)
            if not got:
                raise RuntimeError("Chromium ended before it answered")
            self._rest += got
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result. Raises RuntimeError with Chromium's words."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data):]
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def open(self, path: Path, *, width: int, height: int = 900) -> None:
        """Show a file in a window of these pixels, and wait until it is loaded and drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.evaluate("new Promise(done => { const f = () => requestAnimationFrame(() => requestAnimationFrame(() => done(1)));"
                      " document.readyState === 'complete' ? f() : addEventListener('load', f); })")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def picture(self, box: tuple[float, float, float, float]) -> bytes:
        """A PNG of a box of the page: left, top, width, height in pixels."""
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"])


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A browser with a profile of its own, closed at the end."""
    assert BROWSER is not None
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([sys.executable, "-c", _EXEC, str(theirs_in), str(theirs_out), BROWSER, *_FLAGS, f"--user-data-dir={profile}"],
                                   pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(commands, answers)
        finally:
            os.close(commands)  # it ends when nobody can command it
            os.close(answers)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
