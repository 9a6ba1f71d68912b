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
  #unlock: () => void = nothing;
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
    const hasReason = this.#kind !== "http2";
    const statusMessage = hasReason ? response.statusMessage : undefined;
    const disclaim = claimSent(response);
    const methods = replaceMethods(response, REFUSING[this.#kind]);
    // Only a patch above the hold comes by with an implied `writeHead`.
    const unwatch = isPatched ? this.#watchStatus(statusCode) : nothing;
    this.#unlock = () => {
      unwatch();
      replaceMethods(response, methods);
      disclaim();
      if (response.statusCode !== statusCode) response.statusCode = statusCode;
      if (statusMessage !== undefined) response.statusMessage = statusMessage;
      else if (hasReason && Object.hasOwn(response, "statusMessage")) Reflect.deleteProperty(response, "statusMessage");
    };
  }

  /** Gives the response its own look back. */
  unlock(): void {
    this.#unlock();
    this.#unlock = nothing;
  }

  /**
   * Watches for an implied head. A patch that looks for the headers in Node's private `_header`
   * (compression before 1.8) finds none while they wait, and makes Node imply them again: Node
   * reads the status code and passes it to `writeHead`. A handler's second `writeHead` is refused.
   */
  #watchStatus(statusCode: number): () => void {
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

/** Makes a response say that its headers were sent; returns how to undo that. */
function claimSent(response: Outgoing & Disguised): () => void {
  if (response[LOOKS_SENT] === undefined) {
    // Mocks have a property of their own.
    if (Object.hasOwn(response, "headersSent")) return cover(response, "headersSent", { value: true, writable: true });
    Object.defineProperty(response, "headersSent", HEADERS_SENT);
  }
  response[LOOKS_SENT] = true;
  return () => {
    response[LOOKS_SENT] = false;
  };
}

/** Gives an object a property; returns how to give it back its own. */
function cover(object: object, name: string, shown: PropertyDescriptor): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { ...shown, configurable: true });
  return () => {
    if (own === undefined) Reflect.deleteProperty(object, name);
    else Object.defineProperty(object, name, own);
  };
}
