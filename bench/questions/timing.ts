import { KeyRing } from "../../src/crypto/key-ring.ts";
import { Sealer } from "../../src/crypto/seal.ts";
import { copied, hashSecret, sameHash, TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import type { Question } from "../lib/question.ts";
import { digits } from "../lib/table.ts";

/**
 * Whether the time of a refusal tells why: Welch's t-test over two kinds of wrong input, asked in random order (Reparaz, Balasch, Verbauwhede,
 * "Dude, is my code constant time?", 2017). A sign of a leak, never a proof that there is none.
 */
const SAMPLES = 100_000;
/** Different texts of each kind, so that nothing is about one text. */
const TEXTS = 64;
/** The slowest are the machine's doing: collections, interrupts. */
const KEPT = 0.95;
/** From here on the two differ with a chance of error of one in a hundred thousand. */
const SUSPICIOUS = 4.5;

interface Case {
  name: string;
  call(text: string): unknown;
  kinds: readonly [readonly string[], readonly string[]];
}

export const question: Question = {
  title: "Whether the time of a refusal tells why",
  async ask({ quick, progress }) {
    const results = cases().map((one) => {
      progress(`timing: ${one.name}`);
      return { name: one.name, ...compare(one, quick ? 500 : SAMPLES) };
    });
    return {
      tables: [
        {
          title: `${this.title}: nanoseconds of two kinds of wrong input, and Welch's t`,
          head: ["", "the first", "the second", "|t|"],
          rows: results.map(({ name, means, t }) => [name, ...means.map((mean) => digits(mean)), digits(t)]),
          notes: [`Below ${SUSPICIOUS} no difference shows in ${SAMPLES.toLocaleString("en")} calls of each.`],
        },
      ],
      verdicts: [],
      plots: {},
      data: results,
    };
  },
};

function cases(): Case[] {
  const ring = keyRing("0123456789abcdefghijklmnopqrstuvwxyz");
  const codec = new TokenCodec(ring, "sid");
  const source = new TokenSource();
  const token = () => codec.format(source.handle(), source.secret());
  const use = { purpose: "cookie", name: "sid" } as const;
  const sealer = new Sealer(ring, use);
  const stranger = new Sealer(keyRing("abcdefghijklmnopqrstuvwxyz9876543210"), use);
  const body = Buffer.alloc(200, "data");
  const own = hashSecret("own");
  return [
    {
      name: "a token's MAC, wrong in its first or last character",
      call: (text) => codec.verify(text),
      kinds: kinds(
        () => changed(token(), -22),
        () => changed(token(), -2),
      ),
    },
    {
      name: "a secret's hash, wrong in its first or last character",
      call: (text) => sameHash(own, text),
      kinds: kinds(
        () => changed(own, 0),
        () => changed(own, -2),
      ),
    },
    {
      name: "a seal, wrong in its first or last byte",
      call: (text) => sealer.open(text),
      kinds: kinds(
        () => changed(sealer.seal(body), 40),
        () => changed(sealer.seal(body), -2),
      ),
    },
    {
      name: "a seal, of an unknown key or wrong",
      call: (text) => sealer.open(text),
      kinds: kinds(
        () => stranger.seal(body),
        () => changed(sealer.seal(body), -2),
      ),
    },
  ];
}

function keyRing(secret: string): KeyRing {
  return new KeyRing(secret, { production: true, warn: () => undefined });
}

/**
 * Made in turn, so that they lie in memory alike, and each in memory of its own: V8 takes a little longer over a text that was put
 * together of others.
 */
function kinds(one: () => string, other: () => string): Case["kinds"] {
  const made: [string[], string[]] = [[], []];
  for (let n = 0; n < TEXTS; n++) {
    made[0].push(copied(one()));
    made[1].push(copied(other()));
  }
  return made;
}

/** With another character at this place, of the alphabet, and with the bits unused that have to be. */
function changed(text: string, place: number): string {
  const at = (text.length + place) % text.length;
  return text.slice(0, at) + (text[at] === "A" ? "E" : "A") + text.slice(at + 1);
}

function compare({ call, kinds }: Case, samples: number): { means: number[]; t: number } {
  const times: [number[], number[]] = [[], []];
  for (let n = -samples / 10; n < 2 * samples; n++) {
    const kind = Math.random() < 0.5 ? 0 : 1;
    const text = kinds[kind][Math.abs(n) % TEXTS] ?? "";
    const started = performance.now();
    const refused = call(text);
    const took = (performance.now() - started) * 1e6;
    if (refused !== undefined && refused !== false) throw new Error("this was to be refused");
    // The first ones warm up.
    if (n >= 0) times[kind].push(took);
  }
  const limit = times.flat().sort((a, b) => a - b)[Math.floor(KEPT * times.flat().length)] ?? 0;
  const [first, second] = times.map((all) => moments(all.filter((time) => time <= limit)));
  if (first === undefined || second === undefined) throw new Error("nothing was measured");
  const t = (first.mean - second.mean) / Math.sqrt(first.variance / first.count + second.variance / second.count);
  return { means: [first.mean, second.mean], t: Math.abs(t) };
}

function moments(values: readonly number[]): { count: number; mean: number; variance: number } {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { count, mean, variance };
}
