// What sojourn/memory declares. npm run api writes this file.

// Awaitable
export type Awaitable<T> = T | Promise<T>;

// Clock
export interface Clock {
    now(): number;
    after(ms: number, action: () => void): () => void;
}

// IndexedStore
export interface IndexedStore extends SessionStore {
    list(query: {
        userId?: string;
        cursor?: string;
        limit?: number;
    }): Awaitable<SessionPage>;
    deleteAll(query: {
        userId?: string;
        except?: string;
    }): Awaitable<number>;
    count(query?: {
        userId?: string;
    }): Awaitable<number>;
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
    list(query: {
        userId?: string;
        cursor?: string;
        limit?: number;
    }): SessionPage;
    deleteAll(query: {
        userId?: string;
        except?: string;
    }): number;
    count(query?: {
        userId?: string;
    }): number;
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

// SessionRecord
export interface SessionRecord {
    payload: string;
    version: number;
    secretHash: string;
    userId: string | null;
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
