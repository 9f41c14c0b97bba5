/** Whether `String()` returned this text for a missing value, NaN or an object: such users would share one token. */
export function isUnsetText(text: string): boolean {
  return /^(?:undefined|null|NaN|\[object .*)$/s.test(text)
}
