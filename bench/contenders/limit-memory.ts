import type { IncomingMessage, ServerResponse } from "node:http";
import type { Contender } from "../lib/contender.ts";
import { LIFETIME_MS, readCookie, type Sketch, sendCookie, Tokens, vary } from "../lib/limit.ts";
import { limitSite } from "../lib/limit-site.ts";

interface Stored {
  text: string;
  secretHash: string;
  version: number;
  expiresAt: number;
}

/** One JSON text a session. */
export const contender: Contender = {
  name: "limit: memory",
  kind: "limit",
  over: "bare-express",
  open(data) {
    const tokens = new Tokens();
    const records = new Map<string, Stored>();

    class MemorySketch implements Sketch {
      readonly #res: ServerResponse;
      #handle: string | undefined;
      #record: Stored | undefined;
      #values: Record<string, unknown> = {};

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
        this.#values = JSON.parse(record.text);
      }

      get(name: string): unknown {
        return this.#values[name];
      }

      all(): Record<string, unknown> {
        return this.#values;
      }

      set(values: Readonly<Record<string, unknown>>): void {
        Object.assign(this.#values, values);
      }

      commit(): void {
        const text = JSON.stringify(this.#values);
        const expiresAt = Date.now() + LIFETIME_MS;
        if (this.#handle !== undefined && this.#record !== undefined) {
          const { secretHash, version } = this.#record;
          if (text !== this.#record.text)
            records.set(this.#handle, { text, secretHash, version: version + 1, expiresAt });
          return;
        }
        const { token, handle, secretHash } = tokens.make();
        records.set(handle, { text, secretHash, version: 1, expiresAt });
        sendCookie(this.#res, token);
      }

      renew(): void {
        this.end();
        this.#handle = undefined;
        this.#values = {};
      }

      end(): void {
        if (this.#handle !== undefined) records.delete(this.#handle);
      }
    }
    return limitSite(data, (req, res) => new MemorySketch(req, res));
  },
};
