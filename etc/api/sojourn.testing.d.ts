// What sojourn/testing declares. npm run api writes this file.

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

// ConformanceTarget
export interface ConformanceTarget {
    name: string;
    open(clock: ManualClock): Promise<readonly [
        SessionStore,
        SessionStore
    ]>;
    remove?(): Promise<void> | void;
    anyText?: boolean;
    admits?: boolean;
    skip?: string | undefined;
}

// Fault
export type Fault = {
    readonly kind: "error";
    readonly error?: Error;
} | {
    readonly kind: "delay";
    readonly ms: number;
} | {
    readonly kind: "hang";
} | {
    readonly kind: "lost reply";
    readonly error?: Error;
} | {
    readonly kind: "no reply";
} | {
    readonly kind: "duplicate";
};

// Faulty
export interface Faulty<Store extends SessionStore> {
    readonly store: Store;
    readonly calls: readonly StoreOperation[];
    fail(operation: StoreOperation | "any", fault: Fault, times?: number): void;
    heal(): void;
}

// FaultyOptions
export interface FaultyOptions extends GatedOptions {
    clock?: Clock;
}

// Gate
export interface Gate {
    readonly reached: Promise<void>;
    release(): void;
}

// Gated
export interface Gated<Store extends SessionStore> {
    readonly store: Store;
    hold(operation: StoreOperation, when: "before" | "after", nth?: number): Gate;
}

// GatedOptions
export interface GatedOptions {
    synchronousLoad?: false;
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

// ManualClock
export declare class ManualClock implements Clock {
    constructor(start?: number);
    now(): number;
    after(ms: number, action: () => void): () => void;
    get pending(): number;
    advance(ms: number): void;
    set(instant: number): void;
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

// StoreOperation
export type StoreOperation = Exclude<keyof IndexedStore, "synchronousLoad" | "capabilities">;

// StoredSession
export interface StoredSession extends SessionRecord {
    handle: string;
}

// UpdateResult
export type UpdateResult = "ok" | "conflict" | "gone";

// faulty
export declare function faulty<Store extends SessionStore>(store: Store, options?: FaultyOptions): Faulty<Store extends IndexedStore ? IndexedStore : SessionStore>;

// gated
export declare function gated<Store extends SessionStore>(store: Store, options?: GatedOptions): Gated<Store extends IndexedStore ? IndexedStore : SessionStore>;

// storeConformance
export declare function storeConformance(target: ConformanceTarget): void;
