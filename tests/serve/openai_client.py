"""Uses `runner serve` through OpenAI's own client: python tests/serve/openai_client.py http://127.0.0.1:7860 TOKEN"""

import sys

import openai

address, token = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0)

models = [model.id for model in client.models.list()]
assert len(models) == 1, models
asked = dict(model=models[0], prompt="Maud:", max_tokens=40, seed=3)

assert client.models.retrieve(models[0]).id == models[0]
experiment = models[0].split("/")[0]
assert client.models.retrieve(experiment).id == models[0]
assert client.completions.create(**{**asked, "model": experiment}, user="me").model == models[0]

scored = client.completions.create(**{**asked, "prompt": ["Maud:", "King"], "max_tokens": 0}, echo=True, logprobs=1)
for choice, prompt in zip(scored.choices, ["Maud:", "King"], strict=True):
    assert choice.text == prompt == "".join(choice.logprobs.tokens), choice
    assert choice.logprobs.token_logprobs[0] is None and all(x < 0 for x in choice.logprobs.token_logprobs[1:]), choice
    assert choice.logprobs.text_offset == list(range(len(prompt))), choice
assert scored.usage.completion_tokens == 0 and scored.usage.prompt_tokens == 9, scored.usage
long = dict(asked, prompt="Maud:\n" * 50, max_tokens=1)
cut = client.completions.create(**long, extra_body={"truncate_prompt_tokens": -1})
assert cut.usage.prompt_tokens < 300 and cut.choices[0].runner["remark"], cut

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
    (openai.BadRequestError, long),
    (openai.BadRequestError, {"extra_body": {"temperatur": 0}}),
]
for kind, change in refusals:
    try:
        client.completions.create(**{**asked, **change})
    except kind as error:
        print(f"  refused as it should be: {error.body['message']}")
    else:
        raise AssertionError(f"{change} was not refused")
try:
    client.chat.completions.create(model=models[0], messages=[{"role": "user", "content": "Maud?"}])
except openai.NotFoundError as error:
    assert "/v1/completions" in error.body["message"], error
else:
    raise AssertionError("there is no chat")
try:
    openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError:
    pass
else:
    raise AssertionError("a wrong token was taken")
print(f"OpenAI's client {openai.__version__}: {models[0]} answers whole, streamed, stopped and refused")
