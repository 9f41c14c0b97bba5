type Plain = string | number | readonly Plain[] | { readonly [name: string]: Plain }

/**
 * The JSON text of plain data, as `JSON.stringify` writes it, whatever `toJSON` stands on `Object.prototype` or
 * `Array.prototype`: with one, two different keys or requests could become the same text.
 */
export function plainJson(value: Plain): string {
  if (typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(plainJson).join(',')}]`
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${plainJson(member)}`)
  return `{${members.join(',')}}`
}

/** `Array.isArray` does not tell TypeScript of readonly arrays. */
function isList(value: object): value is readonly Plain[] {
  return Array.isArray(value)
}
