import assert from "node:assert/strict";
import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  privateEncrypt,
  publicDecrypt,
  sign,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { backchannelLogout, type KeySet } from "../../src/identity/oidc.ts";
import { session } from "../../src/index.ts";
import type { Cleanup } from "../support/site.ts";
import { CLIENT, encode, goodClaims, ISSUER, type Provider, twoUsers } from "./logout-endpoint.ts";

/**
 * Project Wycheproof's forged JSON Web Signatures, at the address for a provider's logouts. What they sign is no JSON, so as they
 * stand none could be a logout token. Each is therefore tried a second time with a good logout token in it: what the vector did
 * to its message is done to that one, and signed with the vector's own key.
 */

type Jwk = KeySet["keys"][number];

interface Vector {
  tcId: number;
  comment: string;
  jws: string;
  result: "valid" | "invalid";
  flags: string[];
}

interface Group {
  comment: string;
  private: Jwk;
  /** None for a symmetric key. */
  public?: Jwk;
  tests: Vector[];
}

const FILE = join(import.meta.dirname, "..", "crypto", "wycheproof", "json_web_signature_test.json");
const { testGroups, numberOfTests }: { testGroups: Group[]; numberOfTests: number } = JSON.parse(
  readFileSync(FILE, "utf8"),
);
const vectors = testGroups.flatMap((group) => group.tests.map((vector) => ({ group, vector })));

/** The message and the signature of every vector that is well signed, which the others distort. */
const WELL_SIGNED = vectors
  .filter(({ vector }) => vector.result === "valid")
  .map(({ group, vector }) => {
    const [header = "", payload = "", signature = ""] = vector.jws.split(".");
    return { group, header, payload, signature };
  });

/** Signs as the group's key does. */
function signed(text: string, { private: jwk }: Group): string {
  if (jwk.kty === "oct") {
    return createHmac("sha256", Buffer.from(String(jwk["k"]), "base64url"))
      .update(text)
      .digest("base64url");
  }
  const key = createPrivateKey({ format: "jwk", key: asKey(jwk) });
  return sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}

/** Signs another text by RSA, with the padding that an earlier signature has. */
function signedAlike(signature: string, earlier: string, text: string, { private: jwk }: Group): string {
  const padding = constants.RSA_NO_PADDING;
  const key = createPublicKey({ format: "jwk", key: asKey(jwk) });
  const block = publicDecrypt({ key, padding }, Buffer.from(signature, "base64url"));
  const at = block.indexOf(createHash("sha256").update(earlier).digest());
  assert.ok(at > 0, "the digest that was signed");
  createHash("sha256").update(text).digest().copy(block, at);
  const own = createPrivateKey({ format: "jwk", key: asKey(jwk) });
  return privateEncrypt({ key: own, padding }, block).toString("base64url");
}

/** Without what only says how a key is to be used. */
function asKey({ kty, crv, x, y, d, n, e, p, q, dp, dq, qi }: Jwk): JsonWebKey {
  const members = { kty, crv, x, y, d, n, e, p, q, dp, dq, qi };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** The vector, with a good logout token in the place of its message. */
function withLogout({ group, vector }: (typeof vectors)[number]): string {
  const payload = encode(goodClaims());
  const another = encode({ ...goodClaims(), sid: "sid-2" });
  // What the vectors have in the place of their message.
  let jws = vector.jws.replace("WG9v", another);
  if (vector.flags.includes("ModifiedPadding")) {
    const [header = "", message = "", signature = ""] = vector.jws.split(".");
    return `${header}.${payload}.${signedAlike(signature, `${header}.${message}`, `${header}.${payload}`, group)}`;
  }
  for (const { header, payload: message, signature, group: owner } of WELL_SIGNED) {
    const own = signed(`${header}.${payload}`, owner);
    // Some vectors have this in the place of the first character: then another token will do.
    if (own.startsWith("X")) return withLogout({ group, vector });
    jws = jws.replaceAll(signature, own).replaceAll(signature.slice(1), own.slice(1)).replaceAll(message, payload);
  }
  return jws;
}

/** An application whose provider has the group's key, and the sessions of two users. */
function applicationOf(t: Cleanup, { public: key }: Group): Promise<Provider> {
  return twoUsers(t, key === undefined ? {} : { options: { jwks: { keys: [key] } } });
}

/** Sends a token that is to be refused. Returns the reason. */
async function refused(provider: Provider, token: string, what: string): Promise<string> {
  provider.refusals.length = 0;
  const { status, body } = await provider.post(token);
  assert.deepEqual([status, JSON.parse(body).error], [400, "invalid_request"], what);
  assert.equal(provider.refusals.length, 1, what);
  assert.deepEqual(await provider.users(), ["alice", "bob"], what);
  assert.deepEqual(provider.errors, [], what);
  return provider.refusals[0]?.reason ?? "";
}

function countOf(reasons: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reason of reasons.toSorted()) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

describe("Wycheproof's JSON Web Signatures at the address for logouts", () => {
  test("are all there", () => {
    assert.equal(vectors.length, numberOfTests);
    assert.equal(new Set(vectors.map(({ vector }) => vector.tcId)).size, 102);
  });

  test("are refused as they stand, well signed or not, because none is a logout token", async (t) => {
    const reasons: string[] = [];
    for (const group of testGroups) {
      const provider = await applicationOf(t, group);
      for (const { tcId, jws, comment } of group.tests)
        reasons.push(await refused(provider, jws, `vector ${tcId}: ${comment}`));
    }
    assert.deepEqual(countOf(reasons), { malformed: 102 });
  });

  test("with a good logout token in them, the well signed ones by an asymmetric key log out, and no other", async (t) => {
    const reasons: string[] = [];
    let accepted = 0;
    for (const group of testGroups) {
      const provider = await applicationOf(t, group);
      for (const vector of group.tests) {
        const what = `vector ${vector.tcId}: ${vector.comment}`;
        const token = withLogout({ group, vector });
        if (vector.result === "invalid" || group.public === undefined) {
          reasons.push(await refused(provider, token, what));
          continue;
        }
        const answer = await provider.post(token);
        assert.deepEqual([answer.status, answer.body], [200, ""], what);
        assert.deepEqual(await provider.users(), ["bob"], what);
        await provider.login("alice", "sid-1");
        accepted += 1;
      }
    }
    assert.equal(accepted, 3);
    assert.deepEqual(countOf(reasons), { algorithm: 21, malformed: 34, signature: 44 });
  });

  test("the padding of a good signature is accepted after it was taken apart and put together like the bad ones", async (t) => {
    const good = vectors.find(({ vector, group }) => vector.result === "valid" && group.private.kty === "RSA");
    assert.ok(good !== undefined);
    const [header = "", message = "", signature = ""] = good.vector.jws.split(".");
    const text = `${header}.${encode(goodClaims())}`;
    const token = `${text}.${signedAlike(signature, `${header}.${message}`, text, good.group)}`;
    const provider = await applicationOf(t, good.group);
    assert.equal((await provider.post(token)).status, 200);
    assert.deepEqual(await provider.users(), ["bob"]);
  });

  test("a symmetric key is no provider's key", () => {
    const keys = testGroups.filter((group) => group.public === undefined).map((group) => group.private);
    assert.equal(keys.length, 2);
    for (const key of keys) {
      const options = { sessions: session(), issuer: ISSUER, clientId: CLIENT, jwks: { keys: [key] } };
      assert.throws(() => backchannelLogout(options), { name: "TypeError", message: /jwks/ });
    }
  });
});
