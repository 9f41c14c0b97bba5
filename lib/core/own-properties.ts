/** Returns only the own properties, without a prototype, so that `Object.prototype` is not read. */
export function ownProperties<T extends object>(given: T): T {
  return Object.assign(Object.create(null) as T, given)
}

/** Like `ownProperties`, for one property. */
export function readOwn(given: object, key: string): unknown {
  return Object.hasOwn(given, key) ? (given as Record<string, unknown>)[key] : undefined
}

/**
 * Returns an inherited property of `given` that a reader of own properties would miss: one of `names`, or any if it has
 * no own properties. Properties of `Object.prototype` do not count.
 */
export function inheritedProperty(given: object, names: ReadonlySet<string>): string | undefined {
  let owner = prototypeOf(given)
  // A fast path for plain objects, because each hit with options comes here.
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

/** Whether it is `Object.prototype`, of any realm, such as that of a Jest test. */
function isRoot(object: object): boolean {
  return object === Object.prototype || Object.hasOwn(object, 'isPrototypeOf')
}
