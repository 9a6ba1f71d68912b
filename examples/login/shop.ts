import { type Response, Router } from "express";
import { catalogue, readCart } from "./catalogue.ts";
import { believeCookie, neighbourOf, PLAIN_COOKIE, readCookies } from "./compare.ts";
import { countView, field, notFound, type Parts, show } from "./pages.ts";
import { contentPolicy } from "./security.ts";

/** More would not fit the plain cookie that /compare sets beside the session: browsers keep 4 KB of it. */
const FULL_CART = 40;

/** The shop: a session before anyone has an account. And what that session is, beside a plain cookie. */
export function shop({ sessions, store }: Parts): Router {
  const router = Router();

  router.get("/", (req, res) => {
    countView(req);
    show(req, res, "shop", { catalogue, cart: readCart(req.session.cart ?? []) });
  });

  router.post("/cart", async (req, res) => {
    const product = catalogue.get(field(req, "item"));
    if (!product) throw Object.assign(new Error("No such product"), { status: 422 });
    const removing = field(req, "action") === "remove";
    let fits = true;
    // Two quick clicks are two requests at once. Where the other one came first, `update` runs this again on the
    // newest cart, so that no click is lost.
    await req.session.update((data) => {
      const cart = data.cart ?? [];
      fits = removing || cart.length < FULL_CART;
      if (removing) data.cart = withoutOne(cart, product.id);
      else if (fits) data.cart = [...cart, product.id];
    });
    setPlainCookie(res, req.session.cart);
    if (removing) req.session.flash("success", `${product.name}: one taken out of your cart.`);
    else if (fits) req.session.flash("success", `${product.name} is in your cart.`);
    else req.session.flash("error", "Your cart is full. Take something out first.");
    res.redirect(303, "/");
  });

  router.get("/compare", async (req, res) => {
    countView(req);
    const cookies = readCookies(req.headers.cookie);
    if (!cookies.plain) setPlainCookie(res, req.session.cart); // one that the visitor edited stays as it is
    await req.session.save(); // now, so that the record shown is that of this very request
    const record = await store?.load(req.session.id);
    const { clientSide } = sessions.capabilities;
    const neighbour = neighbourOf(req.headers.host);
    show(req, res, "compare", { cookies, believed: believeCookie(cookies.plain), record, clientSide, neighbour });
  });

  // A page of "another site" whose form goes to this shop. To a browser, localhost and 127.0.0.1 are two sites.
  router.get("/forged", (req, res) => {
    const target = neighbourOf(req.headers.host);
    if (!target) throw notFound();
    res.set({
      "Content-Security-Policy": contentPolicy({ formsGoTo: `http://${target}` }),
      "Referrer-Policy": "strict-origin", // as with most sites: the shop learns where the form came from
    });
    res.render("forged", { target, host: req.headers.host });
  });

  return router;
}

function withoutOne(cart: string[], id: string): string[] {
  const at = cart.lastIndexOf(id);
  return cart.filter((_, index) => index !== at);
}

/** For /compare: the same cart, kept the careless way. */
function setPlainCookie(res: Response, cart: string[] | undefined): void {
  if (cart) res.cookie(PLAIN_COOKIE, JSON.stringify(cart), { sameSite: "lax" });
}
