/** What `String()` makes of a missing value, a wrong number or an object: users who have it would share one token. */
export function isUnsetText(text: string): boolean {
  return /^(?:undefined|null|NaN|\[object .*)$/s.test(text)
}
