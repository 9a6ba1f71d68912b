// What sojourn/express-session declares. npm run api writes this file.

// Awaitable
export type Awaitable<T> = T | Promise<T>;

// BaseStore
export declare abstract class BaseStore extends EventEmitter implements SessionStoreLike {
    abstract get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void;
    abstract set(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
    abstract destroy(id: string, callback?: (error?: unknown) => void): void;
    all?(callback: (error: unknown, sessions?: SessionData[] | {
        [id: string]: SessionData;
    } | null) => void): void;
    length?(callback: (error: unknown, length?: number) => void): void;
    clear?(callback?: (error?: unknown) => void): void;
    touch?(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
    generate: (req: object) => void;
    regenerate(req: Pick<SessionOwner, "sessionID">, callback: (error?: unknown) => unknown): void;
    load(id: string, callback: (error?: unknown, session?: Session & SessionData) => unknown): void;
    createSession(req: object, data: SessionData): Session & SessionData;
}

// Clock
export interface Clock {
    now(): number;
    after(ms: number, action: () => void): () => void;
}

// Cookie
export declare class Cookie {
    path?: string | undefined;
    _expires?: Date | null | undefined;
    originalMaxAge: number | null;
    httpOnly?: boolean | undefined;
    partitioned?: boolean | undefined;
    priority?: "low" | "medium" | "high" | undefined;
    signed?: boolean | undefined;
    secure?: boolean | "auto" | undefined;
    domain?: string | undefined;
    sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
    constructor(options?: CookieOptions | null);
    get expires(): Date | null | undefined;
    set expires(date: Date | null | undefined);
    get maxAge(): number | null | undefined;
    set maxAge(ms: number | Date | null | undefined);
    get data(): {
        originalMaxAge: number | null;
        partitioned: boolean | undefined;
        priority: "high" | "low" | "medium" | undefined;
        expires: Date | null | undefined;
        secure: "auto" | boolean | undefined;
        httpOnly: boolean | undefined;
        domain: string | undefined;
        path: string | undefined;
        sameSite: "auto" | "lax" | "none" | "strict" | boolean | undefined;
    };
    serialize(name: string, value: string): string;
    toJSON(): Cookie["data"];
}

// CookieOptions
export interface CookieOptions {
    maxAge?: number | null | undefined;
    partitioned?: boolean | undefined;
    priority?: "low" | "medium" | "high" | undefined;
    signed?: boolean | undefined;
    expires?: Date | null | undefined;
    httpOnly?: boolean | undefined;
    path?: string | undefined;
    domain?: string | undefined;
    secure?: boolean | "auto" | undefined;
    encode?: ((val: string) => string) | undefined;
    sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
}

// Done
export type Done<T = void> = (error?: unknown, value?: T) => unknown;

// Duration
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

// MemoryStore
export type MemoryStore = SessionsInMemory;
export declare const MemoryStore: typeof SessionsInMemory;

// ReplaceResult
export type ReplaceResult = UpdateResult | "taken" | "unsupported";

// Session
export declare class Session {
    readonly id: string;
    readonly req: SessionOwner;
    cookie: Cookie;
    constructor(req: object, data?: object | null);
    touch(): this;
    resetMaxAge(): this;
    save(): Promise<void>;
    save(callback: Done): this;
    reload(): Promise<void>;
    reload(callback: Done): this;
    destroy(): Promise<void>;
    destroy(callback: Done): this;
    regenerate(): Promise<void>;
    regenerate(callback: Done): this;
}

// SessionData
export interface SessionData extends TheData {
}

// SessionMiddleware
export type SessionMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

// SessionOptions
export interface SessionOptions {
    secret?: SignatureKey | readonly SignatureKey[] | undefined;
    genid?: ((req: IncomingMessage) => string) | undefined;
    name?: string | undefined;
    key?: string | undefined;
    store?: SessionStoreLike | undefined;
    cookie?: CookieOptions | undefined | {
        of(req: IncomingMessage): CookieOptions;
    }["of"];
    rolling?: boolean | undefined;
    resave?: boolean | undefined;
    proxy?: boolean | undefined;
    saveUninitialized?: boolean | undefined;
    unset?: "destroy" | "keep" | undefined;
    recheck?: boolean | undefined;
}

// SessionOwner
export interface SessionOwner {
    sessionID: string;
    sessionStore: SessionStoreLike;
    session?: Session | null;
}

// SessionRecord
export interface SessionRecord {
    payload: string;
    version: number;
    secretHash: string;
    userId: string | null;
    link?: string;
    createdAt: number;
    touchedAt: number;
    expiresAt: number;
}

// SessionStore
export interface SessionStore {
    readonly synchronousLoad?: boolean;
    readonly capabilities?: Readonly<StoreCapabilities> | undefined;
    load(handle: string): Awaitable<SessionRecord | undefined>;
    create(handle: string, record: SessionRecord): Awaitable<boolean>;
    update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult>;
    touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean>;
    delete(handle: string): Awaitable<boolean>;
    replace?(handle: string, expectedVersion: number, newHandle: string, record: SessionRecord, tombstone?: StoredSession): Awaitable<ReplaceResult>;
    close(): Awaitable<void>;
}

// SessionStoreLike
export interface SessionStoreLike {
    get(id: string, callback: Done<SessionData | null | undefined | false>): unknown;
    set(id: string, session: SessionData, callback: Done): unknown;
    destroy(id: string, callback?: Done): unknown;
    touch?(id: string, session: SessionData, callback: Done): unknown;
    regenerate(req: SessionOwner, callback: Done): unknown;
    createSession(req: object, data: SessionData): unknown;
    generate(req: object): void;
    on?(event: "connect" | "disconnect", listener: () => void): unknown;
}

// SessionsInMemory
export declare class SessionsInMemory extends Store {
    sessions: {
        [id: string]: string;
    };
    get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void;
    set(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
    destroy(id: string, callback?: (error?: unknown) => void): void;
    all(callback?: (error: unknown, sessions?: {
        [id: string]: SessionData;
    } | null) => void): void;
    length(callback: (error: unknown, length?: number) => void): void;
    clear(callback?: (error?: unknown) => void): void;
    touch(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
}

// SignatureKey
export type SignatureKey = string | NodeJS.ArrayBufferView | KeyObject;

// Store
export type Store = BaseStore;
export declare const Store: typeof BaseStore;

// StoreCapabilities
export interface StoreCapabilities {
    durable: "no" | "process-crash" | "power-loss";
    shared: boolean;
    atomicUpdate: boolean;
    indexed: boolean;
}

// StoreOfAnyData
export interface StoreOfAnyData {
    get<Data>(id: string, callback: (error: unknown, session?: Data | null) => void): void;
    set(id: string, session: object, callback?: Done): void;
    touch(id: string, session: object, callback?: Done): void;
    all<Data>(callback: (error: unknown, sessions?: Data[] | null) => void): void;
    load<Data>(id: string, callback: (error?: unknown, session?: Data) => unknown): void;
    createSession<Data>(req: object, data: object): Data;
}

// StoredSession
export interface StoredSession extends SessionRecord {
    handle: string;
}

// ToExpressStore
export type ToExpressStore = Store & StoreOfAnyData & {
    close(): Promise<void>;
};

// ToExpressStoreOptions
export interface ToExpressStoreOptions {
    ttl?: Duration | undefined;
    clock?: Clock | undefined;
}

// UpdateResult
export type UpdateResult = "ok" | "conflict" | "gone";

// export =
declare function session(options?: SessionOptions): SessionMiddleware;
declare namespace session {
    export { type Awaitable, type BaseStore, type Clock, Cookie, type CookieOptions, type Done, type Duration, implementation, MemoryStore, type ReplaceResult, Session, type SessionMiddleware, type SessionOptions, type SessionOwner, type SessionRecord, type SessionStore, type SessionStoreLike, type SessionsInMemory, type SignatureKey, Store, type StoreCapabilities, type StoredSession, type StoreOfAnyData, type ToExpressStore, type ToExpressStoreOptions, toExpressStore, type UpdateResult, };
    export interface SessionData extends TheData {
    }
}

// implementation
declare const implementation = "sojourn";

// toExpressStore
export declare function toExpressStore(store: SessionStore, options?: ToExpressStoreOptions): ToExpressStore;

declare global {
    namespace Express {
        interface SojournRequests {
            "express-session": {
                session: Session & Partial<session.SessionData>;
            };
        }
        interface Request {
            sessionID: string;
            sessionStore: SessionStore;
        }
        type SessionStore = Store & SessionStoreLike;
    }
}

declare global {
    namespace Express {
        interface SojournRequests {
        }
        type SojournSession = PartOf<SojournRequests[keyof SojournRequests], "session">;
        interface Request {
            session: SojournSession;
        }
    }
}
