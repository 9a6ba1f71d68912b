// A basket without any state on the server: the session is the cookie, encrypted.
import express from "express";
import { session } from "sojourn";
import { SealedStore } from "sojourn/sealed";

const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    // The first secret seals, all of them open: put a new one in front to change it.
    store: new SealedStore({ secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more" }),
    idleTimeout: "30d",
    absoluteTimeout: "180d",
  }),
);

app.get("/", (req, res) => {
  const basket = req.session.basket ?? [];
  const size = req.headers.cookie?.length ?? 0;
  res.send(`<p>Basket: ${basket.map(escaped).join(", ") || "empty"}. Your cookies are ${size} characters.</p>
    <form action="/basket" method="post"><input name="item" required> <button>Add</button></form>
    <form action="/empty" method="post"><button>Empty</button></form>`);
});
app.post("/basket", (req, res) => {
  const basket = req.session.basket ?? [];
  if (basket.length >= 20) return res.status(409).send("The basket is full."); // a cookie holds 2.9 kB
  req.session.basket = [...basket, String(req.body?.item).slice(0, 50)];
  res.redirect(303, "/");
});
app.post("/empty", async (req, res) => {
  await req.session.destroy();
  res.redirect(303, "/");
});

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", (error) => {
  if (error) throw error; // the port is taken: PORT=3001
  console.log(`The basket is at http://localhost:${server.address().port}`);
});
