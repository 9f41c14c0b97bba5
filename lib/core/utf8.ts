const encoder = new TextEncoder()
/** A byte order mark is a character of a text. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export function utf8BytesOf(text: string): Uint8Array<ArrayBuffer> {
  // A copy, because in Jest's jsdom the encoder is of Node, and jose accepts only the arrays of jsdom.
  return new Uint8Array(encoder.encode(text))
}

export function utf8TextOf(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}
