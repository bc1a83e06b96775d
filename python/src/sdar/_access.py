# SPDX-License-Identifier: Apache-2.0
"""How to reach a server: its address, the key and TLS, and when to try again. Both clients use it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
import time
from typing import Any, Optional, Union

import grpc

from sdar.errors import DeadlineExceeded, Error, InvalidRequest
from sdar.results import RetryPolicy

_Path = Union[str, "os.PathLike[str]"]


@dataclasses.dataclass(frozen=True)
class Tls:
    """Files for a connection with TLS.

    ca: certificates of authorities to trust, PEM; None: those that gRPC trusts on its own.
    cert, key: of the client, PEM; both or neither.
    server_name: the name in the server's certificate, if it is not that of the address.
    """

    ca: Optional[_Path] = None
    cert: Optional[_Path] = None
    key: Optional[_Path] = None
    server_name: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Access:
    """What a client was told about its server."""

    address: str
    api_key: Optional[str] = dataclasses.field(repr=False)
    tls: Union[Tls, bool, None]
    timeout: Optional[float]
    retry: RetryPolicy

    def options(self) -> list[tuple[str, Any]]:
        """Of the channel. Answers may be long; the server bounds what it takes."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.enable_http_proxy", 0),  # as sdar-client
            ("grpc.use_local_subchannel_pool", 1),  # a connection of its own, and no backoff of another's
        ]
        if isinstance(self.tls, Tls) and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def credentials(self) -> Optional[grpc.ChannelCredentials]:
        """None: no TLS. Raises InvalidRequest if a file cannot be read."""
        if not self.tls:
            return None
        tls = self.tls if isinstance(self.tls, Tls) else Tls()
        if (tls.cert is None) != (tls.key is None):
            raise InvalidRequest("tls: expected cert and key together, or neither")
        return grpc.ssl_channel_credentials(_read("ca", tls.ca), _read("key", tls.key), _read("cert", tls.cert))

    def metadata(self) -> list[tuple[str, str]]:
        """Raises InvalidRequest if the key is no token."""
        key = os.environ.get("SDAR_API_KEY") if self.api_key is None else self.api_key
        key = (key or "").strip()
        if not key:
            return []
        if not all("!" <= one <= "~" for one in key):
            raise InvalidRequest("api_key: expected one token of visible ASCII characters")
        return [("authorization", f"Bearer {key}")]


def _read(name: str, path: Optional[_Path]) -> Optional[bytes]:
    if path is None:
        return None
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"tls: {name}: {error}") from None


class Attempts:
    """The attempts of one call: how long the next one may take, and whether there is one."""

    def __init__(self, access: Access, timeout: Optional[float]) -> None:
        seconds = access.timeout if timeout is None else timeout
        if seconds is not None and not seconds > 0:
            raise InvalidRequest(f"timeout: expected a number > 0, got {seconds}")
        self._policy = access.retry
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._unavailable = 0
        self._queue_full = 0

    def timeout(self) -> Optional[float]:
        """Seconds that are left; None: no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def delay_after(self, error: Error) -> float:
        """Seconds to the next attempt of a call that failed before anything arrived.

        Raises the error if there is none, DeadlineExceeded if that comes first.
        """
        delay = self._next_delay(error)
        left = self.timeout()
        if delay is None:
            raise error
        if left is not None and delay >= left:
            raise DeadlineExceeded(f"the deadline comes before the next attempt: {error}") from error
        return delay

    def _next_delay(self, error: Error) -> Optional[float]:
        policy = self._policy
        if error.code == "RESOURCE_EXHAUSTED" and error.retry_delay is not None:
            self._queue_full += 1
            return error.retry_delay if policy.queue_full is None or self._queue_full <= policy.queue_full else None
        if error.code == "UNAVAILABLE" and self._unavailable < policy.unavailable:
            self._unavailable += 1
            delay = min(policy.longest_delay, policy.first_delay * 2.0 ** (self._unavailable - 1))
            return delay * random.uniform(0.8, 1.2)  # so that clients do not come back all at once
        return None
