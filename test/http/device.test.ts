import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { isIP, Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { addressOf, deviceLabel, deviceOf } from "../../src/http/device.ts";

test("what a user may recognise their device by", () => {
  const table: [string | undefined, string][] = [
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "Safari on macOS"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"],
    ["Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"],
    ["Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36", "Samsung Internet on Android"],
    ["Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "Chrome on ChromeOS"],
    ["curl/8.5.0", "curl"],
    ["Something on Linux", "Linux"],
    ["", "Unknown device"],
    [undefined, "Unknown device"],
  ]; // biome-ignore format: a table
  for (const [header, label] of table) assert.equal(deviceLabel(header), label, header);
});

test("property: the label holds nothing of the header, and reads only its first half kilobyte", () => {
  const word = /^(?:Unknown device|[A-Za-z]+(?: Internet)?(?: on [A-Za-z]+)?)$/;
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("Firefox/", "<b>", "Linux", "\x1b[2J", "Chrome/")),
      ),
      (parts) => {
        assert.match(deviceLabel(parts.join("")), word);
      },
    ),
    { numRuns: 150 },
  );
  assert.equal(deviceLabel(`${"x".repeat(512)}Firefox/1`), "Unknown device");
});

test("an address is one, in its usual form, without a port or a zone", () => {
  const table: [unknown, string | undefined][] = [
    ["127.0.0.1", "127.0.0.1"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::FFFF:10.1.2.3", "10.1.2.3"],
    ["::ffff:7f00:1", "127.0.0.1"],
    ["0:0:0:0:0:ffff:192.0.2.255", "192.0.2.255"],
    ["::1", "::1"],
    ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["192.0.2.1:50123", "192.0.2.1"],
    ["[2001:db8::1]:50123", "2001:db8::1"],
    ["[::ffff:192.0.2.1]", "192.0.2.1"],
    [`fe80::1%${"x".repeat(12_000)}`, undefined],
    ["1".repeat(12_000), undefined],
    ["unknown", undefined],
    ["_hidden", undefined],
    ["<b>", undefined],
    ["256.0.0.1", undefined],
    ["127.1", undefined],
    ["", undefined],
    [undefined, undefined],
    [127, undefined],
  ];
  for (const [text, address] of table) assert.equal(addressOf(text), address, String(text).slice(0, 50));
});

test("property: whatever text stands for an address, it is one, or there is none", () => {
  const piece = fc.constantFrom("::", "ffff", ":", "1", "255", ".", "%", "[", "]", "0", "a", " ");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.ipV4(),
        fc.ipV6(),
        fc.array(piece).map((all) => all.join("")),
      ),
      (text) => {
        const address = addressOf(text);
        assert.ok(address === undefined || isIP(address) !== 0, address);
        if (isIP(text) !== 0 && !text.includes("%")) assert.ok(address !== undefined);
      },
    ),
  );
});

test("where what proxies say is no address, the connection's counts", () => {
  const req = new IncomingMessage(new Socket());
  Object.defineProperty(req.socket, "remoteAddress", { value: "::ffff:10.0.0.7" });
  assert.equal(deviceOf(req).ip, "10.0.0.7");
  assert.equal(deviceOf(Object.assign(req, { ip: "x".repeat(12_000) })).ip, "10.0.0.7");
  assert.equal(deviceOf(Object.assign(req, { ip: "192.0.2.1" })).ip, "192.0.2.1");
});
