import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readCookies } from "../../src/http/cookies.ts";

/** What a Cookie header holds under a name, the plain way (RFC 6265 5.4: pairs between semicolons). */
function reference(header: string, name: string): string[] {
  const found: string[] = [];
  for (const part of header.split(";")) {
    const pair = part.replace(/^[ \t]+/, "");
    if (pair.startsWith(`${name}=`)) found.push(pair.slice(name.length + 1).replace(/[ \t]+$/, ""));
  }
  return found.slice(0, 8);
}

test("the values under exactly one name, in the order sent", () => {
  const table: [string | undefined, string, string[]][] = [
    [undefined, "sid", []],
    ["", "sid", []],
    ["sid=a", "sid", ["a"]],
    ["sid=", "sid", [""]],
    ["sid", "sid", []],
    ["sid=a; sid=b", "sid", ["a", "b"]],
    ["sid=a;sid=b", "sid", ["a", "b"]],
    ["sid=a;\tsid=b", "sid", ["a", "b"]],
    ["a=b; sid=c; d=e", "sid", ["c"]],
    ["a=sid=x; sid=y", "sid", ["y"]],
    ["a=b sid=x", "sid", []],
    ["xsid=a; sidx=b; s id=c", "sid", []],
    ["SID=a; Sid=b", "sid", []],
    ["sid=a=b==", "sid", ["a=b=="]],
    ["sid=a ;b=c", "sid", ["a"]],
    [" sid=a", "sid", ["a"]],
    [";;;;sid=a;;;", "sid", ["a"]],
    ["sid =a", "sid", []],
    ["=sid=a", "sid", []],
    ["; =sid=a", "sid", []],
    ["=__Host-sid=x", "__Host-sid", []],
    ["__host-sid=x; __Host-sid=y", "__Host-sid", ["y"]],
    ["__Host-sid =x", "__Host-sid", []],
    ["__Host.sid=x; __Host[sid=x; __Host_sid=x", "__Host-sid", []],
    ['sid="quoted"', "sid", ['"quoted"']],
    ["sid=%61", "sid", ["%61"]],
    ["sid=a,sid=b", "sid", ["a,sid=b"]],
    ["$Version=1; sid=a; $Path=/", "sid", ["a"]],
    ["__proto__=a; constructor=b; toString=c", "toString", ["c"]],
    ["__proto__=a", "__proto__", ["a"]],
    ["a=.*; .*=b; a+b=c", ".*", ["b"]],
    ["sid=sid=sid=a; sid=b", "sid", ["sid=sid=a", "b"]],
  ];
  for (const [header, name, values] of table) {
    assert.deepEqual(readCookies(header, name), values, `${name} in ${JSON.stringify(header)}`);
  }
});

test("at most eight candidates, the first ones", () => {
  const header = Array.from({ length: 100 }, (_, i) => `sid=${i}`).join("; ");
  assert.deepEqual(readCookies(header, "sid"), ["0", "1", "2", "3", "4", "5", "6", "7"]);
});

test("property: any header gives what the plain way gives", () => {
  const part = fc.oneof(
    fc.constantFrom(
      "sid",
      "sid=",
      "=",
      ";",
      "; ",
      " ",
      "\t",
      ",",
      '"',
      "sid=x",
      "xsid=y",
      "=sid=z",
      "__proto__=1",
      "%00",
      "é",
    ),
    // What Node lets through in a header: tab, space to tilde, and Latin-1 from 0x80.
    fc.string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((code) => code !== 0x7f)
        .map((code) => String.fromCharCode(code)),
      maxLength: 5,
    }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
      const header = parts.join("");
      assert.deepEqual(readCookies(header, "sid"), reference(header, "sid"));
    }),
    { numRuns: 5_000 },
  );
});

/** Counts the characters that string methods look at while `action` runs: work that a slow machine can't change. */
function charactersLookedAt(action: () => void): number {
  const { indexOf, charCodeAt, slice, trimEnd } = String.prototype;
  let looked = 0;
  const patch = <K extends "indexOf" | "charCodeAt" | "slice" | "trimEnd">(
    name: K,
    method: (typeof String.prototype)[K],
  ) => Object.defineProperty(String.prototype, name, { value: method, writable: true, configurable: true });
  patch("indexOf", function (this: string, sought, from = 0) {
    const at = Reflect.apply(indexOf, this, [sought, from]);
    looked += (at < 0 ? this.length : at + sought.length) - from;
    return at;
  });
  patch("charCodeAt", function (this: string, at) {
    looked += 1;
    return Reflect.apply(charCodeAt, this, [at]);
  });
  patch("slice", function (this: string, start, end) {
    const result = Reflect.apply(slice, this, [start, end]);
    looked += result.length;
    return result;
  });
  patch("trimEnd", function (this: string) {
    looked += this.length;
    return Reflect.apply(trimEnd, this, []);
  });
  try {
    action();
  } finally {
    patch("indexOf", indexOf);
    patch("charCodeAt", charCodeAt);
    patch("slice", slice);
    patch("trimEnd", trimEnd);
  }
  return looked;
}

test("hostile headers of 16 KiB cost work in proportion to their length", () => {
  const size = 16 * 1024;
  const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
  const headers = [
    fill(";"), fill("="), fill(" "), fill("\t"), fill('"'), fill("; "), fill("sid"), fill("sid="), fill("=sid="), fill("sid=;"), fill("; sid="),
    fill(" sid="), fill("xsid="), fill("sid;"), fill("sid =;"), fill(`${" ".repeat(100)}sid=`), fill("s"), fill("%"), fill("\xa0"), `sid=${fill(" ")}`,
    `sid=${fill(" ")}x`, `${fill(" ")}sid=x`, `${fill(" ").slice(0, 8000)}sid=${fill(" ").slice(0, 8000)}sid=x`, `a=${fill("sid=")}; sid=x`,
  ]; // biome-ignore format: a list of small values
  for (const header of headers) {
    for (const name of ["sid", "s", "__Host-sid"]) {
      const looked = charactersLookedAt(() => readCookies(header, name));
      assert.ok(
        looked <= 8 * header.length,
        `${looked} characters for ${JSON.stringify(header.slice(0, 30))}… of ${header.length}`,
      );
    }
  }
  assert.ok(charactersLookedAt(() => readCookies("sid=a; sid=b", "sid")) >= 12, "the counter counts");
});
