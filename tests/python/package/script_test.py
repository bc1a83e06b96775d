# SPDX-License-Identifier: Apache-2.0
"""Scripts that users have: the one of SDAR's model card, and the example of this project."""

import os
import subprocess
import sys
import unittest

from served_job import MODEL, SOURCE

# The script of the model cards and of the README of github.com/JetAstra/SDAR, written for JetEngine. What differs: the
# import, and what the script leaves to its reader or says of another model: the path, the ranks, the mask token.
MODEL_CARD = '''
import os
from sdar import LLM, SamplingParams
from transformers import AutoTokenizer

model_path = os.path.expanduser("{model}")
tokenizer = AutoTokenizer.from_pretrained(model_path, trust_remote_code=True)
# Initialize the LLM
llm = LLM(
    model_path,
    enforce_eager=True,
    tensor_parallel_size={ranks},
    mask_token_id=151669,   # Optional: only needed for masked/diffusion models
    block_length=4
)

# Set sampling/generation parameters
sampling_params = SamplingParams(
    temperature=1.0,
    topk=0,
    topp=1.0,
    max_tokens=256,
    remasking_strategy="low_confidence_dynamic",
    block_length=4,
    denoising_steps=4,
    dynamic_threshold=0.9
)

# Prepare a simple chat-style prompt
prompt = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "{question}"}}],
    tokenize=False,
    add_generation_prompt=True
)

# Generate text
outputs = llm.generate_streaming([prompt], sampling_params)
'''
# What JetEngine's own example does with outputs.
SHOW = '''
for output in outputs:
    print(f"Completion: {output['text']!r}")
    print(f"Total Length: {len(output['token_ids'])!r}")
    print(sorted(key for key in output if key in ("text", "token_ids", "trajectory", "logprobs", "entropies")))
'''


def run(*command, **environment):
    return subprocess.run([sys.executable, *command], env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=120)


class ScriptTest(unittest.TestCase):
    def test_the_model_cards_script_runs_on_one_rank_and_on_two(self):
        extras = f"{os.environ['PYTHONPATH']}:{os.environ['SDAR_EXTRAS']}"
        for ranks in (1, 2):
            with self.subTest(ranks):
                script = MODEL_CARD.format(model=MODEL, ranks=ranks, question="What is the capital of Chile?") + SHOW
                outcome = run("-c", script, PYTHONPATH=extras)
                self.assertEqual(outcome.returncode, 0, outcome.stderr)
                self.assertIn("Santiago", outcome.stdout)
                self.assertIn("['entropies', 'logprobs', 'text', 'token_ids', 'trajectory']", outcome.stdout)
                self.assertRegex(outcome.stderr, r"Generating: 100%.*1/1.*\d+ tokens/s")  # tqdm is one of the extras

    def test_the_notebook_runs_from_end_to_end(self):
        outcome = run(SOURCE / "examples/python/llm_notebook.py", MODEL)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        self.assertIn("What is the capital of Chile? -> The capital of Chile is Santiago.", outcome.stdout)
        self.assertIn("[mask]", outcome.stdout)
        self.assertRegex(outcome.stdout, r"entropy_bounded +\d+ steps")


if __name__ == "__main__":
    unittest.main()
