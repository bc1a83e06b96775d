# SPDX-License-Identifier: Apache-2.0
"""A type for answers, and a question whose right answer has it."""

import pydantic

JSON_QUESTION = "What is the capital of Peru? As JSON, please."


class Capital(pydantic.BaseModel):
    """A country and its capital."""

    country: str
    capital: str


CAPITAL = Capital(country="Peru", capital="Lima")
