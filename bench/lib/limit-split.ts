import type { IncomingMessage, ServerResponse } from "node:http";
import type { Site } from "./contender.ts";
import { LIFETIME_MS, readCookie, type Sketch, sendCookie, type Tokens, vary } from "./limit.ts";
import { limitSite } from "./limit-site.ts";
import type { SessionData } from "./session-data.ts";

interface Stored {
  texts: ReadonlyMap<string, string>;
  secretHash: string;
  version: number;
  expiresAt: number;
}

/** One JSON text for each property, so that one is read without the others. */
export function splitSite(data: SessionData, tokens: Tokens): Site {
  const records = new Map<string, Stored>();

  class SplitSketch implements Sketch {
    readonly #res: ServerResponse;
    #handle: string | undefined;
    #record: Stored | undefined;
    #changed: Record<string, unknown> = {};

    constructor(req: IncomingMessage, res: ServerResponse) {
      this.#res = res;
      vary(res);
      const token = readCookie(req);
      const verified = token === undefined ? undefined : tokens.verify(token);
      if (verified === undefined) return;
      const record = records.get(verified.handle);
      if (record?.secretHash !== verified.secretHash || record.expiresAt <= Date.now()) return;
      this.#handle = verified.handle;
      this.#record = record;
    }

    get(name: string): unknown {
      if (name in this.#changed) return this.#changed[name];
      const text = this.#record?.texts.get(name);
      return text === undefined ? undefined : JSON.parse(text);
    }

    all(): Record<string, unknown> {
      const values: Record<string, unknown> = {};
      for (const name of this.#record?.texts.keys() ?? []) values[name] = this.get(name);
      return values;
    }

    set(values: Readonly<Record<string, unknown>>): void {
      this.#changed = values;
    }

    commit(): void {
      const before = this.#record?.texts;
      let texts: Map<string, string> | undefined;
      for (const name of Object.keys(this.#changed)) {
        const text = JSON.stringify(this.#changed[name]);
        if (text === before?.get(name)) continue;
        texts ??= new Map(before);
        texts.set(name, text);
      }
      if (texts === undefined) return;
      const expiresAt = Date.now() + LIFETIME_MS;
      if (this.#handle !== undefined && this.#record !== undefined) {
        const { secretHash, version } = this.#record;
        records.set(this.#handle, { texts, secretHash, version: version + 1, expiresAt });
        return;
      }
      const { token, handle, secretHash } = tokens.make();
      records.set(handle, { texts, secretHash, version: 1, expiresAt });
      sendCookie(this.#res, token);
    }

    renew(): void {
      this.end();
      this.#handle = undefined;
      this.#record = undefined;
    }

    end(): void {
      if (this.#handle !== undefined) records.delete(this.#handle);
    }
  }
  return limitSite(data, (req, res) => new SplitSketch(req, res));
}
