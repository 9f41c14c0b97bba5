import type { SharedStore } from '../../lib/store/shared-store.js'

/** A shared store that has nothing and does nothing, except what `methods` do. */
export function makeSharedStore(methods: Partial<SharedStore> = {}): SharedStore {
  return {
    listen: () => undefined,
    read: async () => undefined,
    check: async () => 'absent',
    write: async () => undefined,
    lease: async () => undefined,
    invalidate: async () => undefined,
    remove: async () => undefined,
    flush: async () => undefined,
    close: async () => undefined,
    ...methods,
  }
}
