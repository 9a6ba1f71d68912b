// What sojourn/memory declares. npm run api writes this file.

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
