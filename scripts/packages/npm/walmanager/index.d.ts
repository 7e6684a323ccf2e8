/** A connection of better-sqlite3 or node:sqlite. */
export interface SyncConnection {
  loadExtension(path: string): unknown;
}

/** A connection of node-sqlite3, whose loadExtension calls back, or of the package sqlite, which returns a promise. */
export interface CallbackConnection {
  loadExtension(path: string, callback?: (error: Error | null) => void): unknown;
  configure(option: any, value: any): unknown;
  parallelize(callback?: () => void): unknown;
}

/** Another connection whose loadExtension returns a promise. */
export interface PromiseConnection {
  loadExtension(path: string): Promise<unknown>;
}

/** Makes walmanager manage the connection. Throws an Error that says what to do. A second load does nothing. */
export function load(db: CallbackConnection): Promise<void>;
export function load(db: CallbackConnection, callback: (error: Error | null) => void): void;
export function load(db: PromiseConnection): Promise<void>;
export function load(db: SyncConnection): void;

/** The path of walmanager.so, for whatever loads SQLite extensions. */
export function loadablePath(): string;

/** The path of walmanagerprocess.so, which manages every connection that the process opens later, too. */
export function processLoadablePath(): string;
