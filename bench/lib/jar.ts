/** A browser's cookies for one site, as far as the contenders need them. */
export class Jar {
  readonly #values = new Map<string, string>();

  /** @throws RangeError for a cookie that browsers refuse (RFC 6265bis 5.7: 4,096 bytes of name and value) */
  take(setCookies: readonly string[]): void {
    for (const line of setCookies) {
      const [pair = "", ...attributes] = line.split(/; */);
      const [name = ""] = pair.split("=", 1);
      if (pair.length > 4_097) throw new RangeError(`a cookie of ${pair.length} bytes`);
      const expires = attributes.find((text) => /^expires=/i.test(text))?.slice(8);
      const isGone =
        attributes.some((text) => /^max-age=0$/i.test(text)) ||
        (expires !== undefined && Date.parse(expires) < Date.now());
      if (isGone) this.#values.delete(name);
      else this.#values.set(name, pair.slice(name.length + 1));
    }
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  /** The header; another module's cookie stands before the session's. */
  get header(): string {
    return ["consent=1", ...[...this.#values].map(([name, value]) => `${name}=${value}`)].join("; ");
  }
}
