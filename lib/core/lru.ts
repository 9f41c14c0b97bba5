import { LRUCache } from 'lru-cache'
import { ownProperties } from './own-properties.js'

/** An lru-cache with no other options than these, whatever stands on `Object.prototype`. Give `DEFAULTS` to its methods. */
export function makeLru<V extends object>(options: LRUCache.OptionsMaxLimit<string, V, unknown>): LRUCache<string, V> {
  return new LRUCache<string, V>(ownProperties(options))
}

/**
 * It inherits nothing, where lru-cache would take the options of a call from `{}`, and so from `Object.prototype`.
 *
 * A class, for a hit takes no longer with it; with an object made without a prototype it takes twice as long.
 */
class DefaultOptions {
  get status(): undefined {
    return undefined
  }
  /** lru-cache writes it, and what one call wrote must not be there for the next. */
  set status(_: unknown) {
    // Not kept.
  }
}
Object.setPrototypeOf(DefaultOptions.prototype, null)

/** The options of one call, all left at their defaults. */
export const DEFAULTS: object = new DefaultOptions()
