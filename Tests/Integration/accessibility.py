# SPDX-License-Identifier: Apache-2.0
"""What a script can find out about a page: contrast as it is drawn, names and roles, the way of the tab key, widths."""
from selenium.webdriver.common.keys import Keys

# Everything that is drawn, shadow trees included, with the colours as they are blended: opacity, and grounds behind grounds.
DRAWN = """
const up = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
const chain = (node) => { const found = []; for (let at = node; at; at = up(at)) found.push(at); return found; };
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const parse = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
};
const over = ([r, g, b, a], ground) => [r, g, b].map((part, index) => part * a + ground[index] * (1 - a));
const groundOf = (element) => chain(element).reverse().reduce(
  (ground, at) => over(parse(getComputedStyle(at).backgroundColor), ground), [255, 255, 255]);
const opacityOf = (element) => chain(element).reduce((product, at) => product * Number(getComputedStyle(at).opacity), 1);
const lightOf = (colour) => {
  const [r, g, b] = colour.map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (element, colour) => {
  const ground = groundOf(element);
  const [r, g, b, a] = parse(colour);
  const [dark, bright] = [ground, over([r, g, b, a * opacityOf(element)], ground)].map(lightOf).sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
};
const everything = (root = document.documentElement) =>
  [...root.querySelectorAll("*")].flatMap((one) => [one, ...(one.shadowRoot ? everything(one.shadowRoot) : [])]);
const VISIBLE = { visibilityProperty: true, contentVisibilityAuto: true, opacityProperty: true };
const isDrawn = (element) => element.checkVisibility(VISIBLE) && element.getClientRects().length > 0 &&
  !chain(element).some((at) => getComputedStyle(at).clipPath !== "none");
const ownName = (at) => [at.localName, at.id && `#${at.id}`, ...[...at.classList].map((name) => `.${name}`)].join("");
const nameOf = (element) => chain(element).slice(0, 3).reverse().map(ownName).join(" > ");
const ownText = (element) => [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
"""
# Words of less than 4.5:1, and shapes of less than 3:1 (WCAG 2.2, 1.4.3 and 1.4.11); how many were looked at.
CONTRASTS = DRAWN + """
const poor = [];
const count = { words: 0, shapes: 0 };
const look = (kind, element, colour, least, what) => {
  count[kind] += 1;
  const found = contrast(element, colour);
  if (found < least) poor.push(`${nameOf(element)}: ${what}: ${found.toFixed(2)}`);
};
for (const element of everything().filter(isDrawn)) {
  const style = getComputedStyle(element);
  if (ownText(element) !== "" && !["script", "style", "noscript"].includes(element.localName)) {
    look("words", element, style.color, 4.5, ownText(element));
  }
  if (element.localName === "input") {
    look("words", element, getComputedStyle(element, "::placeholder").color, 4.5, element.placeholder);
    look("shapes", element, style.borderTopColor, 3, "border");
  }
  if (element.localName === "path" && style.stroke !== "none") look("shapes", element, style.stroke, 3, "stroke");
}
return [poor, count];
"""
# The element that has the focus, wherever it is, and what is wrong with how that is shown.
FOCUSED = DRAWN + """
let at = document.activeElement;
while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
if (at === null || at === document.body) return null;
const style = getComputedStyle(at);
const box = at.getBoundingClientRect();
const wrong = [];
if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push("no outline");
else if (contrast(at, style.outlineColor) < 3) wrong.push("an outline that can't be seen");
if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) wrong.push("out of sight");
if (box.width < 24 || box.height < 24) if (at.localName !== "a") wrong.push(`${box.width} by ${box.height}`);
return [at.id || at.dataset?.symbol || at.getAttribute("aria-label") || at.textContent.trim(), wrong];
"""
# Roles that say nothing without a name.
NAMED = {"button", "link", "textbox", "searchbox", "grid", "region", "image", "img", "group", "heading", "table", "columnheader",
         "rowheader", "checkbox", "dialog"}


def poor_contrasts(browser):
    """What can hardly be read; and how many words and shapes were looked at."""
    return browser.run(CONTRASTS)


BEGIN = """document.body.tabIndex = -1;
document.body.focus();
document.body.removeAttribute("tabindex");
scrollTo(0, 0);
"""


def tab_order(browser, begin=BEGIN, key=Keys.TAB, most=60):
    """What the key reaches from where `begin` puts it, up to the end of the page; and what is wrong with how it shows that."""
    browser.run(begin)
    reached, wrong = [], []
    while len(reached) < most:
        browser.driver.switch_to.active_element.send_keys(key)
        found = browser.run(FOCUSED)
        if found is None or (reached and found[0] == reached[0]):
            return reached, wrong
        reached.append(found[0])
        wrong += [f"{found[0]}: {one}" for one in found[1]]
    raise AssertionError(f"the tab key does not come back: {reached}")


def nodes(browser):
    """The accessibility tree as `(role, name, properties)`."""
    found = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [(node["role"]["value"], node.get("name", {}).get("value", ""),
             {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])})
            for node in found if not node["ignored"] and "role" in node]


def without_names(browser):
    """Roles that need a name and have none, and what can have the focus and is nothing."""
    return [(role, name) for role, name, properties in nodes(browser)
            if (role in NAMED or properties.get("focusable")) and role != "RootWebArea" and not name.strip()
            or properties.get("focusable") and role in ("generic", "none")]


def overflow(browser):
    """By how many pixels the page is wider than the window."""
    return browser.run("return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth")
