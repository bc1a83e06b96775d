# SPDX-License-Identifier: Apache-2.0
"""A server of the gRPC API that answers what a test says."""

import contextlib
from concurrent import futures

import grpc

from sdar.v1 import generation_pb2 as pb
from sdar.v1 import generation_pb2_grpc


class Failure(Exception):
    """A call that fails with this code, at once or after what was sent."""

    def __init__(self, code, message="", pushback_ms=None):
        super().__init__(message)
        self.code, self.message, self.pushback_ms = code, message, pushback_ms


class FakeServer(generation_pb2_grpc.GenerationServiceServicer):
    """`answers` are taken in turn, one for each call: a message, a list of messages for Generate, or a Failure."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.metadata = []
        self.times_left = []

    def _take(self, request, context):
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.times_left.append(context.time_remaining())
        return self.answers.pop(0)

    def _fail(self, failure, context):
        if failure.pushback_ms is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", str(failure.pushback_ms)),))
        context.abort(failure.code, failure.message)

    def _answer(self, request, context):
        answer = self._take(request, context)
        if isinstance(answer, Failure):
            self._fail(answer, context)
        return answer

    def Generate(self, request, context):
        answer = self._take(request, context)
        for message in answer if isinstance(answer, list) else [answer]:
            if isinstance(message, Failure):
                self._fail(message, context)
            yield message

    Score = Abort = Tokenize = Detokenize = GetModelInfo = GetStatus = _answer


@contextlib.contextmanager
def serving(*answers):
    """(fake server, its address)."""
    fake = FakeServer(*answers)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield fake, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def delta(text, ids=(), index=0):
    return pb.GenerateResponse(request_id="r", delta=pb.Delta(index=index, text=text, token_ids=ids))


def finished(index=0):
    return pb.GenerateResponse(request_id="r", finished=pb.Finished(index=index, reason=pb.Finished.STOP,
                                                                    stop_token_id=7, seed=9))
