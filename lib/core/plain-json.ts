type Plain = string | number | readonly Plain[] | { readonly [name: string]: Plain }

/**
 * Returns the JSON of plain data, like `JSON.stringify`, but ignores a `toJSON` of `Object.prototype` or
 * `Array.prototype`: with one, different keys or requests could become the same text.
 */
export function plainJson(value: Plain): string {
  if (typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(plainJson).join(',')}]`
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${plainJson(member)}`)
  return `{${members.join(',')}}`
}

/** `Array.isArray` does not narrow to readonly arrays. */
function isList(value: object): value is readonly Plain[] {
  return Array.isArray(value)
}
