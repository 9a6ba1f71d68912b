import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Contender } from "../lib/contender.ts";
import { LIFETIME_MS, random, readCookie, type Sketch, sendCookie, vary } from "../lib/limit.ts";
import { limitSite } from "../lib/limit-site.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";

/** The data is the cookie, under AES-256-GCM with a random nonce; its deadline stands before the JSON. */
export const contender: Contender = {
  name: "limit: sealed",
  kind: "limit",
  over: "bare-express",
  stateless: true,
  open(data) {
    const key = createSecretKey(randomBytes(32));

    function seal(text: string): string {
      const nonce = random(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, nonce);
      const sealed = cipher.update(text, "utf8");
      cipher.final();
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString("base64url");
    }

    function unseal(token: string): string | undefined {
      const bytes = Buffer.from(token, "base64url");
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      const text = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES), undefined, "utf8");
      try {
        return text + decipher.final("utf8");
      } catch {
        return undefined;
      }
    }

    class SealedSketch implements Sketch {
      readonly #res: ServerResponse;
      #before = "";
      #values: Record<string, unknown> = {};

      constructor(req: IncomingMessage, res: ServerResponse) {
        this.#res = res;
        vary(res);
        const token = readCookie(req);
        const text = token === undefined ? undefined : unseal(token);
        if (text === undefined) return;
        const start = text.indexOf("{");
        if (Number(text.slice(0, start)) <= Date.now()) return;
        this.#before = text.slice(start);
        this.#values = JSON.parse(this.#before);
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
        if (text !== this.#before) sendCookie(this.#res, seal(`${Date.now() + LIFETIME_MS}${text}`));
      }

      renew(): void {
        this.#values = {};
      }

      end(): void {
        this.#res.setHeader("Set-Cookie", "sid=; Path=/; Max-Age=0");
      }
    }
    return limitSite(data, (req, res) => new SealedSketch(req, res));
  },
};
