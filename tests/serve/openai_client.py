"""Uses `runner serve` through OpenAI's own client: python tests/serve/openai_client.py http://127.0.0.1:7860 TOKEN"""

import sys

import openai

address, token = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0)

models = [model.id for model in client.models.list()]
assert len(models) == 1, models
asked = dict(model=models[0], prompt="Maud:", max_tokens=40, seed=3)

whole = client.completions.create(**asked, n=2, logprobs=2)
assert [choice.index for choice in whole.choices] == [0, 1]
first = whole.choices[0]
assert first.finish_reason == "length" and whole.usage.completion_tokens == 80, whole
assert "".join(first.logprobs.tokens) == first.text and len(first.logprobs.top_logprobs[0]) == 2, first

parts = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
text = "".join(choice.text for part in parts for choice in part.choices)
assert text == first.text, (text, first.text)
assert parts[-1].usage.completion_tokens == 40, parts[-1]

stopped = client.completions.create(**asked, stop=first.text[5:7], extra_body={"top_k": 50})
assert stopped.choices[0].finish_reason == "stop", stopped
assert stopped.choices[0].text == first.text[: first.text.index(first.text[5:7])], stopped

with client.completions.create(**{**asked, "max_tokens": 2000}, stream=True) as stream:
    next(iter(stream))  # Then it is left.

refusals = [
    (openai.NotFoundError, {"model": "another"}),
    (openai.BadRequestError, {"max_tokens": 10**9}),
    (openai.BadRequestError, {"prompt": "\u20ac"}),
]
for kind, change in refusals:
    try:
        client.completions.create(**{**asked, **change})
    except kind as error:
        print(f"  refused as it should be: {error.body['message']}")
    else:
        raise AssertionError(f"{change} was not refused")
try:
    openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError:
    pass
else:
    raise AssertionError("a wrong token was taken")
print(f"OpenAI's client {openai.__version__}: {models[0]} answers whole, streamed, stopped and refused")
