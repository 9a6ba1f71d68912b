import { KeyRing } from "../../crypto/key-ring.ts";
import { Sealer } from "../../crypto/seal.ts";
import type { SignatureKey, Signer } from "../../crypto/signature.ts";
import { readCookies } from "../../http/cookies.ts";

/** For `encrypt: true`: what is in the cookie is sealed (`docs/guides/sealed-sessions.md`), and a seal of anything else is none here. */
export class Sealing {
  readonly #name: string;
  readonly #sealer: Sealer;

  /** @throws TypeError for keys that can't encrypt, and for weak ones in production */
  constructor(name: string, keys: readonly SignatureKey[] | Signer, warn: (message: string) => void) {
    if ("sign" in keys) throw new TypeError("encrypt needs the keys themselves: give keys as an array, not a Keygrip");
    const secrets = keys.map((key) => {
      if (typeof key === "string" || Buffer.isBuffer(key)) return key;
      throw new TypeError("encrypt needs keys that are strings or Buffers");
    });
    const ring = new KeyRing(secrets, { production: process.env["NODE_ENV"] === "production", warn });
    this.#name = name;
    this.#sealer = new Sealer(ring, { purpose: "cookie", name, namespace: "cookie-session" });
  }

  /** The first cookie of this name that opens, as `serialize` made it, and whether an older key has sealed it. */
  open(header: string | undefined): { value: string; outdated: boolean } | undefined {
    for (const text of readCookies(header, this.#name)) {
      const opened = this.#sealer.open(text);
      if (opened !== undefined) return { value: opened.body.toString("base64"), outdated: opened.outdated };
    }
    return undefined;
  }

  seal(value: string): string {
    return this.#sealer.seal(Buffer.from(value, "base64"));
  }
}
