// The page of `runner serve`. It talks to the server's own interface, /v1/models and /v1/completions, as any other client would.
"use strict";

const ALTERNATIVES = 5;
const byId = (id) => document.getElementById(id);
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const sliders = ["temperature", "max_tokens", "n", "top_k", "top_p", "repetition_penalty"];
let models = [];
let underway = null; // AbortController of the texts that are being written

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- models and settings

function headers() {
  const token = byId("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// What fails without an answer has no words of its own that say much.
async function reach(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached: it was stopped, or the network is down.");
  }
}

async function loadModels() {
  const response = await reach(fetch("v1/models", { headers: headers() }));
  if (response.status === 401) {
    byId("access").hidden = false;
    byId("token").focus();
    say(byId("token").value ? "Wrong access token." : "This server requires an access token.", true);
    byId("about").textContent = "";
    return;
  }
  if (!response.ok) throw new Error(await problem(response));
  const list = await response.json();
  models = list.data;
  const name = (model) => element("option", { value: model.id, textContent: model.id });
  byId("model-a").replaceChildren(...models.map(name));
  byId("model-b").replaceChildren(element("option", { value: "", textContent: "none" }), ...models.map(name));
  byId("second").hidden = models.length < 2;
  byId("max_tokens").max = Math.min(list.runner.limits.max_tokens, 1024);
  byId("n").max = list.runner.limits.n;
  const secondName = new URLSearchParams(location.search).get("beside");
  if (models.some((model) => model.id === secondName)) byId("model-b").value = secondName;
  say("");
  showModel(true);
}

function modelNamed(id) {
  return models.find((model) => model.id === id);
}

function describe(model) {
  const { origin, parameters, block_size, weights } = model.runner;
  const size = parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} M` : `${(parameters / 1e3).toFixed(0)} k`;
  return [origin, `${size} parameters`, `context length ${block_size}`, weights].filter(Boolean).join(" · ");
}

function showModel(isFirst) {
  const model = modelNamed(byId("model-a").value);
  if (!model) return;
  byId("about").textContent = describe(model);
  const show = (prompt) => {
    const label = prompt.replaceAll("\n", "⏎");
    const button = element("button", { type: "button", textContent: label });
    button.setAttribute("aria-label", `Use the prompt ${JSON.stringify(prompt)}`);
    button.onclick = () => {
      byId("prompt").value = prompt;
      byId("prompt").focus();
    };
    return button;
  };
  byId("examples").replaceChildren(...model.runner.prompts.map(show));
  if (isFirst) {
    for (const [key, value] of Object.entries(model.runner.defaults)) {
      // The server's limits are firm, the other ends are only where sliders usually end.
      if (key !== "max_tokens") byId(key).max = Math.max(byId(key).max, value);
      byId(key).value = value;
    }
    byId("prompt").value = model.runner.prompts[0] ?? "";
  }
  showValues();
}

function showValues() {
  for (const id of sliders) document.querySelector(`output[for=${id}]`).textContent = byId(id).value;
}

// ---- asking

async function problem(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered with status ${response.status}.`;
  }
}

// Yields the events of an answer as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reach(reader.read());
    if (done) throw new Error("The answer was cut off.");
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const line = part.split("\n").find((line) => line.startsWith("data:"));
      const data = line?.slice(5).trim();
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

function request(model, seed) {
  const body = { model, prompt: byId("prompt").value, seed, stream: true, stream_options: { include_usage: true }, logprobs: ALTERNATIVES, truncate_prompt_tokens: -1 };
  for (const id of sliders) body[id] = Number(byId(id).value);
  const stop = byId("stop").value.replaceAll("\\n", "\n");
  if (stop) body.stop = [stop];
  return body;
}

async function generate() {
  if (!models.length) {
    await loadModels().catch((error) => say(error.message, true));
    if (!models.length) return;
  }
  underway?.abort();
  const mine = (underway = new AbortController());
  const drawn = byId("seed").value === "";
  const seed = drawn ? Math.floor(Math.random() * 65536) : Number(byId("seed").value);
  const names = [byId("model-a").value, byId("model-b").value].filter(Boolean);
  byId("halt").disabled = false;
  hideChance();
  say(names.length > 1 ? "Generating with both models …" : "Generating …");
  const columns = names.map((name) => new Column(name, seed, Number(byId("n").value)));
  byId("results").replaceChildren(...columns.map((column) => column.article));
  if (byId("results").getBoundingClientRect().top > innerHeight - 150) byId("results").scrollIntoView();
  const outcomes = await Promise.all(columns.map((column) => column.write(mine.signal)));
  if (underway !== mine) return;
  underway = null;
  byId("halt").disabled = true;
  const bad = outcomes.find((outcome) => outcome.error);
  const said = outcomes.length > 1 ? `${outcomes.map((outcome) => outcome.tokens).join(" + ")} tokens` : outcomes[0].said;
  const word = outcomes.some((outcome) => outcome.stopped) ? "Stopped" : "Done";
  say(bad ? bad.error : `${word}: ${said}. Seed ${seed}${drawn ? " (drawn)" : ""}.`, Boolean(bad));
}

// ---- showing

// The texts of one model.
class Column {
  constructor(name, seed, samples) {
    this.name = name;
    this.seed = seed;
    this.meta = element("p", { className: "meta", textContent: describe(modelNamed(name)) });
    this.samples = Array.from({ length: samples }, (_, i) => new Sample(name, i, samples, seed));
    this.article = element("article", {}, element("h2", { textContent: name }), this.meta, ...this.samples.map((sample) => sample.box));
    this.article.setAttribute("aria-label", name);
    this.article.setAttribute("aria-busy", "true");
  }

  async write(signal) {
    const { block_size: sees } = modelNamed(this.name).runner;
    let tokens = 0;
    let prompted = 0; // tokens of the prompt
    let first = 0;
    let last = 0;
    const began = performance.now();
    const outcome = {};
    try {
      const response = await reach(fetch("v1/completions", {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers() },
        body: JSON.stringify(request(this.name, this.seed)),
        signal,
      }));
      if (response.status === 401) byId("access").hidden = false;
      if (!response.ok) throw new Error(await problem(response));
      for await (const event of events(response)) {
        if (event.error) throw new Error(event.error.message);
        if (event.usage) prompted = event.usage.prompt_tokens + (event.usage.prompt_tokens_details?.truncated_tokens ?? 0);
        const choice = event.choices[0];
        if (!choice) continue;
        const sample = this.samples[choice.index];
        if (choice.logprobs) {
          last = performance.now();
          first ||= last;
          tokens += 1;
          sample.add(choice);
        }
        if (choice.finish_reason) sample.end(choice.finish_reason);
      }
    } catch (error) {
      if (error.name === "AbortError") outcome.stopped = true;
      else outcome.error = error.message;
    }
    for (const sample of this.samples) sample.end(outcome.error ? "error" : "stopped");
    this.article.setAttribute("aria-busy", "false");
    const count = this.samples.length;
    // What arrives all at once says nothing about how fast it was written.
    const speed = last - first > 100 ? ((tokens - count) / (last - first)) * 1000 : 0;
    const rate = speed ? `, ${speed.toFixed(speed < 100 ? 1 : 0)} tokens/s` : "";
    const wait = first ? `, first after ${((first - began) / 1000).toFixed(2)} s` : "";
    if (tokens) this.meta.textContent = `${counted(tokens, "token")}${rate}${wait} · ${describe(modelNamed(this.name))}`;
    const longest = Math.max(...this.samples.map((sample) => sample.tokens.length));
    if (prompted > sees) this.remark(`The prompt has ${prompted} tokens, but the context length is ${sees}: only the last ${sees} were used.`);
    else if (prompted && prompted + longest > sees + 1) this.remark(`The text exceeded the context length of ${sees} tokens: from there the model continued with only the last ${Math.max(1, Math.floor(sees / 2))} as context.`);
    return { ...outcome, tokens, said: `${counted(tokens, "token")}${rate}` };
  }

  remark(text) {
    this.meta.after(element("p", { className: "meta", textContent: text }));
  }
}

// One text: the prompt and a span for each token.
class Sample {
  constructor(model, index, count, seed) {
    this.tokens = [];
    this.current = -1;
    this.text = element("div", { className: "text", tabIndex: 0 });
    this.text.setAttribute("role", "group");
    this.text.setAttribute("aria-label", `${count > 1 ? `Text ${index + 1} of ${count}` : "Text"} by ${model}`);
    this.text.append(element("span", { className: "prompt", textContent: byId("prompt").value }));
    this.note = element("span", { textContent: count > 1 ? `Sample ${index + 1}, seed ${seed + index}` : `Seed ${seed}` });
    const copy = element("button", { type: "button", textContent: "Copy" });
    copy.onclick = async () => {
      let copied = true;
      try {
        await navigator.clipboard.writeText(this.text.textContent);
      } catch {
        // Browsers have no clipboard for pages from other machines without TLS.
        getSelection().selectAllChildren(this.text);
        copied = document.execCommand("copy");
      }
      copy.textContent = copied ? "Copied" : "Selected";
      spoken(`${copy.textContent}.`);
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    };
    this.box = element("div", { className: "sample busy" }, this.text, element("div", { className: "foot" }, this.note, copy));
    this.text.onkeydown = (event) => this.move(event);
    this.text.onblur = () => this.current >= 0 && this.point(-1);
  }

  add(choice) {
    const { tokens, token_logprobs, top_logprobs } = choice.logprobs;
    const token = element("span", { className: "token", textContent: choice.text });
    token.chance = { text: choice.text, name: tokens[0], logprob: token_logprobs[0], top: top_logprobs[0] };
    // Half as likely is a step, whatever the likelihood was.
    token.style.setProperty("--doubt", Math.min(0.65, -token_logprobs[0] / 10).toFixed(3));
    token.onpointerenter = () => showChance(token);
    // A finger leaves as soon as it has tapped.
    token.onpointerleave = (event) => event.pointerType === "touch" || hideChance();
    this.tokens.push(token);
    this.text.append(token);
  }

  end(reason) {
    if (!this.box.classList.contains("busy")) return;
    this.box.classList.remove("busy");
    const words = { stop: "stop token or sequence", length: "max tokens reached", stopped: "stopped", error: this.tokens.length ? "cut off by an error" : "failed" };
    this.note.textContent += ` · ${counted(this.tokens.length, "token")} · ${words[reason] ?? reason}`;
  }

  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Home" || event.key === "End") this.point(event.key === "Home" ? 0 : this.tokens.length - 1);
    else if (step) this.point(Math.max(0, Math.min(this.tokens.length - 1, this.current + step)));
    else return;
    event.preventDefault();
  }

  point(index) {
    this.tokens[this.current]?.classList.remove("current");
    this.current = index;
    const token = this.tokens[index];
    if (!token) return hideChance();
    token.classList.add("current");
    token.scrollIntoView({ block: "nearest" });
    showChance(token);
    const { text, name, logprob } = token.chance;
    spoken(`${visible(text || name)}, ${percent(logprob)}`);
  }
}

const percent = (logprob) => {
  const value = 100 * Math.exp(logprob);
  return `${value >= 99.95 ? "100" : value >= 0.1 ? value.toFixed(1) : value.toPrecision(1)} %`;
};

const visible = (text) => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "␣") || "(part of a character)";

function showChance(token) {
  const { text, name = text, logprob, top } = token.chance;
  const rows = Object.entries(top).map(([other, chance]) => [other, chance, other === name]);
  if (!rows.some((row) => row[2])) rows.push([name, logprob, true]);
  // Keys that look like numbers come first in an object, whatever their place was.
  rows.sort((a, b) => b[1] - a[1]);
  const cells = ([other, chance, isChosen]) =>
    element("tr", { className: isChosen ? "chosen" : "" },
      element("td", {}, element("code", { textContent: visible(other) })), element("td", { textContent: percent(chance) }));
  const box = byId("chance");
  box.replaceChildren(element("table", {}, element("tbody", {}, ...rows.map(cells))));
  box.hidden = false;
  const place = token.getClientRects()[0] ?? token.getBoundingClientRect();
  const left = Math.min(place.left, document.documentElement.clientWidth - box.offsetWidth - 8);
  const below = place.bottom + 6 + box.offsetHeight < document.documentElement.clientHeight;
  box.style.left = `${Math.max(4, left) + scrollX}px`;
  box.style.top = `${(below ? place.bottom + 6 : place.top - box.offsetHeight - 6) + scrollY}px`;
}

function hideChance() {
  byId("chance").hidden = true;
}

function say(text, isBad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", isBad);
}

function spoken(text) {
  byId("spoken").textContent = text;
}

// ---- wiring

byId("form").onsubmit = (event) => {
  event.preventDefault();
  generate();
};
byId("halt").onclick = () => underway?.abort();
byId("model-a").onchange = () => showModel(false);
byId("shade").onchange = (event) => byId("results").classList.toggle("shaded", event.target.checked);
byId("token").onchange = () => loadModels().catch((error) => say(error.message, true));
for (const id of sliders) byId(id).oninput = showValues;
document.onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
  if (event.key === "Escape") {
    underway?.abort();
    hideChance();
  }
};
document.onpointerdown = (event) => event.target.closest?.(".token") || hideChance();
loadModels().catch((error) => {
  byId("about").textContent = "";
  say(`The list of models could not be loaded: ${error.message}`, true);
});
