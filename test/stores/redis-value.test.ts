import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { SessionRecord } from "../../src/contract/store.ts";
import { Keys, SHARDS, shardOf } from "../../src/stores/redis/keys.ts";
import { reconnectPauseMs } from "../../src/stores/redis/packages.ts";
import { decodeValue, encodeValue, HEAD_BYTES, label, linkOf, ownerOf, timesOf } from "../../src/stores/redis/value.ts";

const record: SessionRecord = {
  payload: '[0,"n",1]\n1',
  version: 3,
  secretHash: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
  userId: "ann",
  createdAt: 1_700_000_000_000,
  touchedAt: 1_700_000_000_001,
  expiresAt: 1_700_001_800_001,
};
/** Exactly what version 1 of this format has always looked like: what is stored must stay readable. */
const STORED =
  "100000000003000loyx6fy9000loyw3v29000loyw3v28markmark0ts3drf00050017" +
  `"ann"n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg[0,"n",1]\n1`;

/** The same with a link. */
const LINKED =
  "300000000003000loyx6fy9000loyw3v29000loyw3v28markmark0nxq03c00050017" +
  `"ann"0005"sid"n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg[0,"n",1]\n1`;

const times = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const texts = fc.string({ unit: "binary", maxLength: 200 });
const records = fc.record<SessionRecord>(
  {
    payload: fc.oneof(texts, fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "a", "\u{1f680}") })),
    version: times,
    secretHash: texts,
    userId: fc.option(texts),
    createdAt: times,
    touchedAt: fc.integer({ min: 0, max: 2 ** 50 }),
    expiresAt: fc.integer({ min: 0, max: 2 ** 50 }),
    link: texts,
  },
  {
    noNullPrototype: true,
    requiredKeys: ["payload", "version", "secretHash", "userId", "createdAt", "touchedAt", "expiresAt"],
  },
);

describe("a session as one string in Redis", () => {
  test("looks as it always has", () => {
    equal(encodeValue("handle", record, "markmark"), STORED);
    deepEqual(decodeValue("handle", STORED), record);
    const linked = { ...record, link: "sid" };
    equal(encodeValue("handle", linked, "markmark"), LINKED);
    deepEqual(decodeValue("handle", LINKED), linked);
  });

  test("comes back from UTF-8 as it was, whatever it holds", () => {
    fc.assert(
      fc.property(texts, records, (handle, given) => {
        const value = Buffer.from(encodeValue(handle, given, "markmark")).toString();
        deepEqual(decodeValue(handle, value), given);
        deepEqual(timesOf(value), { expiresAt: given.expiresAt, touchedAt: given.touchedAt });
        equal(ownerOf(value), label(given.userId));
        equal(linkOf(value), given.link === undefined ? undefined : label(given.link));
      }),
    );
  });

  test("tells its owner in ASCII, so that a length counts bytes and characters alike", () => {
    equal(label(null), "0000");
    equal(label(""), '0002""');
    equal(
      label('ä"\n\u{1f680}'),
      '000o"\\u00e4\\"\\n\\ud83d\\ude80"'.replace("000o", (24).toString(36).padStart(4, "0")),
    );
    match(label("žluťoučký"), /^[ -~]+$/);
  });

  for (const [what, stored, original] of [
    ["a session", STORED, record],
    ["one with a link", LINKED, { ...record, link: "sid" }],
  ] as const) {
    test(`${what} is nothing when cut off, changed, or another handle's; only moving times may change`, () => {
      for (let length = 0; length < stored.length; length++)
        equal(decodeValue("handle", stored.slice(0, length)), undefined);
      equal(decodeValue("other", stored), undefined);
      for (let at = 0; at < stored.length; at++) {
        for (const bit of [1, 2, 4, 8, 16, 32, 64]) {
          const character = String.fromCharCode(stored.charCodeAt(at) ^ bit);
          const decoded = decodeValue("handle", stored.slice(0, at) + character + stored.slice(at + 1));
          const isTime = at >= 12 && at < 34;
          // A letter's other case is the same digit.
          if (decoded === undefined) continue;
          const times = { touchedAt: 0, expiresAt: 0 };
          if (isTime) deepEqual({ ...decoded, ...times }, { ...original, ...times });
          else deepEqual(decoded, original, `at ${at}`);
        }
      }
    });
  }

  test("any text at all is nothing, and no error", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) =>
        equal(decodeValue("handle", text), undefined),
      ),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'0123456789az"\\'), minLength: HEAD_BYTES, maxLength: 200 }),
        (text) => {
          equal(decodeValue("handle", `1${text}`), undefined);
          equal(decodeValue("handle", `3${text}`), undefined);
        },
      ),
    );
  });

  test("has room for any user but an absurd one", () => {
    ok(decodeValue("h", encodeValue("h", { ...record, userId: "x".repeat(100_000) }, "markmark")));
    throws(() => encodeValue("h", { ...record, userId: "x".repeat(1_700_000) }, "markmark"), TypeError);
  });
});

describe("the keys of the Redis store", () => {
  test("keep a session and the indexes of its shard in one slot, and in no other store's way", () => {
    const tag = (key: string) => /\{([^}]+)\}/.exec(key)?.[1];
    for (const prefix of ["sojourn:", "", "{shop}:", "a*[b]?:"]) {
      const keys = new Keys(prefix);
      fc.assert(
        fc.property(texts, (handle) => {
          const key = keys.session(handle);
          equal(tag(key), tag(keys.handles(shardOf(handle))));
          equal(tag(key), tag(keys.ends(shardOf(handle))));
        }),
      );
    }
    for (const prefix of ["{", "{}", "a{}b{c}", "a{b"]) throws(() => new Keys(prefix), TypeError);
  });

  test("are never another store's, though its prefix begins with this store's", () => {
    const handle = "AAAAAAAAAAAAAAAAAAAAAA";
    const own = new Keys("shop:");
    for (const prefix of [
      "shop:user:",
      "shop:user:user:",
      "shop:link:",
      "shop:link:user:",
      "shop:handles:",
      "shop:ends:",
    ]) {
      const other = new Keys(prefix);
      const shard = shardOf(handle);
      const theirs = [
        other.session(handle),
        other.handles(shard),
        other.ends(shard),
        other.user("ada"),
        other.link("ada"),
      ];
      const ours = theirs.flatMap((key) => {
        const name = key.slice("shop:user:".length);
        return [own.user(name), own.link(name)];
      });
      ours.push(own.session(handle), own.handles(shard), own.ends(shard));
      deepEqual(
        ours.filter((key) => theirs.includes(key)),
        [],
      );
    }
  });

  test("tell users apart whose IDs differ in anything, and stay readable for plain IDs", () => {
    const user = (id: string) => new Keys("shop:").user(id);
    equal(user("ada@example.com"), "shop:user:ada@example.com");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (one, other) =>
        equal(user(one) === user(other), one === other),
      ),
    );
    const ids = ["a:b", "a%003ab", "a{b}", "\ud800", "\udfff", "\ufffd", ""];
    equal(new Set(ids.map(user).map((key) => Buffer.from(key).toString("hex"))).size, ids.length);
  });

  test("spread handles evenly", () => {
    const counts = new Array<number>(SHARDS).fill(0);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let state = 1;
    for (let n = 0; n < 25_600; n++) {
      let handle = "";
      for (let i = 0; i < 22; i++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        handle += alphabet[state >>> 26];
      }
      const shard = shardOf(handle);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    ok(
      Math.min(...counts) > 50 && Math.max(...counts) < 150,
      `${Math.min(...counts)} to ${Math.max(...counts)} of 100`,
    );
  });
});

test("pauses before connecting again grow, differ, and end at two seconds", () => {
  equal(reconnectPauseMs(0), 0);
  for (let failures = 1; failures < 40; failures++) {
    const pauses = Array.from({ length: 20 }, () => reconnectPauseMs(failures));
    const longest = Math.min(2_000, 50 * 2 ** failures);
    ok(Math.min(...pauses) >= longest / 2 - 1 && Math.max(...pauses) <= longest);
    ok(new Set(pauses).size > 5);
  }
});
