/** What a session holds in every contender: some small properties, and a cart that makes up the size. */
export class SessionData {
  readonly values: Readonly<Record<string, unknown>>;
  readonly names: readonly string[];
  /** What {@link weigh} finds where nothing was lost. */
  readonly weight: number;

  /** How long the data is as JSON. */
  readonly bytes: number;

  /** @param properties how many small properties there are besides */
  constructor(bytes: number, properties = 0) {
    this.bytes = bytes;
    const small = Array.from({ length: properties }, (_, i) => [`setting${i}`, `value ${i}`] as const);
    this.values = { ...ofSize(bytes), ...Object.fromEntries(small) };
    this.names = Object.keys(this.values);
    this.weight = this.weigh(this.values);
  }

  /** Looks at every leaf of every property. */
  weigh(session: Readonly<Record<string, unknown>>): number {
    let sum = 0;
    for (const name of this.names) sum += weight(session[name]);
    return sum;
  }
}

function ofSize(bytes: number): Record<string, unknown> {
  const cart: { sku: string; title: string; price: number; quantity: number; note: string }[] = [];
  const values = { views: 1, theme: "dark", csrf: "bm90LWEtc2VjcmV0LWp1c3QtYnl0ZXM", cart };
  const missing = () => bytes - JSON.stringify(values).length;
  for (let i = 0; missing() > 0; i++) {
    const item = { sku: `SKU-${1000 + i}`, title: `Lamp no. ${i}`, price: 1995 + i, quantity: 1 + (i % 3), note: "" };
    cart.push(item);
    // The last one fits what is left.
    if (missing() < 0) cart.pop();
    else if (missing() < 200) item.note = "n".repeat(missing());
    if (cart.length === i) break;
  }
  return values;
}

function weight(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value === "number") return value;
  if (typeof value !== "object" || value === null) return 0;
  let sum = 0;
  for (const part of Object.values(value)) sum += weight(part);
  return sum;
}
