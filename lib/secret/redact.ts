import { encode } from 'jose/base64url'
import { utf8BytesOf } from '../core/utf8.js'

const REDACTED = '[redacted]'

/**
 * Base64, JWTs, hex and percent-encoded text: every encoded secret is that long, and no word of an error message is.
 */
const OPAQUE_RUN = /[A-Za-z0-9+/=_.~%-]{32,}/g
/** Control characters, line separators and bidirectional overrides, which must not be in a log line. */
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g

const NOT_OF_A_SECRET = /[^\x21-\x7e]/g

/** So many consecutive characters of the secret count as the secret. */
const FRAGMENT_LENGTH = 12
/** The rest of a longer text is never shown. */
const MAX_READ = 4_096
const MAX_LENGTH = 300

/**
 * Makes external text safe for an error message. It removes the secret in all usual encodings, any 12 consecutive
 * characters of it (of a JWT: of its signature), and any long opaque run (a token, or the secret in another encoding).
 * The result is short and on one line.
 */
export function redact(text: string, secret: string): string {
  const forms = [...formsOf(secret)]
  const fragments = fragmentsOf(secret)
  let clean = text.slice(0, MAX_READ)
  for (const form of forms) clean = clean.replaceAll(form, REDACTED)
  clean = redactFragments(clean, fragments)
  // A secret with spaces, line breaks or invisible characters between its parts is still readable.
  const joined = clean.replace(NOT_OF_A_SECRET, '')
  if (forms.some(form => joined.includes(form)) || findFragment(joined, fragments) >= 0) return REDACTED
  clean = clean.replace(OPAQUE_RUN, REDACTED).replace(UNPRINTABLE, ' ').trim()
  return clean.length > MAX_LENGTH ? `${clean.slice(0, MAX_LENGTH)}…` : clean
}

/**
 * Whether `text` contains the secret in a usual encoding, or 12 consecutive characters of it. It ignores case, because
 * IDs are often rewritten.
 */
export function containsSecret(text: string, secret: string): boolean {
  const folded = text.toLowerCase()
  // No form is shorter than the secret, so the short ID of each response needs no forms.
  const mayContainForm = folded.length >= secret.length
  if (mayContainForm && [...formsOf(secret)].some(form => folded.includes(form.toLowerCase()))) return true
  const source = fragmentSource(secret).toLowerCase()
  for (let at = 0; at + FRAGMENT_LENGTH <= folded.length; at++) {
    if (source.includes(folded.slice(at, at + FRAGMENT_LENGTH))) return true
  }
  return false
}

/** Whether `text` contains a run of characters that `redact` removes because it may be a token or an encoded secret. */
export function hasOpaqueRun(text: string): boolean {
  return text.search(OPAQUE_RUN) >= 0
}

/** The third part of a JWT (RFC 7519), if it has a fragment. The first part is JSON: it begins with `{"` in base64url. */
const SIGNATURE = /^ey[I-L][^.]*\.[^.]*\.([^.]{12,})$/

/** Of a JWT only the signature, because other JWTs may share the other parts. */
function fragmentSource(secret: string): string {
  return SIGNATURE.exec(secret)?.[1] ?? secret
}

function fragmentsOf(secret: string): Set<string> {
  const source = fragmentSource(secret)
  const count = Math.max(0, source.length - FRAGMENT_LENGTH + 1)
  return new Set(Array.from({ length: count }, (_, at) => source.slice(at, at + FRAGMENT_LENGTH)))
}

/** The position of the first of `fragments` from `start` on, or -1. */
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
    // The characters that follow without a gap belong to it.
    while (fragments.has(text.slice(shownTo - FRAGMENT_LENGTH + 1, shownTo + 1))) shownTo++
  }
  return clean + text.slice(shownTo)
}

function formsOf(secret: string): Set<string> {
  const bytes = utf8BytesOf(secret)
  const base64url = encode(bytes)
  const base64 = base64url.replaceAll('-', '+').replaceAll('_', '/')
  const hex = hexOf(bytes)
  const percent = encodeURIComponent(secret)
  return new Set([
    secret,
    base64.padEnd(4 * Math.ceil(base64.length / 4), '='),
    base64,
    base64url,
    hex,
    hex.toUpperCase(),
    percent,
    percent.replace(/%[0-9A-F]{2}/g, escape => escape.toLowerCase()),
    hex.toUpperCase().replace(/../g, '%$&'),
    JSON.stringify(secret).slice(1, -1),
  ])
}

/** An app secret is visible ASCII, so each byte has two digits. */
function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16)).join('')
}
