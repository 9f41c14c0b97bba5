/** The own members alone, without a prototype: what somebody put on `Object.prototype` says nothing here. */
export function ownMembers<T extends object>(given: T): T {
  return Object.assign(Object.create(null) as T, given)
}

/** As `ownMembers`, of one. */
export function readOwn(given: object, key: string): unknown {
  return Object.hasOwn(given, key) ? (given as Record<string, unknown>)[key] : undefined
}
