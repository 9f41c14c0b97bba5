/** The own members alone, without a prototype: what stands on `Object.prototype` is not read. */
export function ownProperties<T extends object>(given: T): T {
  return Object.assign(Object.create(null) as T, given)
}

/** As `ownProperties`, of one. */
export function readOwn(given: object, key: string): unknown {
  return Object.hasOwn(given, key) ? (given as Record<string, unknown>)[key] : undefined
}

/**
 * A member that `given` inherits and a reader of own members would miss: one of `names`, or any where it has no own ones.
 *
 * What stands on `Object.prototype` is not meant for it, and does not count.
 */
export function inheritedProperty(given: object, names: ReadonlySet<string>): string | undefined {
  let owner = prototypeOf(given)
  // Most are plain objects, and each call of a hit with options comes here.
  if (!owner || isRoot(owner)) return undefined
  const isEmpty = Object.keys(given).length === 0
  const counts = (name: string): boolean => name !== 'constructor' && (isEmpty || names.has(name))
  for (; owner && !isRoot(owner); owner = prototypeOf(owner)) {
    const found = Object.getOwnPropertyNames(owner).find(name => counts(name) && !Object.hasOwn(given, name))
    if (found !== undefined) return found
  }
  return undefined
}

function prototypeOf(object: object): object | null {
  return Object.getPrototypeOf(object) as object | null
}

/** `Object.prototype`, also that of another realm, such as a Jest test's. */
function isRoot(object: object): boolean {
  return Object.hasOwn(object, 'isPrototypeOf')
}
