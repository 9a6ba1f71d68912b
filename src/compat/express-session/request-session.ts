import type { ServerResponse } from "node:http";
import { setImmediate } from "../../contract/time.ts";
import { type SignatureKey, signValue } from "../../crypto/signature.ts";
import { failAfterNext, routerOf } from "../../http/failed-answer.ts";
import { onHandshake } from "../../http/held-response/handshake.ts";
import type { HoldHooks } from "../../http/held-response/hooks.ts";
import { holdResponse, isResponse } from "../../http/held-response.ts";
import { completion, type Done } from "../callbacks.ts";
import { Changes } from "./changes.ts";
import { dataText } from "./data-text.ts";
import { type Environment, enter } from "./environment.ts";
import { isGone, saveUnlessDestroyed } from "./guarded-save.ts";
import type { Life } from "./lives.ts";
import { loadFirst } from "./load-first.ts";
import { withImmediateAnswers } from "./memory.ts";
import { isSecureRequest, presentedIds, type SessionRequest } from "./request.ts";
import { ignoreSecondEnd } from "./second-end.ts";
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
  readonly #changes = new Changes();
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
    if (ids.length === 0) {
      this.#open(undefined);
      return;
    }
    loadFirst({
      store: this.#env.store,
      ids,
      present: (id) => this.#present(id),
      loaded: (data) => this.#open(data),
      missing: () => {
        this.#present(ids[0]);
        this.#open(undefined);
      },
      failed: this.#next,
    });
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

  #open(data: SessionData | undefined): void {
    try {
      if (data === undefined) {
        this.#env.store.generate(this.#req);
        this.#begin(this.#req.session);
      } else this.#inflate(data);
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

  #inflate(data: SessionData): void {
    const { store, lives, resave } = this.#env;
    store.createSession(this.#req, data);
    // The text of the data, not of the session: createSession drops names of methods, and the record is then written again without them.
    this.#begin(data);
    if (!resave) this.#changes.keepAsSaved();
    this.#life = lives.of(this.#presented ?? "");
  }

  #begin(data: unknown): void {
    this.#changes.begin(this.#req.sessionID, dataText(data));
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
        if (this.#changes.savedText !== undefined) this.#changes.savedText = dataText(reloaded);
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

  #save(session: Session, save: Work, done: Done): void {
    const { store, lives, recheck } = this.#env;
    const isOwn = session.id === this.#changes.originalId;
    const isLoaded = isOwn && this.#life !== undefined;
    if (isOwn) this.#life ??= lives.of(session.id);
    const life = isOwn ? this.#life : undefined;
    const write = (written: Done) => {
      this.#changes.savedText = this.#textToSave ?? dataText(session);
      save.call(session, written);
    };
    saveUnlessDestroyed({ session, store, life, recheck: recheck && isLoaded, write }, done);
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
      return this.#await((done) => store.destroy(id, done));
    }
    this.#settled = { id, text };
    if (typeof id !== "string") return undefined;
    if (before !== undefined && before.id === id && before.text === text) return undefined;
    if (before !== undefined || this.#shouldSave(id, session, text)) {
      return this.#await((done) => this.#saveCommitted(session, text, done));
    }
    const life = this.#life;
    if (!this.#env.touches || this.#presented !== id || life?.ended) return undefined;
    return this.#await((done) =>
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

  /** Passes an error to `next` as express-session does: after the response, so that it is not answered twice. */
  #report(error: unknown): void {
    if (this.#errors === undefined) setImmediate(this.#next, error);
    else this.#errors.push(error);
  }

  /** A store's error goes to the error handler, and the response is sent all the same, as with express-session. */
  #await(call: (done: Done) => unknown): void | Promise<void> {
    return withImmediateAnswers(() => completion(call, (error) => isGone(error) || this.#report(error)));
  }

  #touchedSession(): Session | undefined {
    const session = this.#req.session || undefined;
    if (session !== undefined && typeof session.touch !== "function") throw notASession();
    session?.touch();
    return session;
  }

  #shouldSave(id: string, session: Session, text: string): boolean {
    const isUninitialized = this.#changes.savedText === undefined && this.#presented !== id;
    if (isUninitialized && !this.#env.saveUninitialized) return this.#changes.isModified(session, text);
    return !this.#changes.isSaved(session, text);
  }

  #cookieFor(session: Session | undefined, text: string): string | undefined {
    const { name, proxy, rolling, saveUninitialized } = this.#env;
    const id = this.#req.sessionID;
    if (session === undefined || typeof id !== "string") return undefined;
    const isDue =
      this.#presented === id
        ? rolling || (session.cookie.expires != null && this.#changes.isModified(session, text))
        : saveUninitialized || this.#changes.isModified(session, text);
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

function notASession(): TypeError {
  return new TypeError(
    "req.session was replaced by an object that is no session: set properties of req.session, or end it with req.session.regenerate() or destroy()",
  );
}
