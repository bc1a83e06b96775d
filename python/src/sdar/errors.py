# SPDX-License-Identifier: Apache-2.0
"""What this package raises. All of it derives from `Error`."""

from __future__ import annotations

from typing import Any, ClassVar, Optional

import grpc

_PUSHBACK = "grpc-retry-pushback-ms"


class Error(Exception):
    """A call that failed, or a server that could not be started.

    code: the gRPC status by name, such as "INVALID_ARGUMENT".
    message: what is wrong, in the words of whoever found it.
    retry_delay: seconds after which another attempt may succeed; None if the server named none.
    """

    CODE: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str, code: Optional[str] = None, retry_delay: Optional[float] = None) -> None:
        super().__init__(message, code, retry_delay)  # as pickle needs it
        self.message = message
        self.code = self.CODE if code is None else code
        self.retry_delay = retry_delay

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidRequest(Error, ValueError):
    """The request is wrong; the message begins with the field. Another attempt fails again."""

    CODE = "INVALID_ARGUMENT"


class Unauthenticated(Error):
    """The server wants a key, or does not know the one that was given."""

    CODE = "UNAUTHENTICATED"


class NotFound(Error):
    """There is no open call with this request id."""

    CODE = "NOT_FOUND"


class AlreadyExists(Error):
    """An open call has this request id."""

    CODE = "ALREADY_EXISTS"


class ResourceExhausted(Error):
    """The request can never fit, the client read too slowly, or, with a `retry_delay`, the queue is full."""

    CODE = "RESOURCE_EXHAUSTED"


class Cancelled(Error):
    """The call was closed here, or ended by `abort`."""

    CODE = "CANCELLED"


class DeadlineExceeded(Error):
    """The deadline of the call, or `timeout_seconds` of the request, passed."""

    CODE = "DEADLINE_EXCEEDED"


class Unavailable(Error):
    """There is no server, it loads or stops, or it lost a rank."""

    CODE = "UNAVAILABLE"


class Aborted(Error):
    """The job stopped or lost a rank after a part of the answer was sent."""

    CODE = "ABORTED"


class Internal(Error):
    """The server could not finish this sequence, for example because its logits were not finite."""

    CODE = "INTERNAL"


class Unimplemented(Error):
    """The server, or this package, has no such method."""

    CODE = "UNIMPLEMENTED"


class StartFailed(Error):
    """sdar-serve could not be started; the message holds its words.

    exit_code: of the program; None if it did not run or did not end.
    """

    CODE = "FAILED_PRECONDITION"

    def __init__(self, message: str, code: Optional[str] = None, retry_delay: Optional[float] = None,
                 exit_code: Optional[int] = None) -> None:
        super().__init__(message, code, retry_delay)
        self.exit_code = exit_code


_KINDS: dict[str, type[Error]] = {
    kind.CODE: kind
    for kind in (InvalidRequest, Unauthenticated, NotFound, AlreadyExists, ResourceExhausted, Cancelled,
                 DeadlineExceeded, Unavailable, Aborted, Internal, Unimplemented)
}
# Of a status to which gRPC adds no message.
_WITHOUT_WORDS = {"UNIMPLEMENTED": "the server has no such method; is it older than this package?"}


def error_of(rpc_error: grpc.RpcError) -> Error:
    """The error of this package for one that gRPC raised."""
    status = rpc_error.code()
    code = "UNKNOWN" if status is None else status.name
    kind = _KINDS.get(code, Error)
    message = rpc_error.details() or _WITHOUT_WORDS.get(code, "the server gave no reason")
    return kind(message, code, _retry_delay(rpc_error))


def _retry_delay(rpc_error: grpc.RpcError) -> Optional[float]:
    """Seconds; None if the server named none, or told not to try again."""
    metadata: Any = rpc_error.trailing_metadata()  # its type stubs know no iteration
    for key, value in metadata or ():
        if key == _PUSHBACK:
            return int(value) / 1000 if value.isdigit() else None
    return None
