import type { IncomingMessage } from "node:http";

/** A request whose body a parser may have read. */
export type FormRequest = IncomingMessage & { body?: unknown };

/** Logout tokens have about one kilobyte. */
const LONGEST_BODY = 16_384;

/**
 * Returns the one `logout_token` of a form (Back-Channel Logout 1.0, 2.5), or `undefined` if the
 * request is no such form. Reads the body unless a parser has.
 */
export async function logoutTokenOf(req: FormRequest): Promise<string | undefined> {
  const { body } = req;
  const parsed = typeof body === "string" || Buffer.isBuffer(body) ? String(body) : body;
  if (typeof parsed === "object" && parsed !== null && Object.hasOwn(parsed, "logout_token")) {
    const token: unknown = Reflect.get(parsed, "logout_token");
    return typeof token === "string" ? token : undefined;
  }
  if (!isForm(req)) return undefined;
  const text = typeof parsed === "string" ? parsed : await readText(req);
  const tokens = new URLSearchParams(text).getAll("logout_token");
  return tokens.length === 1 ? tokens[0] : undefined;
}

function isForm({ headers }: IncomingMessage): boolean {
  const { "content-type": type = "", "content-encoding": encoding = "identity" } = headers;
  return /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type) && encoding.toLowerCase() === "identity";
}

/** Returns the body; an empty text if it is too long, if it was read before, or if it broke off. */
function readText(req: IncomingMessage): Promise<string> {
  if (req.readableEnded || Number(req.headers["content-length"] ?? 0) > LONGEST_BODY) return Promise.resolve("");
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const done = (text: string): void => {
      req.off("data", onData);
      resolve(text);
    };
    function onData(chunk: Buffer | string): void {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > LONGEST_BODY) done("");
      else chunks.push(bytes);
    }
    req.on("data", onData);
    req.once("end", () => done(Buffer.concat(chunks).toString("utf8")));
    req.once("error", () => done(""));
    req.once("close", () => done(""));
  });
}
