import { Failure } from "./failure.ts";
import { refuseAsSent } from "./head.ts";
import {
  type Call,
  callBack,
  deferredResult,
  dropCall,
  hasChunk,
  type Kind,
  type Method,
  nothing,
  type Outgoing,
} from "./outgoing.ts";

/**
 * What a response was before it looked as if its head had left. A closure that restores it would
 * be shorter, but V8 13.6 would keep many requests in memory until a full garbage collection.
 */
interface FormerLook {
  readonly statusCode: number;
  readonly statusMessage: string | undefined;
  readonly headersSent: Covered | undefined;
  readonly methods: HeaderMethods;
  readonly watched: Covered | undefined;
}

interface WaitingCall {
  readonly method: Call;
  readonly args: readonly unknown[];
}

/** The calls of a response that wait for a commit, and what the response looks like meanwhile. */
export class Waiting {
  /** Whether the head waits; otherwise it has left, and the end waits. */
  holdsHead = false;
  readonly #calls: WaitingCall[];
  /** Whether `end` was called. */
  #ended: boolean;
  readonly #response: Outgoing;
  readonly #kind: Kind;
  #former: FormerLook | undefined = undefined;
  /** The status that Node has just read to imply a head; see {@link Waiting.#watchStatus}. */
  #impliedStatus: number | undefined = undefined;

  /** @param earlier has calls that are still to be made */
  constructor(response: Outgoing, kind: Kind, first: WaitingCall, earlier?: Waiting) {
    this.#response = response;
    this.#kind = kind;
    this.#calls = earlier === undefined ? [first] : [first, ...earlier.#calls.splice(0)];
    this.#ended = first.method === "end";
  }

  /** Adds a call. Returns what its caller gets. */
  add(method: Call, args: readonly unknown[]): unknown {
    if (this.#ended && (method === "write" || (method === "end" && hasChunk(args)))) {
      // `writableEnded` is still false, so a caller that checked it must not get an error that
      // nothing handles.
      const error = Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
      return dropCall(this.#response, method, args, error);
    }
    this.#calls.push({ method, args });
    if (method === "end") this.#ended = true;
    return deferredResult(this.#response, method);
  }

  /** Refuses a second head, unless Node implies it: that says nothing new. */
  refuseHead(args: readonly unknown[]): unknown {
    const isImplied = args.length === 1 && args[0] === this.#impliedStatus;
    this.#impliedStatus = undefined;
    return isImplied ? this.#response : refuseAsSent(this.#kind, "writeHead", args);
  }

  /**
   * Makes the calls in their order. Returns whether the last writer waits for a "drain" that Node
   * does not emit: `write` returned `false` here, and then Node could take everything at once.
   */
  replay(make: (method: Call, args: readonly unknown[], isHead: boolean) => unknown): boolean {
    let owesDrain = false;
    let isHead = this.holdsHead;
    for (let call = this.#calls.shift(); call !== undefined; call = this.#calls.shift()) {
      const result = make(call.method, call.args, isHead);
      isHead = false;
      if (call.method === "write") owesDrain = result !== false;
      else if (call.method === "end") owesDrain = false;
    }
    return owesDrain;
  }

  /** The commit failed: drops the calls, and gives the response its own look back. */
  fail(error: unknown): Failure {
    this.unlock();
    for (const { args } of this.#calls.splice(0)) callBack(args, error);
    return new Failure(error, this.#ended);
  }

  /**
   * Makes the response look as if its head had left: what is set now comes too late, as with any
   * response. `writableEnded` stays false, because the body is not there yet.
   *
   * @param isPatched whether the response was patched after the hold
   */
  lock(isPatched: boolean): void {
    this.holdsHead = true;
    const response = this.#response;
    const { statusCode } = response;
    const statusMessage = this.#kind === "http2" ? undefined : response.statusMessage;
    const headersSent = claimSent(response);
    const methods = replaceMethods(response, REFUSING[this.#kind]);
    // Only a patch above the hold comes by with an implied `writeHead`.
    const watched = isPatched ? this.#watchStatus(statusCode) : undefined;
    this.#former = { statusCode, statusMessage, headersSent, methods, watched };
  }

  /** Gives the response its own look back. */
  unlock(): void {
    if (this.#former === undefined) return;
    const response: Outgoing & Disguised = this.#response;
    const { statusCode, statusMessage, headersSent, methods, watched } = this.#former;
    this.#former = undefined;
    if (watched !== undefined) uncover(response, "statusCode", watched);
    replaceMethods(response, methods);
    if (headersSent === undefined) response[LOOKS_SENT] = false;
    else uncover(response, "headersSent", headersSent);
    if (response.statusCode !== statusCode) response.statusCode = statusCode;
    if (statusMessage !== undefined) response.statusMessage = statusMessage;
    else if (this.#kind !== "http2" && Object.hasOwn(response, "statusMessage")) {
      Reflect.deleteProperty(response, "statusMessage");
    }
  }

  /**
   * Watches for an implied head. A patch that looks for the headers in Node's private `_header`
   * (compression before 1.8) finds none while they wait, and makes Node imply them again: Node
   * reads the status code and passes it to `writeHead`. A handler's second `writeHead` is refused.
   */
  #watchStatus(statusCode: number): Covered {
    const get = () => {
      this.#impliedStatus = statusCode;
      return statusCode;
    };
    return cover(this.#response, "statusCode", { get, set: nothing });
  }
}

/**
 * Wakes the writers that wait for "drain". Compression keeps their listeners on a stream of its
 * own, which its `on` returns as any emitter returns itself.
 */
export function wakeWriters(response: Outgoing): void {
  if (response.writableEnded) return;
  const emitter = response.on("drain", nothing) ?? response;
  emitter.off("drain", nothing);
  emitter.emit("drain");
  if (emitter !== response) response.emit("drain");
}

const HEADER_METHODS = ["setHeader", "setHeaders", "appendHeader", "removeHeader"] as const;

type HeaderMethods = Partial<Record<(typeof HEADER_METHODS)[number], Method>>;

/** The methods of a response whose headers were sent. */
const REFUSING: Record<Kind, HeaderMethods> = {
  http1: refusing("http1"),
  http2: refusing("http2"),
  foreign: refusing("foreign"),
};

function refusing(kind: Kind): HeaderMethods {
  const methods = HEADER_METHODS.map((name) => [name, (...args: unknown[]) => refuseAsSent(kind, name, args)]);
  return Object.fromEntries(methods);
}

/** Replaces those methods that a response has; returns the former ones. */
function replaceMethods(response: HeaderMethods, methods: HeaderMethods): HeaderMethods {
  const former: HeaderMethods = {};
  for (const name of HEADER_METHODS) {
    const method = methods[name];
    if (method === undefined || response[name] === undefined) continue;
    former[name] = response[name];
    response[name] = method;
  }
  return former;
}

/** Whether a response looks as if its headers were sent; absent before it first does. */
const LOOKS_SENT = Symbol("sojourn.looksSent");

interface Disguised {
  [LOOKS_SENT]?: boolean;
}

/** Stays on the response, as the methods do. */
const HEADERS_SENT: PropertyDescriptor & ThisType<Disguised> = {
  configurable: true,
  get() {
    return this[LOOKS_SENT] === true || Reflect.get(Object.getPrototypeOf(this), "headersSent", this);
  },
};

/**
 * Makes a response say that its headers were sent. Returns what a property of its own, as mocks
 * have, was before.
 */
function claimSent(response: Outgoing & Disguised): Covered | undefined {
  if (response[LOOKS_SENT] === undefined) {
    if (Object.hasOwn(response, "headersSent")) return cover(response, "headersSent", { value: true, writable: true });
    Object.defineProperty(response, "headersSent", HEADERS_SENT);
  }
  response[LOOKS_SENT] = true;
  return undefined;
}

/** The own property that an object had, if it had one. */
interface Covered {
  readonly own: PropertyDescriptor | undefined;
}

/** Gives an object a property. */
function cover(object: object, name: string, shown: PropertyDescriptor): Covered {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { ...shown, configurable: true });
  return { own };
}

/** Gives an object its own property back. */
function uncover(object: object, name: string, { own }: Covered): void {
  if (own === undefined) Reflect.deleteProperty(object, name);
  else Object.defineProperty(object, name, own);
}
