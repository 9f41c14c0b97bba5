/** What a value is, for a message that says what was expected instead. Never the value itself. */
export function describeType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}

/** What `String()` makes of a missing value, a wrong number or an object: users who have it would share one token. */
export function isUnsetText(text: string): boolean {
  return /^(?:undefined|null|NaN|\[object .*)$/s.test(text)
}
