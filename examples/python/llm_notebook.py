# SPDX-License-Identifier: Apache-2.0
# A model in a notebook, or as a program (pip install ./python):
#
#     python examples/python/llm_notebook.py models/sdar-tiny
#
# Editors that know cells (# %%) run it piece by piece. The programs of sdar are looked for in SDAR_BIN_DIR and in PATH.

# %% Start a server of this process. It ends with the process, or with llm.close().
import sys

from sdar import LLM, Delta, Provisional, SamplingParams

llm = LLM(sys.argv[1] if len(sys.argv) > 1 else "models/sdar-tiny", tensor_parallel_size=1)
print(llm.model_info)

# %% Answer several prompts at once: texts, token ids, or chats.
greedy = SamplingParams(temperature=0, max_tokens=32)
questions = ["What is the capital of Chile?", "Compute 11 + 16.", "What is tensor parallelism?"]
chats = [[{"role": "user", "content": question}] for question in questions]
for question, output in zip(questions, llm.generate(chats, greedy)):
    print(f"{question} -> {output['text']}")

# %% In which denoising step was each token revealed? Tokens of one step were revealed together.
output = llm.generate([chats[0]], SamplingParams(temperature=0, remasking_strategy="low_confidence_static",
                                                 denoising_steps=2))[0]
for token, step, logprob in zip(output["token_ids"], output["trajectory"], output["logprobs"]):
    print(f"step {step:2d}  {llm.client.detokenize([token])!r:14}  probability {2.718281828 ** logprob:.3f}")

# %% Watch a block while it is denoised: text comes when it is final, and the block after every step.
params = SamplingParams(temperature=0, remasking_strategy="sequential", provisional=True, max_tokens=12)
for event in llm.stream(chats[0], params):
    if isinstance(event, Provisional):
        print(" ".join("[mask]" if one.masked else repr(one.text) for one in event.positions))
    elif isinstance(event, Delta):
        print("final:", repr(event.text))

# %% Compare strategies: fewer steps are faster and less careful.
for strategy in ("sequential", "low_confidence_static", "low_confidence_dynamic", "entropy_bounded"):
    output = llm.chat(chats[0], SamplingParams(temperature=0, remasking_strategy=strategy))
    print(f"{strategy:24} {output['usage'].denoising_steps:3d} steps  {output['text']}")

# %% End the server.
llm.close()
