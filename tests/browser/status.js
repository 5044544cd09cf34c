// Opens the status page in Chromium, light and dark, wide and narrow. What must hold of any such
// page fails here: nothing but the page is asked for, no error, no breach of its policy, nothing
// wider than the window, text that stands out from what is behind it. What is on it is printed as
// JSON, for tests/it/shell/status.rs to judge.
//
// node status.js URL FOLDER NAME PROFILE: pictures go to FOLDER, as NAME-light-1400.png and so on;
// the browser's own files to PROFILE, which is empty.

"use strict";

const assert = require("node:assert");
const { createRequire } = require("node:module");

// Where tests/run installs it.
const installed = createRequire(`${__dirname}/../../target/drivers-npm/package.json`);
const { chromium } = installed("playwright-core");

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

async function main([url, folder, name, profile]) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    args: FLAGS,
    viewport: { width: 1400, height: 900 },
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const troubles = [];
    const requests = [];
    page.on("console", (message) => troubles.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => troubles.push(String(error)));
    page.on("dialog", (dialog) => troubles.push(`dialog: ${dialog.message()}`));
    page.on("request", (request) => requests.push(request.url()));
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const width of [1400, 375]) {
        await page.setViewportSize({ width, height: 900 });
        const reply = await page.goto(url);
        assert.strictEqual(reply.status(), 200);
        for (const summary of await page.locator("summary").all()) await summary.click();
        const path = `${folder}/${name}-${colorScheme}-${width}.png`;
        await page.screenshot({ path, fullPage: true });
        const overflow = await page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return scrollWidth - clientWidth;
        });
        assert.ok(overflow <= 0, `${overflow} px too wide at ${width}`);
        assert.deepStrictEqual(await page.evaluate(faint), [], `${colorScheme}, ${width}`);
      }
    }
    const found = await page.evaluate(content);
    found.stays = await staysOpen(page);
    assert.deepStrictEqual(troubles, []);
    assert.deepStrictEqual([...new Set(requests)], [url]);
    console.log(JSON.stringify(found));
  } finally {
    await context.close();
  }
}

// Runs in the page: texts with a contrast below 4.5, as WCAG 2 computes it.
function faint() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((it) => {
      const part = it / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = rgba(getComputedStyle(it).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const { parentElement: element, textContent } = texts.currentNode;
    if (!textContent.trim() || element.closest("script, title")) continue;
    const style = getComputedStyle(element);
    const color = rgba(element.closest("svg") ? style.fill : style.color);
    const [light, dark] = [luminance(color), luminance(behind(element))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${textContent}: ${contrast.toFixed(2)}`);
  }
  return found;
}

// Runs in the page: what it says.
function content() {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const text = (element) => element.textContent;
  const number = (element) => Number(text(element));
  const entries = (rows, key, value) => Object.fromEntries(rows.map((row) => [row.dataset[key], value(row)]));
  const bars = {};
  for (const bar of all("rect[data-outcome]")) {
    const { outcome, count } = bar.dataset;
    bars[outcome] = (bars[outcome] ?? 0) + Number(count);
    if (bar.getBoundingClientRect().height < 0.4) bars.unseen = true;
  }
  return {
    lang: document.documentElement.lang,
    title: document.title,
    state: text(document.querySelector("#state")),
    rules: entries(all("tr[data-rule]"), "rule", (row) =>
      entries(all("td[data-outcome]", row), "outcome", number)),
    suspended: all("tr[data-rule] .warn").map(text),
    states: entries(all("tr[data-state]"), "state", (row) => number(row.querySelector("td"))),
    bars,
    latest: all("[aria-labelledby=latest] tbody tr").map(text),
    unlisted: all(".unlisted li").map((item) => ({
      name: text(item.querySelector(".name")),
      count: number(item.querySelector(".count")),
      stub: item.querySelector("pre")?.textContent,
    })),
    images: all("img, iframe, object, [onerror], [style]").length,
    scripts: all("script").length,
    notices: all(".notice").map(text),
  };
}

// Whether the page, when it brings itself up to date, leaves open what is.
async function staysOpen(page) {
  const details = page.locator("details");
  if ((await details.count()) === 0) return null;
  await page.evaluate(() => {
    document.activeElement.blur();
    getSelection().removeAllRanges();
    document.querySelector("main").dataset.old = "yes";
  });
  await page.waitForSelector("main:not([data-old])");
  return details.first().evaluate((it) => it.open);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
