import { digits } from "./table.ts";

/** A few kinds of plots as SVG, for light and dark pages alike. */
type Kind = "ours" | "peer" | "limit" | "bare";

export interface Point {
  value: number;
  low: number;
  high: number;
}

export interface Dots {
  title: string;
  axis: string;
  /** Where the logarithmic axis begins; what is less is drawn there. */
  least: number;
  panels: readonly string[];
  rows: readonly { name: string; kind: Kind; points: readonly (Point | undefined)[] }[];
}

export interface Lines {
  title: string;
  x: string;
  y: string;
  least: number;
  series: readonly { name: string; kind: Kind; points: readonly { x: number; y: number }[] }[];
}

/** Room for the longest name. */
const LABELS = 470;
const PANEL = 170;
const GAP = 14;
const ROW = 22;
const TOP = 70;
/** Room for a value beside its dot. */
const MARGIN = 34;

/** One row for each contender, one panel for each case: a dot at the median, a bar from quartile to quartile, the number beside it. */
export function dots({ title, axis, least, panels, rows }: Dots): string {
  const values = rows.flatMap(({ points }) => points.flatMap((point) => (point === undefined ? [] : [point.high])));
  const scale = logarithmic(least, Math.max(least * 10, ...values), 0, PANEL - MARGIN);
  const bottom = TOP + rows.length * ROW;
  const parts = panels.flatMap((panel, index) => {
    const left = LABELS + index * (PANEL + GAP);
    return [
      text(left, TOP - 14, panel, "strong"),
      ...scale.ticks.flatMap((tick) => [
        `<line class="grid" x1="${at(left + scale.of(tick))}" y1="${TOP - 4}" x2="${at(left + scale.of(tick))}" y2="${bottom}"/>`,
        text(left + scale.of(tick), bottom + 16, tickText(tick), "tick middle"),
      ]),
    ];
  });
  for (const [index, { name, kind, points }] of rows.entries()) {
    const y = TOP + index * ROW + ROW / 2;
    parts.push(text(LABELS - 12, y + 4, name, `end${kind === "ours" ? " strong" : ""}`));
    for (const [panel, point] of points.entries()) {
      const left = LABELS + panel * (PANEL + GAP);
      if (point === undefined) {
        parts.push(text(left, y + 4, "too large", "tick"));
        continue;
      }
      const x = left + scale.of(point.value);
      parts.push(
        `<line class="bar ${kind}" x1="${at(left + scale.of(point.low))}" y1="${y}" x2="${at(left + scale.of(point.high))}" y2="${y}"/>`,
        `<circle class="${kind}" cx="${at(x)}" cy="${y}" r="4.5"/>`,
        text(Math.max(x, left + scale.of(point.high)) + 8, y + 4, digits(point.value), "tick"),
      );
    }
  }
  parts.push(text(LABELS, bottom + 36, axis));
  return svg(LABELS + panels.length * (PANEL + GAP) + 10, bottom + 50, title, parts);
}

const PLOT = { left: 70, top: 76, width: 480, height: 400 };

/** One line for each contender, both axes logarithmic; a letter on each point says which. */
export function lines({ title, x, y, least, series }: Lines): string {
  const { left, top, width, height } = PLOT;
  const xs = series.flatMap(({ points }) => points.map((point) => point.x));
  const ys = series.flatMap(({ points }) => points.map((point) => point.y));
  const across = logarithmic(Math.min(...xs), Math.max(...xs), left, width);
  const up = logarithmic(least, Math.max(least * 10, ...ys), top + height, -height);
  const parts = [
    ...up.ticks.flatMap((tick) => [
      `<line class="grid" x1="${left}" y1="${at(up.of(tick))}" x2="${left + width}" y2="${at(up.of(tick))}"/>`,
      text(left - 8, up.of(tick) + 4, tickText(tick), "tick end"),
    ]),
    ...[...new Set(xs)].map((value) => text(across.of(value), top + height + 20, tickText(value), "tick middle")),
    text(left + width / 2, top + height + 42, x, "middle"),
    text(left, top - 10, y),
  ];
  for (const [index, { name, kind, points }] of series.entries()) {
    const letter = String.fromCharCode(65 + index);
    const path = points.map((point) => `${at(across.of(point.x))},${at(up.of(point.y))}`).join(" ");
    parts.push(`<polyline class="line ${kind}" points="${path}"/>`);
    for (const point of points) parts.push(mark(across.of(point.x), up.of(point.y), letter, kind));
    const row = top + 10 + index * ROW;
    parts.push(mark(left + width + 34, row, letter, kind));
    parts.push(text(left + width + 50, row + 4, name, kind === "ours" ? "strong" : ""));
  }
  return svg(left + width + 330, top + height + 60, title, parts);
}

function mark(x: number, y: number, letter: string, kind: Kind): string {
  return `<circle class="${kind}" cx="${at(x)}" cy="${at(y)}" r="8"/>${text(x, y + 3.5, letter, "letter middle")}`;
}

/** From a range of values to `length` pixels from `start`; whole powers of ten are its ticks. */
function logarithmic(least: number, most: number, start: number, length: number) {
  const [from, to] = [Math.log10(least), Math.log10(most)];
  const ticks: number[] = [];
  for (let power = Math.ceil(from); power <= Math.floor(to); power++) ticks.push(10 ** power);
  return {
    ticks,
    of: (value: number) => start + (length * (Math.log10(Math.max(value, least)) - from)) / (to - from),
  };
}

function tickText(value: number): string {
  return value >= 1_000 ? `${digitsOf(value / 1_000)}k` : digitsOf(value);
}

function digitsOf(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function at(value: number): string {
  return value.toFixed(1);
}

function text(x: number, y: number, content: string, style = ""): string {
  const escaped = content.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text${style === "" ? "" : ` class="${style}"`} x="${at(x)}" y="${at(y)}">${escaped}</text>`;
}

const STYLE = `
svg { font: 13px system-ui, sans-serif; --page: #fff; --ink: #1f2328; --faint: #656d76; --grid: #d8dee4; --ours: #0550ae; --peer: #bc4c00; --limit: #1a7f37; }
@media (prefers-color-scheme: dark) {
  svg { --page: #0d1117; --ink: #e6edf3; --faint: #9198a1; --grid: #30363d; --ours: #58a6ff; --peer: #f0883e; --limit: #3fb950; }
}
.page { fill: var(--page); } text { fill: var(--ink); } .tick { fill: var(--faint); font-size: 11px; } .letter { fill: var(--page); font-size: 10px; font-weight: 600; }
.title { font-size: 15px; font-weight: 600; } .strong { font-weight: 600; } .middle { text-anchor: middle; } .end { text-anchor: end; }
.grid { stroke: var(--grid); } .bar { stroke-width: 3; stroke-opacity: 0.5; } .line { stroke-width: 1.5; stroke-opacity: 0.7; }
.bar, .line { stroke: currentColor; fill: none; } circle { fill: currentColor; }
.ours { color: var(--ours); } .peer, .bare { color: var(--peer); } .limit { color: var(--limit); }
`;

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${title}</title><style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    text(12, 24, title, "title"),
    ...parts,
    "</svg>\n",
  ].join("\n");
}
