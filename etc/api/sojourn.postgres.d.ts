// What sojourn/postgres declares. npm run api writes this file.

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

// Awaitable
export type Awaitable<T> = T | Promise<T>;

// Clock
export interface Clock {
    now(): number;
    after(ms: number, action: () => void): () => void;
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

// PostgresClient
export interface PostgresClient {
    query(query: PostgresQuery): Promise<PostgresResult>;
    release(destroy?: boolean): void;
    on(event: "error", listener: (error: Error) => void): unknown;
    removeListener(event: "error", listener: (error: Error) => void): unknown;
}

// PostgresPool
export interface PostgresPool {
    connect(): Promise<PostgresClient>;
}

// PostgresQuery
export interface PostgresQuery {
    name?: string;
    text: string;
    values: (string | number | Buffer | null)[];
    rowMode: "array";
    types: {
        getTypeParser(): (value: unknown) => unknown;
    };
}

// PostgresResult
export interface PostgresResult {
    rows: unknown[][];
    rowCount: number | null;
}

// PostgresStore
export declare class PostgresStore extends SqlStore<PostgresPool, PostgresClient> {
    constructor(poolOrUrl: string | PostgresPool, options?: PostgresStoreOptions);
}

// PostgresStoreOptions
export interface PostgresStoreOptions extends SqlStoreOptions {
    schema?: string | undefined;
    prepare?: boolean | undefined;
}

// ReplaceResult
export type ReplaceResult = UpdateResult | "taken" | "unsupported";

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

// SqlStoreOptions
export interface SqlStoreOptions {
    table?: string | undefined;
    schema?: string | undefined;
    createTable?: boolean | undefined;
    maxConnections?: number | undefined;
    timeoutMs?: number | undefined;
    clock?: Clock | undefined;
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

// UpdateResult
export type UpdateResult = "ok" | "conflict" | "gone";
