# SPDX-License-Identifier: Apache-2.0
"""Asks a served model with the openai package (pip install openai) and prints the answer as it comes.

    python examples/python/chat_openai.py http://127.0.0.1:8000/v1 What is the capital of Chile?

A server with --api-keys-file wants its token in OPENAI_API_KEY.
"""

import os
import sys

import openai


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    client = openai.OpenAI(base_url=sys.argv[1], api_key=os.environ.get("OPENAI_API_KEY", "none"))
    stream = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": " ".join(sys.argv[2:])}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"denoising_steps": 4, "remasking_strategy": "low_confidence_dynamic"})
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage:
            print(f"\n[{chunk.usage.completion_tokens} tokens]", file=sys.stderr)


if __name__ == "__main__":
    main()
