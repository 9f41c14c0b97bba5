import { randomUUID } from 'node:crypto'
import { isSessionRequest, refusal } from './emulator-http.js'
import { makeJwt } from './emulator-jwt.js'
import type { RecordedRequest } from './emulator-options.js'

export interface SessionRules {
  /** The one app secret that is accepted. */
  readonly appSecret: string
  readonly lifetimeMs: number
  /** Signs the session tokens. */
  readonly signingKey: string
  readonly nowMs: number
}

/** What the gateway responds when nothing is wrong with itself: a session, or why it refuses one. */
export function respondRightly(request: RecordedRequest, rules: SessionRules): { status: number; body: object } {
  if (request.method !== 'POST') return refusal(404, 'Only POST mints a session.')
  if (request.headers['authorization'] !== `Bearer ${rules.appSecret}`) return refusal(401, 'Invalid app token.')
  if (!isSessionRequest(request.body)) return refusal(400, 'identity must be a string, scopes an array of strings.')
  return { status: 200, body: mint(request.body, rules) }
}

function mint(
  { identity, scopes }: { readonly identity: string; readonly scopes: readonly string[] },
  { lifetimeMs, signingKey, nowMs }: SessionRules,
): object {
  const expiresAt = nowMs + lifetimeMs
  const claims = {
    identity,
    scopes,
    role: 'session',
    iss: 'video.io',
    iat: Math.floor(nowMs / 1000),
    // Whole seconds, so not before the expiresAt that goes with it.
    exp: Math.ceil(expiresAt / 1000),
    jti: randomUUID(),
  }
  return { sessionToken: makeJwt(claims, signingKey), expiresAt: new Date(expiresAt).toISOString(), identity }
}
