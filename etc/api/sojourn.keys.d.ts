// What sojourn/keys declares. npm run api writes this file.

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

// Duration
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

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

// KeySealer
export interface KeySealer {
    seal(key: Buffer): string | Promise<string>;
    open(sealed: string): Buffer | Promise<Buffer>;
}

// ManagedKeys
export declare class ManagedKeys {
    ready(): Promise<void>;
}

// ManagedKeysOptions
export interface ManagedKeysOptions {
    store: SessionStore;
    rootKey: Secret | KeySealer;
    rotateEvery?: Duration | undefined;
    keepFor?: Duration | false | undefined;
    name?: string | undefined;
    clock?: Clock | undefined;
}

// ReplaceResult
export type ReplaceResult = UpdateResult | "taken" | "unsupported";

// Secret
export type Secret = string | Buffer | readonly (string | Buffer)[];

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

// managedKeys
export declare function managedKeys(options: ManagedKeysOptions): ManagedKeys;
