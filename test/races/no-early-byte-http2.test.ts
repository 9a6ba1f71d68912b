import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { MemoryStore } from "../../src/index.ts";
import { faulty, gated } from "../../src/testing/index.ts";
import { handleOf } from "../support/client.ts";
import { anywhere, everyWay } from "./ways.ts";
import { startHttp2 } from "./ways-server.ts";

test("HTTP/2: nothing leaves before the commit, and a commit that fails is the error handler's answer", async (t) => {
  const inner = new MemoryStore();
  const { store: unreliable, fail } = faulty(inner, { synchronousLoad: false });
  const { store, hold } = gated(unreliable);
  const { port } = await startHttp2(t, store);
  const connection = connect(`http://127.0.0.1:${port}`);
  t.after(() => connection.destroy());
  const send = (headers: Record<string, string>, onHead: (head: Record<string, unknown>) => void = () => {}) => {
    const stream = connection.request(headers);
    stream.setEncoding("utf8").end();
    const seen: { head?: Record<string, unknown>; text: string } = { text: "" };
    stream.on("response", (head) => {
      seen.head = head;
      onHead(head);
    });
    stream.on("data", (text: string) => {
      seen.text += text;
    });
    return { seen, ended: once(stream, "close") };
  };
  const tokenIn = (head: Record<string, unknown> | undefined): string | undefined =>
    /\bsid=([^;]+);/.exec(String(head?.["set-cookie"]))?.[1];
  for (const { way, method } of everyWay(anywhere)) {
    await t.test(`${way}, ${method}`, async () => {
      const mark = `${method} ${way}`;
      const path = `/answer?way=${encodeURIComponent(way)}&mark=${encodeURIComponent(mark)}`;
      const beginning = hold("create", "after");
      const first = send({ ":path": path, ":method": method }, (head) =>
        assertStored(inner, tokenIn(head) ?? "", mark),
      );
      await beginning.reached;
      const other = send({ ":path": "/nothing" });
      await other.ended;
      assert.equal(other.seen.head?.[":status"], 200);
      assert.deepEqual(first.seen, { text: "" });
      beginning.release();
      await first.ended;
      const token = tokenIn(first.seen.head) ?? "";

      const gate = hold("update", "after");
      const second = send({ ":path": `${path}2`, ":method": method, cookie: `sid=${token}` }, () =>
        assertStored(inner, token, `${mark}2`),
      );
      await gate.reached;
      await send({ ":path": "/nothing" }).ended;
      assert.deepEqual(second.seen, { text: "" });
      gate.release();
      await second.ended;
      assert.match(String(second.seen.head?.[":status"]), /^[23]/);
      assert.equal(tokenIn(second.seen.head), undefined);

      fail("update", { kind: "error" });
      const failed = send({ ":path": `${path}3`, ":method": method, cookie: `sid=${token}` });
      await failed.ended;
      assert.equal(failed.seen.head?.[":status"], 503);
      assert.equal(tokenIn(failed.seen.head), undefined);
      assert.doesNotMatch(failed.seen.text, /the answer/);
    });
  }
});

function assertStored(store: MemoryStore, token: string, mark: string): void {
  const record = store.load(handleOf(token));
  assert.ok(record, "not stored");
  assert.ok(record.payload.includes(JSON.stringify(mark)), "the client has a byte before the store has the change");
}
