/** What a value is, for a message that says what was expected instead. Never the value itself. */
export function describeType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}
