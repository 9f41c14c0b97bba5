const REDACTED = '[redacted]'

/** Base64, JWTs, hex, percent-encoded text: no word of an error message is that long, and every encoded secret is. */
const OPAQUE_RUN = /[A-Za-z0-9+/=_.~%-]{32,}/g
/** Control characters, line separators and the bidirectional overrides, none of which belongs in a log line. */
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g

const NOT_OF_A_SECRET = /[^\x21-\x7e]+/g

const MAX_LENGTH = 300

/**
 * Makes text that came from outside fit for an error message: without the secret in any usual encoding, without any
 * long opaque run (a token, or the secret encoded in a way not thought of), on one line, and short.
 */
export function scrub(text: string, secret: string): string {
  const forms = [...formsOf(secret)]
  let clean = text
  for (const form of forms) clean = clean.replaceAll(form, REDACTED)
  // Broken up by spaces, line ends or what cannot be seen, it is as good as whole.
  const joined = clean.replace(NOT_OF_A_SECRET, '')
  if (forms.some(form => joined.includes(form))) return REDACTED
  clean = clean.replace(OPAQUE_RUN, REDACTED).replace(UNPRINTABLE, ' ').trim()
  return clean.length > MAX_LENGTH ? `${clean.slice(0, MAX_LENGTH)}…` : clean
}

/** Whether `text` repeats the secret in any usual encoding; in letters of whatever case, as ids are often rewritten. */
export function repeats(text: string, secret: string): boolean {
  const folded = text.toLowerCase()
  return [...formsOf(secret)].some(form => folded.includes(form.toLowerCase()))
}

function formsOf(secret: string): Set<string> {
  const bytes = Buffer.from(secret)
  const base64 = bytes.toString('base64')
  const percent = encodeURIComponent(secret)
  return new Set([
    secret,
    base64,
    base64.replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    percent,
    percent.replace(/%[0-9A-F]{2}/g, escape => escape.toLowerCase()),
    percentEncodeAll(bytes),
    JSON.stringify(secret).slice(1, -1),
  ])
}

function percentEncodeAll(bytes: Buffer): string {
  return bytes.toString('hex').replace(/../g, byte => `%${byte.toUpperCase()}`)
}
