/**
 * What is wrong with the page for people who can't see it well, or use a phone or a keyboard: a list of complaints,
 * empty for a good page. Evaluated inside the browser, so it is plain JavaScript.
 */
(() => {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const say = (what, element) =>
    problems.push(`${what}: ${element?.outerHTML.replace(/\s+/g, " ").slice(0, 120) ?? ""}`);
  const byId = (ids) => (ids ?? "").split(/\s+/).filter(Boolean);
  const seen = (element) =>
    element.checkVisibility({ visibilityProperty: true }) && !element.closest(".hidden, .skip, thead");
  const narrow = innerWidth < 500;

  // Structure.
  if (document.documentElement.lang === "") say("no language");
  if (document.title.trim() === "") say("no title");
  if (all("h1").length !== 1) say(`${all("h1").length} h1`);
  for (const landmark of ["header", "nav", "main", "footer"])
    if (all(landmark).length !== 1) say(`not one <${landmark}>`);
  const levels = all("h1, h2, h3, h4, h5, h6").map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, index) => {
    if (level > (levels[index - 1] ?? 0) + 1) say(`h${level} after h${levels[index - 1] ?? 0}`);
  });
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) say(`id ${id} is there twice`);
  const skip = document.querySelector("body > a[href^='#']");
  if (!skip || !document.querySelector(skip.getAttribute("href")))
    say("no skip link at the start", document.body.firstElementChild);

  // Names, labels and what refers to what.
  for (const input of all("input:not([type=hidden]), select, textarea")) {
    if (![...input.labels].some((label) => label.textContent.trim())) say("no label", input);
  }
  for (const element of all("a, button")) if (!element.textContent.trim()) say("no name", element);
  for (const element of all("img:not([alt]), svg:not([aria-hidden])")) say("no alternative text", element);
  for (const attribute of ["aria-describedby", "aria-labelledby"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of byId(element.getAttribute(attribute)))
        if (!document.getElementById(id)) say(`${attribute} to nowhere`, element);
    }
  }
  for (const input of all("[aria-invalid]"))
    if (!input.hasAttribute("aria-describedby")) say("an error without its text", input);
  for (const table of all("table")) {
    if (!table.querySelector("th[scope=col]") || !table.querySelector("th[scope=row]"))
      say("a table without headers", table);
    if (getComputedStyle(table).display !== "table" && table.getAttribute("role") !== "table")
      say("no table to a screen reader", table);
  }
  for (const form of all("form")) if (!["get", "post"].includes(form.method)) say("a form without JavaScript?", form);

  // Size.
  if (document.documentElement.scrollWidth > innerWidth)
    say(`scrolls sideways, ${document.documentElement.scrollWidth} of ${innerWidth}`);
  for (const element of all("a, button, summary, input:not([type=hidden])")) {
    if (!seen(element) || element.closest("p, dd")) continue; // links in running text are exempt (WCAG 2.5.8)
    const { width, height } = (
      element.type === "checkbox" ? element.closest("label") : element
    ).getBoundingClientRect();
    if (height < 44 || width < 44) say(`a target of ${Math.round(width)} x ${Math.round(height)}`, element);
  }

  // Contrast: WCAG 1.4.3 for text, 1.4.11 for the edge of a field.
  const rgba = (text) => {
    const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return { r, g, b, a };
  };
  const light = ({ r, g, b }) => {
    const [red, green, blue] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, two) => {
    const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour.a === 1) return colour;
      if (colour.a > 0) say("a half transparent ground", at);
    }
    return rgba("255 255 255");
  };
  for (const element of all("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !seen(element) || element.closest("svg")) continue;
    const found = ratio(rgba(getComputedStyle(element).color), ground(element));
    if (found < 4.5) say(`contrast ${found.toFixed(2)}`, element);
  }
  for (const input of all(".field input")) {
    const found = ratio(rgba(getComputedStyle(input).borderTopColor), ground(input.parentElement));
    if (found < 3) say(`edge contrast ${found.toFixed(2)}`, input);
  }
  return narrow ? problems.map((problem) => `${problem} (narrow)`) : problems;
})();
