import { LRUCache } from 'lru-cache'
import { ownProperties } from './own-properties.js'

/**
 * Creates an lru-cache with only these options, whatever `Object.prototype` contains. Pass `DEFAULTS` to its methods.
 */
export function makeLru<V extends object>(options: LRUCache.OptionsMaxLimit<string, V, unknown>): LRUCache<string, V> {
  return new LRUCache<string, V>(ownProperties(options))
}

/**
 * Options that inherit nothing: lru-cache would otherwise read them from `Object.prototype`.
 *
 * It is a class, because with an object without a prototype a hit takes twice as long.
 */
class DefaultOptions {
  get status(): undefined {
    return undefined
  }
  /** lru-cache writes this property, and the next call must not see it. */
  set status(_: unknown) {
    // Discards the value.
  }
}
Object.setPrototypeOf(DefaultOptions.prototype, null)

/** The options of one call, all with their defaults. */
export const DEFAULTS: object = new DefaultOptions()
