import { utf8BytesOf, utf8TextOf } from './utf8.js'

/** Copies a string that may be a slice: a slice keeps the whole text that it was cut from in memory. */
export function copyText(text: string): string {
  return utf8TextOf(utf8BytesOf(text))
}
