import { isNote, type SessionRecord, type StoredSession } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";

/** A store that tells which notes are in it: no store lists them. */
export class NotedStore extends MemoryStore {
  readonly #handles = new Set<string>();

  get notes(): StoredSession[] {
    return [...this.#handles].flatMap((handle) => {
      const record = this.load(handle);
      return record === undefined ? [] : [{ handle, ...record }];
    });
  }

  override create(handle: string, record: SessionRecord): boolean {
    if (isNote(handle)) this.#handles.add(handle);
    return super.create(handle, record);
  }
}
