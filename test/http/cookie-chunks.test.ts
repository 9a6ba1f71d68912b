import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieRoom, joinChunks, toCookies } from "../../src/http/cookie-chunks.ts";

/** What a browser keeps, name and value together (RFC 6265bis 5.6). */
const MOST = 4_096;
const NAMES = ["s", "sid", "__Host-sid", `long-${"n".repeat(251)}`];

for (const chunks of [1, 2, 3]) {
  test(`a token that just fits into ${chunks} of the cookies fills them, whatever their name's length`, () => {
    for (const name of NAMES) {
      const token = "t".repeat(cookieRoom(name, chunks));
      const cookies = toCookies(name, token);
      assert.equal(cookies.length, chunks, name);
      for (const cookie of cookies) assert.equal(cookie.name.length + cookie.value.length, MOST, cookie.name);
      const header = cookies.map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
      if (chunks > 1) assert.deepEqual(joinChunks(header, name), [token]);
      const more = toCookies(name, `${token}t`);
      assert.ok(more.length > chunks, "one character more needs another one");
      for (const cookie of more) assert.ok(cookie.name.length + cookie.value.length <= MOST, cookie.name);
    }
  });
}
