# SPDX-License-Identifier: Apache-2.0
"""Asks a served model over gRPC (pip install grpcio grpcio-tools) and shows the block as it is denoised.

    python examples/python/generate_grpc.py 127.0.0.1:50051 What is the capital of Chile?
"""

import pathlib
import sys

import grpc

# Makes the message classes from the .proto file while the program starts. A program of your own would rather
# have `python -m grpc_tools.protoc` write them once.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "proto"))
generation_pb2, generation_pb2_grpc = grpc.protos_and_services("sdar/v1/generation.proto")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    request = generation_pb2.GenerateRequest()
    request.chat.messages.add(role="user", content=" ".join(sys.argv[2:]))
    request.sampling.temperature = 0
    # Two of a block's four positions in each step; without, all those that the model is sure of.
    request.sampling.remasking_strategy = generation_pb2.LOW_CONFIDENCE_STATIC
    request.sampling.denoising_steps = 2
    request.output.provisional = True
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        for response in stub.Generate(request, timeout=60):
            part = response.WhichOneof("event")
            if part == "provisional":
                block = " ".join("[mask]" if position.masked else repr(position.text)
                                 for position in response.provisional.positions)
                print(f"[block {response.provisional.block}, step {response.provisional.step}] {block}", file=sys.stderr)
            elif part == "delta":
                print(response.delta.text, end="", flush=True)
            elif part == "finished":
                print(f"\n[{response.finished.usage.completion_tokens} tokens in "
                      f"{response.finished.usage.forward_passes} forward passes]", file=sys.stderr)


if __name__ == "__main__":
    main()
