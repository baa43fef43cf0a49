"""Uses the page of `runner serve` in Chromium: python tests/serve/page.py http://127.0.0.1:7860 CHROMIUM [FOLDER]

With a folder, pictures of the page are left there.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

address, chromium = sys.argv[1:3]
pictures = Path(sys.argv[3]) if len(sys.argv) > 3 else None


def picture(page, name):
    if pictures:
        page.screenshot(path=pictures / f"{name}.png", full_page=True)


def slide(page, name, value):
    page.locator(f"#{name}").evaluate("(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }", value)


def done(page, word="Done"):
    page.locator("#status", has_text=word).wait_for(timeout=60_000)


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.locator("#model-a option").first.wait_for(state="attached")
    two = page.locator("#model-b option").count() > 2
    assert page.locator("#prompt").input_value() == "Maud:\n", "the run's first prompt is there"

    page.locator("#examples button").nth(1).click()
    assert page.locator("#prompt").input_value() == "King Aldren:\n"
    page.fill("#seed", "7")
    slide(page, "n", 2)
    slide(page, "max_tokens", 60)
    if two:
        page.select_option("#model-b", index=2)
    page.click("#go")
    done(page)
    texts = page.locator(".text").all_inner_texts()
    assert len(texts) == (4 if two else 2) and all(text.startswith("King Aldren:\n") for text in texts), texts
    with page.expect_response("**/v1/completions") as answered:
        page.keyboard.press("Control+Enter")
    answered.value.finished()
    done(page)
    assert page.locator(".text").all_inner_texts() == texts, "the same seed writes the same texts"

    page.locator(".token").nth(20).hover()
    assert "%" in page.locator("#chance").inner_text()
    page.check("#shade")
    picture(page, "page")
    page.locator(".text").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#spoken").inner_text().endswith("%"), "a screen reader hears how likely a token was"

    slide(page, "max_tokens", 512)
    slide(page, "n", 8)
    page.click("#go")
    page.locator(".token").nth(5).wait_for(timeout=20_000)
    page.keyboard.press("Escape")
    page.locator("#status", has_text="Seed 7").wait_for(timeout=20_000)
    assert page.locator(".busy").count() == 0 and page.locator("#halt[disabled]").count() == 1

    slide(page, "n", 1)
    slide(page, "max_tokens", 20)
    page.fill("#prompt", "Maud:\n" * 50)
    page.click("#go")
    page.locator(".meta", has_text="The prompt has 300 tokens, but the context length is 160").first.wait_for(timeout=20_000)

    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('input, select, textarea, button')]"
        ".filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map((e) => e.id || e.outerHTML)"
    )
    assert not unnamed, f"without a name for screen readers: {unnamed}"
    assert all(url.startswith(address) or url.startswith("data:") for url in requests), requests
    assert not complaints, complaints

    page.route("**/v1/completions", lambda route: route.abort())
    page.click("#go")
    page.locator("#status.bad", has_text="cannot be reached").wait_for(timeout=20_000)
    page.evaluate("showChance({ chance: { text: '7', logprob: -1, top: { x: -0.5, 7: -1 } }, getClientRects: () => [{ left: 0, bottom: 0 }] })")
    assert page.locator("#chance td code").all_inner_texts() == ["x", "7"], "the likeliest token comes first"

    phone = browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, color_scheme="dark").new_page()
    phone.goto(address)
    phone.locator("#model-a option").first.wait_for(state="attached")
    slide(phone, "n", 8)
    slide(phone, "max_tokens", 512)
    phone.tap("#go")
    phone.locator(".token").nth(5).wait_for(timeout=20_000)
    phone.locator(".text").last.scroll_into_view_if_needed()
    stop = phone.locator("#halt").bounding_box()
    assert 0 <= stop["y"] and stop["y"] + stop["height"] <= 740, f"Stop is within reach of the last text: {stop}"
    done(phone)
    phone.locator(".token").nth(20).tap()
    assert "%" in phone.locator("#chance").inner_text(), "who has no mouse taps a token"
    phone.locator(".foot").first.tap()
    assert phone.locator("#chance").is_hidden()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing reaches beyond a phone's edge"
    picture(phone, "phone")
    browser.close()
print("Chromium: the page writes, stops, compares, explains its tokens, and fits a phone")
