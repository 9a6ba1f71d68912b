import assert from "node:assert/strict";
import { test } from "node:test";
import { startSite, temporaryFolder, Visitor } from "../examples/site.ts";

const account = { email: "me@example.com", password: "a few good words" };

for (const mode of ["encrypted", "sealed"]) {
  test(`the example site works with SESSION_MODE=${mode}, and its Compare page tells what is different`, async (t) => {
    const site = await startSite(t, temporaryFolder(t), { SESSION_MODE: mode });
    const visitor = new Visitor(site);
    await visitor.submit("/cart", { item: "mug" });
    await visitor.submit("/register", account);
    const compare = await visitor.get("/compare");
    assert.equal(compare.status, 200);
    assert.match(compare.text, /\[&#34;mug&#34;\]/, "the cart came along");
    const token = visitor.jar.get("sid") ?? "";
    assert.ok(!compare.text.includes(token));
    const payload = /<dt>Payload<\/dt>\s*<dd><code[^>]*>([^<]*)</.exec(compare.text)?.[1];
    if (mode === "encrypted") {
      assert.match(payload ?? "", /^[\w-]{100,}$/);
      assert.match(compare.text, /sealed: whoever steals the database can’t read it/);
    }
    if (mode === "sealed") {
      assert.equal(payload, undefined);
      assert.match(compare.text, /the session is in the cookie/);
      assert.ok(!compare.text.includes(token.slice(0, 10)), "no more of the seal than its key's ID");
    }
    const other = new Visitor(site);
    await other.submit("/login", account);
    assert.match((await other.get("/account")).text, /Sign out everywhere else/);
    const copy = new Visitor(site, visitor.jar);
    await other.submit("/devices/revoke-others");
    assert.equal((await copy.get("/account")).status, 303, "the first device is signed out");
    assert.equal((await other.get("/account")).status, 200);
    const copied = new Visitor(site, other.jar);
    await other.submit("/logout");
    assert.equal((await copied.get("/account")).status, 303, "so is a copy of the cookie");
    assert.doesNotMatch(site.output(), /Error/);
  });
}
