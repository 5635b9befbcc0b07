"""One connection to larderd: deadlines, the single retry of reads, errors as exceptions."""
import time

import grpc

from larder import errors

RETRY_PAUSE_SECONDS = 0.2
_RECONNECT_MS = (("initial", 50), ("min", 50), ("max", 2_000))  # a server that restarts is found again soon


class Channel:
    """Thread-safe. Reads that find no server are tried once more, writes never."""

    def __init__(self, address, timeout, max_message_bytes):
        self.timeout = timeout
        options = [(f"grpc.{name}_reconnect_backoff_ms", ms) for name, ms in _RECONNECT_MS]
        options += [("grpc.max_receive_message_length", max_message_bytes),
                    ("grpc.max_send_message_length", max_message_bytes),
                    ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
        self.grpc = grpc.insecure_channel(address, options)

    def close(self):
        self.grpc.close()

    def write(self, method, request):
        return self._attempt(method, request, self._until())

    def read(self, method, request):
        until = self._until()
        try:
            return self._attempt(method, request, until)
        except errors.Unavailable as error:
            if error.code != "UNAVAILABLE" or time.monotonic() + RETRY_PAUSE_SECONDS >= until:
                raise
        time.sleep(RETRY_PAUSE_SECONDS)
        return self._attempt(method, request, until)

    def stream(self, method, request):
        """A server stream's messages as they arrive; never tried again, since some were handed out."""
        try:
            yield from method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise errors.from_grpc(error) from error

    def _until(self):
        return time.monotonic() + self.timeout

    @staticmethod
    def _attempt(method, request, until):
        try:
            return method(request, timeout=max(0.0, until - time.monotonic()))
        except grpc.RpcError as error:
            raise errors.from_grpc(error) from error
