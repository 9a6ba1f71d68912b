import type { ServerResponse } from "node:http";
import { goneError, SojournError } from "../../contract/errors.ts";
import { setImmediate } from "../../contract/time.ts";
import { type SignatureKey, signValue } from "../../crypto/signature.ts";
import { failAfterNext, routerOf } from "../../http/failed-answer.ts";
import { onHandshake } from "../../http/held-response/handshake.ts";
import { type HoldHooks, holdResponse } from "../../http/held-response.ts";
import { isResponse } from "../../http/is-response.ts";
import { type Done, once } from "../callbacks.ts";
import { dataText } from "./data-text.ts";
import { type Environment, enter } from "./environment.ts";
import type { Life } from "./lives.ts";
import { withImmediateAnswers } from "./memory.ts";
import { isSecureRequest, presentedIds, type SessionRequest } from "./request.ts";
import { serializeCookie } from "./serialize.ts";
import { linkSession, type Method, type MethodListener, type Session, type Work } from "./session.ts";
import type { SessionData } from "./session-data.ts";

export type Next = (error?: unknown) => void;

/** Gives a request its session, and calls `next`. */
export function startSession(
  env: Environment,
  req: SessionRequest,
  res: ServerResponse,
  next: Next,
  secrets: readonly SignatureKey[],
): void {
  new RequestSession(env, req, res, next, secrets).start();
}

/** The session of one request: which it is, what of it is written, and which cookie the response gets. */
class RequestSession implements HoldHooks, MethodListener {
  readonly #env: Environment;
  readonly #req: SessionRequest;
  readonly #res: ServerResponse;
  readonly #next: Next;
  readonly #router: unknown;
  readonly #secrets: readonly SignatureKey[];
  /** The ID that came with the request. */
  #presented: string | undefined = undefined;
  /** The session has been found or made: from now on its absence means that the application took it away. */
  #isOpen = false;
  #originalId: unknown = undefined;
  /** The data as it was loaded, and as it was last saved, but for the session's cookie. */
  #originalText: string | undefined = undefined;
  #savedText: string | undefined = undefined;
  /** What the current commit writes. */
  #textToSave: string | undefined = undefined;
  /** What the commit before the headers wrote down. */
  #settled: { id: unknown; text: string | undefined } | undefined = undefined;
  #life: Life | undefined = undefined;
  #setCookie: string | undefined = undefined;
  /** Errors to pass on once the headers have left; `undefined` when nothing holds them. */
  #errors: unknown[] | undefined = undefined;
  /** A commit threw: the error handler's answer says and writes nothing of the session. */
  #isBroken = false;

  constructor(
    env: Environment,
    req: SessionRequest,
    res: ServerResponse,
    next: Next,
    secrets: readonly SignatureKey[],
  ) {
    this.#env = env;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#router = routerOf(req);
    this.#secrets = secrets;
  }

  start(): void {
    const req = this.#req;
    enter(req, this.#env);
    const ids = presentedIds(req, this.#env.name, this.#secrets);
    this.#present(ids[0]);
    // Sockets and jobs come with half a response, or none: their sessions are saved by save().
    const res: Partial<ServerResponse> = this.#res;
    if (isResponse(res)) {
      holdResponse(this.#res, this);
      res.on?.("error", ignoreSecondEnd);
    } else {
      onHandshake(this.#res, () => {
        if (this.#isOpen) {
          const session = this.#touchedSession();
          this.#setCookie = this.#cookieFor(session, dataText(session));
        }
        this.writeHeaders();
      });
    }
    if (ids.length > 0) {
      this.#load(ids);
      return;
    }
    this.#open(undefined);
  }

  beforeHeaders(): void | Promise<void> {
    if (this.#isBroken || !this.#isOpen) return undefined;
    this.#errors = [];
    const session = this.#touchedSession();
    const text = dataText(session);
    this.#setCookie = this.#cookieFor(session, text);
    return this.#commit(session, text);
  }

  writeHeaders(): void {
    const errors = this.#errors;
    this.#errors = undefined;
    if (errors !== undefined) for (const error of errors) this.#report(error);
    if (this.#setCookie === undefined) return;
    const others = this.#res.getHeader("Set-Cookie");
    const lines = others === undefined ? [] : [others].flat().map(String);
    this.#res.setHeader("Set-Cookie", [...lines, this.#setCookie]);
  }

  beforeEnd(): void | Promise<void> {
    if (this.#isBroken || !this.#isOpen) return undefined;
    const session = this.#req.session || undefined;
    return this.#commit(session, dataText(session));
  }

  failed(error: unknown): void {
    this.#isBroken = true;
    this.#setCookie = undefined;
    this.#errors = undefined;
    failAfterNext(error, { req: this.#req, res: this.#res, next: this.#next, router: this.#router });
  }

  /** Of several cookies with good signatures the first counts whose session is there. */
  #load(ids: readonly string[], position = 0): void {
    const id = ids[position];
    if (id === undefined) {
      this.#present(ids[0]);
      this.#open(undefined);
      return;
    }
    this.#present(id);
    let answered = false;
    try {
      this.#env.store.get(
        id,
        once((error, data) => {
          answered = true;
          if (error && !isNotFound(error)) this.#next(error);
          else if (error || !data) this.#load(ids, position + 1);
          else this.#open(data);
        }),
      );
    } catch (error) {
      if (answered) throw error;
      this.#next(error);
    }
  }

  #open(data: SessionData | undefined): void {
    try {
      if (data === undefined) this.#generate();
      else this.#inflate(data);
    } catch (error) {
      this.#next(error);
      return;
    }
    this.#next();
  }

  #present(id: string | undefined): void {
    this.#presented = id;
    this.#req.sessionID = id;
  }

  #generate(): void {
    this.#env.store.generate(this.#req);
    this.#begun(this.#req.session);
  }

  #inflate(data: SessionData): void {
    const { store, lives } = this.#env;
    store.createSession(this.#req, data);
    // Not the session: where names of its methods are stored, it has dropped them, and the record is written anew without.
    this.#begun(data);
    if (!this.#env.resave) this.#savedText = this.#originalText;
    this.#life = lives.of(this.#presented ?? "");
  }

  #begun(data: unknown): void {
    this.#originalId = this.#req.sessionID;
    this.#originalText = dataText(data);
    if (this.#req.session) linkSession(this.#req.session, this);
    this.#isOpen = true;
  }

  run(method: Method, session: Session, work: Work, done: Done): void {
    if (method === "save") this.#save(session, work, done);
    else if (method === "reload") this.#reload(session, work, done);
    else this.#end(session, work, done);
  }

  #reload(session: Session, reload: Work, done: Done): void {
    reload.call(session, (error) => {
      const reloaded = this.#req.session;
      if (reloaded !== session && reloaded) {
        linkSession(reloaded, this);
        if (this.#savedText !== undefined) this.#savedText = dataText(reloaded);
      }
      done(error);
    });
  }

  #end(session: Session, end: Work, done: Done): void {
    const undo = this.#env.lives.end(session.id);
    end.call(session, (error) => {
      if (error) undo();
      done(error);
    });
  }

  /**
   * Writes a session down, unless it was destroyed since this request loaded it; and if it is destroyed while it is being written,
   * destroys it once more, since nobody knows which of the two the store did first.
   */
  #save(session: Session, save: Work, done: Done): void {
    const { store, lives, recheck } = this.#env;
    const isOwn = session.id === this.#originalId;
    const isLoaded = isOwn && this.#life !== undefined;
    if (isOwn) this.#life ??= lives.of(session.id);
    const life = isOwn ? this.#life : undefined;
    const write = (): void => {
      if (life?.ended) {
        done(goneError());
        return;
      }
      this.#savedText = this.#textToSave ?? dataText(session);
      save.call(session, (error) => {
        if (error || !life?.ended) done(error);
        else store.destroy(session.id, (failed) => done(failed ?? goneError()));
      });
    };
    if (!recheck || !isLoaded) {
      write();
      return;
    }
    store.get(
      session.id,
      once((error, data) => {
        if (error && !isNotFound(error)) done(error);
        else if (error || !data) done(goneError());
        else write();
      }),
    );
  }

  /** Writes the session down. A second time, at the end of a stream: what changed since. */
  #commit(session: Session | undefined, text: string): void | Promise<void> {
    const { store, unsetDestroys, lives } = this.#env;
    const id = this.#req.sessionID;
    const before = this.#settled;
    if (session === undefined) {
      const isKnown = before !== undefined && before.text === undefined;
      if (!unsetDestroys || !id || isKnown) return undefined;
      this.#settled = { id, text: undefined };
      lives.end(id);
      return this.#ask((done) => store.destroy(id, done));
    }
    this.#settled = { id, text };
    if (typeof id !== "string") return undefined;
    if (before !== undefined && before.id === id && before.text === text) return undefined;
    if (before !== undefined || this.#shouldSave(id, session, text)) {
      return this.#ask((done) => this.#saveCommitted(session, text, done));
    }
    const life = this.#life;
    if (!this.#env.touches || this.#presented !== id || life?.ended) return undefined;
    return this.#ask((done) =>
      store.touch?.(id, session, (error) => {
        // A store may touch by writing the whole session again.
        if (life?.ended) store.destroy(id, done);
        else done(error);
      }),
    );
  }

  #saveCommitted(session: Session, text: string, done: Done): void {
    this.#textToSave = text;
    try {
      session.save(done);
    } finally {
      this.#textToSave = undefined;
    }
  }

  /** Passes an error on as express-session does: the response leaves first, so that nobody answers a second time. */
  #report(error: unknown): void {
    if (this.#errors === undefined) setImmediate(this.#next, error);
    else this.#errors.push(error);
  }

  /** As express-session does it: what the store refuses the error handler is told, and the response goes its way. */
  #ask(call: (done: Done) => unknown): void | Promise<void> {
    let isDone = false;
    let resolve: (() => void) | undefined;
    const done = once((error) => {
      if (error && !isGone(error)) this.#report(error);
      isDone = true;
      resolve?.();
    });
    withImmediateAnswers(() => call(done));
    if (isDone) return undefined;
    return new Promise<void>((done) => {
      resolve = done;
    });
  }

  #touchedSession(): Session | undefined {
    const session = this.#req.session || undefined;
    if (session !== undefined && typeof session.touch !== "function") throw notASession();
    session?.touch();
    return session;
  }

  #shouldSave(id: string, session: Session, text: string): boolean {
    const isUninitialized = this.#savedText === undefined && this.#presented !== id;
    if (isUninitialized && !this.#env.saveUninitialized) return this.#isModified(session, text);
    return this.#originalId !== session.id || this.#savedText !== text;
  }

  #isModified(session: Session, text: string): boolean {
    return this.#originalId !== session.id || this.#originalText !== text;
  }

  #cookieFor(session: Session | undefined, text: string): string | undefined {
    const { name, proxy, rolling, saveUninitialized } = this.#env;
    const id = this.#req.sessionID;
    if (session === undefined || typeof id !== "string") return undefined;
    const isDue =
      this.#presented === id
        ? rolling || (session.cookie.expires != null && this.#isModified(session, text))
        : saveUninitialized || this.#isModified(session, text);
    if (!isDue || (session.cookie.secure && !isSecureRequest(this.#req, proxy))) return undefined;
    const [secret] = this.#secrets;
    try {
      return serializeCookie(name, `s:${signValue(id, secret ?? "")}`, session.cookie.data ?? {});
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }
}

/**
 * With express-session a second `end` has always been without effect. Any other error is the application's: where it does not listen, the
 * error is thrown, as it is when nobody listens.
 */
function ignoreSecondEnd(this: ServerResponse, error: Error & { code?: string }): void {
  if (error.code === "ERR_STREAM_WRITE_AFTER_END") return;
  if (this.listeners("error").every((listener) => listener === ignoreSecondEnd)) throw error;
}

function notASession(): TypeError {
  return new TypeError(
    "req.session was replaced by an object that is no session: set properties of req.session, or end it with req.session.regenerate() or destroy()",
  );
}

function isNotFound(error: unknown): boolean {
  return Object(error).code === "ENOENT";
}

function isGone(error: unknown): boolean {
  return error instanceof SojournError && error.code === "SESSION_GONE";
}
