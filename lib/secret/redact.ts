const REDACTED = '[redacted]'

/** Base64, JWTs, hex, percent-encoded text: no word of an error message is that long, and every encoded secret is. */
const OPAQUE_RUN = /[A-Za-z0-9+/=_.~%-]{32,}/g
/** Control characters, line separators and the bidirectional overrides, none of which belongs in a log line. */
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g

const NOT_OF_A_SECRET = /[^\x21-\x7e]+/g

/** From so many characters in a row on, a part of the secret is as good as a hint at all of it. */
const FRAGMENT_LENGTH = 12
/** Of a longer text the rest could not be shown anyway. */
const MAX_READ = 4_096
const MAX_LENGTH = 300

/**
 * Makes text that came from outside fit for an error message: without the secret in any usual encoding, without any 12
 * consecutive characters of it (of a JWT: of its signature), without any long opaque run (a token, or the secret in an
 * encoding not listed here), on one line, and short.
 */
export function redact(text: string, secret: string): string {
  const forms = [...formsOf(secret)]
  const fragments = fragmentsOf(secret)
  let clean = text.slice(0, MAX_READ)
  for (const form of forms) clean = clean.replaceAll(form, REDACTED)
  clean = redactFragments(clean, fragments)
  // Broken up by spaces, line ends or what cannot be seen, it is as good as whole.
  const joined = clean.replace(NOT_OF_A_SECRET, '')
  if (forms.some(form => joined.includes(form)) || findFragment(joined, fragments) >= 0) return REDACTED
  clean = clean.replace(OPAQUE_RUN, REDACTED).replace(UNPRINTABLE, ' ').trim()
  return clean.length > MAX_LENGTH ? `${clean.slice(0, MAX_LENGTH)}…` : clean
}

/**
 * Whether `text` repeats the secret in any usual encoding, or 12 consecutive characters of it; in letters of whatever
 * case, as ids are often rewritten.
 */
export function containsSecret(text: string, secret: string): boolean {
  const folded = text.toLowerCase()
  if ([...formsOf(secret)].some(form => folded.includes(form.toLowerCase()))) return true
  const fragments = [...fragmentsOf(secret)].map(fragment => fragment.toLowerCase())
  return findFragment(folded, new Set(fragments)) >= 0
}

/** Of a JWT those of its signature: what comes before it may be the same in another one. */
function fragmentsOf(secret: string): Set<string> {
  const telling = signatureOf(secret) ?? secret
  const count = Math.max(0, telling.length - FRAGMENT_LENGTH + 1)
  return new Set(Array.from({ length: count }, (_, at) => telling.slice(at, at + FRAGMENT_LENGTH)))
}

/** Of a JWT (RFC 7519): its third part, if the first one is the JSON of a header. */
function signatureOf(secret: string): string | undefined {
  const [header = '', , signature, ...more] = secret.split('.')
  const isHeader = Buffer.from(header, 'base64url').toString().startsWith('{"')
  return isHeader && more.length === 0 && signature && signature.length >= FRAGMENT_LENGTH ? signature : undefined
}

/** Where the first of `fragments` is, from `start` on; -1 where there is none. */
function findFragment(text: string, fragments: ReadonlySet<string>, start = 0): number {
  for (let at = start; at + FRAGMENT_LENGTH <= text.length; at++) {
    if (fragments.has(text.slice(at, at + FRAGMENT_LENGTH))) return at
  }
  return -1
}

function redactFragments(text: string, fragments: ReadonlySet<string>): string {
  let [clean, shownTo] = ['', 0]
  for (let at = findFragment(text, fragments); at >= 0; at = findFragment(text, fragments, shownTo)) {
    clean += text.slice(shownTo, at) + REDACTED
    shownTo = at + FRAGMENT_LENGTH
    // What follows in one piece belongs to it.
    while (fragments.has(text.slice(shownTo - FRAGMENT_LENGTH + 1, shownTo + 1))) shownTo++
  }
  return clean + text.slice(shownTo)
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
