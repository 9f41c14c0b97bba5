/** Copies a string that may be a slice: a slice keeps the whole text that it was cut from in memory. */
export function copyText(text: string): string {
  return Buffer.from(text).toString()
}
