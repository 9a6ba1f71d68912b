// A REST API for clients that keep a token themselves: apps, scripts, other services.
import express from "express";
import { bearer, session } from "sojourn";

const users = new Map([["ada", "open sesame"]]); // Yours are in a database, with hashed passwords.

const app = express();
const sessions = session({
  transport: bearer(), // no cookies: other sites' pages can't use a visitor's session
  secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more",
  idleTimeout: "7d",
  absoluteTimeout: "90d",
});
app.use(express.json());
app.use(sessions);

/** Lets in whoever is logged in. */
function authenticated(req, res, next) {
  if (req.session.userId !== null) return next();
  res.status(401).set("WWW-Authenticate", "Bearer").json({ error: "log in first" });
}

// The token is in the response's header X-Session-Token.
app.post("/tokens", async (req, res) => {
  const { name, password, device } = req.body ?? {};
  if (typeof password !== "string" || users.get(name) !== password) return res.status(401).json({ error: "wrong" });
  await req.session.login(name, { device });
  res.status(201).json({ user: name });
});

app.get("/notes", authenticated, (req, res) => {
  res.json(req.session.notes ?? []);
});

// Two requests at once each add a note, and both are kept.
app.post("/notes", authenticated, async (req, res) => {
  const notes = await req.session.update((current) => {
    current.notes = [...(current.notes ?? []), String(req.body?.text)];
    return current.notes;
  });
  res.status(201).json(notes);
});

app.get("/tokens", authenticated, async (req, res) => {
  res.json(await sessions.list(req.session.userId, { current: req.session }));
});

// A token's handle names it and opens nothing, so it may stand in an address.
app.delete("/tokens/:handle", authenticated, async (req, res) => {
  const ended = await sessions.revoke(req.params.handle, { userId: req.session.userId });
  res.sendStatus(ended ? 204 : 404);
});

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", (error) => {
  if (error) throw error; // the port is taken: PORT=3001
  console.log(`The API is at http://localhost:${server.address().port}`);
});
