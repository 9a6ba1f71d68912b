// What sojourn/sqlite declares. npm run api writes this file.

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

// SqliteDatabase
export interface SqliteDatabase {
    exec(sql: string): unknown;
    prepare(sql: string): SqliteStatement;
    close(): unknown;
}

// SqliteDurability
export type SqliteDurability = "process-crash" | "full";

// SqliteStatement
export interface SqliteStatement {
    run(...parameters: SqliteValue[]): {
        changes: number | bigint;
    };
    get(...parameters: SqliteValue[]): unknown;
    all(...parameters: SqliteValue[]): unknown[];
    setReturnArrays?(enabled: boolean): void;
    raw?(enabled: boolean): unknown;
}

// SqliteStore
export declare class SqliteStore implements IndexedStore {
    readonly synchronousLoad = true;
    readonly capabilities: Readonly<StoreCapabilities>;
    constructor(pathOrDatabase: string | SqliteDatabase, options?: SqliteStoreOptions);
    load(handle: string): SessionRecord | undefined;
    create(handle: string, record: SessionRecord): Promise<boolean>;
    update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult>;
    touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean>;
    delete(handle: string): Promise<boolean>;
    replace(handle: string, expectedVersion: number, newHandle: string, record: SessionRecord, tombstone?: StoredSession): Promise<ReplaceResult>;
    admit(admission: Admission): Promise<AdmissionResult>;
    list(query: SessionQuery & {
        cursor?: string;
        limit?: number;
    }): Promise<SessionPage>;
    deleteAll({ except, ...query }: SessionQuery & {
        except?: string;
    }): Promise<number>;
    count(query?: SessionQuery): number;
    prune(limit?: number): Promise<number>;
    close(): Promise<void>;
}

// SqliteStoreOptions
export interface SqliteStoreOptions {
    table?: string | undefined;
    durability?: SqliteDurability | undefined;
    busyTimeout?: number | undefined;
    clock?: Clock | undefined;
}

// SqliteValue
export type SqliteValue = string | number | null | Uint8Array;

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
