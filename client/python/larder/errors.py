"""What can go wrong: gRPC's status as a few exceptions, each with the server's own message."""
import grpc


class LarderError(Exception):
    """Any failed call. `code` is the gRPC status, e.g. "NOT_FOUND"; str() is the server's message."""

    code = "UNKNOWN"

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code or self.code


class InvalidArgument(LarderError):
    """The request is wrong whatever the server's state: shape, dimension, filter, id."""

    code = "INVALID_ARGUMENT"


class NotFound(LarderError):
    """No such collection, document, profile or KV entry."""

    code = "NOT_FOUND"


class AlreadyExists(LarderError):
    """It is there, or another producer is making it."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(LarderError):
    """Not in this state, e.g. the owners of a KV entry were deleted while it was put."""

    code = "FAILED_PRECONDITION"


class DataLoss(LarderError):
    """Stored bytes are damaged. A damaged KV entry is dropped: compute it anew."""

    code = "DATA_LOSS"


class Unavailable(LarderError):
    """No server, none in time, or one that is overloaded or full: later may help."""

    code = "UNAVAILABLE"


_BY_CODE = {kind.code: kind for kind in LarderError.__subclasses__()}
_BY_CODE |= {code: Unavailable for code in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")}
_BY_CODE["OUT_OF_RANGE"] = InvalidArgument
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def from_code(code: grpc.StatusCode, message: str) -> LarderError:
    return _BY_CODE.get(code.name, LarderError)(message, code.name)


def from_number(number: int, message: str) -> LarderError:
    """From the number of a google.rpc.Code."""
    return from_code(_BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN), message)


def from_grpc(error: grpc.RpcError) -> LarderError:
    return from_code(error.code(), error.details())
