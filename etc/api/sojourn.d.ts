// What sojourn declares. npm run api writes this file.

// Actor
export interface Actor {
    readonly userId: string;
    readonly reason: string;
    readonly since: Date;
}

// Admission
export interface Admission {
    session: StoredSession;
    limit: number;
    exceed: "revoke-oldest" | "refuse";
    replaces?: {
        handle: string;
        expectedVersion: number;
        tombstone?: StoredSession;
    };
}

// AdmissionResult
export type AdmissionResult = {
    result: "ok";
    revoked: readonly string[];
} | {
    result: "limit" | "taken" | "conflict" | "gone" | "unsupported";
};

// AuthenticationMethod
export type AuthenticationMethod = "face" | "fpt" | "geo" | "hwk" | "iris" | "kba" | "mca" | "mfa" | "otp" | "pin" | "pop" | "pwd" | "rba" | "retina" | "sc" | "sms" | "swk" | "tel" | "user" | "vbm" | "wia";

// Awaitable
export type Awaitable<T> = T | Promise<T>;

// Callback
export type Callback<T> = (error?: unknown, value?: T) => void;

// Capabilities
export interface Capabilities extends Readonly<Partial<StoreCapabilities>> {
    readonly revocable: boolean;
    readonly clientSide: boolean;
    readonly mergesRequests: boolean;
    readonly overflows: boolean;
}

// CircuitCounts
export interface CircuitCounts {
    pending: number;
    calls: number;
    failures: number;
    retries: number;
    refused: number;
}

// CircuitEvents
export interface CircuitEvents {
    open: {
        pauseMs: number;
        previous: CircuitState;
        error: unknown;
    };
    "half-open": Record<never, never>;
    closed: {
        outageMs: number;
    };
}

// CircuitState
export type CircuitState = "closed" | "open" | "half-open";

// ClientPackage
export type ClientPackage = "redis" | "ioredis";

// Clock
export interface Clock {
    now(): number;
    after(ms: number, action: () => void): () => void;
}

// ConfirmOptions
export interface ConfirmOptions {
    methods?: readonly AuthenticationMethod[] | undefined;
}

// CookieAttributes
export interface CookieAttributes {
    httpOnly?: boolean | undefined;
    sameSite?: "lax" | "strict" | "none" | undefined;
    secure?: boolean | "auto" | "always" | undefined;
    path?: string | undefined;
    domain?: string | undefined;
    partitioned?: boolean | undefined;
    priority?: "low" | "medium" | "high" | undefined;
}

// CookieOptions
export type CookieOptions<Name extends string = string> = CookieAttributes & ({
    secure?: true | "auto" | "always" | undefined;
} | {
    secure: false;
    sameSite?: "lax" | "strict" | undefined;
    partitioned?: false | undefined;
}) & (Lowercase<Name> extends `__${"host" | "http" | "secure"}-${string}` ? {
    secure?: true | "auto" | "always" | undefined;
} : unknown) & (Lowercase<Name> extends `__${"host-http" | "http"}-${string}` ? {
    httpOnly?: true | undefined;
} : unknown) & (Lowercase<Name> extends `__host-${string}` ? {
    path?: "/" | undefined;
    domain?: undefined;
} : unknown);

// DataOf
export type DataOf<Data extends object> = {
    [Name in keyof Data as Name extends keyof SessionMembers ? never : Name]?: Data[Name];
};

// Device
export interface Device {
    handle: string;
    userId: string | null;
    label: string;
    ip: string | undefined;
    createdAt: Date;
    authenticatedAt: Date | null;
    authenticationMethods: readonly string[];
    link: string | undefined;
    actor: {
        readonly userId: string;
        readonly reason: string;
        readonly since: Date;
    } | null;
    lastUsedAt: Date;
    expiresAt: Date;
    current: boolean;
}

// DeviceInfo
export interface DeviceInfo {
    label?: string;
    ip?: string;
}

// DeviceOptions
export interface DeviceOptions {
    ip?: "full" | "network" | false | undefined;
    label?: boolean | undefined;
}

// Duration
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

// ErasedSessions
export interface ErasedSessions {
    sessions: number;
    impersonations: number;
}

// ExportedSession
export interface ExportedSession {
    handle: string;
    userId: string;
    createdAt: string;
    authenticatedAt: string | null;
    authenticationMethods: readonly string[];
    lastUsedAt: string;
    expiresAt: string;
    transport: string;
    device: DeviceInfo | null;
    link: string | null;
    actor: {
        userId: string;
        reason: string;
        since: string;
    } | null;
    flash: Readonly<Record<string, readonly unknown[]>>;
    data: Record<string, unknown>;
    isDamaged: boolean;
}

// ExpressSessionStore
export interface ExpressSessionStore {
    get(id: string, callback: Callback<unknown>): unknown;
    set(id: string, session: never, callback?: Callback<unknown>): unknown;
    destroy(id: string, callback?: Callback<unknown>): unknown;
    close?(): unknown;
}

// FileStoreOptions
export interface FileStoreOptions {
    clock?: Clock | undefined;
}

// FreshnessGuard
export type FreshnessGuard = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

// ImpersonateOptions
export interface ImpersonateOptions {
    reason: string;
    for?: Duration | undefined;
}

// IndexedStore
export interface IndexedStore extends SessionStore {
    list(query: SessionQuery & {
        cursor?: string;
        limit?: number;
    }): Awaitable<SessionPage>;
    deleteAll(query: SessionQuery & {
        except?: string;
    }): Awaitable<number>;
    count(query?: SessionQuery): Awaitable<number>;
    admit?(admission: Admission): Awaitable<AdmissionResult>;
    prune(limit?: number): Awaitable<number>;
}

// InferData
export type InferData<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["input"];

// LegacyReader
export interface LegacyReader {
    readonly name: string;
    readonly clearing: readonly string[];
    read(req: IncomingMessage): Awaitable<LegacySession | undefined>;
}

// LegacySession
export interface LegacySession {
    readonly data: Readonly<Record<string, unknown>>;
    readonly userId?: string | undefined;
    end(): Awaitable<void>;
}

// LoginOptions
export interface LoginOptions {
    remember?: Duration | false | undefined;
    device?: string | DeviceInfo | undefined;
    keep?: boolean | readonly string[] | undefined;
    methods?: readonly AuthenticationMethod[] | undefined;
    notAfter?: Date | number | undefined;
    link?: string | undefined;
    stamp?: string | undefined;
}

// LogoutOptions
export interface LogoutOptions {
    everywhere?: boolean | undefined;
    clearSiteData?: boolean | undefined;
}

// LogoutRefusal
export type LogoutRefusal = "request" | "malformed" | "type" | "algorithm" | "signature" | "issuer" | "audience" | "issued-in-future" | "expired" | "not-yet-valid" | "events" | "nonce" | "claims" | "replayed";

// ManagedKeys
export declare class ManagedKeys {
    ready(): Promise<void>;
}

// MemoryStore
export declare class MemoryStore implements IndexedStore {
    readonly synchronousLoad = true;
    readonly capabilities: Readonly<StoreCapabilities>;
    constructor(options?: MemoryStoreOptions);
    load(handle: string): SessionRecord | undefined;
    create(handle: string, record: SessionRecord): boolean;
    update(handle: string, record: SessionRecord, expectedVersion: number): UpdateResult;
    touch(handle: string, touchedAt: number, expiresAt: number): boolean;
    delete(handle: string): boolean;
    replace(handle: string, expectedVersion: number, newHandle: string, record: SessionRecord, tombstone?: StoredSession): ReplaceResult;
    admit(admission: Admission): AdmissionResult;
    list(query: SessionQuery & {
        cursor?: string;
        limit?: number;
    }): SessionPage;
    deleteAll(query: SessionQuery & {
        except?: string;
    }): number;
    count(query?: SessionQuery): number;
    prune(limit?: number): number;
    close(): void;
}

// MemoryStoreOptions
export interface MemoryStoreOptions {
    maxEntries?: number | undefined;
    maxBytes?: number | undefined;
    onEvict?: ((evicted: {
        handle: string;
        userId: string | null;
    }) => void) | undefined;
    acceptLossOnRestart?: boolean | undefined;
    clock?: Clock | undefined;
}

// Migration
export interface Migration {
    readonly from: number;
    up(data: Record<string, unknown>): Record<string, unknown> | undefined | void;
}

// MysqlStoreOptions
export interface MysqlStoreOptions extends SqlStoreOptions {
    schema?: string | undefined;
}

// NotForData
export type NotForData = "req.session has a member of this name; choose another name for your data";

// OpenStoreOptions
export interface OpenStoreOptions {
    memory?: MemoryStoreOptions | undefined;
    sqlite?: SqliteStoreOptions | undefined;
    file?: FileStoreOptions | undefined;
    redis?: RedisStoreOptions | undefined;
    postgres?: PostgresStoreOptions | undefined;
    mysql?: MysqlStoreOptions | undefined;
    clock?: Clock | undefined;
}

// PostgresStoreOptions
export interface PostgresStoreOptions extends SqlStoreOptions {
    schema?: string | undefined;
    prepare?: boolean | undefined;
}

// QueryOptions
export interface QueryOptions {
    iUnderstandThatAddressesLeak: boolean;
    name?: string | undefined;
    bind?: ((req: IncomingMessage) => string) | undefined;
}

// RedisStoreOptions
export interface RedisStoreOptions {
    prefix?: string | undefined;
    client?: ClientPackage | undefined;
    wait?: WaitOptions | undefined;
    clock?: Clock | undefined;
}

// RegenerateOptions
export interface RegenerateOptions {
    keep?: boolean | readonly string[] | undefined;
}

// ReplaceResult
export type ReplaceResult = UpdateResult | "taken" | "unsupported";

// RequireFreshOptions
export interface RequireFreshOptions {
    within: Duration;
    methods?: readonly AuthenticationMethod[] | undefined;
    redirect?: string | undefined;
}

// ResilientOptions
export interface ResilientOptions {
    timeout?: {
        read?: Duration | undefined;
        commit?: Duration | undefined;
    } | undefined;
    maxPending?: number | undefined;
    retryReads?: boolean | undefined;
    clock?: Clock | undefined;
    random?: (() => number) | undefined;
}

// ResilientStore
export interface ResilientStore extends SessionStore {
    readonly state: CircuitState;
    readonly counts: Readonly<CircuitCounts>;
    on<E extends keyof CircuitEvents>(event: E, listener: (detail: CircuitEvents[E]) => void): () => void;
}

// SchemaIssue
export interface SchemaIssue {
    readonly message: string;
    readonly path?: readonly (PropertyKey | {
        readonly key: PropertyKey;
    })[] | undefined;
}

// SchemaResult
export type SchemaResult = {
    readonly value: unknown;
    readonly issues?: undefined;
} | {
    readonly issues: readonly SchemaIssue[];
};

// SealedStore
export declare class SealedStore {
    constructor(options?: SealedStoreOptions);
}

// SealedStoreOptions
export interface SealedStoreOptions {
    secret?: string | Buffer | readonly (string | Buffer)[] | undefined;
    revocations?: SessionStore | undefined;
    chunks?: 1 | 2 | 3 | undefined;
    overflow?: SessionStore | undefined;
}

// Secret
export type Secret = string | Buffer | readonly (string | Buffer)[];

// Session
export type Session<Data extends object = SessionData> = SessionMembers<Data> & DataOf<Data>;

// SessionData
export interface SessionData {
    actor?: NotForData;
    authenticatedAt?: NotForData;
    authenticationMethods?: NotForData;
    confirm?: NotForData;
    createdAt?: NotForData;
    destroy?: NotForData;
    expiresAt?: NotForData;
    flash?: NotForData;
    id?: NotForData;
    impersonate?: NotForData;
    isNew?: NotForData;
    login?: NotForData;
    logout?: NotForData;
    persist?: NotForData;
    regenerate?: NotForData;
    reload?: NotForData;
    save?: NotForData;
    stopImpersonating?: NotForData;
    touch?: NotForData;
    transport?: NotForData;
    update?: NotForData;
    userId?: NotForData;
}

// SessionEvent
export type SessionEvent = keyof SessionEvents;

// SessionEvents
export interface SessionEvents {
    create: {
        handle: string;
        userId: string | null;
    };
    login: {
        handle: string;
        userId: string;
        previous: string | undefined;
    };
    regenerate: {
        handle: string | undefined;
        previous: string;
    };
    confirm: {
        handle: string;
        userId: string;
    };
    impersonate: {
        handle: string;
        userId: string;
        actorId: string;
        reason: string;
        until: Date;
        previous: string;
    };
    "impersonation-ended": {
        handle: string;
        userId: string;
        actorId: string;
        reason: string;
    };
    destroy: {
        handle: string;
        userId: string | null;
    };
    revoke: {
        handle?: string;
        userId?: string;
        link?: string;
        except?: string;
        count: number;
    };
    invalidated: {
        handle: string;
        userId: string;
    };
    "validation-failed": {
        handle: string;
        userId: string;
        error: SojournError;
    };
    conflict: {
        handle: string;
        attempt: number;
    };
    overwritten: {
        handle: string;
        property: string;
    };
    gone: {
        handle: string;
    };
    "damaged-record": {
        handle: string;
    };
    "migration-failed": {
        handle: string;
        from: number;
        to: number;
        error: SojournError;
    };
    "duplicate-cookie": {
        count: number;
    };
    "transport-refused": {
        handle: string;
    };
    "cross-site": {
        reason: "sec-fetch-site" | "origin" | "no-header";
        origin: string | undefined;
    };
    "logout-refused": {
        issuer: string;
        reason: LogoutRefusal;
    };
    "keys-rotated": {
        keys: number;
        writesFrom: Date;
    };
    "cookie-not-sent": {
        reason: "insecure" | "headers-sent";
    };
    "store-error": {
        operation: string;
        error: SojournError;
    };
}

// SessionLimit
export interface SessionLimit {
    limit: number | ((userId: string) => Awaitable<number>);
    exceed?: "revoke-oldest" | "refuse" | undefined;
}

// SessionMembers
export interface SessionMembers<Data extends object = SessionData> {
    readonly id: string;
    readonly isNew: boolean;
    readonly userId: string | null;
    readonly createdAt: Date;
    readonly authenticatedAt: Date | null;
    readonly authenticationMethods: readonly string[];
    readonly actor: Actor | null;
    readonly expiresAt: Date;
    readonly transport: string;
    save(callback?: Callback<void>): Promise<void>;
    reload(callback?: Callback<void>): Promise<void>;
    regenerate(options?: RegenerateOptions | Callback<void>, callback?: Callback<void>): Promise<void>;
    login(userId: string, options?: LoginOptions | Callback<void>, callback?: Callback<void>): Promise<void>;
    confirm(options?: ConfirmOptions | Callback<void>, callback?: Callback<void>): Promise<void>;
    impersonate(userId: string, options: ImpersonateOptions, callback?: Callback<void>): Promise<void>;
    stopImpersonating(callback?: Callback<void>): Promise<void>;
    logout(options?: LogoutOptions | Callback<void>, callback?: Callback<void>): Promise<void>;
    destroy(callback?: Callback<void>): Promise<void>;
    touch(callback?: Callback<void>): Promise<void>;
    update<T>(change: (session: Session<Data>) => Awaitable<T>, callback?: Callback<T>): Promise<T>;
    persist(duration: Duration | false, callback?: Callback<void>): Promise<void>;
    flash(type: string, message: unknown): void;
    flash(type: string): unknown[];
}

// SessionOptions
export interface SessionOptions<Name extends string = string> {
    store?: SessionStore | SealedStore | ExpressSessionStore | undefined;
    secret?: Secret | ManagedKeys | undefined;
    encrypt?: boolean | undefined;
    transport?: TransportChoice | readonly TransportChoice[] | undefined;
    name?: Name | undefined;
    cookie?: CookieOptions<Name> | ((req: IncomingMessage) => CookieOptions<Name>) | undefined;
    idleTimeout?: Duration | false | undefined;
    absoluteTimeout?: Duration | false | undefined;
    touchAfter?: Duration | undefined;
    trustProxy?: TrustProxy | undefined;
    storeTimeout?: {
        read?: Duration | undefined;
        commit?: Duration | undefined;
    } | undefined;
    onStoreError?: "error" | "anonymous" | undefined;
    onError?: ((error: unknown, req: IncomingMessage, res: ServerResponse) => void) | undefined;
    maxSessionsPerUser?: number | SessionLimit | undefined;
    freshFor?: Duration | undefined;
    validate?: ((session: SessionToValidate) => Awaitable<boolean>) | undefined;
    validateEvery?: Duration | undefined;
    validateTimeout?: Duration | undefined;
    onValidateError?: "refuse" | "keep" | undefined;
    countsAsUse?: ((req: IncomingMessage) => boolean) | undefined;
    device?: DeviceOptions | false | undefined;
    schema?: StandardSchema<ValidData> | undefined;
    migrate?: readonly Migration[] | undefined;
    onSchemaError?: "set-aside" | "drop" | undefined;
    maxBytes?: number | undefined;
    accept?: readonly LegacyReader[] | undefined;
    clock?: Clock | undefined;
}

// SessionPage
export interface SessionPage {
    sessions: StoredSession[];
    cursor?: string;
}

// SessionQuery
export interface SessionQuery {
    userId?: string;
    link?: string;
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

// SessionSnapshot
export interface SessionSnapshot<Data extends object = SessionData> {
    handle: string;
    userId: string | null;
    transport: string;
    createdAt: Date;
    authenticatedAt: Date | null;
    authenticationMethods: readonly string[];
    link: string | undefined;
    stamp: string | undefined;
    actor: Actor | null;
    lastUsedAt: Date;
    expiresAt: Date;
    data: DataOf<Data> & Record<string, unknown>;
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

// SessionToValidate
export interface SessionToValidate {
    readonly userId: string;
    readonly authenticatedAt: Date;
    readonly stamp: string | null;
}

// Sessions
export interface Sessions<Data extends object = SessionData> {
    (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void;
    of(req: IncomingMessage): Session<Data>;
    list(of: string | {
        link: string;
    }, options?: {
        current?: object | undefined;
        impersonations?: boolean | undefined;
    }): Promise<Device[]>;
    revoke(handle: string, options?: {
        userId?: string;
        by?: object;
    }): Promise<boolean>;
    revokeAll(of: string | {
        link: string;
    }, options?: {
        except?: object | string;
        by?: object;
    }): Promise<number>;
    get(handle: string): Promise<SessionSnapshot<Data> | undefined>;
    count(of?: string | {
        link: string;
    }): Promise<number>;
    prune(limit?: number): Promise<number>;
    export(userId: string): Promise<ExportedSession[]>;
    erase(userId: string): Promise<ErasedSessions>;
    close(): Promise<void>;
    readonly capabilities: Capabilities;
    on<Event extends SessionEvent>(event: Event, listener: (detail: SessionEvents[Event]) => void): () => void;
    authenticateUpgrade(req: IncomingMessage, options?: UpgradeOptions): Promise<UpgradeSession<Data> | undefined>;
    openToken(token: string, options?: TouchOptions): Promise<UpgradeSession<Data> | undefined>;
    urlToken(userId: string, options?: {
        expiresIn?: Duration;
        for?: IncomingMessage;
    }): string;
}

// SojournError
export declare class SojournError extends Error {
    readonly name = "SojournError";
    readonly code: SojournErrorCode;
    readonly status: number;
    readonly headers?: Record<string, string>;
    readonly devices?: readonly Device[];
    constructor(code: SojournErrorCode, message: string, cause?: unknown);
}

// SojournErrorCode
export type SojournErrorCode = "STORE_UNAVAILABLE" | "STORE_TIMEOUT" | "STORE_FULL" | "STORE_CORRUPT" | "STORE_CLOSED" | "CONFLICT" | "SESSION_GONE" | "SESSION_ENDED" | "NOT_SERIALIZABLE" | "INVALID_DATA" | "TOO_LARGE" | "HEADERS_SENT" | "NO_USER_INDEX" | "MIXED_TOKENS" | "VALIDATION_FAILED" | "CROSS_SITE" | "PROVIDER_UNAVAILABLE" | "KEYS_UNAVAILABLE" | "NOT_LOGGED_IN" | "NOT_FRESH" | "TOO_MANY_SESSIONS" | "IMPERSONATING" | "NOT_IMPERSONATING";

// SqlStoreOptions
export interface SqlStoreOptions {
    table?: string | undefined;
    schema?: string | undefined;
    createTable?: boolean | undefined;
    maxConnections?: number | undefined;
    timeoutMs?: number | undefined;
    clock?: Clock | undefined;
}

// SqliteDurability
export type SqliteDurability = "process-crash" | "full";

// SqliteStoreOptions
export interface SqliteStoreOptions {
    table?: string | undefined;
    durability?: SqliteDurability | undefined;
    busyTimeout?: number | undefined;
    clock?: Clock | undefined;
}

// StandardSchema
export interface StandardSchema<Input = unknown> {
    readonly "~standard": {
        readonly version: 1;
        readonly vendor: string;
        readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>;
        readonly types?: {
            readonly input: Input;
            readonly output: unknown;
        } | undefined;
    };
}

// StoreCapabilities
export interface StoreCapabilities {
    durable: "no" | "process-crash" | "power-loss";
    shared: boolean;
    atomicUpdate: boolean;
    indexed: boolean;
}

// StoredSession
export interface StoredSession extends SessionRecord {
    handle: string;
}

// TouchOptions
export interface TouchOptions {
    touch?: boolean | undefined;
}

// TransportChoice
export interface TransportChoice {
    readonly transport: string;
    readonly header?: string;
}

// TrustProxy
export type TrustProxy = boolean | number | ((address: string, hop: number) => boolean);

// UpdateResult
export type UpdateResult = "ok" | "conflict" | "gone";

// UpgradeOptions
export interface UpgradeOptions extends TouchOptions {
    origins?: readonly string[] | undefined;
}

// UpgradeSession
export interface UpgradeSession<Data extends object = SessionData> extends SessionSnapshot<Data> {
    onEnd(listener: () => void): () => void;
    touch(): Promise<void>;
}

// ValidData
export type ValidData = object & {
    [Name in keyof SessionMembers]?: NotForData;
};

// WaitOptions
export interface WaitOptions {
    replicas: number;
    timeoutMs: number;
}

// bearer
export declare function bearer(): TransportChoice;

// cookie
export declare function cookie(): TransportChoice;

// duration
export declare function duration(text: string): number;

// header
export declare function header(name: string): TransportChoice;

// openStore
export declare function openStore(url: string, options?: OpenStoreOptions): Promise<IndexedStore>;

// query
export declare function query({ iUnderstandThatAddressesLeak, name, bind }: QueryOptions): TransportChoice;

// requireFresh
export declare function requireFresh(options: RequireFreshOptions): FreshnessGuard;

// resilient
export declare function resilient<Store extends SessionStore | ExpressSessionStore>(store: Store, options?: ResilientOptions): Store extends IndexedStore ? ResilientStore & IndexedStore : ResilientStore;

// returnTo
export declare function returnTo(req: IncomingMessage): string;

// session
export declare function session<Data extends ValidData, Name extends string = string>(options: SessionOptions<Name> & {
    schema: StandardSchema<Data>;
}): Sessions<Data>;
export declare function session<Data extends ValidData = SessionData, Name extends string = string>(options?: SessionOptions<Name>): Sessions<Data>;

// systemClock
export declare const systemClock: Clock;

declare global {
    namespace Express {
        interface SojournRequests {
            sojourn: {
                session: Session;
            };
        }
        interface Request {
            sessionID: string;
        }
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
