import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { turnstile } from "./turnstile.ts";

/** Shorter ones are refused at registration. NIST SP 800-63B: length is what counts, so no other rules. */
export const SHORTEST_PASSWORD = 8;

/** OWASP's first choice for scrypt. One hash takes 128 MiB (128 * N * r) and a good part of a second: that is its purpose. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 2 ** 20 } satisfies ScryptOptions;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** A flood of logins must take neither the machine's memory nor all of Node's threads: two hashes at a time, and a short queue. */
const inTurn = turnstile({ atOnce: 2, waiting: 32 });

/** Matches no password, and takes as long to find that out as a real one does. */
const DECOY = stored(randomBytes(SALT_BYTES), randomBytes(KEY_BYTES));

/** What to store for a password: `scrypt$salt$key`, both base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return stored(salt, await derive(password, salt));
}

/**
 * Whether the password is the one that `hash` was made from. Pass `undefined` for an unknown user: the answer is
 * `false`, after the same work, so that the time it takes does not tell who has an account here.
 */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, salt = "", key = ""] = (hash ?? DECOY).split("$");
  const derived = await derive(password, Buffer.from(salt, "base64url"));
  const same = timingSafeEqual(derived, Buffer.from(key, "base64url"));
  return same && hash !== undefined;
}

function stored(salt: Buffer, key: Buffer): string {
  return `scrypt$${salt.toString("base64url")}$${key.toString("base64url")}`;
}

/** The same letters typed on different keyboards can be different code points; NFKC makes them one (SP 800-63B). */
function derive(password: string, salt: Buffer): Promise<Buffer> {
  return inTurn(
    () =>
      new Promise<Buffer>((resolve, reject) => {
        scrypt(password.normalize("NFKC"), salt, KEY_BYTES, COST, (error, key) =>
          error ? reject(error) : resolve(key),
        );
      }),
  );
}
