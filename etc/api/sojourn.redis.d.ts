// What sojourn/redis declares. npm run api writes this file.

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

// ClientPackage
export type ClientPackage = "redis" | "ioredis";

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

// IoredisClient
export interface IoredisClient {
    readonly status: string;
    readonly isCluster: boolean;
    call(command: string, ...args: string[]): Promise<unknown>;
    duplicate(different?: object): object;
}

// IoredisCluster
export interface IoredisCluster extends IoredisClient {
    pipeline(commands: string[][]): {
        exec(): Promise<[
            error: Error | null,
            reply: unknown
        ][] | null>;
    };
    readonly options: {
        readonly scaleReads?: unknown;
    };
}

// NodeRedisClient
export interface NodeRedisClient {
    readonly isReady: boolean;
    sendCommand(args: string[]): Promise<unknown>;
    duplicate(different?: object): object;
}

// NodeRedisCluster
export interface NodeRedisCluster {
    readonly masters: readonly unknown[];
    sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
    duplicate(different?: object): object;
}

// NodeRedisPool
export interface NodeRedisPool {
    readonly idleClients: number;
    sendCommand(args: string[]): Promise<unknown>;
    execute(task: (client: NodeRedisClient) => Promise<unknown>): Promise<unknown>;
}

// NodeRedisSentinel
export interface NodeRedisSentinel {
    getMasterNode(): unknown;
    sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
    use(task: (client: {
        sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
    }) => Promise<unknown>): Promise<unknown>;
    duplicate(different?: object): object;
}

// RedisClient
export type RedisClient = NodeRedisClient | NodeRedisPool | NodeRedisSentinel | NodeRedisCluster | IoredisClient;

// RedisStore
export declare class RedisStore implements IndexedStore {
    readonly capabilities: Readonly<StoreCapabilities>;
    constructor(clientOrUrl: RedisClient | string, options?: RedisStoreOptions);
    load(handle: string): Promise<SessionRecord | undefined>;
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
    count(query?: SessionQuery): Promise<number>;
    prune(limit?: number): Promise<number>;
    close(): Promise<void>;
}

// RedisStoreOptions
export interface RedisStoreOptions {
    prefix?: string | undefined;
    client?: ClientPackage | undefined;
    wait?: WaitOptions | undefined;
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

// WaitOptions
export interface WaitOptions {
    replicas: number;
    timeoutMs: number;
}
