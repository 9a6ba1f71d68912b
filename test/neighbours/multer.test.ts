import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, type Any, type Browser, express, kinds, listen, load, natives } from "./world.ts";

/** https://www.npmjs.com/package/multer: an upload form, whose handler keeps what came in the session. */
async function upload(browser: Browser, path: string, name: string, size = 10): Promise<Answer> {
  const form = new FormData();
  form.append("title", name);
  form.append("file", new Blob(["x".repeat(size)]), `${name}.txt`);
  const request = new Request("http://127.0.0.1/", { method: "POST", body: form });
  return browser.ask(path, {
    method: "POST",
    headers: { "content-type": request.headers.get("content-type") ?? "" },
    body: Buffer.from(await request.arrayBuffer()),
  });
}

for (const [kind, open] of Object.entries(kinds)) {
  test(`an upload's handler has the visitor's session, and keeps things in it (${kind})`, async (t) => {
    const multer = load("multer");
    const receive = multer({ storage: multer.memoryStorage(), limits: { fileSize: 100_000 } });
    const app = express(open(t), (app) => {
      app.post("/upload", receive.single("file"), (req: Any, res: Any) => {
        req.session.files = [...(req.session.files ?? []), `${req.body.title} ${req.file.size}`];
        res.redirect("/");
      });
      // The session is looked at before the body has come, too.
      app.post(
        "/members",
        (req: Any, res: Any, next: Any) => (req.session.files ? next() : res.status(403).send("no")),
        receive.array("file"),
        (req: Any, res: Any) => res.send(`${req.files.length} for ${req.session.files[0]}`),
      );
      app.get("/", (req: Any, res: Any) => res.json(req.session.files ?? []));
    });
    const browser = await listen(t, app);
    assert.equal((await upload(browser, "/members", "early")).status, 403);
    assert.equal((await upload(browser, "/upload", "one", 50_000)).status, 302);
    assert.equal((await upload(browser, "/upload", "two")).status, 302);
    assert.deepEqual(JSON.parse((await browser.get("/")).text), ["one 50000", "two 10"]);
    assert.equal((await upload(browser, "/members", "three")).text, "1 for one 50000");
    // Multer's own refusal changes nothing.
    assert.equal((await upload(browser, "/upload", "large", 200_000)).status, 500);
    assert.deepEqual(JSON.parse((await browser.get("/")).text), ["one 50000", "two 10"]);
  });
}

for (const [kind, open] of Object.entries(natives)) {
  test(`uploads side by side, each adding to a list by update(), lose nothing (${kind})`, async (t) => {
    const receive = load("multer")({ storage: load("multer").memoryStorage() });
    const app = express(open(t), (app) => {
      app.get("/begin", (req: Any, res: Any) => {
        req.session.files = [];
        res.send("begun");
      });
      app.post("/upload", receive.single("file"), async (req: Any, res: Any) => {
        await req.session.update((session: Any) => {
          session.files.push(req.file.originalname);
        });
        res.sendStatus(204);
      });
      app.get("/", (req: Any, res: Any) => res.json(req.session.files));
    });
    const browser = await listen(t, app);
    await browser.get("/begin");
    const names = ["a", "b", "c", "d", "e", "f"];
    await Promise.all(names.map((name) => upload(browser, "/upload", name)));
    assert.deepEqual(
      JSON.parse((await browser.get("/")).text).sort(),
      names.map((name) => `${name}.txt`),
    );
  });
}
